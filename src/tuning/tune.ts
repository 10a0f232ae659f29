/**
 * The tuner: for each kind of kernel in some plans, the most expensive first, it looks for a schedule that beats the heuristic's.
 *
 * A candidate is timed after it passed the exact tests only, and kept if it is faster by more than the noise, twice: among the others, and
 * then alone against the heuristic, since the best of many noisy numbers is too good. Invariant: what is found when the budget ends, or
 * when it is aborted, is as good as what a longer run would have kept.
 */
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Checks } from '../../compiler/checks.ts';
import { costsOf } from '../../compiler/analysis/cost.ts';
import type { PlannedKernel } from '../../compiler/kernels/plan-kernels.ts';
import { type Alone, aloneWith, type Subject, subjectOf, withGraph } from '../../compiler/tuning/alone.ts';
import type { KernelKey } from '../../compiler/tuning/key.ts';
import { candidatesFor, type Family, type KernelSchedule } from '../../compiler/tuning/schedules.ts';
import type { TuningEntry } from '../../compiler/tuning/table.ts';
import type { Device } from '../runtime/device.ts';
import { attempt, type DeviceError, failureOf } from '../runtime/errors.ts';
import { load } from '../runtime/session.ts';
import { compared, median, type Timed, timed } from './measure.ts';
import { type Feeds, feedsFor, isTelling, mistakeOf, resultOf, settled, type Truth, truthOf } from './trial.ts';
import { wholeForm } from './whole.ts';

/** Kernels of a plan that share a key. */
export interface Target {
  readonly key: KernelKey;
  readonly family: Family;
  /** One of them, and the plan that it is in. */
  readonly kernel: PlannedKernel;
  readonly checks: Checks;
  readonly uses: number;
  /** By which targets are put in order: operations and bytes of all uses until they were timed. */
  readonly work: number;
}

export interface Finding {
  readonly key: KernelKey;
  readonly uses: number;
  /** By the heuristic's schedule, in microseconds; undefined where nothing was timed. */
  readonly heuristic: number | undefined;
  /** What is better, if anything is. */
  readonly better: { readonly schedule: KernelSchedule; readonly microseconds: number; readonly heuristic: number } | undefined;
  readonly tried: number;
  readonly candidates: number;
  /** Candidates that failed a test or did not compile, with the reason. */
  readonly refused: readonly { readonly schedule: KernelSchedule; readonly reason: string }[];
  /** Why nothing was tried. */
  readonly skipped: string | undefined;
}

export interface TuneOptions {
  /** Milliseconds. */
  readonly budget: number;
  readonly signal?: AbortSignal;
  /** Hears what was found, as it is found. */
  readonly onFinding?: (finding: Finding) => void;
  /** Hears of milliseconds that are spent. */
  readonly onProgress?: (spent: number) => void;
  readonly now?: () => number;
}

/** A load takes as long as some operations. */
const OPERATIONS_PER_BYTE = 2;

/** What plans have to tune, the most expensive first. */
export const targetsOf = (plans: readonly Checks[], families: readonly Family[], known: (key: KernelKey) => boolean): readonly Target[] => {
  const found = new Map<KernelKey, Target>();
  for (const checks of plans) {
    const costs = costsOf(checks.plan);
    for (const [i, kernel] of checks.plan.kernels.entries()) {
      const { choice, nodes } = kernel;
      if (choice === undefined || nodes.length === 0 || !families.includes(choice.family) || known(choice.key)) continue;
      const { flops, bytes } = costs[i]!, first = found.get(choice.key) ?? { key: choice.key, family: choice.family, kernel, checks, uses: 0, work: 0 }; // a kernel, a cost
      found.set(choice.key, { ...first, uses: first.uses + 1, work: first.work + flops + OPERATIONS_PER_BYTE * bytes });
    }
  }
  return [...found.values()].sort((a, b) => b.work - a.work || (a.key < b.key ? -1 : 1));
};

// ---- one target --------------------------------------------------------------------------------------------------------------------

/** Everything that a target's candidates are held against. */
interface Bench {
  readonly device: Device;
  readonly subject: Subject;
  readonly heuristic: KernelSchedule;
  readonly whole: Subject;
  readonly exact: Truth;
  /** Absent where the whole form is the computation itself. */
  readonly bound: Truth | undefined;
  readonly feeds: Feeds;
  readonly base: Timed;
  readonly dispose: () => void;
}

/** Prepares a target, or says why it cannot be tuned. */
const benchFor = async (device: Device, { checks, kernel, family }: Target): Promise<Bench | string> => {
  const subject = subjectOf(checks, kernel);
  if (typeof subject === 'string') return subject;
  const kind = family === 'stream' ? 'softmax' : 'sums', form = wholeForm(subject.graph, kind), whole = withGraph(subject, form.graph);
  if (form.tooLarge) return 'its sums have too many terms to be exact';
  const plain = aloneWith(subject), exactly = aloneWith(whole);
  if (typeof plain === 'string') return plain;
  if (typeof exactly === 'string') return `there is no exact test for it: ${exactly}`;
  const { choice } = plain.kernels[0]!; // it has one with the key
  const opened: { readonly dispose: () => void }[] = [];
  const keep = <A extends { readonly dispose: () => void }>(made: A): A => {
    opened.push(made);
    return made;
  };
  const dispose = (): void => opened.forEach((one) => one.dispose());
  try {
    const wholeFeeds = keep(await feedsFor(device, exactly, kind)), feeds = keep(await feedsFor(device, plain, 'plain'));
    const session = keep(await settled(load(device, exactly.step.program)));
    const exact: Truth = { ...truthOf(exactly, wholeFeeds, kind), all: await resultOf(session, exactly, wholeFeeds) };
    if (!isTelling(exact)) {
      dispose();
      return 'there is no exact test for it: on whole numbers nearly all of its result is the same';
    }
    const bound = form.graph.outputs[0]!.node === subject.graph.outputs[0]!.node ? undefined : truthOf(plain, feeds, 'plain');
    const wrong = (await mistakeOf(device, exactly, exact)) ?? (bound && (await mistakeOf(device, plain, bound)));
    if (wrong !== undefined) {
      dispose();
      return `the heuristic's own kernel is wrong here: ${wrong}`;
    }
    return { device, subject, whole, exact, bound, feeds, base: keep(await timed(device, plain, feeds)), dispose, heuristic: { family: choice!.family, schedule: choice!.schedule } as KernelSchedule };
  } catch (thrown) {
    dispose();
    throw thrown;
  }
};

const textOf = ({ step }: Alone): string => step.program.kernels.map(({ wgsl }) => wgsl).join('\n');

/** Faster by at least this part, in the median. */
const GAIN = 0.05;
const isFaster = ({ base, other, baseLeast, otherLeast }: Awaited<ReturnType<typeof compared>>): boolean => other <= (1 - GAIN) * base && otherLeast < baseLeast;

const ROUNDS = 5;
const LAST_ROUNDS = 9;

/** Why a candidate may not be used, or nothing. */
const refusalOf = async ({ device, exact, bound }: Bench, whole: Alone, plain: Alone): Promise<string | undefined> =>
  (await mistakeOf(device, whole, exact)) ?? (bound && (await mistakeOf(device, plain, bound)));

/** Errors of the device that end everything; any other one ends a candidate. */
const isFatal = (thrown: unknown): boolean => {
  const error = failureOf(thrown);
  return error === undefined || error._tag === 'Lost' || error._tag === 'Aborted';
};

const measured = async (bench: Bench, plain: Alone, rounds: number, best?: number): Promise<Awaited<ReturnType<typeof compared>>> => {
  const other = await timed(bench.device, plain, bench.feeds);
  try {
    return await compared(bench.base, other, rounds, best);
  } finally {
    other.dispose();
  }
};

interface Clock {
  /** Whether there is no time for another candidate. */
  readonly isOver: () => boolean;
}

const tuneOn = async (bench: Bench, target: Target, candidates: readonly KernelSchedule[], { isOver }: Clock): Promise<Finding> => {
  const refused: { readonly schedule: KernelSchedule; readonly reason: string }[] = [], seen = new Set<string>();
  const start = aloneWith(bench.subject);
  if (typeof start !== 'string') seen.add(textOf(start));
  let tried = 0, best: { readonly schedule: KernelSchedule; readonly plain: Alone; readonly ratio: number } | undefined, heuristic = median([await bench.base.sample(), await bench.base.sample(), await bench.base.sample()]);
  for (const schedule of candidates) {
    if (isOver()) break;
    tried++;
    const plain = aloneWith(bench.subject, schedule), whole = aloneWith(bench.whole, schedule), [reason] = [plain, whole].filter((made) => typeof made === 'string');
    if (typeof plain === 'string' || typeof whole === 'string') {
      refused.push({ schedule, reason: reason! }); // one of them is a reason
      continue;
    }
    if (seen.has(textOf(plain))) continue; // the sizes leave no difference
    seen.add(textOf(plain));
    try {
      const reason = await refusalOf(bench, whole, plain);
      if (reason !== undefined) {
        refused.push({ schedule, reason });
        continue;
      }
      const times = await measured(bench, plain, ROUNDS, best?.ratio);
      heuristic = times.base;
      if (isFaster(times) && times.other / times.base < (best?.ratio ?? 1)) best = { schedule, plain, ratio: times.other / times.base };
    } catch (thrown) {
      if (isFatal(thrown)) throw thrown;
      refused.push({ schedule, reason: messageOf(thrown) });
    }
  }
  const last = best && (await measured(bench, best.plain, LAST_ROUNDS));
  const better = best && last && isFaster(last) ? { schedule: best.schedule, microseconds: last.other, heuristic: last.base } : undefined;
  return { key: target.key, uses: target.uses, heuristic, better, tried, candidates: candidates.length, refused, skipped: undefined };
};

const notTried = ({ key, uses }: Target, skipped: string): Finding => ({ key, uses, heuristic: undefined, better: undefined, tried: 0, candidates: 0, refused: [], skipped });

const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

const tuneTarget = async (device: Device, target: Target, clock: Clock): Promise<Finding> => {
  let bench: Bench | string;
  try {
    bench = await benchFor(device, target);
  } catch (thrown) {
    if (isFatal(thrown)) throw thrown;
    bench = messageOf(thrown); // too little memory for it, say
  }
  if (typeof bench === 'string') return notTried(target, bench);
  try {
    return await tuneOn(bench, target, candidatesFor(bench.heuristic, bench.subject.options.profile), clock);
  } finally {
    bench.dispose();
  }
};

// ---- all -----------------------------------------------------------------------------------------------------------------------------

/** The part of the budget that goes into finding out which kernels matter. */
const SURVEY = 0.2;

/** Microseconds of one run of a target by the heuristic's schedule; undefined where it does not run by itself. */
const surveyed = async (device: Device, { checks, kernel }: Target): Promise<number | undefined> => {
  const subject = subjectOf(checks, kernel), alone = typeof subject === 'string' ? subject : aloneWith(subject);
  if (typeof alone === 'string') return undefined;
  const feeds = await feedsFor(device, alone, 'plain');
  try {
    const program = await timed(device, alone, feeds);
    try {
      await program.sample(); // software drivers compile at the first run
      return await program.sample();
    } finally {
      program.dispose();
    }
  } finally {
    feeds.dispose();
  }
};

/** Targets by what they take on the device, as far as the time for it reaches; the others by their estimate, at the speed of those. */
const byTime = async (device: Device, targets: readonly Target[], isOver: () => boolean): Promise<readonly Target[]> => {
  const times = new Map<Target, number>();
  for (const target of targets) {
    if (isOver()) break;
    const microseconds = await surveyed(device, target).catch((thrown: unknown) => {
      if (isFatal(thrown)) throw thrown;
      return undefined; // its own turn will say why
    });
    if (microseconds !== undefined) times.set(target, microseconds * target.uses);
  }
  const [time, work] = [[...times.values()], [...times.keys()].map((target) => target.work)].map((all) => all.reduce((a, b) => a + b, 0)) as [number, number];
  const scaled = targets.map((target) => ({ ...target, work: times.get(target) ?? (work === 0 ? target.work : (target.work * time) / work) }));
  return scaled.sort((a, b) => b.work - a.work || (a.key < b.key ? -1 : 1));
};

const BUDGET_SPENT = 'the budget was spent before its turn';
const ENDED = 'it was ended before its turn';

const tuned = async (device: Device, targets: readonly Target[], options: TuneOptions): Promise<readonly Finding[]> => {
  const { budget, signal, onFinding, onProgress, now = () => performance.now() } = options;
  const begin = now(), end = begin + budget, findings: Finding[] = [];
  const isStopped = (): boolean => {
    onProgress?.(Math.min(budget, now() - begin));
    return signal?.aborted === true || now() >= end;
  };
  const ordered = await byTime(device, targets, () => isStopped() || now() >= begin + SURVEY * budget);
  for (const [i, target] of ordered.entries()) {
    // what is left is shared by what is left to do, so that a cheap target at the end has its turn
    const rest = ordered.slice(i).reduce((sum, { work }) => sum + work, 0), own = now() + ((end - now()) * target.work) / rest;
    const isOver = (): boolean => isStopped() || now() >= own;
    const finding = isStopped() ? notTried(target, signal?.aborted === true ? ENDED : BUDGET_SPENT) : await tuneTarget(device, target, { isOver });
    onFinding?.(finding);
    findings.push(finding);
  }
  onProgress?.(budget);
  return findings;
};

/** Tunes targets within a budget; an abort ends it early, with what was found so far. Errors: those of the device. */
export const tune = (device: Device, targets: readonly Target[], options: TuneOptions): TaskEither<DeviceError, readonly Finding[]> =>
  attempt(() => tuned(device, targets, options));

/** What a table keeps of the findings. */
export const entriesOf = (findings: readonly Finding[], date: Date): Readonly<Record<KernelKey, TuningEntry>> =>
  Object.fromEntries(findings.flatMap(({ key, better }) => (better === undefined ? [] : [[key, {
    schedule: better.schedule.schedule, microseconds: rounded(better.microseconds), heuristicMicroseconds: rounded(better.heuristic), date: date.toISOString().slice(0, 10), checked: 'exact' as const,
  }]])));

const rounded = (microseconds: number): number => Number(microseconds.toPrecision(4));
