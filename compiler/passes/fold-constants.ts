/**
 * Constant folding: what depends on no input is computed once, by the reference, in f64.
 *
 * Tables (rope, DCT, time frequencies) end up as data in the program, more accurate than any shader could compute them.
 * Broadcasts, index ramps and what is compared of them (a causal mask) stay symbolic: they cost next to nothing in a kernel and would cost
 * memory as data; and the compiler can see through them.
 */
import { apply } from '../../dsl/graph/apply.ts';
import { type Graph, mapGraph, nodesOf } from '../../dsl/graph/graph.ts';
import { literalOf } from '../../dsl/graph/json.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { definitionOf } from '../../dsl/ops/table.ts';
import type { Pass } from './pass.ts';
import { uniformValue } from './algebra.ts';

/** Larger tables are left to the GPU: 16 Mi elements. */
const MOST_ELEMENTS = 2 ** 24;

const KEPT_SYMBOLIC: ReadonlySet<string> = new Set(['input', 'constant', 'literal', 'iota', 'expand']);

const elements = (node: Node): number => (node.shape as readonly number[]).reduce((a, b) => a * b, 1); // sizes are bound

export const foldConstants: Pass = {
  name: 'fold constants',
  run: (graph, { table }) => {
    const values = new Map<Node, Float64Array>();
    const valueOf = (node: Node): Float64Array | undefined => {
      const known = values.get(node);
      if (known !== undefined) return known;
      if (node.op === 'input' || elements(node) > MOST_ELEMENTS) return undefined;
      const inputs = node.inputs.map(valueOf);
      if (inputs.some((data) => data === undefined)) return undefined;
      const dense = node.inputs.map((x, i) => ({ shape: x.shape as readonly number[], dtype: x.dtype, data: inputs[i]! })); // none is undefined
      const type = { shape: node.shape as readonly number[], dtype: node.dtype };
      const data = definitionOf(node.op, table).reference.value(dense, type, node.attributes);
      values.set(node, data);
      return data;
    };
    const borders = bordersOf(graph);
    const work = new Map<Node, number>();
    /** Operations for one element. */
    const workOf = (node: Node): number => {
      const known = work.get(node) ?? node.inputs.reduce((sum, input) => sum + workOf(input), CONSTANT_SOURCES.has(node.op) ? 0 : definitionOf(node.op, table).traits.cost);
      work.set(node, known);
      return known;
    };
    const isCheap = (node: Node): boolean => node.dtype !== 'f32' && node.dtype !== 'f16' && node.inputs.length > 0 && workOf(node) <= CHEAP && !readsTable(node);
    return mapGraph(graph, (node, inputs) => {
      const rebuilt = inputs.every((x, i) => x === node.inputs[i]) ? node : apply(node.op, inputs, node.attributes);
      if (!borders.has(node) || KEPT_SYMBOLIC.has(rebuilt.op) || isCheap(rebuilt) || uniformValue(rebuilt) !== undefined) return rebuilt;
      const data = valueOf(rebuilt);
      return data === undefined ? rebuilt : asConstant(rebuilt, data);
    });
  },
};

/** Whole numbers and truth values that take no more operations than this are computed where they are needed: a load is not cheaper. */
const CHEAP = 4;
/** Tables and reductions are no matter of a few operations. */
const readsTable = (node: Node): boolean => node.op === 'literal' || node.op === 'sum' || node.op === 'reduceMax' || node.op === 'einsum' || node.op === 'take' || node.op === 'nearestIndex' || node.inputs.some(readsTable);

const CONSTANT_SOURCES: ReadonlySet<string> = new Set(['constant', 'literal', 'iota', 'size', 'nearestIndex']);

/** Constant nodes that are read by something that is not: only these become data. */
const bordersOf = (graph: Graph): ReadonlySet<Node> => {
  const constants = new Set<Node>(), borders = new Set<Node>();
  for (const node of nodesOf(graph)) {
    if (CONSTANT_SOURCES.has(node.op) || (node.inputs.length > 0 && node.inputs.every((input) => constants.has(input)))) constants.add(node);
    else for (const input of node.inputs) if (constants.has(input)) markBorder(input, borders);
  }
  for (const { node } of graph.outputs) if (constants.has(node)) markBorder(node, borders);
  return borders;
};
/** A broadcast stays a broadcast: what it repeats is the border. */
const markBorder = (node: Node, borders: Set<Node>): void => {
  borders.add(node);
  if (node.op === 'expand') markBorder(node.inputs[0]!, borders);
};

const asConstant = (node: Node, data: Float64Array): Node => {
  const [first] = data;
  const uniform = first !== undefined && Number.isFinite(first) && data.every((x) => x === first);
  if (!uniform) return apply('literal', [], { data: literalOf(data), shape: node.shape, dtype: node.dtype });
  const scalar = apply('constant', [], { value: first, dtype: node.dtype });
  if (node.shape.length === 0) return scalar;
  return apply('expand', [apply('reshape', [scalar], { shape: node.shape.map(() => 1) })], { shape: node.shape });
};
