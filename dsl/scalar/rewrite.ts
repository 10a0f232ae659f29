/** Walking, substituting and measuring scalar expressions. All walks are linear in the number of distinct subexpressions. */
import { type Index, substituteIndex, type Variable } from './index-expression.ts';
import * as S from './scalar.ts';
import type { Scalar } from './scalar.ts';

/** Operands of an expression; indices are visited by `indexOf`. */
export const operandsOf = (e: Scalar): readonly Scalar[] => {
  switch (e.kind) {
    case 'constant': case 'load': case 'index': case 'local': case 'element': return [];
    case 'unary': case 'cast': case 'splat': case 'lane': return [e.a];
    case 'binary': case 'dot': return [e.a, e.b];
    case 'select': return [e.condition, e.a, e.b];
    case 'reduce': return [e.body];
    case 'vector': return e.parts;
  }
};
const indexOf = (e: Scalar): Index | undefined => (e.kind === 'load' || e.kind === 'index' || e.kind === 'element' ? e.index : undefined);

/** The same expression over other operands. */
export const withOperands = (e: Scalar, parts: readonly Scalar[]): Scalar => {
  const [a, b, c] = parts;
  switch (e.kind) {
    case 'constant': case 'load': case 'index': case 'local': case 'element': return e;
    case 'unary': return { neg: S.neg, abs: S.abs, exp: S.exp, sqrt: S.sqrt, rsqrt: S.rsqrt, floor: S.floor, not: S.not, bitsToFloat: S.bitsToFloat, floatToBits: S.floatToBits }[e.op](a!);
    case 'cast': return S.cast(a!, e.type);
    case 'splat': return S.splat(a!, e.lanes);
    case 'lane': return S.lane(a!, e.lane);
    case 'binary': return S.binary(e.op, a!, b!);
    case 'dot': return S.dot(a!, b!);
    case 'select': return S.select(a!, b!, c!);
    case 'reduce': return S.reduce(e.monoid, e.over, a!);
    case 'vector': return S.vector(parts);
  }
};

/** Ids of the variables in an index. */
const indexVariables = (index: Index, scalar: (e: Scalar) => ReadonlySet<number>, into: Set<number>): void => {
  for (const { atom } of index.terms) {
    if (atom.kind === 'variable') into.add(atom.id);
    else if (atom.kind === 'value') for (const id of scalar(atom.of)) into.add(id);
    else indexVariables(atom.of, scalar, into);
  }
};

/** Locals count as variables too, with ids of their own below zero. */
export const localId = (local: number): number => -1 - local;

const freeMemo = new WeakMap<Scalar, ReadonlySet<number>>();
/** Ids of the variables that an expression depends on; those of its own reductions are bound, not free. */
export const freeVariables = (e: Scalar): ReadonlySet<number> => {
  const known = freeMemo.get(e);
  if (known !== undefined) return known;
  const found = new Set<number>();
  const index = indexOf(e);
  if (index !== undefined) indexVariables(index, freeVariables, found);
  if (e.kind === 'local') found.add(localId(e.local));
  if (e.kind === 'element') found.add(localId(e.after));
  for (const operand of operandsOf(e)) for (const id of freeVariables(operand)) found.add(id);
  if (e.kind === 'reduce') for (const v of e.over) found.delete(v.id);
  freeMemo.set(e, found);
  return found;
};

/** Rebuilds bottom-up with `change`, which sees an expression after its operands; shared parts are rebuilt once. */
export const rewriteScalar = (root: Scalar, change: (e: Scalar, rebuilt: Scalar) => Scalar): Scalar => {
  const memo = new Map<string, Scalar>();
  const visit = (e: Scalar): Scalar => {
    const known = memo.get(e.key);
    if (known !== undefined) return known;
    const parts = operandsOf(e), images = parts.map(visit);
    const same = images.every((image, i) => image === parts[i]);
    const result = change(e, same ? e : withOperands(e, images));
    memo.set(e.key, result);
    return result;
  };
  return visit(root);
};

/** Replaces loop variables by index expressions. */
export const substitute = (root: Scalar, by: ReadonlyMap<number, Index>): Scalar => {
  const memo = new Map<string, Scalar>();
  const visit = (e: Scalar): Scalar => {
    const known = memo.get(e.key);
    if (known !== undefined) return known;
    const parts = operandsOf(e), images = parts.map(visit);
    const result = e.kind === 'load' ? S.load(e.tensor, substituteIndex(e.index, by, visit), e.stored, e.lanes)
      : e.kind === 'index' ? S.fromIndex(substituteIndex(e.index, by, visit), e.type)
      : e.kind === 'element' ? S.element(e.array, substituteIndex(e.index, by, visit), e.after)
      : images.every((image, i) => image === parts[i]) ? e : withOperands(e, images);
    memo.set(e.key, result);
    return result;
  };
  return visit(root);
};

/** Every distinct subexpression, operands first; expressions inside gather indices included. */
export const subexpressions = (root: Scalar): readonly Scalar[] => {
  const seen = new Set<string>(), order: Scalar[] = [];
  const visitIndex = (index: Index): void => {
    for (const { atom } of index.terms) {
      if (atom.kind === 'value') visit(atom.of);
      else if (atom.kind !== 'variable') visitIndex(atom.of);
    }
  };
  const visit = (e: Scalar): void => {
    if (seen.has(e.key)) return;
    seen.add(e.key);
    const index = indexOf(e);
    if (index !== undefined) visitIndex(index);
    operandsOf(e).forEach(visit);
    order.push(e);
  };
  visit(root);
  return order;
};

export const reductionsIn = (root: Scalar): readonly S.ScalarKind<'reduce'>[] =>
  subexpressions(root).filter((e): e is S.ScalarKind<'reduce'> => e.kind === 'reduce');

/** Reductions that are met first on the way down; one may also be part of another one. */
export const outermostReductions = (root: Scalar): readonly S.ScalarKind<'reduce'>[] => {
  const seen = new Set<string>(), found: S.ScalarKind<'reduce'>[] = [];
  const visit = (e: Scalar): void => {
    if (seen.has(e.key)) return;
    seen.add(e.key);
    if (e.kind === 'reduce') found.push(e);
    else operandsOf(e).forEach(visit);
  };
  visit(root);
  return found;
};

export const extentOf = (variables: readonly Variable[]): number => variables.reduce((n, v) => n * v.extent, 1);
