/**
 * Distances from images to the nearest image of a training set, pixel by pixel, on a backend.
 *
 * Invariant: the training set streams through in blocks; one block is held.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { nearestGraph } from '../../models/evaluation/nearest.ts';
import type { Backend, BackendError, BackendTensor, Elements, Executable } from '../backend/backend.ts';
import type { DataError, Dataset } from '../data/dataset.ts';
import { attempt } from '../files/errors.ts';
import { imagesAt, type ImageSet, lengthOf, valuesOf } from './images.ts';

/** Images of the training set at once. */
const BLOCK = 2000;

export interface NearestOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

/** The places of a block; the last one is filled up with its first image, which changes no minimum. */
const placesOf = (first: number, size: number, block: number): Int32Array => Int32Array.from({ length: block }, (_, i) => (first + i < size ? first + i : first));

/** Squares of the distances to the nearest image of one block. */
const inBlock = async (executable: Executable, rows: BackendTensor, others: ImageSet, stoppable: { readonly signal?: AbortSignal }): Promise<E.Either<BackendError, Elements>> => {
  const made = await executable.run({ rows, others: valuesOf(others) }, stoppable)();
  if (E.isLeft(made)) return made;
  const squared = made.right['squared']!, elements = await squared.read(stoppable)(); // the graph's output
  squared.dispose();
  return elements;
};

/** The root mean square difference of each image to its nearest one in the training set, in units of the whole range of pixels. */
export const nearestDistances = (backend: Backend, images: ImageSet, train: Dataset, { signal, onProgress }: NearestOptions = {}): TaskEither<BackendError | DataError, Float64Array> => async () => {
  const length = lengthOf(images), block = Math.min(BLOCK, train.size), stoppable = { ...(signal && { signal }) };
  const loaded = await backend.load({ graph: nearestGraph(), sizes: { N: images.count, M: block, D: length }, name: 'nearest', ...stoppable })();
  if (E.isLeft(loaded)) return loaded;
  const rows = await backend.upload([images.count, length], valuesOf(images))();
  if (E.isLeft(rows)) return rows;
  const nearest = new Float64Array(images.count).fill(Infinity);
  try {
    for (let first = 0; first < train.size; first += block) {
      const others = await attempt('data', () => imagesAt(train, placesOf(first, train.size, block)))();
      if (E.isLeft(others)) return others;
      const squared = await inBlock(loaded.right, rows.right, others.right, stoppable);
      if (E.isLeft(squared)) return squared;
      for (const [i, value] of squared.right.entries()) nearest[i] = Math.min(nearest[i]!, value);
      onProgress?.(Math.min(first + block, train.size), train.size);
    }
    return E.right(nearest.map((squared) => Math.sqrt(squared / length) / 2)); // pixels go from -1 to 1
  } finally {
    rows.right.dispose();
    loaded.right.dispose();
  }
};
