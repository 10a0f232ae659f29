/**
 * A trainer for tests that needs no device: a noisy quadratic, minimised by SGD with momentum in float32. What it computes depends on the
 * state and the batches alone, like the real one; losses are handed out only when they are asked for.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { BatchSource } from './run.ts';
import type { RunFailure, StepReport, Trainer, TrainingBatch, TrainingState } from './trainer-types.ts';

const SIZE = 64;

/** The state before the first step. */
export const firstState = (): TrainingState => {
  const w = Float32Array.from({ length: SIZE }, (_, i) => Math.fround(Math.sin(i + 1)));
  return { step: 0, parameters: { w }, ema: { w: w.slice() }, moments: { momentum: { w: new Float32Array(SIZE) } } };
};

/** The batches of the steps after `firstStep`; each depends on its step alone. */
export const quadraticBatches = (firstStep: number): BatchSource => {
  let step = firstStep;
  return {
    next: () => async () => {
      step++;
      const x = Float32Array.from({ length: SIZE }, (_, i) => Math.fround(Math.cos(step * 7.3 + i * 1.7)));
      return E.right([{ x, y: Int32Array.of(0), t: Float32Array.of(0.5), keys: Uint32Array.of(step, 0) }]);
    },
    close: () => undefined,
  };
};

/** What a test lets go wrong. */
export interface Mishaps {
  /** Called before every step; a failure ends it. */
  readonly beforeStep?: (step: number) => RunFailure | undefined;
  /** The loss of a step, in place of the true one. */
  readonly loss?: (step: number, loss: number) => number;
  readonly onDispose?: () => void;
}

/** A trainer that goes on from a state. */
export const quadraticTrainer = (from: TrainingState, { beforeStep, loss: changed, onDispose }: Mishaps = {}): Trainer & { readonly notes: readonly string[] } => {
  const [w, ema, momentum] = [from.parameters['w']!.slice(), from.ema['w']!.slice(), from.moments['momentum']!['w']!.slice()];
  let { step } = from, reports: StepReport[] = [];
  const advance = ([batch]: readonly TrainingBatch[]): void => {
    let [loss, norm] = [0, 0];
    for (let i = 0; i < SIZE; i++) {
      const gradient = w[i]! - 0.1 * batch!.x[i]!;
      loss += gradient ** 2 / SIZE;
      norm += gradient ** 2;
      momentum[i] = 0.9 * momentum[i]! + gradient;
      w[i] = w[i]! - 0.01 * momentum[i]!;
      ema[i] = 0.99 * ema[i]! + 0.01 * w[i]!;
    }
    step++;
    reports.push({ step, loss: changed?.(step, loss) ?? loss, gradientNorm: Math.sqrt(norm), learningRate: 0.01 });
  };
  const done = <A>(value: A): TaskEither<RunFailure, A> => async () => E.right(value);
  return {
    notes: [],
    step: (batches) => async () => {
      const failure = beforeStep?.(step + 1);
      if (failure !== undefined) return E.left(failure);
      advance(batches);
      return E.right(undefined);
    },
    report: () => async () => {
      const all = reports;
      reports = [];
      return E.right(all);
    },
    state: () => async () => done({ step, parameters: { w: w.slice() }, ema: { w: ema.slice() }, moments: { momentum: { w: momentum.slice() } } })(),
    dispose: () => onDispose?.(),
  };
};
