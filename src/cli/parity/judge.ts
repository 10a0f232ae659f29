/** Measures how far numbers are from a golden, and judges them by a limit. */
import type { Limit } from './tolerances.ts';

export interface Verdict {
  readonly name: string;
  /** rms of the difference / rms of the golden; absent where nothing was computed, or not as many numbers. */
  readonly relrms?: number;
  /** Largest difference / largest magnitude. */
  readonly relmax?: number;
  /** Largest difference. */
  readonly abs?: number;
  readonly limit?: Limit;
  readonly ok: boolean;
  /** What is wrong, where it is not a measure that is over its limit. */
  readonly problem?: string;
}

interface Measured {
  readonly relrms: number;
  readonly relmax: number;
  readonly abs: number;
}

/** Relative to 1 where the golden is all zeros. A number that is not finite makes all three NaN, which is over every limit. */
export const measure = (got: ArrayLike<number>, want: ArrayLike<number>): Measured => {
  let squares = 0,
    wantSquares = 0,
    most = 0,
    wantMost = 0;
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs(got[i]! - want[i]!),
      size = Math.abs(want[i]!);
    squares += difference * difference;
    wantSquares += size * size;
    most = Number.isNaN(difference) ? NaN : Math.max(most, difference);
    wantMost = Math.max(wantMost, size);
  }
  const relative = (x: number, base: number): number => (base === 0 ? x : x / base);
  return { relrms: relative(Math.sqrt(squares), Math.sqrt(wantSquares)), relmax: relative(most, wantMost), abs: most };
};

/** The rms of the differences of several tensors taken together; NaN where a number is not finite. */
const rmsOver = (pairs: readonly (readonly [got: ArrayLike<number>, want: ArrayLike<number>])[]): number => {
  let squares = 0,
    count = 0;
  for (const [got, want] of pairs) {
    for (let i = 0; i < want.length; i++) squares += (got[i]! - want[i]!) ** 2;
    count += want.length;
  }
  return Math.sqrt(squares / count);
};

const isWithin = (measured: Measured, limit: Limit): boolean => {
  const within = (value: number, most: number | undefined): boolean => most === undefined || value <= most;
  return (
    (limit.exact !== true || measured.abs === 0) &&
    within(measured.relrms, limit.relrms) &&
    within(measured.relmax, limit.relmax) &&
    within(measured.abs, limit.abs)
  );
};

/** The verdict on one tensor. */
export const judge = (name: string, got: ArrayLike<number> | undefined, want: ArrayLike<number>, limit: Limit | undefined): Verdict => {
  const asked = limit === undefined ? {} : { limit };
  if (got === undefined) return { name, ...asked, ok: false, problem: 'not checked: nothing computes it' };
  if (got.length !== want.length) return { name, ...asked, ok: false, problem: `${got.length} elements instead of ${want.length}` };
  const measured = measure(got, want);
  if (limit === undefined) return { name, ...measured, ok: false, problem: 'no rule of tolerances.json knows this file' };
  return { name, ...measured, limit, ok: isWithin(measured, limit) };
};

/** Tensors that are judged together as well: all parameters of a run, or all averages; `out.wd0.param` for `out.wd0.param.s_embedder.proj.bias`. */
const groupOf = (name: string): string | undefined => /^.+?\.(?:param|ema)(?=\.)/.exec(name)?.[0];

/**
 * Fails the tensors of a group whose differences are too large taken together. One element may be far off where Adam divides by almost
 * nothing, so the limit on each says little: an optimiser that never moves would pass it.
 */
export const judgedTogether = (all: readonly Verdict[], values: Readonly<Record<string, ArrayLike<number>>>, wanted: ReadonlyMap<string, ArrayLike<number>>): readonly Verdict[] => {
  const groups = new Map<string, { readonly most: number; readonly names: string[] }>();
  for (const { name, limit, abs } of all) {
    const group = groupOf(name), most = limit?.rms_over_all_parameters;
    if (group === undefined || most === undefined || abs === undefined) continue; // what was not measured has failed already
    const known = groups.get(group) ?? { most, names: [] };
    groups.set(group, known);
    known.names.push(name);
  }
  const problems = new Map<string, string>();
  for (const [group, { most, names }] of groups) {
    const rms = rmsOver(names.map((name) => [values[name]!, wanted.get(name)!]));
    if (!(rms <= most)) problems.set(group, `the differences of all ${group}.* together have rms ${rms.toExponential(1)}, at most ${most.toExponential()} is right`);
  }
  return all.map((verdict) => {
    const problem = problems.get(groupOf(verdict.name) ?? '');
    return problem === undefined || !verdict.ok ? verdict : { ...verdict, ok: false, problem };
  });
};

const digits = (value: number): string => (value === 0 ? '0' : value.toExponential(1));

const showLimit = ({ relrms, relmax, abs, exact, rms_over_all_parameters }: Limit): string => {
  const parts = Object.entries({ relrms, relmax, abs, 'rms of all': rms_over_all_parameters }).flatMap(([name, most]) => (most === undefined ? [] : [`${name} ${most.toExponential()}`]));
  return exact === true ? 'exact' : parts.join(', ');
};

/** One line: `ok   out.x   relrms 9.1e-7  relmax 2.0e-6  (limit relrms 1e-5, relmax 5e-5)`. */
export const verdictLine = ({ name, relrms, relmax, abs, limit, ok, problem }: Verdict, width: number): string => {
  const numbers =
    relrms === undefined || relmax === undefined || abs === undefined
      ? ''
      : limit?.abs === undefined && limit?.exact !== true
        ? `relrms ${digits(relrms)}  relmax ${digits(relmax)}`
        : `largest difference ${digits(abs)}`;
  const behind = [numbers, ...(limit === undefined ? [] : [`(limit ${showLimit(limit)})`]), ...(problem === undefined ? [] : [problem])].filter(
    (part) => part !== '',
  );
  return `  ${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(width)}  ${behind.join('  ')}`;
};
