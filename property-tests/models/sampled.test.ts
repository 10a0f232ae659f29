/**
 * The whole way of `pixnerd sample`, from the seed to the image, against the authors' images: values kept from before, steps in one program.
 * Needs a checkpoint of theirs and its expected images (7 MB, not in the project): `fashion.ckpt` and `fashion_expected.safetensors` in the folder
 * PIXNERD_CHECKPOINTS (../shared/checkpoints). Without them, `sampler_c2i` is what holds samplers and model together.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as E from 'fp-ts/Either';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { optionsOfCase, type CaseFields } from '../../models/sampling/case.ts';
import { plan } from '../../models/sampling/sampler.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { openBackend } from '../../src/backend/open.ts';
import { openModel } from '../../src/sampling/model.ts';
import { sample } from '../../src/sampling/sample.ts';
import { readGoldenFile, tensorOf } from './golden.ts';

const FOLDER = resolve(process.env['PIXNERD_CHECKPOINTS'] ?? join(import.meta.dirname, '../../../shared/checkpoints')), WEIGHTS = join(FOLDER, 'fashion.ckpt');
const isHere = existsSync(WEIGHTS);
const IMAGES = 3;

const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(JSON.stringify(either.left));
  return either.right;
};

let backend: Backend; // opened where there is something to do
beforeAll(async () => {
  if (isHere) backend = right(await openBackend('wgsl', { adapter: 'software' })());
});
afterAll(() => (isHere ? backend.close() : undefined));

test.skipIf(!isHere).each(['adams2_25', 'euler_50'])("%s draws the authors' images", async (name) => {
  const golden = readGoldenFile(join(FOLDER, 'fashion_expected.safetensors')), cases = JSON.parse(golden.metadata['cases']!) as CaseFields[];
  const model = right(await openModel(WEIGHTS)());
  const labels = [...tensorOf(golden, 'in.condition').data];
  const want = tensorOf(golden, `out.${name}.x_final`).data;
  const images = sample({
    backend, model, labels, plan: right(plan(right(optionsOfCase(cases.find((fields) => fields['name'] === name)!)))),
    size: { height: 32, width: 32 }, seed: 0n, first: 0, end: IMAGES, batch: IMAGES,
  });
  let seen = 0;
  for await (const image of images) {
    const { index, values } = right(image);
    const worst = values.reduce((most, value, i) => Math.max(most, Math.abs(value - want[index * values.length + i]!)), 0);
    expect(worst, `image ${index}`).toBeLessThan(1e-3);
    seen++;
  }
  expect(seen).toBe(IMAGES);
  await model.file.close();
});
