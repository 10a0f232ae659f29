/** The classifier: its windows and its loss against formulas, its file, and that it learns. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeGraph } from '../../dsl/graph/graph.ts';
import { input } from '../../dsl/index.ts';
import { type ClassifierConfig, classifierShapes, crossEntropy } from '../../models/evaluation/classifier.ts';
import { windows } from '../../models/evaluation/windows.ts';
import { referenceBackend } from '../backend/reference.ts';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import { writeSafetensors } from '../files/write.ts';
import { accuracyOf, openClassifier, openJudge, writeClassifier } from './classifier.ts';
import { imagesAt } from './images.ts';
import { brightHalves } from './test-data.ts';
import { initialWeights, trainClassifier } from './train-classifier.ts';

const backend = referenceBackend();
const right = async <A>(task: TaskEither<{ readonly message: string }, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};

const SMALL: ClassifierConfig = { channels: 1, height: 8, width: 8, classes: 2, widths: [4, 4, 8], features: 6 };

describe('its parts', () => {
  test('windows cover 4 x 4 pixels at every second one, zeros outside', async () => {
    const [m, n, K] = [2, 3, 2], x = Float32Array.from({ length: 4 * m * n * K }, (_, i) => i + 1);
    const graph = makeGraph({ w: windows(input('x', ['B', '2*m', '2*n', 'K']), 'm', 'n') }, [input('x', ['B', '2*m', '2*n', 'K'])]);
    const { w } = await right((await right(backend.load({ graph, sizes: { B: 1, m, n, K }, name: 'windows' }))).run({ x }));
    const found = await right(w!.read());
    const pixel = (row: number, column: number, k: number): number => (row < 0 || column < 0 || row >= 2 * m || column >= 2 * n ? 0 : x[(row * 2 * n + column) * K + k]!);
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        const expected = Array.from({ length: 16 }, (_, at) => [2 * i - 1 + Math.floor(at / 4), 2 * j - 1 + (at % 4)] as const).flatMap(([row, column]) => [0, 1].map((k) => pixel(row, column, k)));
        const values = [...found.subarray((i * n + j) * 16 * K, (i * n + j + 1) * 16 * K)];
        expect(values.toSorted((a, b) => a - b)).toEqual(expected.toSorted((a, b) => a - b));
      }
  });
  test('cross-entropy is minus the logarithm of the softmax at the label', async () => {
    const logits = input('logits', ['B', 'K']), y = input('y', ['B'], 'i32');
    const graph = makeGraph({ loss: crossEntropy(logits, y) }, [logits, y]);
    const values: readonly (readonly number[])[] = [[1, 2, 3], [0, -1, 4]], labels = [2, 0];
    const { loss } = await right((await right(backend.load({ graph, sizes: { B: 2, K: 3 }, name: 'loss' }))).run({ logits: Float32Array.from(values.flat()), y: Int32Array.from(labels) }));
    const expected = values.map((row, i) => Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0)) - row[labels[i]!]!);
    expect((await right(loss!.read()))[0]).toBeCloseTo((expected[0]! + expected[1]!) / 2, 6);
  });
});

test('learns two classes from 40 images, and is right for others; the same seed gives the same weights', async () => {
  const train = brightHalves(40, 1), heldOut = brightHalves(30, 2);
  const request = { backend, config: SMALL, train, heldOut, epochs: 8, batch: 8, rate: 0.02, seed: 3n };
  const losses: number[] = [];
  const made = await right(trainClassifier({ ...request, onStep: (_step, _all, loss) => losses.push(loss) }));
  expect([made.steps, made.accuracy]).toEqual([40, 1]);
  expect(losses.at(-1)!).toBeLessThan(0.5);
  const images = await imagesAt(heldOut, Array.from({ length: 30 }, (_, i) => i)), judge = await right(openJudge(backend, SMALL, { weights: made.weights }));
  const judged = await right(judge.judge(images));
  expect([accuracyOf(judged, images.labels), judged.features.length]).toEqual([1, 30 * 6]);
  expect((await right(trainClassifier(request))).weights).toEqual(made.weights);
}, 60_000);

describe('its file', () => {
  const about = { config: SMALL, classes: ['left', 'right'], accuracy: 0.875, training: { steps: '7' } };
  test('comes back as it was', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'c.safetensors'), weights = initialWeights(SMALL, 1n);
      opened(await writeClassifier(path, about, weights)());
      const { weights: found, training, ...rest } = opened(await openClassifier(path)());
      expect(rest).toEqual({ config: SMALL, classes: ['left', 'right'], accuracy: 0.875 });
      expect(training['steps']).toBe('7');
      expect(Object.keys(found).toSorted()).toEqual(Object.keys(classifierShapes(SMALL)).toSorted());
      expect(found['conv1.weight']).toEqual(weights['conv1.weight']);
    }));
  test('is refused where it is something else, says nothing sensible, or lacks a tensor', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'w.safetensors'), tensor = { name: 'head.bias', dtype: 'F32' as const, shape: [2], data: () => new Float32Array(2) };
      const openedWith = async (metadata: Readonly<Record<string, string>>) => {
        opened(await writeSafetensors(path, [tensor], metadata)());
        return refused(await openClassifier(path)());
      };
      expect((await openedWith({})).message).toContain('no weights of a classifier; `pixnerd evaluate --train-classifier FOLDER --out FILE` makes such a file');
      expect((await openedWith({ kind: 'classifier', config: '{"channels": 1' })).kind).toBe('unsupported');
      expect((await openedWith({ kind: 'classifier', config: JSON.stringify({ ...SMALL, height: 12 }) })).kind).toBe('unsupported');
      expect((await openedWith({ kind: 'classifier', config: JSON.stringify(SMALL) })).kind).toBe('mismatch');
    }));
});
