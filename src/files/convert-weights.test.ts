import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { convertWeights } from './convert-weights.ts';
import { inferC2iConfig, shapesOf } from './infer-config.ts';
import { openWeights } from './open.ts';
import { inFolder, opened, refused } from './test-folder.ts';
import type { Weights } from './weights.ts';

const goldens = 'property-tests/goldens/ckpt';

const all = async (weights: Weights): Promise<Record<string, Float32Array>> =>
  Object.fromEntries(await Promise.all(weights.names().map(async (name) => [name, opened(await weights.read(name)())] as const)));

test('a converted checkpoint has the same values, plain names and its configuration', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'w.safetensors');
    opened(await convertWeights(`${goldens}/c2i_mixed.ckpt`, path, { metadata: { license: 'MIT' } })());
    const before = opened(await openWeights(`${goldens}/c2i_mixed.ckpt`)());
    const after = opened(await openWeights(path)());
    expect(after.prefix).toBe('');
    expect(await all(after)).toEqual(await all(before));
    expect(JSON.parse(after.metadata['config']!)).toMatchObject({ hidden_size: 32, num_groups: 2, num_classes: 6 });
    expect(after.metadata['license']).toBe('MIT');
    await Promise.all([before.close(), after.close()]);
  }));

test('as f16, each value is the nearest of f16', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'w.safetensors');
    opened(await convertWeights(`${goldens}/c2i_f32.ckpt`, path, { dtype: 'F16' })());
    const before = opened(await openWeights(`${goldens}/c2i_f32.ckpt`)()), after = opened(await openWeights(path)());
    const [want, got] = [await all(before), await all(after)];
    for (const [name, values] of Object.entries(want)) values.forEach((x, i) => expect(Math.abs(got[name]![i]! - x)).toBeLessThanOrEqual(Math.max(2 ** -25, Math.abs(x) * 2 ** -11)));
    await Promise.all([before.close(), after.close()]);
  }));

test('what is no class-to-image model is not converted', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'w.safetensors');
    expect(refused(await convertWeights('property-tests/goldens/blocks/rmsnorm.safetensors', path)()).kind).toBe('mismatch');
    expect(await readdir(folder)).toEqual([]);
  }));

test('the weights that the project ships are complete, finite and what their metadata says', async () => {
  const weights = opened(await openWeights('models/weights/fashion.safetensors')());
  expect(inferC2iConfig(shapesOf(weights))).toEqual(E.right(JSON.parse(weights.metadata['config']!)));
  const values = Object.values(await all(weights));
  expect(values.reduce((count, { length }) => count + length, 0)).toBe(1_804_449);
  expect(weights.metadata['license']).toBe('MIT');
  await weights.close();
});
