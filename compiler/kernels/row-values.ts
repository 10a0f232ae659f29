/**
 * Values of rows in a staged matmul: norms of the left factor's rows, and whatever else of its expressions contains a reduction and depends
 * on the row (and the batch) alone.
 *
 * The threads of a workgroup compute each of them once for every row of the tile, into workgroup memory: four threads share a row and
 * read neighbouring vectors of it.
 */
import { clampIndex, type Index, ofVariable, plus, plusConstant, quotient, remainder, times, unflatten } from '../../dsl/scalar/index-expression.ts';
import { extentOf, freeVariables, operandsOf, reductionsIn, rewriteScalar, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Lanes, LocalArray, Scalar } from '../../dsl/scalar/scalar.ts';
import { type Block, placed } from './block.ts';
import { widthFor } from './matmul.ts';
import { widen } from './widen.ts';
import { meet, type Team, together } from './workgroup.ts';

type Reduce = S.ScalarKind<'reduce'>;

export interface RowValue {
  readonly value: Scalar;
  /** Stands in for it in the expressions that use it. */
  readonly local: number;
}
export interface RowValues {
  readonly values: readonly RowValue[];
  /** The reductions in them that depend on nothing else either, inner ones first. */
  readonly reductions: readonly Reduce[];
}

const dependsOnlyOn = (e: Scalar, allowed: ReadonlySet<number>): boolean => [...freeVariables(e)].every((id) => allowed.has(id));

/** The largest parts of the expressions that contain a reduction and depend on nothing but `allowed`. */
export const rowValuesIn = (expressions: readonly Scalar[], allowed: ReadonlySet<number>, newLocal: () => number): RowValues => {
  const found = new Map<string, Scalar>(), seen = new Set<string>();
  const visit = (e: Scalar): void => {
    if (seen.has(e.key)) return;
    seen.add(e.key);
    if (reductionsIn(e).length > 0 && dependsOnlyOn(e, allowed)) found.set(e.key, e);
    else operandsOf(e).forEach(visit);
  };
  expressions.forEach(visit);
  const values = [...found.values()].map((value) => ({ value, local: newLocal() }));
  const reductions = new Map(values.flatMap(({ value }) => reductionsIn(value)).filter((e) => dependsOnlyOn(e, allowed)).map((e) => [e.key, e]));
  return { values, reductions: [...reductions.values()] };
};

/** An expression with locals in the places of its row values. */
export const withRowLocals = (e: Scalar, { values }: RowValues): Scalar => {
  const locals = new Map(values.map(({ value, local }) => [value.key, local]));
  return rewriteScalar(e, (old, rebuilt) => (locals.has(old.key) ? S.local(locals.get(old.key)!, old.type) : rebuilt));
};

/** Threads that share a row, at most. */
const SHARERS = 4;
const sharers = (threads: number): number => Math.min(SHARERS, threads);

/** Numbers in workgroup memory for each row: a partial result of each thread that shares it, and the values; at most. */
export const numbersPerRow = ({ values, reductions }: RowValues): number => values.length + reductions.length * SHARERS;

export interface RowSite extends Team {
  readonly newArray: (length: number, type: S.ScalarType, lanes: Lanes) => LocalArray;
  /** Rows of the tile. */
  readonly rows: number;
  /** Positions of batch and row for a row of the tile. */
  readonly at: (row: Index) => ReadonlyMap<number, Index>;
}

const join = (monoid: S.Monoid, a: Scalar, b: Scalar): Scalar => (monoid === 'sum' ? S.add(a, b) : S.max(a, b));
const lanesJoined = (monoid: S.Monoid, e: Scalar): Scalar => Array.from({ length: e.lanes }, (_, i) => S.lane(e, i)).reduce((a, b) => join(monoid, a, b));

/** Loads that a thread has under way while it reduces rows, about: nothing else hides their latency there. */
const MOST_LOADS = 16;

/** A thread's share of the reductions of several rows at once, so that many loads are under way: every `count`-th vector from the `share`-th on. */
const sharesOf = ({ p, variable }: RowSite, { monoid, over, type }: Reduce, bodies: readonly Scalar[], block: Block, share: Index, count: number): readonly Scalar[] => {
  const total = extentOf(over), flat = variable(total);
  const positions = new Map(unflatten(ofVariable(flat), over.map((v) => v.extent)).map((position, i) => [over[i]!.id, position]));
  const values = bodies.map((body) => substitute(body, positions));
  // a reduction inside that depends on the position cannot be widened
  const isNested = values.some((value) => reductionsIn(value).some((e) => freeVariables(e).has(flat.id)));
  const lanes = isNested ? 1 : widthFor(over[over.length - 1]!.extent, 4), vectors = total / lanes;
  const identity = S.splat(S.constant(S.identityOf(monoid, type), type), lanes);
  const turns = Math.ceil(vectors / count), atOnce = [4, 2].find((n) => turns % n === 0 && n * values.length <= MOST_LOADS) ?? 1;
  const sums = values.map(() => p.declare(block, identity)), step = variable(turns / atOnce), loop = p.open(block, true, [step.id]);
  for (let turn = 0; turn < atOnce; turn++) {
    const vector = plus(times(plusConstant(times(ofVariable(step), atOnce), turn), count), share), exists = S.indexBelow(vector, vectors);
    const start = times(clampIndex(vector, 0, vectors - 1), lanes), at = Array.from({ length: lanes }, (_, l) => plusConstant(start, l));
    values.forEach((value, i) => {
      const here = lanes === 1 ? substitute(value, new Map([[flat.id, start]])) : widen(value, flat.id, at);
      const counted = S.select(exists.kind === 'constant' ? exists : S.splat(exists, lanes), here, identity);
      const { local } = sums[i]! as S.ScalarKind<'local'>; // declare makes locals
      p.push(loop, { kind: 'assign', local, value: join(monoid, sums[i]!, placed(p, counted, loop)) });
    });
  }
  p.push(block, { kind: 'for', variable: step, body: loop.statements });
  return sums.map((sum) => lanesJoined(monoid, sum));
};

/** Computes the values of all rows of the tile; gives, for a row of the tile, what stands for each local. */
export const computeRowValues = (site: RowSite, block: Block, { values, reductions }: RowValues): ((row: Index) => ReadonlyMap<number, Scalar>) => {
  const { p, rows, lane } = site, count = sharers(lane.extent);
  const results = new Map<string, (row: Index) => Scalar>();
  const withResults = (e: Scalar, row: Index): Scalar => substitute(rewriteScalar(e, (old, rebuilt) => results.get(old.key)?.(row) ?? rebuilt), site.at(row));
  for (const e of reductions) {
    // rows and threads are powers of two: either all threads have equally many rows, or some have none
    const shares = rows * count, array = site.newArray(shares, e.type, 1), passes = Math.max(1, shares / lane.extent);
    const items = Array.from({ length: passes }, (_, i) => clampIndex(plusConstant(ofVariable(lane), i * lane.extent), 0, shares - 1));
    const parts = sharesOf(site, e, items.map((item) => withResults(e.body, quotient(item, count))), block, remainder(items[0]!, count), count);
    const isBusy = S.indexBelow(ofVariable(lane), shares), puts = parts.map((value, i) => ({ kind: 'put' as const, array, index: items[i]!, value }));
    for (const statement of isBusy.kind === 'constant' ? puts : [{ kind: 'if' as const, condition: isBusy, body: puts }]) p.push(block, statement);
    const after = meet(p, block);
    const partAt = (row: Index, i: number): Scalar => S.element(array, plusConstant(times(row, count), i), after);
    results.set(e.key, (row) => Array.from({ length: count }, (_, i) => partAt(row, i)).reduce((a, b) => join(e.monoid, a, b)));
  }
  const arrays = values.map(({ value, local }) => ({ value, local, array: site.newArray(rows, value.type, 1) }));
  for (const { value, array } of arrays) {
    together(site, block, rows, (inner, row) => p.push(inner, { kind: 'put', array, index: p.placeIndex(row, inner), value: placed(p, withResults(value, row), inner) }));
  }
  const after = values.length === 0 ? -1 : meet(p, block);
  return (row) => new Map(arrays.map(({ local, array }) => [local, S.element(array, row, after)]));
};
