/** What the loop of a run asks of a trainer: data in, steps done, state out. Everything is plain arrays, so a run can move between devices. */
import type { TaskEither } from 'fp-ts/TaskEither';
import type { StepReport as DeviceReport, TrainingState } from './trainer.ts';

export type { TrainingState };

/** One micro-batch. */
export interface TrainingBatch {
  /** [B, C, H, W] in -1..1. */
  readonly x: Float32Array<ArrayBuffer>;
  /** [B]: labels after dropping; the null class is the number of classes. */
  readonly y: Int32Array<ArrayBuffer>;
  /** [B]: times after the shift. */
  readonly t: Float32Array<ArrayBuffer>;
  /** [B, 2]: the Philox key of each sample's noise. */
  readonly keys: Uint32Array<ArrayBuffer>;
}

/** Numbers of the parameters, by their official names. */
export type NamedArrays = Readonly<Record<string, Float32Array<ArrayBuffer>>>;

/** What is known of a step once it was read back. */
export interface StepReport extends DeviceReport {
  readonly learningRate: number;
}

/** A failure of whatever a run is made of. After `lost` the same may work on a device that is opened again. */
export interface RunFailure {
  readonly kind: 'lost' | 'data' | 'aborted' | 'other';
  readonly message: string;
}

export interface Trainer {
  /** One optimiser step over all micro-batches: queued, nothing is read back. */
  readonly step: (batches: readonly TrainingBatch[]) => TaskEither<RunFailure, void>;
  /** The losses of all steps since the last report: one read-back. */
  readonly report: () => TaskEither<RunFailure, readonly StepReport[]>;
  readonly state: () => TaskEither<RunFailure, TrainingState>;
  readonly dispose: () => void;
}
