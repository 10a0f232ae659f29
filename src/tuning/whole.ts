/**
 * The whole form of a computation: the same loads, sums and stores, over whole numbers, so that no right kernel rounds anything.
 *
 * Ops that round (exp, rsqrt, a quotient) become ones of the same operands that do not, and that are never 0, so that they hide nothing;
 * constants become small whole numbers; and what could grow beyond what the dtype holds exactly is cut to -1 .. 1 first. Invariant: fed with -1, 0 and 1, every value on the way is a whole
 * number that its dtype holds, whatever the order of evaluation. So kernels are equal to the last bit, or one of them is wrong.
 *
 * A streamed softmax is no stream without its exp and its quotient, so its form keeps them. It is fed with multiples of 1024: scores then
 * differ by 0 or by so much that every weight is 1 or 0 exactly, and all but the last quotient is whole.
 */
import { type DType, isFloat } from '../../dsl/dtype.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { type Graph, nodesOf } from '../../dsl/graph/graph.ts';
import { literalOf } from '../../dsl/graph/json.ts';
import { inScopeOf, type Node } from '../../dsl/graph/node.ts';
import { dimAttribute, literalAttribute, numberAttribute, textAttribute } from '../../dsl/ops/attributes.ts';
import { parseContraction } from '../../dsl/ops/reduction.ts';
import { definitionOf } from '../../dsl/ops/table.ts';

const sizesOf = (node: Node): readonly number[] => node.shape as readonly number[]; // sizes are bound
const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Elementwise ops that leave whole numbers whole. */
const WHOLE: ReadonlySet<string> = new Set(['neg', 'abs', 'floor', 'not', 'add', 'sub', 'mul', 'max', 'min', 'eq', 'lt', 'le', 'and', 'or', 'select', 'cast', 'tap', 'again']);

/** Largest magnitude up to which all whole numbers exist. */
const LARGEST: Readonly<Record<DType, number>> = { f32: 2 ** 24, f16: 2 ** 11, i32: 2 ** 31, u32: 2 ** 32, bool: 1 };

/** A node, and the largest magnitude that its elements, or partial sums of them, can have. */
interface Sized {
  readonly node: Node;
  readonly most: number;
}

const scalar = (value: number, like: Node): Node => {
  const shape = sizesOf(like), one = apply('reshape', [apply('constant', [], { value, dtype: like.dtype })], { shape: shape.map(() => 1) });
  return apply('expand', [one], { shape });
};
const of2 = (op: string, a: Node, b: Node): Node => apply(op, [a, b], {});
/** The same within -1 .. 1. */
const cut = (x: Sized): Sized => (x.most <= 1 || !isFloat(x.node.dtype) ? x : { most: 1, node: of2('min', of2('max', x.node, scalar(-1, x.node)), scalar(1, x.node)) });
/** In the place of a value that is rounded: 1, 2 or 3, as what it is made of is 0, 1 or more, of either sign. */
const stepOf = ({ node }: Sized): Sized => ({ most: 3, node: of2('add', of2('min', apply('abs', [node], {}), scalar(2, node)), scalar(1, node)) });

const small = (x: number): number => (Number.isInteger(x) && Math.abs(x) <= 2 ? x : x < 0 ? -1 : 1);

/** What is kept as it is: `softmax` keeps exp and quotients, and constants so large that they can only be masks. */
export type Form = 'sums' | 'softmax';
const MASK = 2 ** 30;
/** What whole data is multiplied by: exp(-1024) is 0. */
const SCALE: Readonly<Record<Form, number>> = { sums: 1, softmax: 1024 };

const wholeSource = (node: Node, form: Form): Sized | undefined => {
  const { op, attributes, dtype } = node;
  if (op === 'constant' && form === 'softmax' && Math.abs(numberAttribute(attributes, 'value')) >= MASK) return { node, most: 1 };
  if (op === 'constant') {
    const value = isFloat(dtype) ? small(numberAttribute(attributes, 'value')) : numberAttribute(attributes, 'value');
    return { most: Math.abs(value), node: apply('constant', [], { ...attributes, value }) };
  }
  if (op === 'literal') {
    const { data } = literalAttribute(attributes), values = isFloat(dtype) ? data.map((x) => Math.round(Math.max(-1, Math.min(1, x)))) : data;
    return { most: values.reduce((most, x) => Math.max(most, Math.abs(x)), 0), node: apply('literal', [], { ...attributes, data: literalOf(values) }) };
  }
  if (op === 'iota') return { node, most: dimAttribute(attributes, 'length') as number }; // sizes are bound
  if (op === 'size') return { node, most: dimAttribute(attributes, 'dim') as number };
  if (op === 'nearestIndex') return { node, most: dimAttribute(attributes, 'from') as number };
  return node.inputs.length === 0 ? { node, most: SCALE[form] } : undefined;
};

/** How many products one element of an einsum is the sum of. */
const productsOf = (node: Node): number => {
  const { left, right, result } = parseContraction(textAttribute(node.attributes, 'pattern')), [a, b] = node.inputs.map(sizesOf);
  const extents = new Map([...left.map((name, i) => [name, a![i]!] as const), ...right.map((name, i) => [name, b![i]!] as const)]); // an einsum has two operands
  return countOf([...extents].flatMap(([name, extent]) => (result.includes(name) ? [] : [extent])));
};

const growth = (node: Node, sizes: readonly number[]): number => {
  const [a = 0, b = 0] = sizes;
  switch (node.op) {
    case 'add': case 'sub': return a + b;
    case 'mul': return a * b;
    case 'sum': return (a * countOf(sizesOf(node.inputs[0]!))) / Math.max(1, countOf(sizesOf(node)));
    case 'einsum': return a * b * productsOf(node);
    case 'exp': return 1;
    case 'div': return a;
    case 'pad': return Math.max(a, Math.abs(numberAttribute(node.attributes, 'value')));
    default: return Math.max(0, ...sizes);
  }
};

const KEPT: Readonly<Record<Form, ReadonlySet<string>>> = { sums: new Set(), softmax: new Set(['exp', 'div']) };

const wholeNode = (node: Node, inputs: readonly Sized[], form: Form): Sized => {
  const source = wholeSource(node, form);
  if (source !== undefined) return source;
  const rounds = isFloat(node.dtype) && definitionOf(node.op).traits.elementwise && !WHOLE.has(node.op) && !KEPT[form].has(node.op);
  if (rounds && inputs.length === 1) return stepOf(inputs[0]!);
  const [op, operands] = rounds ? ['mul', inputs.map((x, i) => (i === 0 ? x : stepOf(x)))] as const : [node.op, inputs] as const;
  const attributes = op !== node.op ? {} : op === 'pad' && isFloat(node.dtype) ? { ...node.attributes, value: small(numberAttribute(node.attributes, 'value')) } : node.attributes;
  const made = (from: readonly Sized[]): Sized => {
    const whole = apply(op, from.map((x) => x.node), attributes);
    return { node: whole, most: growth(whole, from.map(({ most }) => most)) };
  };
  const first = made(operands), largest = LARGEST[node.dtype] * (form === 'softmax' && isFloat(node.dtype) ? SCALE.softmax ** 2 : 1); // products of multiples are multiples
  return first.most <= largest ? first : made(operands.map(cut));
};

export interface WholeForm {
  readonly graph: Graph;
  /** Whether some value may still be too large to be exact: more terms than the dtype counts. */
  readonly tooLarge: boolean;
}

/** The whole form of a graph with bound sizes. */
export const wholeForm = (graph: Graph, form: Form = 'sums'): WholeForm => {
  const image = new Map<Node, Sized>();
  for (const node of nodesOf(graph)) image.set(node, inScopeOf(node, () => wholeNode(node, node.inputs.map((input) => image.get(input)!), form)));
  return {
    graph: { ...graph, outputs: graph.outputs.map(({ name, node }) => ({ name, node: image.get(node)!.node })) },
    tooLarge: [...image.values()].some(({ node, most }) => isFloat(node.dtype) && most > LARGEST[node.dtype] * SCALE[form] ** 2),
  };
};

/** A fraction in [0, 1) for each place: the same for the same seed. */
const fractions = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** What a tensor is fed with: for a form, or plain numbers. Whole numbers are exact in every dtype; indices stay inside the smallest table. */
export const elementsFor = (dtype: DType, count: number, seed: number, kind: Form | 'plain'): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> => {
  const next = fractions(seed), of = (low: number, steps: number): number => low + Math.floor(next() * steps);
  if (dtype === 'i32') return Int32Array.from({ length: count }, () => of(0, 2));
  if (dtype === 'u32' || dtype === 'bool') return Uint32Array.from({ length: count }, () => of(0, 2));
  return Float32Array.from({ length: count }, () => (kind === 'plain' ? 2 * next() - 1 : SCALE[kind] * of(-1, 3)));
};
