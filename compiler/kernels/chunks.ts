/**
 * Splitting a kernel so that no binding passes the adapter's limit.
 *
 * The result is cut along one of its axes; in each piece the loads and the store of a large tensor reach only a part of it, which
 * the ranges of their indices prove, and only that part is bound.
 */
import { type Index, integer, ofVariable, plus, plusConstant } from '../../dsl/scalar/index-expression.ts';
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

/** The piece of `expression` where `axis` lies in [from, to); undefined if it still reaches too far. */
const pieceOf = (expression: TensorExpression, output: Output, axis: number, from: number, to: number, large: Large): Piece | undefined => {
  const old = expression.axes[axis]!, part = expression.variable(to - from);
  const axes = expression.axes.map((v, i) => (i === axis ? part : v));
  const value = substitute(expression.value, new Map([[old.id, plusConstant(ofVariable(part), from)]]));
  const at = (index: readonly Index[]): Index => output.index(index.map((x, i) => (i === axis ? plusConstant(x, from) : x)));
  const stored = at(axes.map(ofVariable));
  const ranges = new Map<number, (readonly [number, number])[]>([[output.tensor, [[stored.min, stored.max]]]]);
  for (const e of subexpressions(value)) if (e.kind === 'load') ranges.set(e.tensor, [...(ranges.get(e.tensor) ?? []), [e.index.min, e.index.max]]);
  const windows = new Map<number, Window>();
  for (const [tensor, reached] of ranges) {
    const most = large.most(tensor);
    if (most === undefined) continue;
    const window = windowOf(reached, large.alignment);
    if (window.count > most) return undefined;
    windows.set(tensor, window);
  }
  const shifted = rewriteScalar(value, (_e, rebuilt) => (rebuilt.kind === 'load' && windows.has(rebuilt.tensor)
    ? S.load(rebuilt.tensor, plus(rebuilt.index, integer(-windows.get(rebuilt.tensor)!.start)), rebuilt.stored, rebuilt.lanes) : rebuilt));
  const start = windows.get(output.tensor)?.start ?? 0;
  return { expression: { ...expression, axes, value: shifted }, output: { tensor: output.tensor, index: (index) => plusConstant(at(index), -start) }, windows };
};

const cut = (expression: TensorExpression, output: Output, axis: number, parts: number, large: Large): readonly Piece[] | undefined => {
  const extent = expression.axes[axis]!.extent, size = Math.ceil(extent / parts);
  const pieces: Piece[] = [];
  for (let from = 0; from < extent; from += size) {
    const piece = pieceOf(expression, output, axis, from, Math.min(extent, from + size), large);
    if (piece === undefined) return undefined;
    pieces.push(piece);
  }
  return pieces;
};

/** The whole kernel as one piece where it fits, else the fewest pieces along the first axis that helps; undefined if none does. */
export const chunked = (expression: TensorExpression, output: Output, large: Large): readonly Piece[] | undefined => {
  const tensors = [output.tensor, ...subexpressions(expression.value).flatMap((e) => (e.kind === 'load' ? [e.tensor] : []))];
  if (tensors.every((tensor) => large.most(tensor) === undefined)) return [{ expression, output, windows: new Map() }];
  for (let axis = 0; axis < expression.axes.length; axis++) {
    for (let parts = 1; parts <= expression.axes[axis]!.extent; parts *= 2) {
      const pieces = cut(expression, output, axis, parts, large);
      if (pieces !== undefined) return pieces;
    }
  }
  return undefined;
};
