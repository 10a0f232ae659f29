/**
 * Data-last forms for fp-ts `pipe` and `flow`: `pipe(x, on.reshape(['B', 4, 16]), silu, on.softmax(-1))`.
 *
 * Every form returns a function of a named interface, so that an error sits on the wrong step and names it:
 * `Argument of type 'Reshape<["B", 7]>' is not assignable ... "reshape: [B, 64] has 64*B elements, [B, 7] has 7*B"`.
 */
import type { DType } from '../dtype.ts';
import { typed } from './build.ts';
import * as elementwise from './elementwise.ts';
import type { BinaryRule, CommonDType, Operand } from './elementwise.ts';
import * as movement from './movement.ts';
import type * as M from './movement.ts';
import * as product from './product.ts';
import type { LinearOf, MatmulOf } from './product.ts';
import * as reduction from './reduction.ts';
import type { Axes, ReductionRule } from './reduction.ts';
import * as normalization from '../nn/normalization.ts';
import type { AlongAxisOf, RmsNormOf } from '../nn/normalization.ts';
import type { Dim, Shape, Substitution } from '../shape/dim.ts';
import type { DTypeOf, Guard, IsAny, Kinds, Result, ShapeOf, Tensor } from '../tensor.ts';

/** Turns a data-first builder round: the data comes last, alone. The types are those of the data-first form. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the form is what the declaration says, as in `typed`
const dataLast = <Form>(build: unknown): Form =>
  typed((...settings: unknown[]) => (x: unknown) => (build as (...operands: unknown[]) => unknown)(x, ...settings)); // as: see typed

// elementwise -------------------------------------------------------------------------------------------------------------------------

export interface Binary<Op extends string, B extends Operand, K extends Kinds> {
  <A extends Tensor>(x: Guard<BinaryRule<Op, A, B, K>, A>): Result<BinaryRule<Op, A, B, K>, CommonDType<A, B>>;
}
export interface Comparison<Op extends string, B extends Operand> {
  <A extends Tensor>(x: Guard<BinaryRule<Op, A, B, 'float and integer'>, A>): Result<BinaryRule<Op, A, B, 'float and integer'>, 'bool'>;
}
type BinaryForm<Op extends string, K extends Kinds> = <B extends Operand>(y: B) => Binary<Op, B, K>;
type ComparisonForm<Op extends string> = <B extends Operand>(y: B) => Comparison<Op, B>;

export const add: BinaryForm<'add', 'float and integer'> = dataLast(elementwise.add);
export const sub: BinaryForm<'sub', 'float and integer'> = dataLast(elementwise.sub);
export const mul: BinaryForm<'mul', 'float and integer'> = dataLast(elementwise.mul);
export const div: BinaryForm<'div', 'float'> = dataLast(elementwise.div);
export const maximum: BinaryForm<'maximum', 'float and integer'> = dataLast(elementwise.maximum);
export const minimum: BinaryForm<'minimum', 'float and integer'> = dataLast(elementwise.minimum);
export const eq: ComparisonForm<'eq'> = dataLast(elementwise.eq);
export const lt: ComparisonForm<'lt'> = dataLast(elementwise.lt);
export const le: ComparisonForm<'le'> = dataLast(elementwise.le);
export const gt: ComparisonForm<'gt'> = dataLast(elementwise.gt);
export const ge: ComparisonForm<'ge'> = dataLast(elementwise.ge);

export interface Cast<D extends DType> {
  <X extends Tensor>(x: X): IsAny<X> extends true ? X : Tensor<ShapeOf<X>, D>;
}
export const cast: <const D extends DType>(dtype: D) => Cast<D> = dataLast(elementwise.cast);
export const tap: (name: string) => <X extends Tensor>(x: X) => X = dataLast(elementwise.tap);

// movement ----------------------------------------------------------------------------------------------------------------------------

export interface Reshape<To extends Shape> {
  <X extends Tensor>(x: Guard<M.ReshapeOf<X, To>, X>): Result<M.ReshapeOf<X, To>, DTypeOf<X>>;
}
export const reshape: <const To extends Shape>(to: readonly [...To]) => Reshape<To> = dataLast(movement.reshape);

export interface Expand<To extends Shape> {
  <X extends Tensor>(x: Guard<M.ExpandOf<X, To>, X>): Result<M.ExpandOf<X, To>, DTypeOf<X>>;
}
export const expand: <const To extends Shape>(to: readonly [...To]) => Expand<To> = dataLast(movement.expand);

export interface Is<S extends Shape> {
  <X extends Tensor>(x: Guard<M.IsOf<X, S>, X>): X;
}
export const is: <const S extends Shape>(shape: readonly [...S]) => Is<S> = dataLast(movement.is);

export interface Transpose<A extends number, B extends number> {
  <X extends Tensor>(x: Guard<M.TransposeOf<X, A, B>, X>): Result<M.TransposeOf<X, A, B>, DTypeOf<X>>;
}
export const transpose: <const A extends number, const B extends number>(a: A, b: B) => Transpose<A, B> = dataLast(movement.transpose);

export interface Permute<A extends readonly number[]> {
  <X extends Tensor>(x: Guard<M.PermuteOf<X, A>, X>): Result<M.PermuteOf<X, A>, DTypeOf<X>>;
}
export const permute: <const A extends readonly number[]>(axes: readonly [...A]) => Permute<A> = dataLast(movement.permute);

export interface Unsqueeze<A extends number> {
  <X extends Tensor>(x: Guard<M.UnsqueezeOf<X, A>, X>): Result<M.UnsqueezeOf<X, A>, DTypeOf<X>>;
}
export const unsqueeze: <const A extends number>(axis: A) => Unsqueeze<A> = dataLast(movement.unsqueeze);

export interface Squeeze<A extends number> {
  <X extends Tensor>(x: Guard<M.SqueezeOf<X, A>, X>): Result<M.SqueezeOf<X, A>, DTypeOf<X>>;
}
export const squeeze: <const A extends number>(axis: A) => Squeeze<A> = dataLast(movement.squeeze);

export interface Slice<A extends number, Start extends Dim, Size extends Dim, Step extends number> {
  <X extends Tensor>(x: Guard<M.SliceOf<X, A, Start, Size, Step>, X>): Result<M.SliceOf<X, A, Start, Size, Step>, DTypeOf<X>>;
}
export const slice: <const A extends number, const Start extends Dim, const Size extends Dim, const Step extends number = 1>(
  axis: A, start: Start, size: Size, step?: Step,
) => Slice<A, Start, Size, Step> = dataLast(movement.slice);

export interface Index<A extends number, I extends Dim> {
  <X extends Tensor>(x: Guard<M.IndexOf<X, A, I>, X>): Result<M.IndexOf<X, A, I>, DTypeOf<X>>;
}
export const index: <const A extends number, const I extends Dim>(axis: A, i: I) => Index<A, I> = dataLast(movement.index);

export interface Pad<A extends number, Low extends Dim, High extends Dim> {
  <X extends Tensor>(x: Guard<M.PadOf<X, A, Low, High>, X>): Result<M.PadOf<X, A, Low, High>, DTypeOf<X>>;
}
export const pad: <const A extends number, const Low extends Dim, const High extends Dim>(
  axis: A, low: Low, high: High, value?: number,
) => Pad<A, Low, High> = dataLast(movement.pad);

export interface Split<Sizes extends Shape, A extends number> {
  <X extends Tensor>(x: Guard<M.SplitOf<X, Sizes, A>, X>): M.Parts<M.SplitOf<X, Sizes, A>, DTypeOf<X>>;
}
export const split: <const Sizes extends Shape, const A extends number>(sizes: readonly [...Sizes], axis: A) => Split<Sizes, A> =
  dataLast(movement.split);

export interface Chunk<N extends number, A extends number> {
  <X extends Tensor>(x: Guard<M.ChunkOf<X, N, A>, X>): M.Chunks<M.ChunkOf<X, N, A>, N, DTypeOf<X>>;
}
export const chunk: <const N extends number, const A extends number>(count: N, axis: A) => Chunk<N, A> = dataLast(movement.chunk);

export interface Rearrange<P extends string, Sizes extends Substitution> {
  <X extends Tensor>(x: Guard<M.RearrangeOf<X, P, Sizes>, X>): Result<M.RearrangeOf<X, P, Sizes>, DTypeOf<X>>;
}
export const rearrange: <const P extends string, const Sizes extends Substitution = {}>(pattern: P, sizes?: Sizes) => Rearrange<P, Sizes> =
  dataLast(movement.rearrange);

export interface RepeatAxes<P extends string, Sizes extends Substitution> {
  <X extends Tensor>(x: Guard<M.RearrangeOf<X, P, Sizes, 'repeat'>, X>): Result<M.RearrangeOf<X, P, Sizes, 'repeat'>, DTypeOf<X>>;
}
export const repeatAxes: <const P extends string, const Sizes extends Substitution = {}>(pattern: P, sizes?: Sizes) => RepeatAxes<P, Sizes> =
  dataLast(movement.repeatAxes);

// reductions and products -------------------------------------------------------------------------------------------------------------

export interface Reduction<Op extends string, A extends Axes, Keep extends boolean, K extends Kinds> {
  <X extends Tensor>(x: Guard<ReductionRule<Op, X, A, Keep, K>, X>): Result<ReductionRule<Op, X, A, Keep, K>, DTypeOf<X>>;
}
type ReductionForm<Op extends string, K extends Kinds> = <const A extends Axes, const Keep extends boolean = false>(
  axes: A, keep?: Keep,
) => Reduction<Op, A, Keep, K>;
export const sum: ReductionForm<'sum', 'float and integer'> = dataLast(reduction.sum);
export const max: ReductionForm<'max', 'float and integer'> = dataLast(reduction.max);
export const min: ReductionForm<'min', 'float and integer'> = dataLast(reduction.min);
export const mean: ReductionForm<'mean', 'float'> = dataLast(reduction.mean);

export interface AlongAxis<Op extends string, A extends number> {
  <X extends Tensor>(x: Guard<AlongAxisOf<Op, X, A>, X>): Result<AlongAxisOf<Op, X, A>, DTypeOf<X>>;
}
type AlongAxisForm<Op extends string> = <const A extends number>(axis: A) => AlongAxis<Op, A>;
export const softmax: AlongAxisForm<'softmax'> = dataLast(normalization.softmax);
export const l2Normalize: AlongAxisForm<'l2Normalize'> = dataLast(normalization.l2Normalize);

export interface RmsNorm<W extends Tensor> {
  <X extends Tensor>(x: Guard<RmsNormOf<X, W>, X>): Result<RmsNormOf<X, W>, DTypeOf<X>>;
}
export const rmsNorm: <W extends Tensor>(weight: W, eps?: number) => RmsNorm<W> = dataLast(normalization.rmsNorm);

export interface Matmul<B extends Tensor> {
  <X extends Tensor>(x: Guard<MatmulOf<X, B>, X>): Result<MatmulOf<X, B>, DTypeOf<X>>;
}
/** The piped tensor is the left operand. */
export const matmul: <B extends Tensor>(b: B) => Matmul<B> = dataLast(product.matmul);

export interface Linear<W extends Tensor> {
  <X extends Tensor>(x: Guard<LinearOf<X, W>, X>): Result<LinearOf<X, W>, DTypeOf<X>>;
}
export const linear: <W extends Tensor>(weight: W) => Linear<W> = dataLast(product.linear);
