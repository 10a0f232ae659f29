/** Batches: the same in every run, from any step on, however they are made. */
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { toUint8 } from '../../models/pixels/uint8.ts';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import { FileFault } from '../files/errors.ts';
import type { Dataset } from './dataset.ts';
import { type Batch, type Loader, type LoaderOptions, openLoader } from './loader.ts';
import { openDataset } from './open.ts';
import { isFlipped, permutation } from './order.ts';
import { FASHION_FIXTURE, twoClasses } from './test-images.ts';

/** Image i is full of i, but for its first column, which is 200. */
const numbered = (size: number, more: Partial<Dataset> = {}): Dataset => ({
  size, classes: ['even', 'odd'], channels: 1, height: 2, width: 3, notes: [],
  item: async (i) => ({ pixels: Uint8Array.of(200, i, i, 200, i, i), label: i % 2 }),
  close: async () => undefined,
  ...more,
});

const take = async (loader: Loader, count: number): Promise<readonly Batch[]> => {
  const batches: Batch[] = [];
  for (let i = 0; i < count; i++) batches.push(opened(await loader.next()()));
  loader.close();
  return batches;
};
const batches = (dataset: Dataset, options: LoaderOptions, count: number): Promise<readonly Batch[]> => take(openLoader(dataset, options), count);

/** Which image stands in each place. */
const numbersOf = ({ x }: Batch): readonly number[] => Array.from(toUint8(x)).filter((_, i) => i % 6 === 1);

describe('order', () => {
  test('epochs follow each other without a gap, each in its own order', async () => {
    const made = await batches(numbered(10), { batch: 4, seed: 5 }, 5);
    expect(made.flatMap(numbersOf)).toEqual([...permutation(5, 0, 10), ...permutation(5, 1, 10)]);
    expect(made.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
    expect(made.every(({ labels }, i) => [...labels].join() === numbersOf(made[i]!).map((number) => number % 2).join())).toBe(true);
  });

  test('a batch larger than the data set has images more than once', async () => {
    const [only] = await batches(numbered(3), { batch: 8, seed: 5 }, 1);
    expect(numbersOf(only!)).toEqual([...permutation(5, 0, 3), ...permutation(5, 1, 3), ...permutation(5, 2, 3).slice(0, 2)]);
  });

  test('a run that goes on at a step sees what it would have seen, flips as well', async () => {
    const options = { batch: 7, seed: 2n ** 50n + 1n, flip: true }, whole = await batches(numbered(30), options, 12);
    for (const firstStep of [1, 4, 5, 11]) expect(await batches(numbered(30), { ...options, firstStep }, 12 - firstStep)).toEqual(whole.slice(firstStep));
  });

  test('neither what is made ahead, nor who decodes, nor how long it takes changes a batch', async () => {
    const late = numbered(20, { item: async (i) => { await new Promise((resolve) => setTimeout(resolve, (i * 7) % 5)); return numbered(20).item(i); } });
    const options = { batch: 6, seed: 1 }, wanted = await batches(numbered(20), options, 6);
    for (const ahead of [0, 1, 5]) for (const workers of [1, 3, 100]) expect(await batches(late, { ...options, ahead, workers }, 6)).toEqual(wanted);
  });

  test('at most `workers` images are in the works, and `ahead` batches are made before they are asked for', async () => {
    let running = 0, most = 0, asked = 0;
    const counted = numbered(100, {
      item: async (i) => {
        asked++;
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 1));
        running--;
        return numbered(100).item(i);
      },
    });
    const loader = openLoader(counted, { batch: 10, seed: 1, ahead: 3, workers: 4 });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect([most, asked]).toEqual([4, 30]);
    await take(loader, 1);
  });
});

describe('what is in a batch', () => {
  test('bytes as -1 ... 1, exactly', async () => {
    const every = numbered(256, { item: async (i) => ({ pixels: Uint8Array.of(i, i, i, i, i, i), label: 0 }) });
    const [all] = await batches(every, { batch: 256, seed: 0 }, 1);
    expect([Math.min(...all!.x), Math.max(...all!.x)]).toEqual([-1, 1]);
    expect(numbersOf(all!)).toEqual([...permutation(0, 0, 256)]);
  });

  test('flips mirror rows, by seed, step and place alone', async () => {
    const options = { batch: 8, seed: 9 }, [plain, flipped] = [await batches(numbered(50), options, 3), await batches(numbered(50), { ...options, flip: true }, 3)];
    for (const [step, { x }] of flipped.entries()) {
      for (let i = 0; i < 8; i++) {
        const [got, was] = [x.slice(i * 6, i * 6 + 6), plain[step]!.x.slice(i * 6, i * 6 + 6)];
        expect([...got]).toEqual(isFlipped(9, step, i) ? [was[2], was[1], was[0], was[5], was[4], was[3]] : [...was]);
      }
    }
    expect(flipped.flatMap(({ x }) => [...x])).not.toEqual(plain.flatMap(({ x }) => [...x]));
  });

  test('captions and second labels, where there are any', async () => {
    const rich = numbered(4, { attributes: ['a', 'b'], item: async (i) => ({ ...(await numbered(4).item(i)), caption: `number ${i}`, attribute: Math.floor(i / 2) }) });
    const [batch] = await batches(rich, { batch: 4, seed: 0 }, 1);
    expect(batch!.captions).toEqual(numbersOf(batch!).map((number) => `number ${number}`));
    expect([...batch!.attributes!]).toEqual(numbersOf(batch!).map((number) => Math.floor(number / 2)));
    expect(Object.keys((await batches(numbered(4), { batch: 2, seed: 0 }, 1))[0]!)).toEqual(['step', 'x', 'labels']);
  });

  test('Fashion-MNIST, padded', async () => {
    const dataset = opened(await openDataset({ path: FASHION_FIXTURE, size: 32 })());
    const [batch] = await batches(dataset, { batch: 200, seed: 0 }, 1);
    expect(batch!.x.length).toBe(200 * 32 * 32);
    expect([...new Set(batch!.labels)].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(batch!.x[0]).toBe(-1); // the black of the padding
  });

  test('image files: kept in memory or decoded for each batch', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      const [kept, streamed] = [opened(await openDataset({ path: folder, size: 8 })()), opened(await openDataset({ path: folder, size: 8, memory: 0, workers: 2 })())];
      const options = { batch: 4, seed: 3, flip: true };
      expect(await batches(streamed, options, 5)).toEqual(await batches(kept, options, 5));
      await streamed.close();
    }));
});

describe('what goes wrong', () => {
  test('an image that cannot be had is an error of its own batch', async () => {
    const broken = numbered(4, { item: async (i) => { if (i === permutation(0, 0, 4)[3]) throw new FileFault({ kind: 'corrupt', path: 'p', message: 'p: damaged' }); return numbered(4).item(i); } });
    const loader = openLoader(broken, { batch: 2, seed: 0 });
    expect(E.isRight(await loader.next()())).toBe(true);
    expect(refused(await loader.next()())).toMatchObject({ kind: 'corrupt', message: 'p: damaged' });
  });

  test('a closed loader gives nothing, and a batch has an image', async () => {
    const loader = openLoader(numbered(4), { batch: 2, seed: 0 });
    loader.close();
    expect(refused(await loader.next()()).kind).toBe('aborted');
    expect(() => openLoader(numbered(4), { batch: 0, seed: 0 })).toThrow(RangeError);
  });
});
