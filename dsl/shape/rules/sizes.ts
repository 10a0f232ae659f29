/** Rules that compare whole shapes: broadcast, reshape, expand, and the assertion `is`. */
import { canonical, divideDim, product, showShape } from '../dim.ts';
import type { Dim, DivideDim, Product, Shape, ShowShape } from '../dim.ts';
import { literalRule } from './literal.ts';
import type { LiteralRule } from './literal.ts';

/** The common shape, aligned at the end, or `{ fail: [a, b] }`: the two dimensions that do not go together. */
export type Aligned<A extends Shape, B extends Shape, Result extends Dim[] = []> =
  A extends readonly [...infer RestA extends Shape, infer a extends Dim]
    ? B extends readonly [...infer RestB extends Shape, infer b extends Dim]
      ? a extends b ? Aligned<RestA, RestB, [a, ...Result]>
        : a extends 1 ? Aligned<RestA, RestB, [b, ...Result]>
        : b extends 1 ? Aligned<RestA, RestB, [a, ...Result]>
        : { fail: [a, b] }
      : B extends readonly [] ? [...A, ...Result] : [...B, ...Result] // a shape that is not known stays so
    : A extends readonly [] ? [...B, ...Result] : [...A, ...Result];
/** The common shape, aligned at the end, or the two dimensions that do not go together. */
export const align = (a: Shape, b: Shape): { readonly shape: Shape } | { readonly fail: readonly [Dim, Dim] } => {
  const rank = Math.max(a.length, b.length);
  const shape: Dim[] = [];
  for (let i = rank - 1; i >= 0; i--) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return { fail: [x, y] };
    shape.unshift(x === 1 ? y : x);
  }
  return { shape };
};

export type BroadcastRule<Op extends string, A extends Shape, B extends Shape> =
  Aligned<A, B> extends infer R
    ? R extends { fail: [infer x extends Dim, infer y extends Dim] }
      ? `${Op}: cannot broadcast ${ShowShape<A>} with ${ShowShape<B>}: ${x} vs ${y}`
      : R
    : never;
export const broadcastRule = (op: string, a: Shape, b: Shape): Shape | string => {
  const aligned = align(a, b);
  return 'shape' in aligned ? aligned.shape
    : `${op}: cannot broadcast ${showShape(a)} with ${showShape(b)}: ${aligned.fail[0]} vs ${aligned.fail[1]}`;
};

type DropEqualFronts<A extends Shape, B extends Shape> =
  A extends readonly [infer a extends Dim, ...infer RestA extends Shape]
    ? B extends readonly [infer b extends Dim, ...infer RestB extends Shape]
      ? a extends b ? DropEqualFronts<RestA, RestB> : DropEqualEnds<A, B>
      : [A, B]
    : [A, B];
type DropEqualEnds<A extends Shape, B extends Shape> =
  A extends readonly [...infer RestA extends Shape, infer a extends Dim]
    ? B extends readonly [...infer RestB extends Shape, infer b extends Dim]
      ? a extends b ? DropEqualEnds<RestA, RestB> : [A, B]
      : [A, B]
    : [A, B];
/** Equal dimensions at both ends are dropped before multiplying: products stay small. */
type SameCount<A extends Shape, B extends Shape> =
  DropEqualFronts<A, B> extends [infer RestA extends Shape, infer RestB extends Shape]
    ? Product<RestA> extends Product<RestB> ? true : false
    : false;

type FillIn<S extends Shape, By extends readonly Dim[], Result extends Dim[] = []> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape]
    ? FillIn<Rest, By, First extends -1 ? [...Result, ...By] : [...Result, First]>
    : Result;
type FillReshape<S extends Shape, To extends Shape, Known extends Shape> =
  LiteralRule<'reshape', Known> extends infer Message extends string ? Message
  : To['length'] extends [...Known, -1]['length']
    ? DivideDim<Product<S>, Product<Known>> extends infer Missing extends Dim
      ? [Missing] extends [never]
        ? `reshape: ${ShowShape<S>} has ${Product<S>} elements, not a multiple of ${Product<Known>} for ${ShowShape<To>}`
        : FillIn<To, [Missing]>
      : never
    : `reshape: -1 can stand once only in ${ShowShape<To>}`;
/** One dimension of `To` may be -1: whatever is left. */
export type ReshapeRule<S extends Shape, To extends Shape> =
  -1 extends To[number] ? FillReshape<S, To, FillIn<To, []>>
  : LiteralRule<'reshape', To> extends infer Message extends string ? Message
  : SameCount<S, To> extends true ? [...To]
  : `reshape: ${ShowShape<S>} has ${Product<S>} elements, ${ShowShape<To>} has ${Product<To>}`;

export const reshapeRule = (shape: Shape, to: Shape): Shape | string => {
  const known = to.filter((dim) => dim !== -1);
  const problem = literalRule('reshape', known);
  if (typeof problem === 'string') return problem;
  if (to.length > known.length + 1) return `reshape: -1 can stand once only in ${showShape(to)}`;
  const target = canonical(to);
  const count = product(known);
  const missing = divideDim(product(shape), count);
  if (known.length === to.length) {
    return missing === 1 ? target : `reshape: ${showShape(shape)} has ${product(shape)} elements, ${showShape(target)} has ${count}`;
  }
  return missing === undefined
    ? `reshape: ${showShape(shape)} has ${product(shape)} elements, not a multiple of ${count} for ${showShape(target)}`
    : target.map((dim) => (dim === -1 ? missing : dim));
};

/** Size-1 and missing leading dimensions grow to those of `To`. */
export type ExpandRule<S extends Shape, To extends Shape> =
  LiteralRule<'expand', To> extends infer Message extends string ? Message
  : Aligned<S, To> extends [...To] ? [...To]
  : `expand: cannot expand ${ShowShape<S>} to ${ShowShape<To>}`;
export const expandRule = (shape: Shape, to: Shape): Shape | string => {
  const problem = literalRule('expand', to);
  if (typeof problem === 'string') return problem;
  const target = canonical(to);
  const aligned = align(shape, target);
  return 'shape' in aligned && showShape(aligned.shape) === showShape(target)
    ? target
    : `expand: cannot expand ${showShape(shape)} to ${showShape(target)}`;
};

/** The shape must be the expected one. */
export type ExactRule<Op extends string, S extends Shape, Expected extends Shape> =
  [...S] extends [...Expected] ? [...S] : `${Op}: expected ${ShowShape<Expected>}, got ${ShowShape<S>}`;
export const exactRule = (op: string, shape: Shape, expected: Shape): Shape | string =>
  showShape(shape) === showShape(canonical(expected)) ? shape : `${op}: expected ${showShape(canonical(expected))}, got ${showShape(shape)}`;
