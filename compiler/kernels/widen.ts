/**
 * Widening: the same scalar expression for `lanes` neighbouring values of one loop variable at once.
 *
 * A load becomes one wide load where its index proves it contiguous and aligned, one narrow load where it does not depend on
 * the variable, and separate loads otherwise.
 */
import { type Index, plus, plusConstant, substituteIndex, times } from '../../dsl/scalar/index-expression.ts';
import { freeVariables, localId, operandsOf, substitute, withOperands } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Lanes, Scalar } from '../../dsl/scalar/scalar.ts';

/** Whether an index is a multiple of `lanes` whatever its variables are. */
export const isAligned = (index: Index, lanes: number): boolean =>
  index.constant % lanes === 0 && index.terms.every((term) => term.coefficient % lanes === 0);
/** How far `to` lies behind `from`, if that is the same everywhere. */
export const distance = (from: Index, to: Index): number | undefined => {
  const difference = plus(to, times(from, -1));
  return difference.terms.length === 0 ? difference.constant : undefined;
};

const wideLoad = (load: S.ScalarKind<'load'>, at: readonly ReadonlyMap<number, Index>[], lanes: Lanes): Scalar => {
  const each = at.map((by) => substitute(load, by) as S.ScalarKind<'load'>); // substitution keeps the kind of a load
  const first = each[0]!;
  if (each.every((other) => other.key === first.key)) return S.splat(first, lanes);
  const contiguous = each.every((other, i) => distance(first.index, other.index) === i);
  return lanes > 1 && contiguous && isAligned(first.index, lanes) ? S.load(load.tensor, first.index, load.stored, lanes) : S.vector(each);
};

/**
 * What `e` is at each of the positions of `variable`, as one expression of that many lanes (1, 2 or 4). Locals in `locals`
 * (scalar stand-ins for accumulators) are replaced by values that are as wide already.
 */
export const widen = (e: Scalar, variable: number, positions: readonly Index[], locals: ReadonlyMap<number, Scalar> = new Map()): Scalar => {
  const lanes = positions.length as Lanes; // callers ask for 1, 2 or 4
  const at = positions.map((position) => new Map([[variable, position]]));
  const changing = [variable, ...[...locals.keys()].map(localId)];
  const memo = new Map<string, Scalar>();
  const widened = (x: Scalar): Scalar => {
    const free = freeVariables(x);
    if (!changing.some((id) => free.has(id))) return S.splat(x, lanes);
    if (x.kind === 'local') return locals.get(x.local)!;
    if (x.kind === 'load') return wideLoad(x, at, lanes);
    if (x.kind === 'element') return S.vector(at.map((by) => S.element(x.array, substituteIndex(x.index, by, (s) => substitute(s, by)), x.after)));
    if (x.kind === 'index') return S.vector(at.map((by) => S.fromIndex(substituteIndex(x.index, by, (s) => substitute(s, by)), x.type)));
    if (x.kind === 'reduce') throw new Error('invariant: a reduction cannot be widened');
    return withOperands(x, operandsOf(x).map(visit));
  };
  const visit = (x: Scalar): Scalar => {
    const known = memo.get(x.key);
    if (known !== undefined) return known;
    const result = widened(x);
    memo.set(x.key, result);
    return result;
  };
  return visit(e);
};

/** A vector that is read from memory as it is. */
export const isWideLoad = (e: Scalar): boolean => (e.lanes > 1 && e.kind === 'load') || (e.kind === 'cast' && isWideLoad(e.a));

/** The places of vector number `i`. */
export const positionsOf = (lanes: Lanes, i: Index): readonly Index[] => Array.from({ length: lanes }, (_, l) => plusConstant(times(i, lanes), l));
