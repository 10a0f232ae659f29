/**
 * The loop form: what a schedule makes of a scalar expression and what a target prints. Loops, loads, stores and scalar (or
 * short-vector) expressions; no text of any target.
 */
import type { StorageType } from '../dtype.ts';
import type { Index, Variable } from './index-expression.ts';
import type { Lanes, LocalArray, Scalar, ScalarType } from './scalar.ts';

export type Statement =
  /** A named value. */
  | { readonly kind: 'let'; readonly local: number; readonly value: Scalar }
  /** An accumulator. */
  | { readonly kind: 'var'; readonly local: number; readonly value: Scalar }
  | { readonly kind: 'assign'; readonly local: number; readonly value: Scalar }
  /** From 0 to the variable's extent, or to `end` where that is given: an i32, the same in all threads of a workgroup, at most the extent; likewise `start`. */
  | { readonly kind: 'for'; readonly variable: Variable; readonly start?: Scalar; readonly end?: Scalar; readonly body: readonly Statement[] }
  | { readonly kind: 'if'; readonly condition: Scalar; readonly body: readonly Statement[] }
  /** Writes `value.lanes` neighbouring elements. */
  | { readonly kind: 'store'; readonly tensor: number; readonly index: Index; readonly value: Scalar }
  /** Writes one vector of an array of the kernel. */
  | { readonly kind: 'put'; readonly array: LocalArray; readonly index: Index; readonly value: Scalar }
  /** A new local: the value that thread `lane` of the subgroup has; all threads of a workgroup come by here together. */
  | { readonly kind: 'share'; readonly local: number; readonly value: Scalar; readonly lane: number }
  /** No thread of the workgroup goes on before all are here; what they put into workgroup arrays before is seen by all afterwards. */
  | { readonly kind: 'barrier' }
  /** Combines `local` over all threads of the workgroup, through workgroup memory; afterwards every thread has the result. */
  | { readonly kind: 'combine'; readonly local: number; readonly type: ScalarType; readonly monoid: 'sum' | 'max' };

export interface TensorAccess {
  readonly tensor: number;
  /** What is in memory; the loads' own types say what it is widened to. */
  readonly dtype: StorageType;
  readonly access: 'read' | 'read_write';
  /** Every access moves this many elements at once, aligned. */
  readonly lanes: Lanes;
}

/**
 * A kernel: a grid of threads that run `body`. Every thread variable is below its extent; threads beyond do nothing.
 *
 * With one variable, it numbers all threads; with three, they are the x, y and z of the grid. In a cooperative kernel the
 * variable numbers workgroups, and `lane` is a thread's place inside its workgroup.
 */
export interface LoopKernel {
  readonly tensors: readonly TensorAccess[];
  readonly thread: readonly Variable[];
  readonly lane: Variable | undefined;
  /** A thread's place in its subgroup, modulo the extent. Every adapter that has subgroups has at least 4 threads in each. */
  readonly subgroup?: Variable;
  readonly workgroupSize: readonly [number, number, number];
  /** Short loops are to stay loops: a target hides their ends from compilers that would unroll them. */
  readonly keepLoops?: boolean;
  readonly body: readonly Statement[];
}

const putsIn = (statement: Statement): readonly LocalArray[] =>
  statement.kind === 'put' ? [statement.array] : statement.kind === 'for' || statement.kind === 'if' ? statement.body.flatMap(putsIn) : [];
/** The arrays that a kernel has of its own, in order of their first write. */
export const arraysOf = (body: readonly Statement[]): readonly LocalArray[] =>
  [...new Map(body.flatMap(putsIn).map((array) => [array.id, array])).values()];
