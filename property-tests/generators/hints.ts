/**
 * How to use each op in a random program: one row an op, and an op without a row does not compile.
 *
 * A hint picks operands that are there or makes new ones, brings them into the op's range, and gives the node; undefined where
 * the op has no use at this place. `exact` says that small whole numbers stay whole and are not rounded.
 */
import { type DType, isFloat } from '../../dsl/dtype.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { literalOf } from '../../dsl/graph/json.ts';
import type { Node } from '../../dsl/graph/node.ts';
import type { OpName } from '../../dsl/ops/table.ts';
import { elementsOf } from './elements.ts';
import { ANY, makeConcat, makeExpand, makePad, makePermute, makeReshape, makeSlice, makeTake } from './movement.ts';
import { countOf, drawShape, existing, keptWithin, madeNonzero, madePositive, operand, shaped, shapeOf, type Workshop } from './workshop.ts';

export interface Hint {
  readonly make: (workshop: Workshop) => Node | undefined;
  readonly exact: boolean;
  /** How often the op is chosen, among the others. */
  readonly weight: number;
}

const FLOAT: readonly DType[] = ['f32'];
const NUMERIC: readonly DType[] = ['f32', 'f32', 'f32', 'i32', 'u32'];

const exact = (make: Hint['make'], weight = 3): Hint => ({ make, exact: true, weight });
const rounded = (make: Hint['make'], weight = 3): Hint => ({ make, exact: false, weight });

const sizes = (node: Node): readonly number[] => shapeOf(node);
const axesOf = (node: Node): readonly number[] => node.shape.map((_, axis) => axis);

// ---- elementwise ------------------------------------------------------------------------------------------------------------------

const unary =
  (op: string, dtypes: readonly DType[], prepare: (workshop: Workshop, x: Node) => Node = (_workshop, x) => x) =>
  (workshop: Workshop): Node =>
    apply(op, [prepare(workshop, operand(workshop, dtypes))], {});
const within =
  (limit: number) =>
  (workshop: Workshop, x: Node): Node =>
    keptWithin(workshop, x, limit);

type PreparePair = (workshop: Workshop, a: Node, b: Node) => readonly [Node, Node];
const binary =
  (op: string, dtypes: readonly DType[], prepare: PreparePair = (_workshop, a, b) => [a, b]) =>
  (workshop: Workshop): Node => {
    const a = operand(workshop, dtypes),
      b = shaped(workshop, sizes(a), a.dtype);
    return apply(op, workshop.draw.chance(30) ? [...prepare(workshop, b, a)] : [...prepare(workshop, a, b)], {});
  };
/** Floats that do not outgrow the range when multiplied again and again. */
const factors: PreparePair = (workshop, a, b) => (isFloat(a.dtype) ? [keptWithin(workshop, a, 2 ** 16), keptWithin(workshop, b, 2 ** 16)] : [a, b]);

const makeSelect = (workshop: Workshop): Node => {
  const a = operand(workshop, ANY),
    shape = sizes(a);
  return apply('select', [shaped(workshop, shape, 'bool'), a, shaped(workshop, shape, a.dtype)], {});
};

const CAST_TO: readonly DType[] = ['f32', 'i32', 'u32', 'bool'];
/** Into the range of the target: conversions outside saturate or wrap, which is not what most programs mean. */
const makeCast = (workshop: Workshop): Node => {
  const x = operand(workshop, ANY),
    dtype = workshop.draw.pick(workshop.mode === 'half' ? [...CAST_TO, 'f16' as const] : CAST_TO);
  const small = isFloat(x.dtype) && dtype !== 'bool' ? keptWithin(workshop, x, 2 ** 24) : x;
  return apply('cast', [isFloat(small.dtype) && dtype === 'u32' ? apply('abs', [small], {}) : small], { dtype });
};

// ---- reductions -------------------------------------------------------------------------------------------------------------------

const makeReduction =
  (op: string) =>
  (workshop: Workshop): Node => {
    const { draw } = workshop,
      x = operand(workshop, NUMERIC, (node) => node.shape.length > 0),
      axes = draw.shuffled(axesOf(x));
    return apply(op, [x], { axes: axes.slice(0, draw.between(1, axes.length)) });
  };

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const;
const MOST_PRODUCTS = 30_000;

/** The second operand of an einsum: shares some names with the first and has up to two of its own. */
const partner = (workshop: Workshop, names: readonly string[], extents: ReadonlyMap<string, number>, dtype: DType) => {
  const { draw } = workshop;
  const shared = names.filter(() => draw.chance(60)),
    own = NAMES.slice(names.length, names.length + draw.below(3));
  const known = new Map([...extents, ...own.map((name) => [name, draw.between(1, 6)] as const)]);
  const order = draw.shuffled([...shared, ...own]),
    shape = order.map((name) => known.get(name)!);
  const same = existing(workshop, (node) => node.dtype === dtype && node.shape.join() === shape.join());
  return { order, known, node: same ?? workshop.input(shape, dtype) };
};

/** Any pattern of two operands: batch names, names in one operand only, several summed names, none. */
const makeEinsum = (workshop: Workshop): Node | undefined => {
  const { draw } = workshop,
    a = operand(workshop, NUMERIC, (node) => node.shape.length <= 4);
  const names: readonly string[] = NAMES.slice(0, a.shape.length);
  const { order, known, node: b } = partner(workshop, names, new Map(names.map((name, i) => [name, sizes(a)[i]!])), a.dtype);
  const all = draw.shuffled([...new Set([...names, ...order])]);
  if (countOf([...known.values()]) > MOST_PRODUCTS) return undefined;
  const result = all.filter(() => draw.chance(55)).slice(0, 5);
  const [left, right] = isFloat(a.dtype) ? [keptWithin(workshop, a, 2 ** 12), keptWithin(workshop, b, 2 ** 12)] : [a, b];
  const sides = [
    [names, left],
    [order, right],
  ] as const;
  const [[first, x], [second, y]] = draw.chance(30) ? [sides[1], sides[0]] : sides;
  return apply('einsum', [x, y], { pattern: `${first.join(' ')}, ${second.join(' ')} -> ${result.join(' ')}` });
};

// ---- sources ----------------------------------------------------------------------------------------------------------------------

const makeLiteral = ({ draw, mode }: Workshop): Node => {
  const shape = drawShape(draw, 0, 3),
    dtype = draw.pick(ANY);
  const data = elementsOf(draw.below(1000), countOf(shape), dtype, mode === 'exact' ? 'whole' : 'plain');
  return apply('literal', [], { data: literalOf(Float64Array.from(data)), shape, dtype });
};

export const HINTS = {
  input: exact(({ draw, input }) => input(drawShape(draw), draw.pick(ANY)), 1),
  constant: exact(
    ({ draw, mode }) =>
      apply(
        'constant',
        [],
        mode === 'general' && draw.chance(50)
          ? { value: draw.pick([0.1, -2.5, 1e-8, 3e7]), dtype: 'f32' }
          : { value: draw.below(4), dtype: draw.pick(NUMERIC) },
      ),
    1,
  ),
  literal: exact(makeLiteral, 2),
  size: exact(({ draw }) => apply('size', [], { dim: draw.between(1, 40), dtype: draw.pick(NUMERIC) }), 1),
  iota: exact(({ draw }) => apply('iota', [], { length: draw.between(1, 20), dtype: draw.pick(NUMERIC) }), 2),
  randomBits: rounded(({ draw, input }) => {
    const shape = drawShape(draw, 1, 2), own = draw.below(shape.length + 1);
    return apply('randomBits', [input([...shape.slice(0, own), 2], 'u32', 'wide')], { shape });
  }, 1),
  nearestIndex: exact(({ draw }) => apply('nearestIndex', [], { from: draw.between(1, 17), to: draw.between(1, 24) }), 1),

  neg: exact(unary('neg', NUMERIC)),
  abs: exact(unary('abs', NUMERIC)),
  exp: rounded(unary('exp', FLOAT, within(16))),
  log: rounded(unary('log', FLOAT, madePositive)),
  sin: rounded(unary('sin', FLOAT, within(4096))),
  cos: rounded(unary('cos', FLOAT, within(4096))),
  sqrt: rounded(unary('sqrt', FLOAT, madePositive)),
  rsqrt: rounded(unary('rsqrt', FLOAT, madePositive)),
  floor: exact(unary('floor', FLOAT)),
  not: exact(unary('not', ['bool'])),

  add: exact(binary('add', NUMERIC), 5),
  sub: exact(binary('sub', NUMERIC), 4),
  mul: exact(binary('mul', NUMERIC, factors), 5),
  div: rounded(binary('div', FLOAT, (workshop, a, b) => [a, madeNonzero(workshop, b)])),
  max: exact(binary('max', NUMERIC)),
  min: exact(binary('min', NUMERIC)),
  eq: exact(binary('eq', ['i32', 'u32', 'i32', 'f32'])),
  lt: exact(binary('lt', NUMERIC)),
  le: exact(binary('le', NUMERIC)),
  and: exact(binary('and', ['bool'])),
  or: exact(binary('or', ['bool'])),
  select: exact(makeSelect, 4),
  cast: exact(makeCast, 4),
  tap: exact((workshop) => apply('tap', [operand(workshop, ANY)], { name: `tap${workshop.pool.length}` }), 1),

  stopGradient: exact(unary('stopGradient', ANY), 1),
  again: exact((workshop) => apply('again', [operand(workshop, ANY)], { key: `again${workshop.pool.length}` }), 1),

  sum: exact(makeReduction('sum'), 6),
  reduceMax: exact(makeReduction('reduceMax'), 5),
  einsum: exact(makeEinsum, 8),

  reshape: exact(makeReshape, 5),
  permute: exact(makePermute, 5),
  expand: exact(makeExpand, 4),
  slice: exact(makeSlice, 5),
  pad: exact(makePad, 4),
  concat: exact(makeConcat, 4),
  take: exact(makeTake, 4),
} as const satisfies Record<OpName, Hint>;
