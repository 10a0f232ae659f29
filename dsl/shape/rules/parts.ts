/** Rules that take tensors apart and put them together: slice, pad, split, chunk, concat, stack, take. */
import { addDim, canonicalDim, divideDim, exceeds, multiplyDim, showShape } from '../dim.ts';
import type { AddDim, Dim, DivideDim, Exceeds, MultiplyDim, Shape, ShowShape } from '../dim.ts';
import { axisOf, badAxis, onAxis, replaceAxis, unsqueezeRule } from './axes.ts';
import type { AxisOf, BadAxis, ReplaceAxis, UnsqueezeRule } from './axes.ts';

/** Numbers that cannot count anything. */
type NotWhole = `-${string}` | `${string}.${string}`;
type IsCount<D extends Dim> = D extends number ? (`${D}` extends NotWhole ? false : true) : true;
type IsSize<D extends Dim> = D extends 0 ? false : IsCount<D>;
const isCount = (dim: Dim): boolean => typeof dim === 'string' || (Number.isSafeInteger(dim) && dim >= 0);
const isSize = (dim: Dim): boolean => dim !== 0 && isCount(dim);

// slice -----------------------------------------------------------------------------------------------------------------------------
// The last element, start + (size - 1) * step, must be inside: start + size * step <= dim + step - 1. Among symbols that cannot be
// compared, the sizes decide when the graph is bound.

// (`infer` between the steps keeps TypeScript from working out what each could be for every Dim.)

type Leaves<D extends Dim, Start extends Dim, Size extends Dim, Step extends number> =
  MultiplyDim<Size, Step> extends infer Length extends Dim
    ? AddDim<Start, Length> extends infer Last extends Dim
      ? AddDim<Last, 1> extends infer End extends Dim
        ? AddDim<D, Step> extends infer Limit extends Dim ? Exceeds<End, Limit> : never
        : never
      : never
    : never;
export type SliceRule<S extends Shape, A extends number, Start extends Dim, Size extends Dim, Step extends number = 1> =
  [AxisOf<S, A>] extends [never] ? BadAxis<'slice', S, A>
  : [IsCount<Start>, IsSize<Size>, IsSize<Step>] extends [true, true, true]
    ? Leaves<S[AxisOf<S, A>], Start, Size, Step> extends true
      ? `slice: start ${Start}, size ${Size}, step ${Step} leaves axis ${AxisOf<S, A>} of ${ShowShape<S>}`
      : ReplaceAxis<S, AxisOf<S, A>, [Size]>
    : `slice: start ${Start}, size ${Size}, step ${Step}: whole numbers please, size and step above 0`;

/** All axes at once, as the primitive has them. */
export const sliceRule = (shape: Shape, starts: Shape, sizes: Shape, steps: readonly number[]): Shape | string => {
  for (const list of [starts, sizes, steps]) {
    if (list.length !== shape.length) return `slice: ${showShape(list)} must have one entry per axis of ${showShape(shape)}`;
  }
  for (const [i, dim] of shape.entries()) {
    const [start, size, step] = [starts[i]!, sizes[i]!, steps[i]!];
    const asked = `slice: start ${start}, size ${size}, step ${step}`;
    if (!isCount(start) || !isSize(size) || !isSize(step)) return `${asked}: whole numbers please, size and step above 0`;
    const end = addDim(start, multiplyDim(size, step));
    if (exceeds(addDim(end, 1), addDim(dim, step))) return `${asked} leaves axis ${i} of ${showShape(shape)}`;
  }
  return sizes;
};
export const sliceAxisRule = (shape: Shape, axis: number, start: Dim, size: Dim, step = 1): Shape | string =>
  onAxis('slice', shape, axis, (at) =>
    sliceRule(shape, shape.map((_, i) => (i === at ? start : 0)), shape.with(at, size), shape.map((_, i) => (i === at ? step : 1))));

/** Element `I` of an axis, which disappears. */
export type IndexRule<S extends Shape, A extends number, I extends Dim> =
  [AxisOf<S, A>] extends [never] ? BadAxis<'index', S, A>
  : IsCount<I> extends false ? `index: ${I} is no index`
  : Exceeds<AddDim<I, 1>, S[AxisOf<S, A>]> extends true ? `index: ${I} is outside axis ${AxisOf<S, A>} of ${ShowShape<S>}`
  : ReplaceAxis<S, AxisOf<S, A>, []>;
export const indexRule = (shape: Shape, axis: number, index: Dim): Shape | string =>
  onAxis('index', shape, axis, (at, dim) =>
    !isCount(index) ? `index: ${index} is no index`
    : exceeds(addDim(index, 1), dim) ? `index: ${index} is outside axis ${at} of ${showShape(shape)}`
    : replaceAxis(shape, at, []));

// pad -------------------------------------------------------------------------------------------------------------------------------

type Padded<D extends Dim, Low extends Dim, High extends Dim> =
  AddDim<D, Low> extends infer Partly extends Dim ? (AddDim<Partly, High> extends infer Whole extends Dim ? [Whole] : never) : never;
export type PadRule<S extends Shape, A extends number, Low extends Dim, High extends Dim> =
  [AxisOf<S, A>] extends [never] ? BadAxis<'pad', S, A>
  : [IsCount<Low>, IsCount<High>] extends [true, true] ? ReplaceAxis<S, AxisOf<S, A>, Padded<S[AxisOf<S, A>], Low, High>>
  : `pad: ${Low} before and ${High} after: whole numbers please`;
/** All axes at once, as the primitive has them. */
export const padRule = (shape: Shape, low: Shape, high: Shape): Shape | string => {
  for (const list of [low, high]) {
    if (list.length !== shape.length) return `pad: ${showShape(list)} must have one entry per axis of ${showShape(shape)}`;
  }
  const wrong = shape.findIndex((_, i) => !isCount(low[i]!) || !isCount(high[i]!));
  return wrong < 0
    ? shape.map((dim, i) => addDim(addDim(dim, low[i]!), high[i]!))
    : `pad: ${low[wrong]} before and ${high[wrong]} after: whole numbers please`;
};
export const padAxisRule = (shape: Shape, axis: number, low: Dim, high: Dim): Shape | string =>
  onAxis('pad', shape, axis, (at) => padRule(shape, shape.map((_, i) => (i === at ? low : 0)), shape.map((_, i) => (i === at ? high : 0))));

// split and chunk ---------------------------------------------------------------------------------------------------------------------

type Sum<Sizes extends Shape, Result extends Dim = 0> =
  Sizes extends readonly [infer First extends Dim, ...infer Rest extends Shape] ? Sum<Rest, AddDim<Result, First>> : Result;
type PartsOf<S extends Shape, I extends number, Sizes extends Shape, Result extends Dim[][] = []> =
  Sizes extends readonly [infer First extends Dim, ...infer Rest extends Shape]
    ? PartsOf<S, I, Rest, [...Result, ReplaceAxis<S, I, [First]>]>
    : Result;
type AllSizes<Sizes extends Shape> =
  Sizes extends readonly [infer First extends Dim, ...infer Rest extends Shape] ? (IsSize<First> extends true ? AllSizes<Rest> : false) : true;
/** The shapes of the parts, or a message. */
export type SplitRule<S extends Shape, Sizes extends Shape, A extends number> =
  [AxisOf<S, A>] extends [never] ? BadAxis<'split', S, A>
  : AllSizes<Sizes> extends false ? `split: sizes are whole numbers above 0, got ${ShowShape<Sizes>}`
  : Sum<Sizes> extends S[AxisOf<S, A>] ? PartsOf<S, AxisOf<S, A>, Sizes>
  : `split: ${ShowShape<Sizes>} sums to ${Sum<Sizes>}, axis ${AxisOf<S, A>} of ${ShowShape<S>} is ${S[AxisOf<S, A>]}`;
export const sumOf = (sizes: Shape): Dim => sizes.reduce(addDim, 0);
export const splitRule = (shape: Shape, sizes: Shape, axis: number): readonly Shape[] | string => {
  const at = axisOf(shape, axis);
  if (at === undefined) return badAxis('split', shape, axis);
  if (!sizes.every(isSize)) return `split: sizes are whole numbers above 0, got ${showShape(sizes)}`;
  const sum = sumOf(sizes);
  return sum === shape[at]
    ? sizes.map((size) => replaceAxis(shape, at, [canonicalDim(size)]))
    : `split: ${showShape(sizes)} sums to ${sum}, axis ${at} of ${showShape(shape)} is ${shape[at]}`;
};

/** The shape of each of `N` equal parts. */
export type ChunkRule<S extends Shape, N extends number, A extends number> =
  [AxisOf<S, A>] extends [never] ? BadAxis<'chunk', S, A>
  : IsSize<N> extends false ? `chunk: the number of parts is a whole number above 0, got ${N}`
  : DivideDim<S[AxisOf<S, A>], N> extends infer Part extends Dim
    ? [Part] extends [never]
      ? `chunk: axis ${A} of ${ShowShape<S>} is ${S[AxisOf<S, A>]}, not divisible by ${N}`
      : ReplaceAxis<S, AxisOf<S, A>, [Part]>
    : never;
export const chunkRule = (shape: Shape, count: number, axis: number): Shape | string =>
  onAxis('chunk', shape, axis, (at, dim) => {
    if (!isSize(count)) return `chunk: the number of parts is a whole number above 0, got ${count}`;
    const part = divideDim(dim, count);
    return part === undefined ? `chunk: axis ${axis} of ${showShape(shape)} is ${dim}, not divisible by ${count}` : replaceAxis(shape, at, [part]);
  });

// concat and stack ----------------------------------------------------------------------------------------------------------------------

type Joined<First extends Shape, Rest extends readonly Shape[], I extends number, Total extends Dim> =
  Rest extends readonly [infer Next extends Shape, ...infer Others extends readonly Shape[]]
    ? ReplaceAxis<Next, I, [0]> extends ReplaceAxis<First, I, [0]>
      ? Joined<First, Others, I, AddDim<Total, Next[I]>>
      : `concat: ${ShowShape<First>} and ${ShowShape<Next>} differ outside axis ${I}`
    : ReplaceAxis<First, I, [Total]>;
export type ConcatRule<Ss extends readonly Shape[], A extends number> =
  Ss extends readonly [infer First extends Shape, ...infer Rest extends readonly Shape[]]
    ? [AxisOf<First, A>] extends [never] ? BadAxis<'concat', First, A>
      : Joined<First, Rest, AxisOf<First, A>, First[AxisOf<First, A>]>
    : 'concat: give at least one tensor';
export const concatRule = (shapes: readonly Shape[], axis: number): Shape | string => {
  const [first, ...rest] = shapes;
  if (first === undefined) return 'concat: give at least one tensor';
  return onAxis('concat', first, axis, (at, dim) => {
    const odd = rest.find((shape) => shape.length !== first.length || showShape(shape.with(at, 0)) !== showShape(first.with(at, 0)));
    return odd === undefined
      ? first.with(at, rest.reduce((total, shape) => addDim(total, shape[at]!), dim))
      : `concat: ${showShape(first)} and ${showShape(odd)} differ outside axis ${at}`;
  });
};

type FirstOther<First extends Shape, Rest extends readonly Shape[]> =
  Rest extends readonly [infer Next extends Shape, ...infer Others extends readonly Shape[]]
    ? [...Next] extends [...First] ? FirstOther<First, Others> : Next
    : never;
type CountOf<Ss extends readonly unknown[]> = Ss['length'] & number;
/** Tensors of one shape along a new axis. */
export type StackRule<Ss extends readonly Shape[], A extends number> =
  Ss extends readonly [infer First extends Shape, ...infer Rest extends readonly Shape[]]
    ? [FirstOther<First, Rest>] extends [never]
      ? UnsqueezeRule<First, A, 'stack'> extends infer R
        ? R extends Shape ? ReplaceAxis<R, AxisOf<R, A>, [CountOf<Ss>]> : R
        : never
      : `stack: ${ShowShape<First>} and ${ShowShape<FirstOther<First, Rest>>} differ`
    : 'stack: give at least one tensor';
export const stackRule = (shapes: readonly Shape[], axis: number): Shape | string => {
  const [first, ...rest] = shapes;
  if (first === undefined) return 'stack: give at least one tensor';
  const odd = rest.find((shape) => showShape(shape) !== showShape(first));
  if (odd !== undefined) return `stack: ${showShape(first)} and ${showShape(odd)} differ`;
  const one = unsqueezeRule(first, axis, 'stack');
  return typeof one === 'string' ? one : onAxis('stack', one, axis, (at) => one.with(at, shapes.length));
};

// take ----------------------------------------------------------------------------------------------------------------------------------

/** The axis is replaced by the shape of the indices. */
export type TakeRule<Op extends string, S extends Shape, Index extends Shape, A extends number> =
  [AxisOf<S, A>] extends [never] ? BadAxis<Op, S, A> : ReplaceAxis<S, AxisOf<S, A>, [...Index]>;
export const takeRule = (op: string, shape: Shape, index: Shape, axis: number): Shape | string =>
  onAxis(op, shape, axis, (at) => replaceAxis(shape, at, index));
