/**
 * A program under construction: its inputs with their elements, and the value and error bound of every node made so far, so
 * that a generator sees what numbers an operand holds before it uses it.
 *
 * Invariant: `boundedOf` is what `evaluateBounded` gives for the node, as long as nothing overflows.
 */
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import type { DType } from '../../dsl/dtype.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { broadcastTo, constantNode } from '../../dsl/language/build.ts';
import type { Bounded } from '../../dsl/ops/definition.ts';
import { definitionOf } from '../../dsl/ops/table.ts';
import type { NumberArray } from '../../src/runtime/elements.ts';
import type { Draw } from './draw.ts';
import { type Content, elementsOf } from './elements.ts';

/**
 * `exact`: only small whole numbers and ops without rounding, so that every order of evaluation gives the same bits.
 * `half`: float16 tensors among the others.
 */
export type Mode = 'general' | 'exact' | 'half';

export interface Workshop {
  readonly draw: Draw;
  readonly mode: Mode;
  /** Nodes to build on, oldest first. */
  readonly pool: readonly Node[];
  readonly add: (node: Node) => void;
  readonly boundedOf: (node: Node) => Bounded;
  readonly input: (shape: readonly number[], dtype: DType, content?: Content) => Node;
  /** Elements of all inputs made so far, by name. */
  readonly feeds: Readonly<Record<string, NumberArray>>;
}

export const shapeOf = (node: Node): readonly number[] => node.shape as readonly number[]; // generators use numbers only
export const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const contentFor = (draw: Draw, mode: Mode, dtype: DType): Content =>
  mode === 'exact' ? 'whole' : draw.chance(12) ? 'wide' : dtype === 'f32' && draw.chance(15) ? 'positive' : draw.chance(15) ? 'whole' : 'plain';

/** A new workshop, as each step sees it through its own choices. */
export const openWorkshop = (mode: Mode, seed: number): ((draw: Draw) => Workshop) => {
  const pool: Node[] = [],
    feeds: Record<string, NumberArray> = {};
  const values = new Map<Node, Bounded>();
  const boundedOf = (node: Node): Bounded => {
    const known = values.get(node);
    if (known !== undefined) return known;
    const found = node.op === 'input' ? evaluateBounded(makeGraph({ y: node }), feeds)['y']! : boundedFrom(node, node.inputs.map(boundedOf));
    values.set(node, found);
    return found;
  };
  const input =
    (draw: Draw): Workshop['input'] =>
    (shape, dtype, content = contentFor(draw, mode, dtype)) => {
      const number = Object.keys(feeds).length,
        name = `x${number}`;
      feeds[name] = elementsOf(seed + number, countOf(shape), dtype, content);
      return apply('input', [], { name, role: draw.chance(25) ? 'parameter' : 'input', shape, dtype });
    };
  return (draw) => ({
    draw,
    mode,
    pool,
    add: (node) => {
      pool.push(node);
    },
    boundedOf,
    input: input(draw),
    feeds,
  });
};

const boundedFrom = (node: Node, inputs: readonly Bounded[]): Bounded => {
  const { reference } = definitionOf(node.op),
    type = { shape: shapeOf(node), dtype: node.dtype };
  const value = reference.value(
    inputs.map((x) => ({ shape: x.shape, dtype: x.dtype, data: x.value })),
    type,
    node.attributes,
  );
  return { ...type, value, ...reference.bound(inputs, type, node.attributes, value) };
};

// ---- operands -------------------------------------------------------------------------------------------------------------------

/** Most elements of a tensor: enough for tails of tiles and several workgroups. */
export const MOST_ELEMENTS = 768;

const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17] as const;
/** Rank 0 to 5, sizes odd and even, 1 among them. */
export const drawShape = (draw: Draw, lowest = 0, highest = 5): readonly number[] => {
  const rank = draw.between(lowest, highest),
    shape: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const size = draw.chance(4) ? draw.between(60, 140) : draw.pick(SIZES);
    shape.push(countOf(shape) * size > MOST_ELEMENTS ? 1 : size);
  }
  return shape;
};

/** One of the nodes that fit, more likely a recent one; undefined if none does. */
export const existing = ({ pool, draw }: Workshop, fits: (node: Node) => boolean): Node | undefined => {
  const fitting = pool.filter(fits).reverse();
  return fitting.length === 0 ? undefined : draw.chance(50) ? draw.pick(fitting) : fitting[0];
};

/** A tensor of one of the dtypes: one that is there, or else (and now and then) a new input. */
export const operand = (workshop: Workshop, dtypes: readonly DType[], fits: (node: Node) => boolean = () => true): Node => {
  const { draw, input, mode } = workshop,
    kinds: readonly DType[] = mode === 'half' && dtypes.includes('f32') ? [...dtypes, 'f16', 'f16', 'f16'] : dtypes;
  const found = draw.chance(15) ? undefined : existing(workshop, (node) => kinds.includes(node.dtype) && fits(node));
  if (found !== undefined) return found;
  for (;;) {
    const made = input(drawShape(draw), draw.pick(kinds));
    if (fits(made)) return made;
    return input([draw.between(2, 5), 1, draw.between(2, 5)], made.dtype);
  }
};

const broadcasts = (from: readonly number[], to: readonly number[]): boolean =>
  from.length <= to.length && from.every((size, i) => size === 1 || size === to[to.length - from.length + i]);

/** A new input, or a number, that broadcasts to the shape. */
const newFor = ({ draw, input, mode }: Workshop, shape: readonly number[], dtype: DType): Node => {
  if (dtype !== 'bool' && draw.chance(15))
    return constantNode(mode === 'exact' || dtype !== 'f32' ? draw.between(0, 3) : draw.pick([0, 1, 2, 0.5, -1.5, 0.1]), dtype);
  const partly = shape.map((size) => (draw.chance(25) ? 1 : size));
  return input(draw.chance(25) ? partly.slice(draw.below(partly.length + 1)) : partly, dtype);
};

/** A tensor of exactly this shape and dtype: one that has it, one that broadcasts to it, or a new one. */
export const shaped = (workshop: Workshop, shape: readonly number[], dtype: DType): Node => {
  const fits = (node: Node): boolean => node.dtype === dtype && broadcasts(shapeOf(node), shape);
  const found = workshop.draw.chance(35) ? undefined : existing(workshop, fits);
  return broadcastTo(found ?? newFor(workshop, shape, dtype), shape);
};

// ---- numbers within range ---------------------------------------------------------------------------------------------------------

const extreme = (values: Float64Array, join: (a: number, b: number) => number, start: number): number => values.reduce((a, b) => join(a, b), start);
/** Largest |value| + error. */
export const largest = ({ value, error }: Bounded): number =>
  extreme(
    value.map((v, i) => Math.abs(v) + error[i]!),
    Math.max,
    0,
  );
/** Smallest value - error. */
export const smallest = ({ value, error }: Bounded): number =>
  extreme(
    value.map((v, i) => v - error[i]!),
    Math.min,
    Infinity,
  );
/** Smallest |value| - error. */
export const nearestZero = ({ value, error }: Bounded): number =>
  extreme(
    value.map((v, i) => Math.abs(v) - error[i]!),
    Math.min,
    Infinity,
  );

const number = (x: Node, value: number): Node => broadcastTo(constantNode(value, x.dtype), x.shape);

/** What a float16 may hold before it is multiplied or raised: a square of it is far from overflow. */
const MOST_HALF = 8;
/** x, or x scaled by a power of two so that nothing in it is larger than `most`; whole numbers are left whole. */
export const keptWithin = ({ boundedOf, mode }: Workshop, x: Node, most: number): Node => {
  if (mode === 'exact') return x;
  const limit = x.dtype === 'f16' ? Math.min(most, MOST_HALF) : most,
    size = largest(boundedOf(x));
  return size <= limit ? x : apply('mul', [x, number(x, 2 ** -Math.ceil(Math.log2(size / limit)))], {});
};
/** x, or |x| plus a half where it comes near 0 or below. */
export const madePositive = ({ boundedOf }: Workshop, x: Node): Node =>
  smallest(boundedOf(x)) > 2 ** -10 ? x : apply('add', [apply('abs', [x], {}), number(x, 0.5)], {});
/** x, or something like it that stays away from 0. */
export const madeNonzero = (workshop: Workshop, x: Node): Node => (nearestZero(workshop.boundedOf(x)) > 2 ** -10 ? x : madePositive(workshop, x));
