/** What a verification found, as data and as text. */
import type { StorageType } from '../../dsl/dtype.ts';

/** The element of a tensor that is farthest from the reference, in units of its bound. */
export interface Worst {
  /** |got - expected| / bound; above 1 is wrong. */
  readonly ratio: number;
  readonly index: readonly number[];
  readonly got: number;
  readonly expected: number;
  readonly bound: number;
}

/** One stored tensor and the kernels that write it. */
export interface TensorReport {
  readonly kernels: readonly string[];
  /** The ops that the kernels compute, as their label has them. */
  readonly label: string;
  /** The last op: the one whose result is stored. */
  readonly op: string;
  readonly scope: string;
  readonly shape: readonly number[];
  readonly dtype: StorageType;
  readonly elements: number;
  /** Elements that were looked at. */
  readonly checked: number;
  /** Those of them that have no bound (overflow, an uncertain index), so that nothing was learnt. */
  readonly unbounded: number;
  /** Elements that the reference read or computed for it. */
  readonly work: number;
  readonly worst: Worst;
}

/** Which op of a kernel is to blame. */
export type Culprit =
  | { readonly kind: 'op'; readonly report: TensorReport }
  /** With a kernel of its own each op is right. */
  | { readonly kind: 'fusion' }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface Failure {
  readonly report: TensorReport;
  readonly culprit: Culprit;
}

/** An output of the whole program that differs from what its kernels gave one by one. */
export interface Difference {
  readonly output: string;
  readonly index: readonly number[];
  readonly got: number;
  readonly expected: number;
}

export interface Verification {
  /** Every stored tensor, in the order of the program. */
  readonly tensors: readonly TensorReport[];
  /** The first kernel that leaves its bound. */
  readonly failure: Failure | undefined;
  /** Not empty: the kernels are right, but together, in the buffers of the memory plan, they are not. */
  readonly differences: readonly Difference[];
}

export const isWrong = ({ worst }: TensorReport): boolean => !(worst.ratio <= 1);

/** Whether nothing is wrong. */
export const passed = ({ failure, differences }: Verification): boolean => failure === undefined && differences.length === 0;

const at = (index: readonly number[]): string => `[${index.join(', ')}]`;
const factor = (ratio: number): string => (Number.isFinite(ratio) ? ratio.toPrecision(3) : String(ratio));

/** Where it is in the model: scope and op. */
export const placeOf = ({ scope, op }: Pick<TensorReport, 'scope' | 'op'>): string => (scope === '' ? op : `${scope}: ${op}`);

const excess = ({ op, shape, dtype, worst: { ratio, index, got, expected, bound } }: TensorReport): string =>
  `${op} ${dtype}[${shape.join(', ')}]: element ${at(index)} is ${got}, the reference says ${expected} ± ${bound}: over its bound by a factor ${factor(ratio)}`;

const blame = (culprit: Culprit): string => {
  switch (culprit.kind) {
    case 'op':
      return `the op that is wrong: ${placeOf(culprit.report)}; with a kernel of its own, ${excess(culprit.report)}`;
    case 'fusion':
      return 'each op alone is right, so the fusion or the schedule of this kernel is wrong';
    case 'unknown':
      return `which op is wrong could not be found: ${culprit.reason}`;
  }
};

/** What is wrong, where, and by how much; a line each. Empty where nothing is. */
export const describeProblems = ({ failure, differences }: Verification): readonly string[] => [
  ...(failure === undefined
    ? []
    : [
        `the first kernel that leaves its bound is ${failure.report.kernels.join(', ')}, at ${placeOf(failure.report)}`,
        excess(failure.report),
        blame(failure.culprit),
      ]),
  ...differences.map(
    ({ output, index, got, expected }) =>
      `the whole program gives ${got} for ${output} ${at(index)}, its kernels one by one ${expected}: the memory plan, or the order of the dispatches, is wrong`,
  ),
];
