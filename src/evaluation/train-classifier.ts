/**
 * Trains the classifier that judges, with the same trainer as the models that are judged: cross-entropy, Adam, a cosine of learning rates.
 *
 * Invariant: the images of the second half are seen only when training is over, to count how many are right.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { type ClassifierConfig, classifierLossGraph, classifierShapes, classifierSizes } from '../../models/evaluation/classifier.ts';
import { type Optimizer, optimizerOf } from '../../models/training/optimizer.ts';
import { philoxNormals } from '../../models/noise/philox.ts';
import type { Backend, BackendError } from '../backend/backend.ts';
import type { DataError, Dataset } from '../data/dataset.ts';
import { openLoader } from '../data/loader.ts';
import { attempt } from '../files/errors.ts';
import { openTrainer, type StepReport, type Trainer } from '../training/trainer.ts';
import { accuracyOf, openJudge } from './classifier.ts';
import { imagesAt } from './images.ts';

export interface ClassifierTraining {
  readonly backend: Backend;
  readonly config: ClassifierConfig;
  readonly train: Dataset;
  readonly heldOut: Dataset;
  readonly epochs: number;
  readonly batch: number;
  readonly rate: number;
  readonly seed: bigint;
  readonly signal?: AbortSignal;
  /** Hears of the losses, now and then. */
  readonly onStep?: (step: number, all: number, loss: number) => void;
}

export interface TrainedClassifier {
  readonly weights: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
  /** Of the held-out images. */
  readonly accuracy: number;
  readonly steps: number;
}

/** Adam without decay; its rate falls along half a cosine, from the first step on. */
const optimizerFor = (rate: number, steps: number): Optimizer =>
  optimizerOf({ kind: 'adamw', weightDecay: 0 }, (step) => (rate * (1 + Math.cos((Math.PI * (step - 1)) / steps))) / 2);

/** Weights drawn for rectified layers (He et al. 2015): normal with variance 2 / inputs; biases 0. */
export const initialWeights = (config: ClassifierConfig, seed: bigint): Readonly<Record<string, Float32Array<ArrayBuffer>>> =>
  Object.fromEntries(Object.entries(classifierShapes(config)).map(([name, shape], i) => {
    const [out = 1, inputs] = shape;
    return [name, inputs === undefined ? new Float32Array(out) : philoxNormals(seed, i, 0, out * inputs).map((x) => x * Math.sqrt(2 / inputs))] as const;
  }));

/** Steps between two reports of losses. */
const REPORTED = 50;

const meanLoss = (reports: readonly StepReport[]): number => reports.reduce((sum, { loss }) => sum + loss, 0) / reports.length;

/** Errors: of the data; of the device; aborted; `device` where the loss is no number. */
export const trainClassifier = (request: ClassifierTraining): TaskEither<BackendError | DataError, TrainedClassifier> => async () => {
  const { backend, config, train, batch, epochs, seed, signal } = request;
  const steps = Math.max(1, Math.floor((epochs * train.size) / batch)), parameters = initialWeights(config, seed);
  const opened = await openTrainer(backend, {
    graph: classifierLossGraph(), sizes: classifierSizes(config, batch), shapes: classifierShapes(config), optimizer: optimizerFor(request.rate, steps),
    state: { step: 0, parameters, ema: parameters, moments: {} }, ...(signal && { signal }),
  })();
  if (E.isLeft(opened)) return opened;
  const trainer = opened.right;
  try {
    const failed = await allSteps(request, trainer, steps);
    if (failed !== undefined) return E.left(failed);
    const accuracy = await heldOutAccuracy(request, trainer);
    if (E.isLeft(accuracy)) return accuracy;
    const state = await trainer.state()();
    return E.isLeft(state) ? state : E.right({ weights: state.right.parameters, accuracy: accuracy.right, steps });
  } finally {
    trainer.dispose();
  }
};

const allSteps = async ({ train, batch, seed, signal, onStep }: ClassifierTraining, trainer: Trainer, steps: number): Promise<BackendError | DataError | undefined> => {
  const loader = openLoader(train, { batch, seed });
  onStep?.(0, steps, NaN);
  try {
    for (let step = 1; step <= steps; step++) {
      if (signal?.aborted) return { kind: 'aborted', message: 'interrupted' };
      const next = await loader.next()();
      if (E.isLeft(next)) return next.left;
      const stepped = await trainer.step([{ x: next.right.x, y: next.right.labels }])();
      if (E.isLeft(stepped)) return stepped.left;
      if (step % REPORTED !== 0 && step < steps) continue;
      const reports = await trainer.report()();
      if (E.isLeft(reports)) return reports.left;
      const loss = meanLoss(reports.right);
      if (!Number.isFinite(loss)) return { kind: 'device', message: `the loss of the classifier is no number after step ${step}; a smaller --rate may help` };
      onStep?.(step, steps, loss);
    }
    return undefined;
  } finally {
    loader.close();
  }
};

const heldOutAccuracy = async ({ backend, config, heldOut, signal }: ClassifierTraining, trainer: Trainer): Promise<E.Either<BackendError | DataError, number>> => {
  const images = await attempt('data', () => imagesAt(heldOut, Array.from({ length: heldOut.size }, (_, i) => i)))();
  if (E.isLeft(images)) return images;
  const judge = await openJudge(backend, config, { parameters: trainer.tensors('parameters') }, signal)();
  if (E.isLeft(judge)) return judge;
  const judged = await judge.right.judge(images.right)();
  judge.right.dispose();
  return E.isLeft(judged) ? judged : E.right(accuracyOf(judged.right, images.right.labels));
};
