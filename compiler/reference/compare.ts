/** Comparing numbers with the reference: by error bound, or by relative error as the goldens do. */
import type { Bounded } from '../../dsl/ops/definition.ts';

export interface BoundReport {
  /** Largest |got - value| / error over the elements; 0 / 0 counts as 0. */
  readonly worst: number;
  readonly at: readonly number[];
  readonly got: number;
  readonly want: number;
  readonly bound: number;
}

const positionOf = (flat: number, shape: readonly number[]): number[] => {
  const position: number[] = [];
  for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
    position.unshift(rest % shape[axis]!);
    rest = Math.floor(rest / shape[axis]!);
  }
  return position;
};

const excess = (got: number, want: number, bound: number): number => {
  const difference = Math.abs(got - want);
  return difference === 0 ? 0 : Number.isNaN(difference) ? Infinity : bound === 0 ? Infinity : difference / bound;
};

/** How far `got` is from the reference, in units of its bound. */
export const compareWithBound = (got: ArrayLike<number>, want: Bounded): BoundReport => {
  let worst = -1, flat = 0;
  for (let i = 0; i < want.value.length; i++) {
    const ratio = excess(got[i] ?? NaN, want.value[i]!, want.error[i]!);
    if (ratio > worst) { worst = ratio; flat = i; }
  }
  return { worst: Math.max(worst, 0), at: positionOf(flat, want.shape), got: got[flat] ?? NaN, want: want.value[flat] ?? NaN, bound: want.error[flat] ?? 0 };
};

/** One line for a failing test: op, shape, element, and by how much it is over its bound. */
export const describeExcess = (op: string, shape: readonly number[], report: BoundReport): string =>
  `${op} [${shape.join(', ')}]: element [${report.at.join(', ')}] is ${report.got}, the reference says ${report.want} ± ${report.bound}: over its bound by a factor ${report.worst.toPrecision(3)}`;

export interface RelativeError { readonly relrms: number; readonly relmax: number; readonly maxabs: number }

/** relrms = rms(got - want) / rms(want); relmax = max|got - want| / max|want|. Infinity where lengths differ or a NaN appears. */
export const relativeError = (got: ArrayLike<number>, want: ArrayLike<number>): RelativeError => {
  if (got.length !== want.length) return { relrms: Infinity, relmax: Infinity, maxabs: Infinity };
  let squares = 0, reference = 0, most = 0, largest = 0;
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs(got[i]! - want[i]!);
    if (Number.isNaN(difference)) return { relrms: Infinity, relmax: Infinity, maxabs: Infinity };
    squares += difference * difference;
    reference += want[i]! * want[i]!;
    most = Math.max(most, difference);
    largest = Math.max(largest, Math.abs(want[i]!));
  }
  const ratio = (a: number, b: number): number => (a === 0 ? 0 : a / b);
  return { relrms: ratio(Math.sqrt(squares), Math.sqrt(reference)), relmax: ratio(most, largest), maxabs: most };
};
