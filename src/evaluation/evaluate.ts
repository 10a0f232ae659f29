/**
 * Judges a model: samples of several seeds, and beside them what the numbers are for real images, for copies of the training set, and for noise.
 *
 * Invariant: every row has the same count of images for each seed and is measured against the same reference, one half of the held-out images;
 * the other half gives the row of real ones. Only the model's rows depend on the adapter.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import type { SamplerPlan } from '../../models/sampling/plan.ts';
import type { Backend, BackendError } from '../backend/backend.ts';
import type { DataError, Dataset } from '../data/dataset.ts';
import { permutation } from '../data/order.ts';
import { attempt } from '../files/errors.ts';
import type { C2iModel } from '../sampling/model.ts';
import { sample, type SampledImage } from '../sampling/sample.ts';
import { type Classifier, type Judge, type Judged, openJudge } from './classifier.ts';
import type { Halves } from './halves.ts';
import { imagesAt, type ImageSet, imagesOf, joined, noiseLike, partOf } from './images.ts';
import { quantile, type Spread, spreadOf } from './metrics/spread.ts';
import { nearestDistances } from './nearest.ts';
import { type Metric, METRICS, referenceOf, type Scores, scoresOf } from './scores.ts';

export type EvaluationError = BackendError | DataError;

export interface EvaluationRequest {
  readonly backend: Backend;
  readonly model: Pick<C2iModel, 'config' | 'graph' | 'weights'>;
  readonly plan: SamplerPlan;
  /** Of the model's images, the data's and the classifier's. */
  readonly size: ImageSize;
  readonly classifier: Classifier;
  readonly data: Halves;
  /** Images of each seed. */
  readonly samples: number;
  readonly seeds: readonly bigint[];
  /** Images that are sampled at once. */
  readonly batch: number;
  readonly signal?: AbortSignal;
  /** Hears what is done: `sampling` (network calls), `judging` (sets), `memorisation` (training images). */
  readonly onProgress?: (what: string, done: number, all: number) => void;
  readonly onNote?: (line: string) => void;
}

/** Who made the images of a row. */
export const ROWS = { model: 'the model', real: 'other held-out images', copies: 'training images', noise: 'normal noise' } as const;
export type RowName = keyof typeof ROWS;

export interface Row {
  readonly name: RowName;
  /** By seed. */
  readonly scores: readonly Scores[];
  readonly summary: Readonly<Partial<Record<Metric, Spread>>>;
}

export interface Evaluation {
  readonly rows: readonly Row[];
  /** Images of the reference. */
  readonly reference: number;
  /** Images of each row and seed whose nearest training images were looked for; 0 where nothing is held out. */
  readonly compared: number;
}

/** More images change the reference's numbers little, and cost their square. */
const MOST_REFERENCE = 5000;
/** The nearest training images are looked for among all of them, which is much work. */
const MOST_COMPARED = 100;
/** The share of real images that count as copies by definition. */
const COPIED = 0.01;

/** Images of the reference, and those that are left for the row of real ones. */
export const referenceSize = (heldOut: number): number => Math.min(MOST_REFERENCE, Math.floor(heldOut / 2));

/** Everything that is wrong with the number of samples. */
export const samplesMistakes = (samples: number, { features }: { readonly features: number }, { train, heldOut }: Halves): readonly string[] => {
  const real = heldOut ?? train, reference = referenceSize(real.size), most = Math.min(reference, real.size - reference, train.size);
  if (most <= features) return [`the data has too few images to judge with: of ${real.size} ${heldOut === undefined ? '' : 'held-out '}ones each half must have more than the ${features} features`];
  if (samples <= features) return [`--samples ${samples}: the covariance of ${features} features needs more images than that; use ${features + 1} at least, and several hundred for numbers to rely on`];
  return samples > most ? [`--samples ${samples}: there are only ${most} real images to set beside them; use ${most} at most, and more --seeds for smaller errors`] : [];
};

/** The value, or the end of the work: caught in `evaluate`. */
class Failure extends Error {
  readonly reason: EvaluationError;
  constructor(reason: EvaluationError) {
    super(reason.message);
    this.reason = reason;
  }
}
const valueOf = <A>(either: E.Either<EvaluationError, A>): A => {
  if (E.isLeft(either)) throw new Failure(either.left);
  return either.right;
};
const done = async <A>(task: TaskEither<EvaluationError, A>): Promise<A> => valueOf(await task());

const taken = (dataset: Dataset, places: ArrayLike<number>): Promise<ImageSet> => done(attempt('data', () => imagesAt(dataset, places)));

/** Which numbers a permutation is for: none is used twice. */
const PURPOSE = { reference: 0, real: 1, copies: 2 } as const;

const sampled = async ({ backend, model, plan, size, samples, seeds, batch, signal, onProgress, onNote }: EvaluationRequest): Promise<readonly ImageSet[]> => {
  const labels = Array.from({ length: model.config.num_classes }, (_, label) => label), sets: ImageSet[] = [];
  for (const [k, seed] of seeds.entries()) {
    const images: SampledImage[] = [];
    const stream = sample({
      backend, model, plan, size, seed, labels, first: 0, end: samples, batch, ...(signal && { signal }),
      onStep: (ready, all) => onProgress?.('sampling', k * all + ready, seeds.length * all),
      onLower: (lower, { message }) => onNote?.(`the batch is lowered to ${lower}: ${message}`),
    });
    for await (const image of stream) images.push(valueOf(image));
    sets.push(imagesOf(images, size, model.config.in_channels));
  }
  return sets;
};

type Sets = Readonly<Record<RowName, readonly ImageSet[]>>;

/** The sets of all rows, and the reference's images. */
const collected = async (request: EvaluationRequest): Promise<{ readonly sets: Sets; readonly reference: ImageSet }> => {
  const { data: { train, heldOut = train }, samples, seeds } = request;
  const order = permutation(0n, PURPOSE.reference, heldOut.size), half = referenceSize(heldOut.size), rest = order.subarray(half);
  const real = await Promise.all(seeds.map((seed) => taken(heldOut, permutation(seed, PURPOSE.real, rest.length).subarray(0, samples).map((i) => rest[i]!))));
  const copies = await Promise.all(seeds.map((seed) => taken(train, permutation(seed, PURPOSE.copies, train.size).subarray(0, samples))));
  const noise = real.map((images, k) => noiseLike(images, seeds[k]!));
  return { sets: { model: await sampled(request), real, copies, noise }, reference: await taken(heldOut, order.subarray(0, half)) };
};

const names = Object.keys(ROWS) as readonly RowName[]; // the keys of a literal
const byRow = <A>(of: (name: RowName, row: number) => A): Readonly<Record<RowName, A>> =>
  Object.fromEntries(names.map((name, row) => [name, of(name, row)])) as Record<RowName, A>; // one for each name

/** Median distance to the nearest training image and share of copies, for each row and seed. */
const memorised = async ({ backend, data: { train }, seeds, signal, onProgress }: EvaluationRequest, sets: Sets, compared: number): Promise<Readonly<Record<RowName, readonly Scores[]>>> => {
  const some = names.flatMap((name) => sets[name].map((images) => partOf(images, 0, compared)));
  const watched = { ...(signal && { signal }), onProgress: (ready: number, all: number) => onProgress?.('memorisation', ready, all) };
  const distances = [...(await done(nearestDistances(backend, joined(some), train, watched)))];
  const part = (row: number, seed: number): readonly number[] => distances.slice((row * seeds.length + seed) * compared, (row * seeds.length + seed + 1) * compared);
  const real = names.indexOf('real'), threshold = quantile(seeds.flatMap((_, k) => part(real, k)), COPIED);
  return byRow((_name, row) => seeds.map((_, k) => {
    const found = part(row, k);
    return { nearest: quantile(found, 0.5), copied: found.filter((distance) => distance < threshold).length / compared };
  }));
};

/** Mean and spread of every metric that all seeds have. */
export const summaryOf = (scores: readonly Scores[]): Row['summary'] =>
  Object.fromEntries((Object.keys(METRICS) as readonly Metric[]).flatMap((metric) => {
    const values = scores.flatMap((each) => each[metric] ?? []);
    return values.length < scores.length ? [] : [[metric, spreadOf(values)] as const];
  }));

/** The sets of all rows one after the other, since the adapter can do no more. */
const judgedSets = async (sets: Sets, judge: Judge, onProgress: EvaluationRequest['onProgress']): Promise<Readonly<Record<RowName, readonly Judged[]>>> => {
  const found = byRow((): Judged[] => []), all = names.flatMap((name) => sets[name].map((images) => ({ name, images })));
  for (const [i, { name, images }] of all.entries()) {
    found[name].push(await done(judge.judge(images)));
    onProgress?.('judging', i + 1, all.length);
  }
  return found;
};

const run = async (request: EvaluationRequest): Promise<Evaluation> => {
  const { backend, model, classifier, data, samples, signal } = request;
  const { sets, reference } = await collected(request);
  const judge = await done(openJudge(backend, classifier.config, { weights: classifier.weights }, signal));
  try {
    const measured = referenceOf(reference, await done(judge.judge(reference)), samples);
    const judged = await judgedSets(sets, judge, request.onProgress);
    const measure = (name: RowName, k: number): Scores => scoresOf(sets[name][k]!, judged[name][k]!, measured, model.config.patch_size); // one for each seed
    const scores = byRow((name) => request.seeds.map((_, k) => measure(name, k)));
    const compared = data.heldOut === undefined ? 0 : Math.min(MOST_COMPARED, samples);
    const copied = compared === 0 ? undefined : await memorised(request, sets, compared);
    const rows = names.map((name): Row => {
      const all = scores[name].map((each, k) => ({ ...each, ...copied?.[name][k] }));
      return { name, scores: all, summary: summaryOf(all) };
    });
    return { rows, reference: reference.count, compared };
  } finally {
    judge.dispose();
  }
};

/** Judges a model. The request must be free of mistakes. Errors: of the data, the device; aborted. */
export const evaluate = (request: EvaluationRequest): TaskEither<EvaluationError, Evaluation> => async () => {
  try {
    return E.right(await run(request));
  } catch (thrown) {
    if (thrown instanceof Failure) return E.left(thrown.reason);
    throw thrown;
  }
};
