/**
 * One deliberate mistake for each op, of the kind that people make: the last element dropped, operands swapped, an index off by
 * one, a constant a little wrong. An op without one does not compile. The laws must catch them all.
 */
import type { LowerSite, OpDefinition } from '../../dsl/ops/definition.ts';
import { numberAttribute, numbersAttribute } from '../../dsl/ops/attributes.ts';
import type { OpName } from '../../dsl/ops/table.ts';
import {
  clampIndex,
  flatten,
  type Index,
  integer,
  ofVariable,
  plusConstant,
  times,
  unflatten,
  type Variable,
} from '../../dsl/scalar/index-expression.ts';
import { substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';

export interface Mutant {
  /** The mistake. */
  readonly what: string;
  readonly change: (definition: OpDefinition) => OpDefinition;
}

const lowered = (what: string, lower: (site: LowerSite, original: OpDefinition['lower']) => S.Scalar): Mutant => ({
  what,
  change: (definition) => ({ ...definition, lower: (site) => lower(site, definition.lower) }),
});

/** A lowering of the operands' elements at the same index. */
const elementwise = (what: string, lower: (...operands: readonly S.Scalar[]) => S.Scalar): Mutant =>
  lowered(what, ({ operands, index }) => lower(...operands.map((operand) => operand.at(index))));

/** The original result times 1 + 2^-16: a constant of a polynomial that is a little wrong. */
const slightlyWrong = (what: string): Mutant => lowered(what, (site, original) => S.mul(original(site), S.constant(1 + 2 ** -16, 'f32')));

/** The original lowering, with an index moved. */
const moved = (what: string, move: (index: readonly Index[], site: LowerSite) => readonly Index[]): Mutant =>
  lowered(what, (site, original) => original({ ...site, index: move(site.index, site) }));

/** The last element along the first axis that is reduced is left out. */
const dropsLast: Mutant = lowered('the last element of the reduction is dropped', (site, original) => {
  const value = original(site);
  if (value.kind !== 'reduce') return value;
  const [first, ...rest] = value.over as readonly [Variable, ...Variable[]],
    shorter = site.variable(first.extent - 1); // a reduction has an axis
  return S.reduce(value.monoid, [shorter, ...rest], substitute(value.body, new Map([[first.id, ofVariable(shorter)]])));
});

const one = (x: S.Scalar): S.Scalar => S.constant(1, x.type);
/** Inside an axis of this size. */
const inside = (index: Index, size: number): Index => clampIndex(index, 0, size - 1);

/** Wrong in the reference instead, for ops that have no lowering. */
const misread = (what: string, by: number): Mutant => ({
  what,
  change: (definition) => ({
    ...definition,
    reference: { ...definition.reference, value: (...call) => definition.reference.value(...call).map((x, i) => (i === 0 ? x + by : x)) },
  }),
});

const neighbour = lowered('reads its neighbour', ({ operands: [x], index }) => x!.at(index.map((part, axis) => inside(plusConstant(part, 1), x!.shape[axis]!))));

export const MUTANTS = {
  input: {
    what: 'the last axis is forgotten',
    change: (definition) => ({
      ...definition,
      infer: (...call) => {
        const type = definition.infer(...call);
        return typeof type === 'string' || type.shape.length === 0 ? type : { ...type, shape: type.shape.slice(0, -1) };
      },
    }),
  },
  constant: lowered('the number is rounded to a whole one', ({ attributes, result }) =>
    S.constant(Math.floor(numberAttribute(attributes, 'value')), result.dtype as S.ScalarType),
  ),
  literal: misread('the first element is one too large', 1),
  size: lowered('one too large', (site, original) => {
    const n = original(site);
    return S.add(n, one(n));
  }),
  iota: moved('starts at 1', ([i]) => [plusConstant(i!, 1)]),
  randomBits: moved('the counter is one ahead', (index, { result }) =>
    unflatten(plusConstant(flatten(index, result.shape), 1), [...result.shape.slice(0, -1), result.shape.at(-1)! + 1]),
  ),
  nearestIndex: lowered('rounds to the next instead of down', ({ index: [i], attributes }) => {
    const from = numberAttribute(attributes, 'from'),
      scale = S.constant(Math.fround(from / numberAttribute(attributes, 'to')), 'f32');
    const place = S.floor(S.add(S.mul(S.fromIndex(i!, 'f32'), scale), S.constant(0.5, 'f32')));
    return S.min(S.cast(place, 'i32'), S.constant(from - 1, 'i32'));
  }),

  neg: elementwise('the identity', (x) => x),
  abs: elementwise('the identity', (x) => x),
  exp: slightlyWrong('wrong by 2^-16'),
  log: slightlyWrong('wrong by 2^-16'),
  sin: slightlyWrong('wrong by 2^-16'),
  cos: slightlyWrong('wrong by 2^-16'),
  sqrt: slightlyWrong('wrong by 2^-16'),
  rsqrt: slightlyWrong('wrong by 2^-16'),
  floor: elementwise('cut off towards 0', (x) => S.cast(S.cast(x, 'i32'), 'f32')),
  not: elementwise('the identity', (x) => x),

  add: elementwise('subtracts', (a, b) => S.sub(a, b)),
  sub: elementwise('operands swapped', (a, b) => S.sub(b, a)),
  mul: elementwise('the first operand twice', (a) => S.mul(a, a)),
  div: elementwise('operands swapped', (a, b) => S.div(b, a)),
  max: elementwise('the smaller one', (a, b) => S.min(a, b)),
  min: elementwise('the first one', (a) => a),
  eq: elementwise('at most', (a, b) => S.le(a, b)),
  lt: elementwise('equal counts', (a, b) => S.le(a, b)),
  le: elementwise('equal does not count', (a, b) => S.lt(a, b)),
  and: elementwise('or', (a, b) => S.or(a, b)),
  or: elementwise('and', (a, b) => S.and(a, b)),
  select: elementwise('branches swapped', (c, a, b) => S.select(c, b, a)),
  cast: lowered('rounds down instead of towards 0; true is 0', (site, original) => {
    const x = site.operands[0]!.at(site.index),
      y = original(site);
    return x.type === 'f32' && y.type === 'i32' ? S.cast(S.floor(x), 'i32') : x.type === 'bool' && y.type !== 'bool' ? S.constant(0, y.type) : y;
  }),
  tap: neighbour,
  stopGradient: neighbour,
  again: neighbour,

  sum: dropsLast,
  reduceMax: lowered('starts from 0 instead of the smallest number', (site, original) => {
    const y = original(site);
    return S.max(y, S.constant(0, y.type));
  }),
  einsum: dropsLast,

  reshape: lowered('column-major', ({ operands: [x], result, index }) => {
    const reversed = (shape: readonly number[]): readonly number[] => [...shape].reverse();
    return x!.at([...unflatten(flatten([...index].reverse(), reversed(result.shape)), reversed(x!.shape))].reverse());
  }),
  permute: lowered('the inverse permutation', ({ operands: [x], attributes, index }) =>
    x!.at(numbersAttribute(attributes, 'axes').map((axis, i) => inside(index[axis]!, x!.shape[i]!))),
  ),
  expand: lowered('the first element everywhere', ({ operands: [x] }) => x!.at(x!.shape.map(() => integer(0)))),
  slice: lowered('steps are ignored, starts too late', ({ operands: [x], attributes, index }) =>
    x!.at(index.map((part, axis) => inside(plusConstant(part, numbersAttribute(attributes, 'starts')[axis]! + 1), x!.shape[axis]!))),
  ),
  pad: moved('shifted by one', (index, { result }) => index.map((part, axis) => inside(plusConstant(part, 1), result.shape[axis]!))),
  concat: lowered('the next part begins one too late', ({ operands, attributes, index }, original) => {
    const axis = numberAttribute(attributes, 'axis'),
      start = operands[0]!.shape[axis]!;
    const shifted =
      S.indexAtLeast(index[axis]!, start).kind === 'constant'
        ? index
        : index.with(
            axis,
            inside(
              plusConstant(index[axis]!, -1),
              operands.reduce((n, x) => n + x.shape[axis]!, 0),
            ),
          );
    return original({ operands, attributes, index: shifted } as unknown as LowerSite); // concat needs no more
  }),
  take: lowered('one row too far', (site, original) => {
    const axis = numberAttribute(site.attributes, 'axis'),
      [x, indices] = site.operands;
    return original({
      ...site,
      operands: [{ ...x!, at: (index) => x!.at(index.with(axis, inside(plusConstant(times(index[axis]!, 1), 1), x!.shape[axis]!))) }, indices!],
    });
  }),
} as const satisfies Record<OpName, Mutant>;
