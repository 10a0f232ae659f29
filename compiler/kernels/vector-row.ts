/**
 * The row schedule of processors: what `row.ts` does, in vectors of four lanes and with many elements for each thread.
 *
 * Reductions run in several vectors of partial results, which are joined at the end. Axes that no reduction depends on, or all axes where
 * nothing is reduced, become loops inside a thread, the last one in steps of four; its rest is computed one by one.
 */
import { type Atom, type Index, integer, ofVariable, plus, plusConstant, times, unflatten, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { extentOf, freeVariables, reductionsIn, subexpressions, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import { accessesOf } from './access.ts';
import { type Block, named, placed, placer, type ReduceSchedule, sequentialReduce } from './block.ts';
import { type Output, rowAxes } from './row.ts';
import type { TensorExpression } from './tensor-expression.ts';
import { splitThread } from './thread.ts';
import { fourFrom, LANES, loop, nested } from './vector-loops.ts';
import { widen } from './widen.ts';

type DTypes = Parameters<typeof accessesOf>[1];

/** Elements of a thread, about: a call costs as much as some of them. */
const GRAIN = 4096;

const last = <A>(items: readonly A[]): A | undefined => items[items.length - 1];

/** Vectors of partial results: enough to hide the latency of an addition. */
const partialsFor = (length: number): number => (length >= 64 ? 4 : length >= 16 ? 2 : 1);

const joinedLanes = (join: (a: Scalar, b: Scalar) => Scalar, e: Scalar): Scalar =>
  join(join(S.lane(e, 0), S.lane(e, 1)), join(S.lane(e, 2), S.lane(e, 3)));

/** A reduction in vectors along its last variable. */
const vectorReduce = (variable: TensorExpression['variable']): ReduceSchedule => (p, e, block) => {
  const along = last(e.over), join = e.monoid === 'sum' ? (a: Scalar, b: Scalar) => S.binary('add', a, b) : S.max;
  const isApart = along !== undefined && reductionsIn(e.body).every((inner) => !freeVariables(inner).has(along.id));
  if (along === undefined || along.extent < 2 * LANES || e.type === 'bool' || !isApart) return sequentialReduce(p, e, block);
  const identity = S.constant(S.identityOf(e.monoid, e.type), e.type), partials = partialsFor(along.extent), outer = e.over.slice(0, -1);
  const sums = Array.from({ length: partials }, () => p.declare(block, S.splat(identity, LANES)));
  const step = LANES * partials, main = variable(Math.floor(along.extent / step));
  const add = (to: Block, sum: Scalar, value: Scalar): void => p.push(to, { kind: 'assign', local: (sum as S.ScalarKind<'local'>).local, value: join(sum, value) }); // sums are declared: locals
  const single = along.extent % LANES === 0 ? undefined : p.declare(block, identity);
  nested(p, block, outer, (around) => {
    loop(p, around, main, (to) => sums.forEach((sum, i) => add(to, sum, placed(p, widen(e.body, along.id, fourFrom(plusConstant(times(ofVariable(main), step), i * LANES))), to))));
    for (let from = main.extent * step; from + LANES <= along.extent; from += LANES) add(around, sums[(from / LANES) % partials]!, placed(p, widen(e.body, along.id, fourFrom(integer(from))), around));
    if (single === undefined) return;
    const rest = variable(along.extent % LANES), start = along.extent - rest.extent;
    loop(p, around, rest, (to) => add(to, single, placed(p, substitute(e.body, new Map([[along.id, plusConstant(ofVariable(rest), start)]])), to)));
  });
  const whole = named(p, block, sums.reduce(join)), lanes = joinedLanes(join, whole);
  return named(p, block, single === undefined ? lanes : join(lanes, single));
};

const isPlain = (atom: Atom): boolean => atom.kind === 'variable' || atom.kind === 'value';
/** Whether an expression reads only at sums of its variables. */
const isSimple = (e: Scalar): boolean => subexpressions(e).every((part) => (part.kind !== 'load' && part.kind !== 'index') || part.index.terms.every(({ atom }) => isPlain(atom)));

interface Plan {
  /** Axes that threads have for themselves, and those they walk along. */
  readonly outer: readonly Variable[];
  readonly inner: readonly Variable[];
  readonly value: Scalar;
  /** Where an element is stored, given the axes. */
  readonly index: Index;
}

/** All axes as one where the elements lie in the same order everywhere. */
const flattened = ({ axes, value, variable }: TensorExpression, index: Index): Plan | undefined => {
  if (axes.length === 0) return undefined;
  const flat = variable(extentOf(axes)), positions = unflatten(ofVariable(flat), axes.map((axis) => axis.extent));
  const by = new Map(axes.map((axis, i) => [axis.id, positions[i]!] as const)), whole = substitute(value, by), place = substitute(S.fromIndex(index, 'i32'), by);
  return isSimple(whole) && isSimple(place) && place.kind === 'index' ? { outer: [], inner: [flat], value: whole, index: place.index } : undefined;
};

/** The last axes as one, until there are some vectors in it. */
const widened = (plan: Plan, variable: TensorExpression['variable']): Plan => {
  const { inner } = plan, end = last(inner), before = inner[inner.length - 2];
  if (end === undefined || before === undefined || end.extent >= 2 * LANES || (end.extent > 1 && end.extent % LANES === 0)) return plan;
  const both = variable(before.extent * end.extent), [high, low] = unflatten(ofVariable(both), [before.extent, end.extent]) as readonly [Index, Index]; // one for each extent
  const by = new Map([[before.id, high], [end.id, low]]), place = substitute(S.fromIndex(plan.index, 'i32'), by);
  const index = place.kind === 'index' ? place.index : integer((place as S.ScalarKind<'constant'>).value); // an index or a constant
  return widened({ ...plan, inner: [...inner.slice(0, -2), both], value: substitute(plan.value, by), index }, variable);
};

/** Threads take the first of the inner axes for as long as they keep enough to do; a long single axis is cut. */
const shared = (plan: Plan, variable: TensorExpression['variable']): Plan => {
  const { outer, inner } = plan, [first, ...rest] = inner;
  if (first === undefined || extentOf(inner) <= GRAIN) return plan;
  if (rest.length > 0) return shared({ ...plan, outer: [...outer, first], inner: rest }, variable);
  const pieces = largestDivisor(first.extent, Math.floor(first.extent / GRAIN));
  if (pieces === 1) return plan;
  const piece = variable(pieces), own = variable(first.extent / pieces), at = plus(times(ofVariable(piece), own.extent), ofVariable(own));
  const by = new Map([[first.id, at]]), place = substitute(S.fromIndex(plan.index, 'i32'), by);
  return { outer: [...outer, piece], inner: [own], value: substitute(plan.value, by), index: place.kind === 'index' ? place.index : plan.index };
};
const largestDivisor = (of: number, most: number): number => {
  for (let by = most; by > 1; by--) if (of % by === 0 && (of / by) % LANES === 0) return by;
  return 1;
};

export const vectorRowKernel = (expression: TensorExpression, output: Output, dtypes: DTypes): LoopKernel => {
  const { axes, value, variable } = expression, index = output.index(axes.map(ofVariable)), rows = rowAxes(expression), isReduced = reductionsIn(value).length > 0;
  const bare: Plan = isReduced ? { outer: rows, inner: axes.filter((axis) => !rows.includes(axis)), value, index } : { outer: [], inner: axes, value, index };
  const plan = isReduced ? widened(bare, variable) : shared(flattened(expression, index) ?? widened(bare, variable), variable);
  const flat = variable(extentOf(plan.outer)), at = splitThread(ofVariable(flat), plan.outer);
  const placeIn = substitute(S.fromIndex(plan.index, 'i32'), at), place = placeIn.kind === 'index' ? placeIn.index : integer((placeIn as S.ScalarKind<'constant'>).value); // an index or a constant
  const result = substitute(plan.value, at), end = last(plan.inner);
  const p = placer([flat.id], vectorReduce(variable));
  const indexAt = (by: ReadonlyMap<number, Index>): Index => {
    const e = substitute(S.fromIndex(place, 'i32'), by);
    return e.kind === 'index' ? e.index : integer((e as S.ScalarKind<'constant'>).value); // an index or a constant
  };
  const store = (to: Block, by: ReadonlyMap<number, Index>, e: Scalar): void => {
    p.expect([e]);
    p.push(to, { kind: 'store', tensor: output.tensor, index: p.placeIndex(indexAt(by), to), value: p.place(e, to) });
  };
  // lanes that do not lie side by side are stored one by one
  const isSideBySide = end !== undefined && end.extent >= LANES && [1, 2, 3].every((i) => {
    const difference = plus(indexAt(new Map([[end.id, integer(i)]])), times(indexAt(new Map([[end.id, integer(0)]])), -1));
    return difference.terms.length === 0 && difference.constant === i;
  }) && isContinuous(indexAt, end);
  if (end === undefined || !isSideBySide) nested(p, p.root, plan.inner, (to) => store(to, new Map(), result));
  else nested(p, p.root, plan.inner.slice(0, -1), (around) => {
    const four = variable(Math.floor(end.extent / LANES)), rest = variable(end.extent % LANES);
    loop(p, around, four, (to) => {
      const positions = fourFrom(times(ofVariable(four), LANES));
      store(to, new Map([[end.id, positions[0]!]]), widen(result, end.id, positions));
    });
    loop(p, around, rest, (to) => {
      const position = new Map([[end.id, plusConstant(ofVariable(rest), end.extent - rest.extent)]]);
      store(to, position, substitute(result, position));
    });
  });
  return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread: [flat], lane: undefined, workgroupSize: [1, 1, 1], body: p.root.statements };
};

/** Whether the place grows by one with the variable everywhere. */
const isContinuous = (indexAt: (by: ReadonlyMap<number, Index>) => Index, end: Variable): boolean => {
  const { terms } = indexAt(new Map());
  return terms.every(({ atom, coefficient }) => (atom.kind === 'variable' ? atom.id !== end.id || coefficient === 1 : !mentions(atom, end)));
};
const mentions = (atom: Atom, variable: Variable): boolean =>
  atom.kind === 'variable' ? atom.id === variable.id : atom.kind === 'value' ? freeVariables(atom.of).has(variable.id) : atom.of.terms.some((term) => mentions(term.atom, variable));
