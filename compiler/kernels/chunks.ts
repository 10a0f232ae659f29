/**
 * Splitting a kernel so that no binding passes the adapter's limit.
 *
 * The result is cut along one of its axes, or two; in each piece the loads and the store of a large tensor reach only a part of it, which
 * the ranges of their indices prove, and only that part is bound.
 */
import { integer, ofVariable, plus, plusConstant } from '../../dsl/scalar/index-expression.ts';
import { rewriteScalar, subexpressions, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Output } from './row.ts';
import type { TensorExpression } from './tensor-expression.ts';

/** The part of a tensor that a kernel binds, in elements. */
export interface Window { readonly start: number; readonly count: number }

export interface Piece {
  readonly expression: TensorExpression;
  readonly output: Output;
  /** Tensors that are bound in part; all others are bound whole. */
  readonly windows: ReadonlyMap<number, Window>;
}

export interface Large {
  /** Elements that one binding of a tensor may hold; undefined where the whole tensor fits. */
  readonly most: (tensor: number) => number | undefined;
  /** Window starts are multiples of this many elements (bindings start at multiples of 256 bytes). */
  readonly alignment: number;
}

const windowOf = (ranges: readonly (readonly [number, number])[], alignment: number): Window => {
  const low = Math.min(...ranges.map(([min]) => min)), high = Math.max(...ranges.map(([, max]) => max));
  const start = Math.floor(Math.max(0, low) / alignment) * alignment;
  return { start, count: high + 1 - start };
};

interface Part { readonly expression: TensorExpression; readonly output: Output }

/** The part of a kernel where `axis` lies in [from, to). */
const narrowed = ({ expression, output }: Part, axis: number, from: number, to: number): Part => {
  const old = expression.axes[axis]!, part = expression.variable(to - from);
  return {
    expression: {
      ...expression, axes: expression.axes.map((v, i) => (i === axis ? part : v)),
      value: substitute(expression.value, new Map([[old.id, plusConstant(ofVariable(part), from)]])),
    },
    output: { tensor: output.tensor, index: (index) => output.index(index.map((x, i) => (i === axis ? plusConstant(x, from) : x))) },
  };
};

/** A part with windows on its large tensors; undefined if one of them is still too large to bind. */
const fitted = ({ expression, output }: Part, large: Large): Piece | undefined => {
  const stored = output.index(expression.axes.map(ofVariable));
  const ranges = new Map<number, (readonly [number, number])[]>([[output.tensor, [[stored.min, stored.max]]]]);
  for (const e of subexpressions(expression.value)) {
    if (e.kind === 'load') ranges.set(e.tensor, [...(ranges.get(e.tensor) ?? []), [e.index.min, e.index.max]]);
  }
  const windows = new Map<number, Window>();
  for (const [tensor, reached] of ranges) {
    const most = large.most(tensor);
    if (most === undefined) continue;
    const window = windowOf(reached, large.alignment);
    if (window.count > most) return undefined;
    windows.set(tensor, window);
  }
  if (windows.size === 0) return { expression, output, windows };
  const value = rewriteScalar(expression.value, (_e, rebuilt) => (rebuilt.kind === 'load' && windows.has(rebuilt.tensor)
    ? S.load(rebuilt.tensor, plus(rebuilt.index, integer(-windows.get(rebuilt.tensor)!.start)), rebuilt.stored, rebuilt.lanes) : rebuilt));
  const start = windows.get(output.tensor)?.start ?? 0;
  return { expression: { ...expression, value }, output: { tensor: output.tensor, index: (index) => plusConstant(output.index(index), -start) }, windows };
};

/** Numbers of parts to try: powers of two, and one for each position. */
const partCounts = (extent: number): readonly number[] => {
  const counts: number[] = [];
  for (let parts = 2; parts < extent; parts *= 2) counts.push(parts);
  return extent > 1 ? [...counts, extent] : [];
};
const cut = (part: Part, axis: number, parts: number): readonly Part[] => {
  const { extent } = part.expression.axes[axis]!, size = Math.ceil(extent / parts);
  return Array.from({ length: Math.ceil(extent / size) }, (_, i) => narrowed(part, axis, i * size, Math.min(extent, (i + 1) * size)));
};
const all = <A>(items: readonly (A | undefined)[]): readonly A[] | undefined => (items.includes(undefined) ? undefined : (items as readonly A[])); // none is undefined

/** More parts than this are not cut a second time. */
const MOST_PARTS = 256;

/** The whole kernel as one piece where it fits; else the fewest parts along one axis that help, or along two; undefined if none do. */
const split = (part: Part, from: number, large: Large): readonly Piece[] | undefined => {
  const whole = fitted(part, large);
  if (whole !== undefined) return [whole];
  const axes = part.expression.axes.map((_, axis) => axis).slice(from);
  const choices = axes.flatMap((axis) => partCounts(part.expression.axes[axis]!.extent).map((parts) => ({ axis, parts })));
  for (const { axis, parts } of choices) {
    const pieces = all(cut(part, axis, parts).map((piece) => fitted(piece, large)));
    if (pieces !== undefined) return pieces;
  }
  for (const { axis, parts } of choices) {
    if (parts > MOST_PARTS) continue;
    const pieces = all(cut(part, axis, parts).map((piece) => split(piece, axis + 1, large)));
    if (pieces !== undefined) return pieces.flat();
  }
  return undefined;
};

/** The pieces of a kernel that fit the adapter's bindings; undefined if no axis helps. */
export const chunked = (expression: TensorExpression, output: Output, large: Large): readonly Piece[] | undefined => split({ expression, output }, 0, large);
