/**
 * Samples images, batch after batch: thousands stream through, none is held.
 *
 * Invariant: image i is a function of the model, the options, its label, the seed and i; neither batch nor shard changes it.
 */
import * as E from 'fp-ts/Either';
import { noiseStream, type Seed } from '../../models/noise/torch-random.ts';
import { philoxNormals } from '../../models/noise/philox.ts';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import { execute, type Observer } from '../../models/sampling/execute.ts';
import { networkTimes, type SamplerPlan } from '../../models/sampling/plan.ts';
import type { Backend, BackendError, BackendTensor, Elements } from '../backend/backend.ts';
import { loadFitting } from '../backend/batch.ts';
import { loadPrograms, type Programs } from './machine.ts';
import type { C2iModel } from './model.ts';

export interface SampleRequest {
  readonly backend: Backend;
  readonly model: Pick<C2iModel, 'config' | 'graph' | 'weights'>;
  readonly plan: SamplerPlan;
  /** A multiple of the patch on both axes. */
  readonly size: ImageSize;
  readonly seed: Seed;
  /** Image i gets labels[i mod labels.length]. */
  readonly labels: readonly number[];
  /** Images first, first + 1, ..., end - 1. */
  readonly first: number;
  readonly end: number;
  /** The most images computed at once; fewer where the adapter allows no more. */
  readonly batch: number;
  /** Keep every point of the way from noise to image. */
  readonly trajectory?: boolean;
  readonly signal?: AbortSignal;
  /** Hears of each network call that is done, of quick ones several together: how many are done, and how many there will be. */
  readonly onStep?: (done: number, all: number) => void;
  readonly onCompiled?: (ready: number, all: number) => void;
  /** Hears that the batch had to be lowered, and why. */
  readonly onLower?: (batch: number, error: BackendError) => void;
}

export interface SampledImage {
  readonly index: number;
  readonly label: number;
  /** [C, H, W] in about [-1, 1]. */
  readonly values: Float32Array;
  /** Every x from noise to image, of the same shape, where it was asked for. */
  readonly trajectory: readonly Float32Array[];
}

/** Part k of n (from 1) of `count` images in a row: [first, end). */
export const shardRange = (
  count: number,
  { index, count: parts }: { readonly index: number; readonly count: number },
): readonly [first: number, end: number] => [Math.floor((count * (index - 1)) / parts), Math.floor((count * index) / parts)];

/** Images at once such that all batches are of nearly the same size: 17 in batches of at most 16 are 9 and 8. */
const evenBatch = (count: number, most: number): number => Math.ceil(count / Math.ceil(count / most));

/** The images of one batch; the last batch is filled up with images that nobody sees, so that one program serves all. */
interface Batch {
  readonly indices: readonly number[];
  readonly wanted: number;
}

const batchAt = (next: number, size: number, end: number): Batch => ({
  indices: Array.from({ length: size }, (_, i) => next + i),
  wanted: Math.min(size, end - next),
});

const joined = (parts: readonly Float32Array[]): Float32Array<ArrayBuffer> => {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

type Result<A> = Promise<E.Either<BackendError, A>>;

/** Splits a batch's elements into images; a copy, so that one image does not keep the others alive. */
const imagesOf = (elements: Elements, { wanted, indices }: Batch): readonly Float32Array[] => {
  const size = elements.length / indices.length;
  return Array.from({ length: wanted }, (_, i) => Float32Array.from(elements.subarray(i * size, (i + 1) * size)));
};

/** One batch from noise to images. */
const sampleBatch = async (
  request: SampleRequest,
  programs: Programs,
  batch: Batch,
  noise: (image: number) => Float32Array,
  onVelocity: () => void,
): Result<readonly SampledImage[]> => {
  const {
    backend,
    model: { config },
    plan,
    size,
    seed,
    labels,
    trajectory = false,
    signal,
  } = request;
  const shape = [batch.indices.length, config.in_channels, size.height, size.width];
  const perImage = config.in_channels * size.height * size.width;
  const own = batch.indices.map((index) => labels[index % labels.length]!); // there is one at least
  const read = (tensor: BackendTensor): Result<Elements> => tensor.read(signal && { signal })();
  const points: (readonly Float32Array[])[] = [];
  const watch: Observer<BackendError, BackendTensor> = trajectory
    ? { x: (tensor) => async () => E.map((elements: Elements) => points.push(imagesOf(elements, batch)))(await read(tensor)) }
    : {};

  const start = await backend.upload(shape, joined(batch.indices.map(noise)))();
  if (E.isLeft(start)) return start;
  const draw = (index: number): Float32Array => joined(batch.indices.map((image) => philoxNormals(seed, image, index, perImage)));
  const machine = programs.machine({ labels: own, draw, onVelocity });
  const last = await execute(plan, start.right, machine, watch)();
  const finished = await machine.finish(); // after a failure too: recorded steps hold tensors
  start.right.dispose();
  if (E.isLeft(last)) return last;
  const elements = E.isLeft(finished) ? finished : await read(last.right);
  last.right.dispose();
  return E.map((all: Elements) =>
    imagesOf(all, batch).map((values, i): SampledImage => ({
      index: batch.indices[i]!,
      label: own[i]!,
      values,
      trajectory: points.map((images) => images[i]!),
    })),
  )(elements);
};

const NO_LABELS: BackendError = { kind: 'input', message: 'no labels are given; each image needs a class' };

/**
 * The images in order. A failure is the last thing that comes: what is wrong with the request, a limit that even one image
 * at a time exceeds, a lost device, `aborted`.
 */
export async function* sample(request: SampleRequest): AsyncGenerator<E.Either<BackendError, SampledImage>, void, undefined> {
  const {
    first,
    end,
    plan,
    seed,
    size,
    model: { config, graph, weights },
    backend,
    signal,
    onCompiled,
    onStep,
    onLower,
  } = request;
  if (request.labels.length === 0) {
    yield E.left(NO_LABELS);
    return;
  }
  const calls = networkTimes(plan).length;
  const noise = noiseStream(seed, [config.in_channels, size.height, size.width]);
  const load = (most: number) =>
    loadFitting(
      most,
      (batch) => loadPrograms({ backend, config, graph, weights, plan, size, batch, ...(signal && { signal }), ...(onCompiled && { onCompiled }) }),
      onLower,
    )();
  let next = first,
    done = 0,
    programs: Programs | undefined;
  try {
    while (next < end) {
      if (programs === undefined) {
        const loaded = await load(evenBatch(end - next, Math.max(1, request.batch)));
        if (E.isLeft(loaded)) {
          yield loaded;
          return;
        }
        programs = loaded.right.loaded;
      }
      const { batch: capacity } = programs,
        before = done;
      const all = before + Math.ceil((end - next) / capacity) * calls;
      const batch = batchAt(next, capacity, end);
      onStep?.(done, all);
      const images = await sampleBatch(request, programs, batch, noise, () => onStep?.(++done, all));
      if (E.isLeft(images)) {
        if (images.left.kind !== 'memory' || capacity === 1) {
          yield images;
          return;
        }
        // memory may end in the middle: the same images again, fewer at once
        programs.dispose();
        programs = await lowered(load, Math.ceil(capacity / 2), images.left, onLower);
        done = before;
        if (programs === undefined) {
          yield images;
          return;
        }
        continue;
      }
      for (const image of images.right) yield E.right(image);
      next += batch.wanted;
    }
  } finally {
    programs?.dispose();
  }
}

const lowered = async (
  load: (most: number) => Promise<E.Either<BackendError, { readonly loaded: Programs }>>,
  batch: number,
  why: BackendError,
  onLower: SampleRequest['onLower'],
): Promise<Programs | undefined> => {
  onLower?.(batch, why);
  const loaded = await load(batch);
  return E.isRight(loaded) ? loaded.right.loaded : undefined;
};
