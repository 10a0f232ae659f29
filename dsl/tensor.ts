/**
 * A tensor is a graph node whose shape and dtype the type checker knows.
 *
 * Tensors are immutable and hash-consed: the same expression written twice is the same object.
 */
import type { DType, DTYPES } from './dtype.ts';
import type { Node } from './graph/node.ts';
import type { Canonical, Shape } from './shape/dim.ts';
import type { LiteralRule } from './shape/rules.ts';

export interface Tensor<out S extends Shape = Shape, out D extends DType = DType> extends Node {
  readonly shape: S;
  readonly dtype: D;
}

/** The tensor type to write in signatures: `T<['B', 'h*w', 64]>`, `T<['B'], 'i32'>`. A wrong shape is a message instead of a type. */
export type T<S extends Shape, D extends DType = 'f32'> =
  LiteralRule<'T', S> extends infer R ? (R extends Shape ? Tensor<Canonical<R>, D> : R) : never;

/** What a refused call returned: it is not complained about twice. */
export type IsAny<X> = 0 extends 1 & X ? true : false;
export type ShapeOf<X extends Tensor> = X['shape'];
export type DTypeOf<X extends Tensor> = X['dtype'];

/** The type of a checked argument: itself when rule `R` holds, else the message. */
export type Guard<R, Argument> = IsAny<Argument> extends true ? Argument : [R] extends [string] ? R : Argument;
/** The type of what a refused call returns. Only `any` silences the errors that would follow: one mistake, one message. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Refused = any;
/** In place of a tensor whose shape the type checker does not know: it would agree with everything. */
export interface ShapeUnknownToTheTypeChecker {
  readonly hint: 'write the dimensions as literals';
}
/** The type of a result. */
export type Result<R, D extends DType> =
  IsAny<R> extends true ? Refused : R extends Shape ? (number extends R['length'] ? ShapeUnknownToTheTypeChecker : Tensor<R, D>) : Refused;

type Kind<D extends DType> = (typeof DTYPES)[D]['kind'];
/** Which dtypes an op takes, in the words of its error message. */
export type Kinds = 'float' | 'float and integer' | 'integer' | 'boolean';
/** `Fine` when the op takes this dtype, or a message. */
export type DefinedFor<Op extends string, D extends DType, K extends Kinds, Fine> =
  K extends `${string}${Kind<D>}${string}` ? Fine : `${Op}: is not defined for ${D}, only for ${K} tensors`;
/** `Fine` when the dtypes are the same, or a message. */
export type SameDType<Op extends string, A extends DType, B extends DType, Fine> = [A] extends [B] ? Fine : `${Op}: dtypes differ: ${A} vs ${B}`;
