/** Rules about axes: reductions, transpose, permute, unsqueeze, squeeze, index. Negative axes count from the end. */
import { showShape } from '../dim.ts';
import type { Dim, Shape, ShowShape } from '../dim.ts';
import type { Subtract } from '../digits.ts';

export type BadAxis<Op extends string, S extends Shape, A extends number> = `${Op}: axis ${A} is out of range for ${ShowShape<S>}`;
/** The axis counted from the front, or `never`. */
export type AxisOf<S extends Shape, A extends number> =
  `${A}` extends keyof S ? A : `${A}` extends `-${infer N extends number}` ? Subtract<S['length'], N> : never;

/** The dimensions before and after axis I: `[before, dimension, after]`. */
export type Cut<S extends Shape, I extends number, Before extends Dim[] = []> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape]
    ? Before['length'] extends I ? [Before, First, [...Rest]] : Cut<Rest, I, [...Before, First]>
    : never;
export type ReplaceAxis<S extends Shape, I extends number, By extends readonly Dim[]> =
  Cut<S, I> extends [infer Before extends Dim[], Dim, infer After extends Dim[]] ? [...Before, ...By, ...After] : never;

/** The axis counted from the front, or undefined. */
export const axisOf = (shape: Shape, axis: number): number | undefined => {
  const counted = axis < 0 ? axis + shape.length : axis;
  return Number.isInteger(axis) && counted >= 0 && counted < shape.length ? counted : undefined;
};
export const badAxis = (op: string, shape: Shape, axis: number): string => `${op}: axis ${axis} is out of range for ${showShape(shape)}`;
export const replaceAxis = (shape: Shape, at: number, by: Shape): Shape => shape.toSpliced(at, 1, ...by);

/** Applies `rule` to the axis counted from the front. */
export const onAxis = (op: string, shape: Shape, axis: number, rule: (at: number, dim: Dim) => Shape | string): Shape | string => {
  const at = axisOf(shape, axis);
  return at === undefined ? badAxis(op, shape, axis) : rule(at, shape[at]!);
};

/** The same shape, when the axis exists. */
export type AxisRule<Op extends string, S extends Shape, A extends number> = [AxisOf<S, A>] extends [never] ? BadAxis<Op, S, A> : [...S];
export const axisRule = (op: string, shape: Shape, axis: number): Shape | string => onAxis(op, shape, axis, () => shape);

/** Reduced axes are marked 0, which is no dimension. */
type MarkAxes<Op extends string, S extends Shape, Axes extends readonly number[], Marked extends Shape = S> =
  Axes extends readonly [infer A extends number, ...infer Rest extends readonly number[]]
    ? [AxisOf<S, A>] extends [never] ? BadAxis<Op, S, A>
      : Marked[AxisOf<S, A>] extends 0 ? `${Op}: axis ${A} appears twice for ${ShowShape<S>}`
      : MarkAxes<Op, S, Rest, ReplaceAxis<Marked, AxisOf<S, A>, [0]>>
    : Marked;
type ReplaceMarks<S extends Shape, By extends Dim[], Result extends Dim[] = []> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape]
    ? ReplaceMarks<Rest, By, First extends 0 ? [...Result, ...By] : [...Result, First]>
    : Result;
export type ReduceRule<Op extends string, S extends Shape, Axes extends number | readonly number[], Keep extends boolean> =
  MarkAxes<Op, S, Axes extends readonly number[] ? Axes : [Axes & number]> extends infer R
    ? R extends Shape ? ReplaceMarks<R, Keep extends true ? [1] : []> : R
    : never;
export const reduceRule = (op: string, shape: Shape, axes: number | readonly number[], keep = false): Shape | string => {
  const marked = new Set<number>();
  for (const axis of typeof axes === 'number' ? [axes] : axes) {
    const at = axisOf(shape, axis);
    if (at === undefined) return badAxis(op, shape, axis);
    if (marked.has(at)) return `${op}: axis ${axis} appears twice for ${showShape(shape)}`;
    marked.add(at);
  }
  return shape.flatMap((dim, i) => (marked.has(i) ? (keep ? [1] : []) : [dim]));
};

export type TransposeRule<S extends Shape, A extends number, B extends number> =
  [AxisOf<S, A>] extends [never] ? BadAxis<'transpose', S, A>
  : [AxisOf<S, B>] extends [never] ? BadAxis<'transpose', S, B>
  : ReplaceAxis<ReplaceAxis<S, AxisOf<S, A>, [S[AxisOf<S, B>]]>, AxisOf<S, B>, [S[AxisOf<S, A>]]>;
export const transposeRule = (shape: Shape, a: number, b: number): Shape | string =>
  onAxis('transpose', shape, a, (i, dimA) => onAxis('transpose', shape, b, (j, dimB) => shape.with(i, dimB).with(j, dimA)));

type Permuted<S extends Shape, Axes extends readonly number[], Rest extends readonly number[], Seen = never, Result extends Dim[] = []> =
  Rest extends readonly [infer A extends number, ...infer Next extends readonly number[]]
    ? [A] extends [Seen] ? `permute: axis ${A} appears twice in ${ShowShape<Axes>}`
      : `${A}` extends keyof S ? Permuted<S, Axes, Next, Seen | A, [...Result, S[A]]>
      : BadAxis<'permute', S, A>
    : Result;
/** Axes are counted from the front. */
export type PermuteRule<S extends Shape, Axes extends readonly number[]> =
  S['length'] extends Axes['length'] ? Permuted<S, Axes, Axes>
  : `permute: ${ShowShape<S>} has ${S['length']} axes, the permutation ${ShowShape<Axes>} has ${Axes['length']}`;
export const permuteRule = (shape: Shape, axes: readonly number[]): Shape | string => {
  if (shape.length !== axes.length) {
    return `permute: ${showShape(shape)} has ${shape.length} axes, the permutation ${showShape(axes)} has ${axes.length}`;
  }
  for (const [i, axis] of axes.entries()) {
    if (axes.indexOf(axis) < i) return `permute: axis ${axis} appears twice in ${showShape(axes)}`;
    if (shape[axis] === undefined) return badAxis('permute', shape, axis);
  }
  return axes.map((axis) => shape[axis]!);
};

/** A new dimension of size 1 before axis A; -1 puts it last. */
export type UnsqueezeRule<S extends Shape, A extends number, Op extends string = 'unsqueeze'> =
  [AxisOf<[...S, 1], A>] extends [never] ? BadAxis<Op, S, A> : InsertAxis<[...S, 1], AxisOf<[...S, 1], A>, 1>;
type InsertAxis<S extends readonly [...Shape, Dim], I extends number, D extends Dim> =
  Cut<S, I> extends [infer Before extends Dim[], infer At extends Dim, infer After extends Dim[]]
    ? [At, ...After] extends [...infer Rest extends Dim[], Dim] ? [...Before, D, ...Rest] : never
    : never;
export const unsqueezeRule = (shape: Shape, axis: number, op = 'unsqueeze'): Shape | string => {
  const at = axisOf([...shape, 1], axis);
  return at === undefined ? badAxis(op, shape, axis) : shape.toSpliced(at, 0, 1);
};

export type SqueezeRule<S extends Shape, A extends number> =
  [AxisOf<S, A>] extends [never] ? BadAxis<'squeeze', S, A>
  : S[AxisOf<S, A>] extends 1 ? ReplaceAxis<S, AxisOf<S, A>, []>
  : `squeeze: axis ${A} of ${ShowShape<S>} is ${S[AxisOf<S, A>]}, not 1`;
export const squeezeRule = (shape: Shape, axis: number): Shape | string =>
  onAxis('squeeze', shape, axis, (at, dim) =>
    dim === 1 ? replaceAxis(shape, at, []) : `squeeze: axis ${axis} of ${showShape(shape)} is ${dim}, not 1`);
