/**
 * Shapes written by hand: every dimension must be one literal. A dimension of type `number` or `2 | 3` equals everything in
 * the type checker's eyes, so it would silently switch checking off; it is refused where shapes come in.
 */
import { dimProblem, showShape } from '../dim.ts';
import type { Dim, Shape, ShowShape } from '../dim.ts';

type IsUnion<T, All = T> = T extends unknown ? ([All] extends [T] ? false : true) : never;
/** False for `number`, `string` and template types: they are index signatures, so `{}` has all their properties. */
type IsLiteral<D extends Dim> = {} extends Record<D, 1> ? false : true;
/** Also true while `S` is still to be inferred: then there is nothing to complain about yet. */
export type IsWide<S extends readonly unknown[]> = number extends S['length'] ? true : false;

type UnionFound = 'each dimension must be one literal, found a union';
type DimProblem<D extends Dim> =
  IsUnion<D> extends true ? UnionFound
  : IsLiteral<D> extends false ? `each dimension must be one literal, found ${number extends D ? 'number' : 'string'}`
  : D extends number ? (`${D}` extends '0' | `-${string}` | `${string}.${string}` ? `a dimension is a whole number above 0, found ${D}` : never)
  : never;
type FirstProblem<S extends Shape> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape]
    ? [DimProblem<First>] extends [never] ? FirstProblem<Rest> : DimProblem<First>
    : never;
/** The shape, when every dimension is a literal above 0, or a message. */
export type LiteralRule<Op extends string, S extends Shape> =
  IsUnion<S> extends true ? `${Op}: the shape must be one literal, found a union of shapes`
  : [FirstProblem<S>] extends [never] ? S
  : FirstProblem<S> extends UnionFound ? `${Op}: ${UnionFound}` // shown, the shape would be a union of messages
  : `${Op}: ${FirstProblem<S>} in ${ShowShape<S>}`;

/** The shape, when every dimension is well formed, or a message. */
export const literalRule = (op: string, shape: Shape): Shape | string => {
  for (const dim of shape) {
    const problem = dimProblem(dim);
    if (problem !== undefined) return `${op}: ${problem} in ${showShape(shape)}`;
  }
  return shape;
};

/** The dimension, when it is one literal above 0, or a message. */
export type LiteralDim<Op extends string, D extends Dim> = [DimProblem<D>] extends [never] ? D : `${Op}: ${DimProblem<D>}`;
