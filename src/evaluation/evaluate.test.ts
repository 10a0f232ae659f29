/** Evaluations of a tiny model on the reference: what the reference rows must say, and everything that is refused. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { describe, expect, test } from 'vitest';
import { referenceBackend } from '../backend/reference.ts';
import { planned, TINY, tinyModel } from '../sampling/test-model.ts';
import { evaluate, type EvaluationRequest, type Row, samplesMistakes } from './evaluate.ts';
import { imagesAt } from './images.ts';
import { nearestDistances } from './nearest.ts';
import { jsonOf, tableOf } from './report.ts';
import { brightHalves } from './test-data.ts';
import { initialWeights, trainClassifier } from './train-classifier.ts';

const backend = referenceBackend();
const right = async <A>(task: TaskEither<{ readonly message: string }, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};

const config = { channels: 1, height: 8, width: 8, classes: 2, widths: [4, 4, 8] as const, features: 6 };
const data = { train: brightHalves(60, 1), heldOut: brightHalves(80, 2) };
const requestFor = async (more: Partial<EvaluationRequest> = {}): Promise<EvaluationRequest> => {
  const { weights, accuracy } = await right(trainClassifier({ backend, config, train: data.train, heldOut: data.heldOut, epochs: 6, batch: 10, rate: 0.02, seed: 3n }));
  return {
    backend, model: tinyModel({ ...TINY, num_classes: 2 }), plan: planned({ sampler: 'adams', steps: 2, guidance: 1, interval: [0, 1] }), size: { height: 8, width: 8 },
    classifier: { config, classes: data.train.classes, accuracy, training: {}, weights }, data, samples: 20, seeds: [0n, 1n], batch: 20, ...more,
  };
};
const by = (rows: readonly Row[], name: Row['name']) => rows.find((row) => row.name === name)!.summary;

test('real images are near, noise is far, copies are found out; twice the same', async () => {
  const request = await requestFor(), heard = new Set<string>(), found = await right(evaluate({ ...request, onProgress: (what) => heard.add(what) }));
  const [real, copies, noise, model] = (['real', 'copies', 'noise', 'model'] as const).map((name) => by(found.rows, name)) as [Row['summary'], Row['summary'], Row['summary'], Row['summary']];
  expect([found.reference, found.compared, [...heard]]).toEqual([40, 20, ['sampling', 'judging', 'memorisation']]);
  expect(real.accuracy!.mean).toBe(1);
  expect(noise.fd!.mean).toBeGreaterThan(10 * real.fd!.mean);
  expect(Math.abs(real.kid!.mean)).toBeLessThan(4 * real.kidError!.mean);
  expect(noise.kid!.mean).toBeGreaterThan(real.kid!.mean + 1.5 * noise.kidError!.mean);
  expect(real.recall!.mean).toBeGreaterThan(noise.recall!.mean);
  expect(noise.spectrum!.mean).toBeGreaterThan(3 * real.spectrum!.mean);
  expect([copies.copied!.mean, copies.nearest!.mean < 1e-6]).toEqual([1, true]);
  expect(real.copied!.mean).toBeLessThan(0.06);
  expect(model.fd!.mean).toBeGreaterThan(real.fd!.mean); // it has hashed weights
  expect(model.seam).toBeDefined();
  expect((await right(evaluate(request))).rows).toEqual(found.rows);

  const [head, ...lines] = tableOf(found, 'tiny');
  expect(head).toEqual(['', 'tiny', 'other held-out images', 'training images', 'normal noise']);
  expect(lines.map(([title]) => title)).toEqual(['accuracy %', 'FD', 'KID x1000', 's.e.', 'precision', 'recall', 'seams', 'spectrum dB', 'nearest', 'copied %']);
  expect(lines[0]![2]).toBe('100.0 ± 0.0');
  const json: unknown = JSON.parse(jsonOf(found, { command: 'x', version: '1', model: {}, data: {}, classifier: {}, sampler: {}, samples: 20, seeds: [0n, 1n], device: 'reference', seconds: 1 }));
  expect(json).toMatchObject({ seeds: ['0', '1'], reference: 40, rows: [{ name: 'model', scores: [{}, {}] }, { name: 'real' }, { name: 'copies' }, { name: 'noise' }] });
}, 120_000);

test('where nothing is held out, memorisation is not claimed', async () => {
  const { rows, compared } = await right(evaluate(await requestFor({ data: { train: data.heldOut, heldOut: undefined }, seeds: [0n], samples: 12 })));
  expect([compared, by(rows, 'model').copied, by(rows, 'real').fd !== undefined]).toEqual([0, undefined, true]);
}, 60_000);

describe('what ends it', () => {
  test('an abort', async () => {
    const controller = new AbortController();
    controller.abort();
    expect(E.isLeft(await evaluate(await requestFor({ signal: controller.signal }))())).toBe(true);
  });
  test('too few samples, too many, too little data: with the number that is possible', () => {
    expect(samplesMistakes(6, config, data)).toEqual([expect.stringContaining('--samples 6: the covariance of 6 features needs more images than that; use 7 at least')]);
    expect(samplesMistakes(41, config, data)).toEqual([expect.stringContaining('--samples 41: there are only 40 real images to set beside them; use 40 at most')]);
    expect(samplesMistakes(20, config, { train: data.train, heldOut: brightHalves(10, 1) })).toEqual([expect.stringContaining('too few images to judge with: of 10 held-out ones')]);
    expect(samplesMistakes(20, config, data)).toEqual([]);
  });
});

test('nearest distances are those of a search one by one; the last block is a part of one', async () => {
  const train = brightHalves(2050, 5), images = await imagesAt(brightHalves(4, 6), [0, 1, 2, 3]), all = await imagesAt(train, Array.from({ length: 2050 }, (_, i) => i));
  const found = await right(nearestDistances(backend, images, train)), one = (i: number, j: number): number => {
    let sum = 0;
    for (let k = 0; k < 64; k++) sum += ((images.pixels[i * 64 + k]! - all.pixels[j * 64 + k]!) / 255) ** 2;
    return Math.sqrt(sum / 64);
  };
  found.forEach((distance, i) => expect(distance).toBeCloseTo(Math.min(...Array.from({ length: 2050 }, (_, j) => one(i, j))), 6));
}, 60_000);

test('first weights have the variance that keeps signals as large as they are', () => {
  const { 'conv2.weight': weights, 'conv2.bias': bias } = initialWeights({ ...config, widths: [64, 64, 8] }, 1n);
  const variance = weights!.reduce((sum, x) => sum + x * x, 0) / weights!.length;
  expect(variance * 16 * 64).toBeCloseTo(2, 1);
  expect(bias!.every((x) => x === 0)).toBe(true);
});
