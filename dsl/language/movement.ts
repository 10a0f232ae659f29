/** Builders that change shapes and move elements; each checks its rule of `dsl/shape/rules.ts`. */
import type { DType } from '../dtype.ts';
import { apply } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import { canonical, canonicalDim } from '../shape/dim.ts';
import type { Canonical, CanonicalDim, Dim, Shape, Substitution } from '../shape/dim.ts';
import * as rules from '../shape/rules.ts';
import type { DTypeOf, Guard, IsAny, Refused, Result, ShapeOf, Tensor } from '../tensor.ts';
import { broadcastTo, first, permuteTo, reshapeTo, ruled, typed } from './build.ts';
import { rearranged } from './einops.ts';

type Names = readonly number[];

// reshape, expand, is ---------------------------------------------------------------------------------------------------------------

export type ReshapeOf<X extends Tensor, To extends Shape> =
  IsAny<X> extends true ? X
  : rules.IsWide<To> extends true ? readonly Dim[]
  : rules.ReshapeRule<ShapeOf<X>, Canonical<To>>;
/** The same elements in row-major order under another shape. One dimension may be -1. */
export const reshape: <X extends Tensor, const To extends Shape>(
  x: X, to: Guard<ReshapeOf<X, To>, readonly [...To]>,
) => Result<ReshapeOf<X, To>, DTypeOf<X>> = typed((x: Node, to: Shape) =>
  ruled([x], rules.reshapeRule(x.shape, to), (shape) => reshapeTo(x, shape)));

export type ExpandOf<X extends Tensor, To extends Shape> =
  IsAny<X> extends true ? X
  : rules.IsWide<To> extends true ? readonly Dim[]
  : rules.ExpandRule<ShapeOf<X>, Canonical<To>>;
/** Size-1 and missing leading dimensions grow to those of `to`, without a copy. */
export const expand: <X extends Tensor, const To extends Shape>(
  x: X, to: Guard<ExpandOf<X, To>, readonly [...To]>,
) => Result<ExpandOf<X, To>, DTypeOf<X>> = typed((x: Node, to: Shape) =>
  ruled([x], rules.expandRule(x.shape, to), (shape) => broadcastTo(x, shape)));

export type IsOf<X extends Tensor, S extends Shape> =
  IsAny<X> extends true ? X
  : rules.IsWide<S> extends true ? readonly Dim[]
  : rules.ExactRule<'is', ShapeOf<X>, Canonical<S>>;
/** Asserts a shape: `is(x, ['B', 'N', 1152])` is x, or an error that shows both. */
export const is: <X extends Tensor, const S extends Shape>(x: X, shape: Guard<IsOf<X, S>, readonly [...S]>) => X = typed((x: Node, shape: Shape) =>
  ruled([x], rules.exactRule('is', x.shape, shape), () => x));

// axes ------------------------------------------------------------------------------------------------------------------------------

export type TransposeOf<X extends Tensor, A extends number, B extends number> =
  IsAny<X> extends true ? X
  : rules.TransposeRule<ShapeOf<X>, A, B>;
/** Two axes exchanged. */
export const transpose: <X extends Tensor, const A extends number, const B extends number>(
  x: X, a: A, b: Guard<TransposeOf<X, A, B>, B>,
) => Result<TransposeOf<X, A, B>, DTypeOf<X>> = typed((x: Node, a: number, b: number) =>
  ruled([x], rules.transposeRule(x.shape, a, b), () => {
    const axes = x.shape.map((_, axis) => axis);
    const i = rules.axisOf(x.shape, a)!;
    const j = rules.axisOf(x.shape, b)!;
    return permuteTo(x, axes.with(i, j).with(j, i));
  }));

export type PermuteOf<X extends Tensor, Axes extends Names> =
  IsAny<X> extends true ? X
  : rules.IsWide<Axes> extends true ? readonly Dim[]
  : rules.PermuteRule<ShapeOf<X>, Axes>;
/** Axis i of the result is axis `axes[i]` of x. */
export const permute: <X extends Tensor, const Axes extends Names>(
  x: X, axes: Guard<PermuteOf<X, Axes>, readonly [...Axes]>,
) => Result<PermuteOf<X, Axes>, DTypeOf<X>> = typed((x: Node, axes: Names) =>
  ruled([x], rules.permuteRule(x.shape, axes), () => permuteTo(x, axes)));

export type UnsqueezeOf<X extends Tensor, A extends number> =
  IsAny<X> extends true ? X
  : rules.UnsqueezeRule<ShapeOf<X>, A>;
/** A new dimension of size 1 before the axis; -1 puts it last. */
export const unsqueeze: <X extends Tensor, const A extends number>(
  x: X, axis: Guard<UnsqueezeOf<X, A>, A>,
) => Result<UnsqueezeOf<X, A>, DTypeOf<X>> = typed((x: Node, axis: number) =>
  ruled([x], rules.unsqueezeRule(x.shape, axis), (shape) => reshapeTo(x, shape)));

export type SqueezeOf<X extends Tensor, A extends number> =
  IsAny<X> extends true ? X
  : rules.SqueezeRule<ShapeOf<X>, A>;
/** Drops an axis of size 1. */
export const squeeze: <X extends Tensor, const A extends number>(
  x: X, axis: Guard<SqueezeOf<X, A>, A>,
) => Result<SqueezeOf<X, A>, DTypeOf<X>> = typed((x: Node, axis: number) =>
  ruled([x], rules.squeezeRule(x.shape, axis), (shape) => reshapeTo(x, shape)));

// parts -----------------------------------------------------------------------------------------------------------------------------

const sliced = (x: Node, at: number, start: Dim, size: Dim, step = 1): Node => {
  if (start === 0 && size === x.shape[at] && step === 1) return x;
  const along = (value: Dim, elsewhere: Dim): Shape => x.shape.map((_, i) => (i === at ? value : elsewhere));
  return apply('slice', [x], { starts: along(start, 0), sizes: x.shape.with(at, size), steps: along(step, 1) });
};

export type SliceOf<X extends Tensor, A extends number, Start extends Dim, Size extends Dim, Step extends number> =
  IsAny<X> extends true ? X
  : rules.SliceRule<ShapeOf<X>, A, CanonicalDim<Start>, CanonicalDim<Size>, Step>;
/** `size` elements along the axis from `start`, every `step`-th. */
export const slice: <X extends Tensor, const A extends number, const Start extends Dim, const Size extends Dim, const Step extends number = 1>(
  x: X, axis: A, start: Start, size: Guard<SliceOf<X, A, Start, Size, Step>, Size>, step?: Step,
) => Result<SliceOf<X, A, Start, Size, Step>, DTypeOf<X>> = typed((x: Node, axis: number, start: Dim, size: Dim, step = 1) => {
  const [from, count] = canonical([start, size]) as readonly [Dim, Dim]; // two in, two out
  return ruled([x], rules.sliceAxisRule(x.shape, axis, from, count, step), () => sliced(x, rules.axisOf(x.shape, axis)!, from, count, step));
});

export type IndexOf<X extends Tensor, A extends number, I extends Dim> =
  IsAny<X> extends true ? X
  : rules.IndexRule<ShapeOf<X>, A, CanonicalDim<I>>;
/** Element `i` along the axis, which disappears. */
export const index: <X extends Tensor, const A extends number, const I extends Dim>(
  x: X, axis: A, i: Guard<IndexOf<X, A, I>, I>,
) => Result<IndexOf<X, A, I>, DTypeOf<X>> = typed((x: Node, axis: number, i: Dim) =>
  ruled([x], rules.indexRule(x.shape, axis, canonicalDim(i)), (shape) =>
    reshapeTo(sliced(x, rules.axisOf(x.shape, axis)!, canonicalDim(i), 1), shape)));

/** Tensors of one dtype with the shapes of a rule's result. */
type TensorsOf<Shapes, D extends DType> = { -readonly [K in keyof Shapes]: Shapes[K] extends Shape ? Tensor<Shapes[K], D> : never };
export type Parts<R, D extends DType> = IsAny<R> extends true ? Refused : R extends readonly Shape[] ? TensorsOf<R, D> : Refused;
export type SplitOf<X extends Tensor, Sizes extends Shape, A extends number> =
  IsAny<X> extends true ? X
  : rules.IsWide<Sizes> extends true ? readonly Shape[]
  : rules.SplitRule<ShapeOf<X>, Canonical<Sizes>, A>;
/** Parts of the given sizes along the axis; they must add up. */
export const split: <X extends Tensor, const Sizes extends Shape, const A extends number>(
  x: X, sizes: Guard<SplitOf<X, Sizes, A>, readonly [...Sizes]>, axis: A,
) => Parts<SplitOf<X, Sizes, A>, DTypeOf<X>> = typed((x: Node, sizes: Shape, axis: number) => partsOf(x, canonical(sizes), axis));

const partsOf = (x: Node, sizes: Shape, axis: number): readonly Node[] => {
  const shapes = rules.splitRule(x.shape, sizes, axis);
  return sizes.map((size, i) =>
    ruled([x], typeof shapes === 'string' ? shapes : shapes[i]!, () =>
      sliced(x, rules.axisOf(x.shape, axis)!, rules.sumOf(sizes.slice(0, i)), size)));
};

type Repeated<N extends number, Item, Result extends Item[] = []> = Result['length'] extends N ? Result : Repeated<N, Item, [...Result, Item]>;
export type ChunkOf<X extends Tensor, N extends number, A extends number> =
  IsAny<X> extends true ? X
  : rules.ChunkRule<ShapeOf<X>, N, A>;
export type Chunks<R, N extends number, D extends DType> = IsAny<R> extends true ? Refused : R extends Shape ? Repeated<N, Tensor<R, D>> : Refused;
/** `count` equal parts along the axis. */
export const chunk: <X extends Tensor, const N extends number, const A extends number>(
  x: X, count: N, axis: Guard<ChunkOf<X, N, A>, A>,
) => Chunks<ChunkOf<X, N, A>, N, DTypeOf<X>> = typed((x: Node, count: number, axis: number) => {
  const rule = rules.chunkRule(x.shape, count, axis);
  const size = typeof rule === 'string' ? undefined : rule[rules.axisOf(x.shape, axis)!];
  const parts = Array.from({ length: Number.isSafeInteger(count) && count > 0 ? count : 1 }, () => 1);
  return size === undefined ? parts.map(() => ruled([x], rule, () => x)) : partsOf(x, parts.map(() => size), axis);
});

/** Zeros (or `value`) before and after along the axis. */
export type PadOf<X extends Tensor, A extends number, Low extends Dim, High extends Dim> =
  IsAny<X> extends true ? X
  : rules.PadRule<ShapeOf<X>, A, CanonicalDim<Low>, CanonicalDim<High>>;
export const pad: <X extends Tensor, const A extends number, const Low extends Dim, const High extends Dim>(
  x: X, axis: A, low: Low, high: Guard<PadOf<X, A, Low, High>, High>, value?: number,
) => Result<PadOf<X, A, Low, High>, DTypeOf<X>> = typed((x: Node, axis: number, low: Dim, high: Dim, value = 0) => {
  const [before, after] = canonical([low, high]) as readonly [Dim, Dim]; // two in, two out
  return ruled([x], rules.padAxisRule(x.shape, axis, before, after), () => {
    const at = rules.axisOf(x.shape, axis)!;
    const along = (dim: Dim): Shape => x.shape.map((_, i) => (i === at ? dim : 0));
    return before === 0 && after === 0 ? x : apply('pad', [x], { low: along(before), high: along(after), value });
  });
});

// joining ---------------------------------------------------------------------------------------------------------------------------

type Shapes<Xs extends readonly Tensor[]> = { -readonly [K in keyof Xs]: Xs[K]['shape'] };
type OneDType<Op extends string, Xs extends readonly Tensor[], R> =
  IsAny<Xs[number]> extends true ? Xs[number]
  : Xs[number]['dtype'] extends Xs[0]['dtype'] ? R
  : `${Op}: dtypes differ: ${Xs[0]['dtype']} vs ${Exclude<Xs[number]['dtype'], Xs[0]['dtype']>}`;
const oneDType = (op: string, xs: readonly Node[]): string | undefined => {
  const other = xs.find((x) => x.dtype !== xs[0]!.dtype);
  return other && `${op}: dtypes differ: ${xs[0]!.dtype} vs ${other.dtype}`;
};

export type ConcatOf<Xs extends readonly Tensor[], A extends number> = OneDType<'concat', Xs, rules.ConcatRule<Shapes<Xs>, A>>;
/** Tensors one after the other along an axis. */
export const concat: <const Xs extends readonly Tensor[], const A extends number>(
  xs: Xs, axis: Guard<ConcatOf<Xs, A>, A>,
) => Result<ConcatOf<Xs, A>, Xs[0]['dtype']> = typed((xs: readonly Node[], axis: number) =>
  ruled(xs, first(oneDType('concat', xs))(rules.concatRule(xs.map((x) => x.shape), axis)), () =>
    xs.length === 1 ? xs[0]! : apply('concat', xs, { axis: rules.axisOf(xs[0]!.shape, axis)! })));

export type StackOf<Xs extends readonly Tensor[], A extends number> = OneDType<'stack', Xs, rules.StackRule<Shapes<Xs>, A>>;
/** Tensors of one shape along a new axis. */
export const stackTensors: <const Xs extends readonly Tensor[], const A extends number>(
  xs: Xs, axis: Guard<StackOf<Xs, A>, A>,
) => Result<StackOf<Xs, A>, Xs[0]['dtype']> = typed((xs: readonly Node[], axis: number) =>
  ruled(xs, first(oneDType('stack', xs))(rules.stackRule(xs.map((x) => x.shape), axis)), () => {
    const at = rules.axisOf([...xs[0]!.shape, 1], axis)!;
    const opened = xs.map((x) => reshapeTo(x, x.shape.toSpliced(at, 0, 1)));
    return opened.length === 1 ? opened[0]! : apply('concat', opened, { axis: at });
  }));

// taking by index -------------------------------------------------------------------------------------------------------------------

type Integers<Op extends string, I extends Tensor, R> =
  IsAny<I> extends true ? I
  : DTypeOf<I> extends 'i32' | 'u32' ? R : `${Op}: the indices must be i32 or u32, got ${DTypeOf<I>}`;
const integers = (op: string, indices: Node): string | undefined =>
  indices.dtype === 'i32' || indices.dtype === 'u32' ? undefined : `${op}: the indices must be i32 or u32, got ${indices.dtype}`;

export type GatherOf<X extends Tensor, I extends Tensor, A extends number> =
  IsAny<X> extends true ? X
  : Integers<'gather', I, rules.TakeRule<'gather', ShapeOf<X>, ShapeOf<I>, A>>;
/** Slices of x along the axis, by index; the axis is replaced by the shape of the indices. Indices outside are moved to the border. */
export const gather: <X extends Tensor, I extends Tensor, const A extends number>(
  x: X, indices: I, axis: Guard<GatherOf<X, I, A>, A>,
) => Result<GatherOf<X, I, A>, DTypeOf<X>> = typed((x: Node, indices: Node, axis: number) =>
  ruled([x, indices], first(integers('gather', indices))(rules.takeRule('gather', x.shape, indices.shape, axis)), () =>
    apply('take', [x, indices], { axis: rules.axisOf(x.shape, axis)! })));

export type EmbeddingOf<Table extends Tensor, I extends Tensor> =
  IsAny<Table> extends true ? Table
  : Integers<'embedding', I, rules.EmbeddingRule<ShapeOf<Table>, ShapeOf<I>>>;
/** Rows of a table [count, dim] by index. */
export const embedding: <Table extends Tensor, I extends Tensor>(
  table: Table, indices: Guard<EmbeddingOf<Table, I>, I>,
) => Result<EmbeddingOf<Table, I>, DTypeOf<Table>> = typed((table: Node, indices: Node) =>
  ruled([table, indices], first(integers('embedding', indices))(rules.embeddingRule(table.shape, indices.shape)), () =>
    apply('take', [table, indices], { axis: 0 })));

// einops ----------------------------------------------------------------------------------------------------------------------------

type Plain<Sizes extends Substitution> = { -readonly [K in keyof Sizes]: CanonicalDim<Sizes[K]> };
export type RearrangeOf<X extends Tensor, P extends string, Sizes extends Substitution, Op extends string = 'rearrange'> =
  IsAny<X> extends true ? X
  : rules.EinopsRule<Op, P, ShapeOf<X>, Plain<Sizes>>;
type Rearrange<Op extends string> = <X extends Tensor, const P extends string, const Sizes extends Substitution = {}>(
  x: X, pattern: Guard<RearrangeOf<X, P, Sizes, Op>, P>, sizes?: Sizes,
) => Result<RearrangeOf<X, P, Sizes, Op>, DTypeOf<X>>;

const einops = <const Op extends string>(op: Op): Rearrange<Op> => typed((x: Node, pattern: string, sizes: Substitution = {}) => {
  const known = Object.fromEntries(Object.entries(sizes).map(([name, dim]) => [name, canonicalDim(dim)]));
  return ruled([x], rules.einopsRule(op, pattern, x.shape, known), () => rearranged(x, pattern, known));
});
/** Takes dimensions apart, reorders and groups them: `rearrange(x, 'b c (h p) (w q) -> b (h w) (c p q)', { p: 16, q: 16 })`. */
export const rearrange = einops('rearrange');
/** As rearrange, and names that are new on the right repeat the tensor: `repeatAxes(x, 'b d -> b n d', { n: 8 })`. */
export const repeatAxes = einops('repeat');

// resize ----------------------------------------------------------------------------------------------------------------------------

type ResizeRule<S extends Shape, To extends Shape> =
  S extends readonly [...infer Lead extends Shape, Dim, Dim]
    ? rules.LiteralRule<'resizeNearest', To> extends infer R ? (R extends Shape ? [...Lead, ...R] : R) : never
    : `resizeNearest: needs two dimensions or more, has ${S['length']}`;
export type ResizeOf<X extends Tensor, To extends readonly [Dim, Dim]> =
  IsAny<X> extends true ? X
  : ResizeRule<ShapeOf<X>, Canonical<To>>;
/** Nearest-neighbour resize of the last two axes, as torch.nn.functional.interpolate does it. */
export const resizeNearest: <X extends Tensor, const To extends readonly [Dim, Dim]>(
  x: X, size: Guard<ResizeOf<X, To>, readonly [...To]>,
) => Result<ResizeOf<X, To>, DTypeOf<X>> = typed((x: Node, size: Shape) => {
  const to = canonical(size);
  const rule = x.shape.length < 2 ? `resizeNearest: needs two dimensions or more, has ${x.shape.length}` : rules.literalRule('resizeNearest', to);
  return ruled([x], rule, ([height, width]) => resizeAxis(resizeAxis(x, x.shape.length - 2, height!), x.shape.length - 1, width!));
});
const resizeAxis = (x: Node, axis: number, to: Dim): Node => {
  const from = x.shape[axis]!;
  return from === to ? x : apply('take', [x, apply('nearestIndex', [], { from, to })], { axis });
};

