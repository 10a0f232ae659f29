/**
 * The reference interpreter: what a graph means. Slow and obvious, in f64, one loop per op (each op's own `reference`).
 *
 * `evaluate` gives values; `evaluateBounded` carries, for each element, the error bound that any correct f32 program must
 * stay within (value, magnitude, error: the tolerance model of `definition.ts`).
 */
import { type Graph, inputName, nodesOf } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import type { StorageType } from '../../dsl/dtype.ts';
import { type Bounded, boundedResult, type BoundType, type Dense, flushError, unitRoundoff } from '../../dsl/ops/definition.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import { roundToHalf } from '../half.ts';
import { definitionOf, OPS, type OpTable } from '../../dsl/ops/table.ts';

/** Elements by input or parameter name, row-major. */
export type Feeds = Readonly<Record<string, ArrayLike<number>>>;

const elements = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const numeric = (node: Node): BoundType => {
  const free = node.shape.find((dim) => typeof dim === 'string');
  if (free !== undefined) throw new Error(`evaluate: the size of '${free}' is not known; bind the graph's sizes first`);
  return { shape: node.shape as readonly number[], dtype: node.dtype }; // no dim is a string
};

/** Rounds to what the dtype can hold, as uploading it would. */
export const stored = (x: number, { dtype }: Pick<Node, 'dtype'>): number => (dtype === 'f32' ? Math.fround(x) : dtype === 'f16' ? roundToHalf(x) : x);

/** Weights are converted once; the same array is taken to hold the same numbers. */
const converted = new WeakMap<object, Float64Array>();
const isParameter = (node: Node): boolean => node.attributes['role'] === 'parameter';

const fed = (node: Node, feeds: Feeds): Float64Array => {
  const name = inputName(node), data = feeds[name], { shape } = numeric(node);
  if (data === undefined) throw new Error(`evaluate: no data for input '${name}'`);
  if (data.length !== elements(shape)) throw new Error(`evaluate: input '${name}' has ${data.length} elements, its shape [${shape.join(', ')}] needs ${elements(shape)}`);
  const known = isParameter(node) ? converted.get(data) : undefined;
  if (known !== undefined) return known;
  const values = new Float64Array(data.length);
  for (let i = 0; i < values.length; i++) values[i] = stored(data[i]!, node);
  if (isParameter(node)) converted.set(data, values);
  return values;
};

const refuseInvalid = (node: Node): void => {
  if (node.op === 'invalid') throw new Error(`evaluate: the graph holds an error: ${textAttribute(node.attributes, 'message')}`);
};

/** Users that are still to come, so that a value can be dropped after its last use. */
const useCounts = (nodes: readonly Node[]): Map<Node, number> => {
  const counts = new Map<Node, number>();
  for (const node of nodes) for (const input of node.inputs) counts.set(input, (counts.get(input) ?? 0) + 1);
  return counts;
};

/** Runs every node in order; values nobody needs any more are dropped. */
const interpret = <V>(graph: Graph, step: (node: Node, inputs: readonly V[]) => V): Record<string, V> => {
  const nodes = nodesOf(graph), counts = useCounts(nodes), values = new Map<Node, V>();
  const kept = new Set(graph.outputs.map((output) => output.node));
  for (const node of nodes) {
    refuseInvalid(node);
    values.set(node, step(node, node.inputs.map((input) => values.get(input)!)));
    for (const input of node.inputs) {
      counts.set(input, counts.get(input)! - 1);
      if (counts.get(input) === 0 && !kept.has(input)) values.delete(input);
    }
  }
  return Object.fromEntries(graph.outputs.map(({ name, node }) => [name, values.get(node)!]));
};

/** The value of every output. Throws on missing feeds or unbound sizes; the graph must be free of errors. */
export const evaluate = (graph: Graph, feeds: Feeds, table: OpTable = OPS): Record<string, Dense> =>
  interpret<Dense>(graph, (node, inputs) => {
    const type = numeric(node);
    if (node.op === 'input') return { ...type, data: fed(node, feeds) };
    return { ...type, data: definitionOf(node.op, table).reference.value(inputs, type, node.attributes) };
  });

const LARGEST_HALF = 65504;
const LARGEST: Readonly<Partial<Record<BoundType['dtype'], number>>> = { f32: 3.4028234663852886e38, f16: LARGEST_HALF };

/** A value that the dtype cannot hold has no bound: WGSL leaves overflow open. */
export const withOverflow = (x: Bounded): Bounded => {
  const largest = LARGEST[x.dtype] ?? Infinity;
  return { ...x, error: x.error.map((e, i) => (Math.abs(x.value[i]!) + e <= largest ? e : Infinity)) };
};

/** Data as it was given: no error. */
export const exactly = (type: BoundType, value: Float64Array): Bounded => ({ ...type, value, magnitude: value.map(Math.abs), error: new Float64Array(value.length) });

/** The same tensor after it lay in memory: an f32 value that is stored as f16 is rounded once more. */
export const asStored = (tensor: Bounded, stored: StorageType): Bounded => {
  if (tensor.dtype !== 'f32' || stored !== 'f16') return tensor;
  const { value, error, magnitude } = tensor;
  const rounded = error.map((e, i) => {
    const most = Math.abs(value[i]!) + e;
    return most <= LARGEST_HALF ? e + unitRoundoff('f16') * most + flushError('f16') : Infinity;
  });
  return { ...tensor, error: rounded, magnitude: magnitude.map((m, i) => m + rounded[i]!) };
};

/** The value of every output with its error bound; `storageOf` says how the tensors that have memory lie there, where that is not their dtype. */
export const evaluateBounded = (graph: Graph, feeds: Feeds, table: OpTable = OPS, storageOf: (node: Node) => StorageType = ({ dtype }) => dtype): Record<string, Bounded> =>
  interpret<Bounded>(graph, (node, inputs) => {
    const type = numeric(node);
    const computed = node.op === 'input' ? exactly(type, fed(node, feeds)) : boundedResult(definitionOf(node.op, table).reference, inputs, type, node.attributes);
    return asStored(withOverflow(computed), storageOf(node));
  });
