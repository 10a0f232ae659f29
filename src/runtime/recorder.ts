/**
 * Puts off the submits of runs, so that several go to the GPU at once: between small runs the host costs more than the work.
 *
 * Invariant: recorded runs reach the queue in the order in which they were recorded, and before anything that reads what they make:
 * reading such a tensor, or feeding it to a run of its own, submits what was recorded so far.
 */

import type { TaskEither } from 'fp-ts/TaskEither';
import type { Device } from './device.ts';
import { submitAtOnce } from './encode.ts';
import type { Recording } from './encode.ts';
import { attempt } from './errors.ts';
import type { DeviceError } from './errors.ts';

export interface Recorder {
  readonly device: Device;
  /** Appends a run, for sessions. `over` hears that it was submitted, or refused. Gives the submit of all runs up to this one. */
  readonly add: (recording: Recording, over: (submitted: boolean) => void) => () => Promise<void>;
  /** Puts everything recorded so far on the queue, in one submit. Errors: `Validation` (the kernel's name), `OutOfMemory`, `Lost`. */
  readonly submit: () => TaskEither<DeviceError, void>;
  /** Ends when what was submitted so far is computed. Errors: `Lost`, `Aborted`. */
  readonly done: (signal?: AbortSignal) => TaskEither<DeviceError, void>;
}

interface Entry {
  readonly recording: Recording;
  readonly over: (submitted: boolean) => void;
}

/** Runs that share a submit. */
interface Batch {
  readonly entries: Entry[];
  submitted: Promise<void> | undefined;
}

const submitAll = async ({ entries }: Batch): Promise<void> => {
  const [first, ...rest] = entries.map(({ recording }) => recording);
  let submitted = false;
  try {
    if (first !== undefined) await submitAtOnce([first, ...rest]);
    submitted = true;
  } finally {
    for (const { over } of entries) over(submitted);
  }
};

/** A recorder for runs of sessions on the device; nothing is recorded yet. */
export const makeRecorder = (device: Device): Recorder => {
  const newBatch = (): Batch => ({ entries: [], submitted: undefined });
  let current = newBatch();
  const submit = (batch: Batch): Promise<void> => {
    if (batch === current) current = newBatch();
    batch.submitted ??= submitAll(batch); // encodes and submits before it waits, so batches keep their order
    return batch.submitted;
  };
  return {
    device,
    add: (recording, over) => {
      const batch = current;
      batch.entries.push({ recording, over });
      return () => submit(batch);
    },
    submit: () => attempt(() => submit(current)),
    done: (signal) =>
      attempt(async () => {
        await device.wait(device.gpu.queue.onSubmittedWorkDone(), signal);
      }),
  };
};
