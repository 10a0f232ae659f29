/**
 * The loop of a run: batches in, steps on the device, and on the way losses, checkpoints and samples.
 *
 * Invariant: what a run computes depends on its configuration and the state that it starts from, never on when it was interrupted, saved, looked at
 * or moved to another device. Nothing is lost: an interrupt saves; a lost device costs the steps since the last state that was read; a checkpoint that
 * cannot be written costs nothing but itself.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { FileError } from '../files/errors.ts';
import type { Checkpoint, CheckpointStore } from './checkpoint.ts';
import type { RunConfig } from './config.ts';
import { currentLoss, upTo } from './history.ts';
import type { NamedArrays, RunFailure, StepReport, Trainer, TrainingBatch, TrainingState } from './trainer-types.ts';

/** The batches of one step after the other. */
export interface BatchSource {
  /** All micro-batches of the next step. */
  readonly next: () => TaskEither<RunFailure, readonly TrainingBatch[]>;
  readonly close: () => void;
}

/** What a run leaves beside its checkpoints. What these throw is told, and the run goes on. */
export interface RunOutputs {
  /** Forgets what was written of steps after this one. */
  readonly restart: (step: number) => Promise<void>;
  readonly metrics: (reports: readonly StepReport[]) => Promise<void>;
  /** Plot, sheet and report, as they are now. */
  readonly show: (now: RunNow) => Promise<void>;
}

export interface RunNow {
  readonly step: number;
  readonly seconds: number;
  readonly history: readonly StepReport[];
  /** The last checkpoint on the disk. */
  readonly checkpoint: string | undefined;
  /** A PNG, where it was time for samples. */
  readonly sheet?: Uint8Array;
}

/** Everything around the loop. Tests put a small deterministic trainer here. */
export interface RunParts {
  /** On a device that is opened again where the last one was lost. */
  readonly openTrainer: (state: TrainingState) => TaskEither<RunFailure, Trainer & { readonly notes: readonly string[] }>;
  /** The batches of the steps after `firstStep`. */
  readonly openBatches: (firstStep: number) => TaskEither<RunFailure, BatchSource>;
  /** A sheet of samples as a PNG. */
  readonly drawSheet: (weights: NamedArrays) => TaskEither<RunFailure, Uint8Array>;
  /** The first op that gives a number that is not finite, in the step that begins with this state: a sentence. */
  readonly firstBadOp: (state: TrainingState, batches: readonly TrainingBatch[]) => TaskEither<RunFailure, string>;
  readonly store: CheckpointStore;
  readonly outputs: RunOutputs;
}

/** What a person sees. */
export interface RunView {
  readonly progress: (done: number, all: number, now: { readonly loss: number; readonly learningRate: number } | undefined) => void;
  /** A line that stays. */
  readonly note: (line: string) => void;
}

export interface RunRequest {
  readonly config: RunConfig;
  readonly parts: RunParts;
  readonly view: RunView;
  /** Where it begins. */
  readonly start: Checkpoint;
  /** The checkpoint that this start was read from, if it was. */
  readonly startPath?: string;
  readonly signal: AbortSignal;
}

/** How a run ended. `checkpoint` is the last one on the disk. */
export type Outcome = { readonly step: number; readonly seconds: number; readonly history: readonly StepReport[]; readonly checkpoint: string | undefined } & (
  | { readonly kind: 'finished' }
  /** Ctrl-C: saved. */
  | { readonly kind: 'interrupted' }
  /** The loss of `step` is no number. */
  | { readonly kind: 'diverged'; readonly loss: number; readonly firstBad: string | undefined }
  | { readonly kind: 'failed'; readonly message: string }
);

/** Carries a failure out of the loop; never leaves this file. */
class Stopped extends Error {
  readonly failure: RunFailure;
  constructor(failure: RunFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

const need = async <A>(task: TaskEither<RunFailure, A>): Promise<A> => {
  const made = await task();
  if (E.isLeft(made)) throw new Stopped(made.left);
  return made.right;
};

/** The device may be lost so many times in a row without a new state in between. */
const MOST_LOSSES = 3;
/** A person should see a slow step soon: milliseconds between two looks at the loss, where `log` steps take longer. */
const PATIENCE = 2000;
/** Steps between two looks at most; their losses wait on the device. */
const MOST_UNSEEN = 500;

/** What is to be done after a step. */
const dueAfter = (step: number, { intervals: { log, sample, checkpoint }, steps }: RunConfig) => {
  const isLast = step === steps, is = (every: number | null): boolean => every !== null && (isLast || step % every === 0);
  return { report: is(log), sample: is(sample), checkpoint: is(checkpoint) };
};

/** What changes while a run goes on; the loop's own. */
interface Progress {
  /** The last state that was read: what the run falls back to. */
  saved: Checkpoint;
  /** The last checkpoint on the disk. */
  path: string | undefined;
  /** Its step. */
  onDisk: number | undefined;
  history: StepReport[];
  step: number;
  seconds: number;
  /** Outputs that cannot be written at the moment, as was told. */
  readonly told: Set<string>;
}

/** Runs to the end of the configuration, or to whatever ends it before. */
export const runTraining = async (request: RunRequest): Promise<Outcome> => {
  const { start, startPath, view, config } = request;
  const progress: Progress = { saved: start, path: startPath, onDisk: startPath === undefined ? undefined : start.state.step, history: [...start.history], step: start.state.step, seconds: start.seconds, told: new Set() };
  const outcome = (ending: Ending): Outcome => ({ step: progress.step, seconds: progress.seconds, history: progress.history, checkpoint: progress.path, ...ending });
  for (let losses = 0, before = start.state.step; ; ) {
    try {
      return outcome(await stretch(request, progress));
    } catch (thrown) {
      if (!(thrown instanceof Stopped)) throw thrown;
      const { kind, message } = thrown.failure, { step } = progress.saved.state;
      losses = step > before ? 1 : losses + 1;
      before = step;
      if (kind !== 'lost') return outcome({ kind: 'failed', message });
      if (losses > MOST_LOSSES) return outcome({ kind: 'failed', message: `the device was lost ${losses} times without a step that could be kept: ${message}` });
      view.note(`after step ${progress.step} of ${config.steps} the device was lost (${message}); it is opened again, and the run goes on from step ${step}`);
    }
  }
};

type Ending = { readonly kind: 'finished' | 'interrupted' } | { readonly kind: 'failed'; readonly message: string } | { readonly kind: 'diverged'; readonly step: number; readonly loss: number; readonly firstBad: string | undefined };

/** From the saved state as far as one device goes. */
const stretch = async (request: RunRequest, progress: Progress): Promise<Ending> => {
  const { config, parts, view, signal } = request, { saved } = progress;
  progress.step = saved.state.step;
  progress.history = [...upTo(saved.history, saved.state.step)];
  await tolerantly(view, progress, 'the metrics', () => parts.outputs.restart(progress.step));
  const trainer = await need(parts.openTrainer(saved.state));
  let batches: BatchSource | undefined;
  try {
    for (const note of trainer.notes) view.note(note);
    batches = await need(parts.openBatches(progress.step));
    view.progress(progress.step, config.steps, undefined);
    const watch = makeWatch(progress);
    while (progress.step < config.steps && !signal.aborted) {
      await need(trainer.step(await need(batches.next())));
      progress.step++;
      const due = dueAfter(progress.step, config);
      if (!due.report && !due.sample && !due.checkpoint && !watch.isTime()) continue;
      const bad = await look(request, progress, trainer);
      watch.looked();
      if (bad !== undefined) return await diverged(request, progress, bad);
      if (due.sample || due.checkpoint) await keepState(request, progress, trainer, due);
    }
    const bad = await look(request, progress, trainer); // steps that an interrupt left unseen
    watch.looked();
    return await (bad === undefined ? ended(request, progress, trainer) : diverged(request, progress, bad));
  } finally {
    batches?.close();
    trainer.dispose();
  }
};

/**
 * Measures the time, and says when it is time to look at the loss: after as many steps as take `PATIENCE`.
 */
const makeWatch = (progress: Progress) => {
  const from = progress.seconds, begun = performance.now();
  let last = { step: progress.step, time: begun }, pace = 1;
  return {
    isTime: (): boolean => progress.step - last.step >= pace,
    looked: (): void => {
      const now = performance.now(), perStep = (now - last.time) / Math.max(1, progress.step - last.step);
      pace = Math.max(1, Math.min(MOST_UNSEEN, Math.floor(PATIENCE / Math.max(perStep, 1e-3))));
      last = { step: progress.step, time: now };
      progress.seconds = from + (now - begun) / 1000;
    },
  };
};

/** Reads the losses back, writes and shows them; the first one that is no number, if there is one. */
const look = async ({ parts, view, config }: RunRequest, progress: Progress, trainer: Trainer): Promise<StepReport | undefined> => {
  const reports = await need(trainer.report());
  if (reports.length === 0) return undefined;
  const bad = reports.find(({ loss }) => !Number.isFinite(loss));
  const good = bad === undefined ? reports : reports.filter(({ step }) => step < bad.step);
  progress.history.push(...good);
  await tolerantly(view, progress, 'the metrics', () => parts.outputs.metrics(good));
  const loss = currentLoss(progress.history), last = progress.history.at(-1);
  if (bad === undefined) view.progress(progress.step, config.steps, loss === undefined || last === undefined ? undefined : { loss, learningRate: last.learningRate });
  return bad;
};

/** Reads the state, keeps it in memory, and writes what is due. */
const keepState = async (request: RunRequest, progress: Progress, trainer: Trainer, due: { readonly sample: boolean; readonly checkpoint: boolean }): Promise<void> => {
  const { config, parts, view } = request;
  const state = await need(trainer.state());
  progress.saved = { state, history: [...progress.history], config, seconds: progress.seconds };
  if (due.checkpoint) {
    const written = await parts.store.save(progress.saved)();
    if (E.isRight(written)) reached(progress, written.right);
    else view.note(couldNotSave(progress, written.left, `The run goes on and tries again after ${config.intervals.checkpoint} steps.`));
  }
  const sheet = due.sample ? await sheetOf(request, progress, state) : undefined;
  await show(request, progress, sheet);
};

const reached = (progress: Progress, path: string): void => {
  progress.path = path;
  progress.onDisk = progress.saved.state.step;
};

const couldNotSave = ({ step, path }: Progress, { message }: FileError, next: string): string =>
  `step ${step} could not be saved: ${message}. ${path === undefined ? 'There is no earlier checkpoint' : `The last good checkpoint is ${path}`}. ${next}`;

/** Samples; a device that is lost ends the stretch, whatever else goes wrong is told. */
const sheetOf = async ({ parts, view }: RunRequest, progress: Progress, { ema, parameters }: TrainingState): Promise<Uint8Array | undefined> => {
  const sheet = await parts.drawSheet(Object.keys(ema).length > 0 ? ema : parameters)();
  if (E.isRight(sheet)) return sheet.right;
  if (sheet.left.kind === 'lost') throw new Stopped(sheet.left);
  view.note(`no samples at step ${progress.step}: ${sheet.left.message}`);
};

const show = ({ parts, view }: RunRequest, progress: Progress, sheet: Uint8Array | undefined): Promise<void> => {
  const { step, seconds, history, path: checkpoint } = progress;
  return tolerantly(view, progress, 'the report', () => parts.outputs.show({ step, seconds, history, checkpoint, ...(sheet !== undefined && { sheet }) }));
};

/** What is known of a loss that is no number. */
const diverged = async (request: RunRequest, progress: Progress, { step, loss }: StepReport): Promise<Ending> =>
  ({ kind: 'diverged', step, loss, firstBad: await diagnosed(request, progress.saved, step) });

/** The end of the steps or an interrupt: what is not on the disk yet is saved. */
const ended = async (request: RunRequest, progress: Progress, trainer: Trainer): Promise<Ending> => {
  const { config, parts } = request;
  const kind = progress.step >= config.steps ? 'finished' : 'interrupted';
  if (progress.saved.state.step !== progress.step) progress.saved = { state: await need(trainer.state()), history: [...progress.history], config, seconds: progress.seconds };
  if (progress.onDisk === progress.step) return { kind };
  const written = await parts.store.save(progress.saved)();
  if (E.isLeft(written)) return { kind: 'failed', message: couldNotSave(progress, written.left, 'Free some space, and resume from there.') };
  reached(progress, written.right);
  await show(request, progress, undefined);
  return { kind };
};

/** Repeats the steps up to the bad one, and asks which op it is. Undefined where that cannot be found out. */
const diagnosed = async ({ parts, view, signal }: RunRequest, { state }: Checkpoint, bad: number): Promise<string | undefined> => {
  view.note(`the loss of step ${bad} is not finite; looking for the op where that begins (repeating steps ${state.step + 1} to ${bad})`);
  try {
    const batches = await need(parts.openBatches(state.step));
    try {
      const before = await repeated(parts, batches, state, bad - 1, signal);
      return await need(parts.firstBadOp(before, await need(batches.next())));
    } finally {
      batches.close();
    }
  } catch (thrown) {
    if (!(thrown instanceof Stopped)) throw thrown;
    view.note(`the op was not found: ${thrown.message}`);
    return undefined;
  }
};

/** The state after step `last`, from an earlier one. */
const repeated = async (parts: RunParts, batches: BatchSource, from: TrainingState, last: number, signal: AbortSignal): Promise<TrainingState> => {
  if (from.step >= last) return from;
  const trainer = await need(parts.openTrainer(from));
  try {
    for (let { step } = from; step < last; step++) {
      if (signal.aborted) throw new Stopped({ kind: 'aborted', message: 'interrupted' });
      await need(trainer.step(await need(batches.next())));
    }
    return await need(trainer.state());
  } finally {
    trainer.dispose();
  }
};

/** Does what a run can do without. A fault is told, but not again and again. */
const tolerantly = async (view: RunView, { told }: Progress, what: string, work: () => Promise<void>): Promise<void> => {
  try {
    await work();
    told.delete(what);
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown;
    if (!told.has(what)) view.note(`${what} could not be written (${thrown.message}); the run goes on`);
    told.add(what);
  }
};
