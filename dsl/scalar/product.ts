/**
 * Algebra of sums of products: which factors of a sum do not depend on what is summed over, and one name for equal sums.
 *
 * Used by schedules that keep part of a sum in registers: `Σ_m (e(m) / z) v(m)` is `(Σ_m e(m) v(m)) / z`, so z may still be unknown
 * while the sum runs. The error bounds of the reference allow it: they hold for every order of the same multiplications.
 */
import { type Index, ofVariable, type Variable } from './index-expression.ts';
import { freeVariables, operandsOf, rewriteScalar, subexpressions, substitute } from './rewrite.ts';
import * as S from './scalar.ts';
import type { Scalar } from './scalar.ts';

/** Factors above and below the line. */
export interface Product { readonly over: readonly Scalar[]; readonly under: readonly Scalar[] }

/** The factors of a product of floats; any other expression is one factor. */
export const productOf = (e: Scalar): Product => {
  if (e.kind !== 'binary' || e.type !== 'f32' || (e.op !== 'mul' && e.op !== 'div')) return { over: [e], under: [] };
  const a = productOf(e.a), b = productOf(e.b);
  return e.op === 'mul' ? { over: [...a.over, ...b.over], under: [...a.under, ...b.under] }
    : { over: [...a.over, ...b.under], under: [...a.under, ...b.over] };
};

const ONE = S.constant(1, 'f32');
export const ofProduct = ({ over, under }: Product): Scalar => {
  const top = over.reduce<Scalar>(S.mul, ONE);
  return under.length === 0 ? top : S.div(top, under.reduce<Scalar>(S.mul, ONE));
};

const dependsOn = (e: Scalar, ids: ReadonlySet<number>): boolean => [...freeVariables(e)].some((id) => ids.has(id));

/** Factors that depend on one of the variables, and the rest. */
export const splitProduct = ({ over, under }: Product, variables: readonly Variable[]): { readonly inside: Product; readonly outside: Product } => {
  const ids = new Set(variables.map((v) => v.id));
  const part = (wanted: boolean) => (e: Scalar): boolean => dependsOn(e, ids) === wanted;
  return {
    inside: { over: over.filter(part(true)), under: under.filter(part(true)) },
    outside: { over: over.filter(part(false)), under: under.filter(part(false)) },
  };
};

/** A sum with the factors that are the same in all of its terms in front of it. */
export const pulledOut = (e: S.ScalarKind<'reduce'>): Scalar => {
  if (e.monoid !== 'sum' || e.type !== 'f32') return e;
  const { inside, outside } = splitProduct(productOf(e.body), e.over);
  if ((outside.over.length === 0 && outside.under.length === 0) || (inside.over.length === 0 && inside.under.length === 0)) return e;
  return ofProduct({ over: [S.reduce('sum', e.over, ofProduct(inside)), ...outside.over], under: outside.under });
};

/** Variables that are bound inside an expression have numbers from here on after `canonical`, and behind those that it has already. */
const BOUND = 1_000_000;
const firstNumber = (root: Scalar): number =>
  1 + subexpressions(root).reduce((most, e) => (e.kind === 'reduce' ? e.over.reduce((m, v) => Math.max(m, v.id), most) : most), BOUND - 1);

/**
 * The same expression with its reductions' variables numbered by nesting height, so that equal sums are equal expressions. A reduction
 * holds only lower ones, so no variable is captured.
 */
export const canonical = (root: Scalar): Scalar => {
  const first = firstNumber(root), numbers = new Map<string, number>(), heights = new Map<string, number>();
  const numbered = (height: number, place: number, extent: number): Variable => {
    const name = `${height} ${place} ${extent}`, id = numbers.get(name) ?? first + numbers.size;
    numbers.set(name, id);
    return { kind: 'variable', id, extent };
  };
  const heightOf = (e: Scalar): number => {
    const known = heights.get(e.key);
    if (known !== undefined) return known;
    const inner = Math.max(0, ...operandsOf(e).map(heightOf)), height = e.kind === 'reduce' ? inner + 1 : inner;
    heights.set(e.key, height);
    return height;
  };
  return rewriteScalar(root, (_e, rebuilt) => {
    if (rebuilt.kind !== 'reduce') return rebuilt;
    const height = heightOf(rebuilt), over = rebuilt.over.map((v, i) => numbered(height, i, v.extent));
    const by = new Map<number, Index>(rebuilt.over.map((v, i) => [v.id, ofVariable(over[i]!)]));
    return S.reduce(rebuilt.monoid, over, substitute(rebuilt.body, by));
  });
};
