/**
 * Batches, decoded ahead of who trains on them.
 *
 * The images of step s are the places s*batch ... of one endless row: the permutation of epoch 0, then that of epoch 1, and so on. So a batch may hold the
 * end of an epoch and the beginning of the next, and no image is left over. Invariant: a batch depends on data set, seed, batch size and step alone.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Seed } from '../../models/noise/torch-random.ts';
import { fromUint8 } from '../../models/pixels/uint8.ts';
import { attempt, fileError } from '../files/errors.ts';
import type { DataError, Dataset, Item } from './dataset.ts';
import { isFlipped, permutation } from './order.ts';

export interface LoaderOptions {
  /** Images of a whole optimiser step; who accumulates splits it, and the images stay the same. */
  readonly batch: number;
  readonly seed: Seed;
  /** The step of the first batch (default 0): where a run goes on. */
  readonly firstStep?: number;
  /** Every second image, chosen by (seed, step, place in the batch), is mirrored. */
  readonly flip?: boolean;
  /** Batches that are made before they are asked for (default 2). */
  readonly ahead?: number;
  /** Images that are in the works at once, at most (default: all of the batches ahead). */
  readonly workers?: number;
}

export interface Batch {
  readonly step: number;
  /** [B, C, H, W] in -1 ... 1 */
  readonly x: Float32Array<ArrayBuffer>;
  readonly labels: Int32Array<ArrayBuffer>;
  /** The second labels, where the data set has them. */
  readonly attributes?: Int32Array<ArrayBuffer>;
  /** Where the data set has them. */
  readonly captions?: readonly string[];
}

export interface Loader {
  /** The batches in order. Ask for one at a time. */
  readonly next: () => TaskEither<DataError, Batch>;
  /** Stops working ahead; later calls of `next` are refused. The data set stays open. */
  readonly close: () => void;
}

/** Bytes as -1 ... 1. */
const LEVELS = fromUint8(Uint8Array.from({ length: 256 }, (_, byte) => byte));

/** Which images the batch of a step has; permutations are kept, as consecutive steps need the same. */
export const makeOrder = (seed: Seed, size: number, batch: number): ((step: number) => Uint32Array) => {
  const kept = new Map<number, Uint32Array>();
  const orderOf = (epoch: number): Uint32Array => {
    const known = kept.get(epoch);
    if (known !== undefined) return known;
    const made = permutation(seed, epoch, size);
    kept.set(epoch, made);
    if (kept.size > 2) kept.delete(Math.min(...kept.keys()));
    return made;
  };
  return (step) => Uint32Array.from({ length: batch }, (_, i) => orderOf(Math.floor((step * batch + i) / size))[(step * batch + i) % size]!); // a rest is below the size
};

/** Writes an image into its place, mirrored or not. */
const place = (x: Float32Array, offset: number, pixels: Uint8Array, width: number, flipped: boolean): void => {
  const step = flipped ? -1 : 1;
  for (let row = 0; row < pixels.length; row += width)
    for (let i = row, to = offset + row + (flipped ? width - 1 : 0); i < row + width; i++, to += step) x[to] = LEVELS[pixels[i]!]!; // bytes are below 256
};

/** Lets at most `most` tasks run at a time. */
const limited = (most: number) => {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async <A>(task: () => Promise<A>): Promise<A> => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await task();
    } finally {
      // the place is handed on, so that nobody comes in between
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
};

const makeBatch = ({ channels, height, width, attributes }: Dataset, items: readonly Item[], step: number, flips: readonly boolean[]): Batch => {
  const length = channels * height * width, x = new Float32Array(items.length * length);
  for (const [i, { pixels }] of items.entries()) place(x, i * length, pixels, width, flips[i]!); // one for each item
  return {
    step,
    x,
    labels: Int32Array.from(items, ({ label }) => label),
    ...(attributes !== undefined && { attributes: Int32Array.from(items, ({ attribute = 0 }) => attribute) }),
    ...(items.some(({ caption }) => caption !== undefined) && { captions: items.map(({ caption = '' }) => caption) }),
  };
};

/** Opens a loader; it works ahead from the start. */
export const openLoader = (dataset: Dataset, options: LoaderOptions): Loader => {
  const { batch, seed, firstStep = 0, flip = false, ahead = 2, workers = Infinity } = options;
  if (!Number.isInteger(batch) || batch < 1) throw new RangeError(`a batch of ${batch} images: use a whole number of at least 1`);
  const order = makeOrder(seed, dataset.size, batch), withLimit = limited(workers);
  const load = (step: number): Promise<E.Either<DataError, Batch>> =>
    attempt('data', async () => {
      const items = await Promise.all(Array.from(order(step), (index) => withLimit(() => dataset.item(index))));
      return makeBatch(dataset, items, step, items.map((_, i) => flip && isFlipped(seed, step, i)));
    })();
  const underway: Promise<E.Either<DataError, Batch>>[] = [];
  let step = firstStep, closed = false;
  const fill = (count: number): void => {
    if (closed) return;
    while (underway.length < count) underway.push(load(step++));
  };
  fill(ahead);
  return {
    next: () => async () => {
      if (closed) return E.left(fileError('aborted', 'data', 'the loader was closed'));
      fill(1);
      const first = await underway.shift()!; // there is one at least
      fill(ahead);
      return first;
    },
    close: () => {
      closed = true;
      underway.length = 0;
    },
  };
};
