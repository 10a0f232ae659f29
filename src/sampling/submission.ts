/**
 * Runs of steps on their way to the adapter: waited for one by one, or recorded and submitted several at once, as the pace says. While the
 * adapter computes one submission, the next is recorded.
 *
 * Invariant: every step that was run is told of exactly once, in order and after it was computed, or its failure is what some call gives.
 */
import * as E from 'fp-ts/Either';
import type { BackendError, Executable, Inputs, Outputs, Recorder } from '../backend/backend.ts';
import type { Pace } from './pace.ts';

type Result<A> = Promise<E.Either<BackendError, A>>;

export interface Submission {
  /** A step; `tell` is called when it is done. */
  readonly step: (executable: Executable, inputs: Inputs, tell: () => void) => Result<Outputs>;
  /** Something small between steps. */
  readonly between: (executable: Executable, inputs: Inputs) => Result<Outputs>;
  /** What is recorded goes to the adapter. */
  readonly submit: () => Result<void>;
  /** The same, and all of it is waited for. */
  readonly finish: () => Result<void>;
}

const NOTHING: E.Either<BackendError, void> = E.right(undefined);

/** Without a recorder every step is waited for. */
export const makeSubmission = (recorder: Recorder | undefined, pace: Pace, signal?: AbortSignal): Submission => {
  const abort = signal && { signal };
  let recorded: (() => void)[] = [];
  /** What the adapter works on while the next steps are recorded. */
  let working: { readonly done: Result<void>; readonly told: readonly (() => void)[] } | undefined;
  let since = performance.now();

  const settle = async (): Result<void> => {
    if (working === undefined) return NOTHING;
    const { done, told } = working;
    working = undefined;
    const ended = await done;
    if (E.isLeft(ended)) return ended;
    const now = performance.now();
    pace.took(told.length, now - since);
    since = now;
    for (const tell of told) tell();
    return ended;
  };

  const submit = async (): Result<void> => {
    if (recorder === undefined || recorded.length === 0) return NOTHING;
    const told = recorded;
    recorded = [];
    const submitted = await recorder.submit()();
    if (E.isLeft(submitted)) return submitted;
    const done = recorder.done(signal)();
    const settled = await settle();
    working = { done, told };
    return settled;
  };

  const finish = async (): Result<void> => {
    const submitted = await submit();
    const settled = await settle(); // after a failure too: nobody else waits for it
    return E.isLeft(submitted) ? submitted : settled;
  };

  const alone = async (executable: Executable, inputs: Inputs, tell: () => void): Result<Outputs> => {
    const ended = await finish();
    if (E.isLeft(ended)) return ended;
    const start = performance.now();
    const made = await executable.run(inputs, { wait: true, ...abort })();
    since = performance.now();
    if (E.isLeft(made)) return made;
    pace.took(1, since - start);
    tell();
    return made;
  };

  const together = async (recorder: Recorder, executable: Executable, inputs: Inputs, tell: () => void): Result<Outputs> => {
    const made = await executable.run(inputs, { recorder, ...abort })();
    if (E.isLeft(made)) return made;
    recorded.push(tell);
    if (recorded.length < pace.steps()) return made;
    const submitted = await submit();
    return E.isLeft(submitted) ? submitted : made;
  };

  const recording = (): Recorder | undefined => (pace.steps() > 1 ? recorder : undefined);
  return {
    step: (executable, inputs, tell) => {
      const into = recording();
      return into === undefined ? alone(executable, inputs, tell) : together(into, executable, inputs, tell);
    },
    between: (executable, inputs) => {
      const into = recording();
      return executable.run(inputs, { wait: false, ...abort, ...(into && { recorder: into }) })();
    },
    submit,
    finish,
  };
};
