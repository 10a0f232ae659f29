/**
 * Loop-invariant work: a graph that is run again and again, while only some of its inputs change, is cut into what is computed `once` and
 * what remains for `each` run.
 *
 * For adaLN, velocity(x, t, y) with x changing becomes
 *
 *     once(t, y)              -> modulations of every block, [B, 1, 6*D] each
 *     each(x, modulations)    -> velocity
 *
 * A value that depends on no changing input may be kept from `once`, which costs writing it and reading it in the run that it is for, or
 * computed again in `each`, which costs its arithmetic and reading what it is computed from. The cheapest choice for all of them together
 * is a minimum cut. So a matmul over weights is kept, but the views and the few operations behind it stay where they can be fused.
 *
 * Invariant: replacing the new inputs of `each` by the outputs of `once` gives the nodes of the graph itself.
 */
import { freeSymbols, type Graph, inputName, type Sizes } from '../dsl/graph/graph.ts';
import { apply } from '../dsl/graph/apply.ts';
import { inScopeOf, type Node, topological } from '../dsl/graph/node.ts';
import { textAttribute } from '../dsl/ops/attributes.ts';
import { parseContraction } from '../dsl/ops/reduction.ts';
import { definitionOf } from '../dsl/ops/table.ts';
import { type Dim, substituteDim } from '../dsl/shape/dim.ts';
import { isContraction, isLeaf, isReduction, LOAD, STORE } from './fusion/facts.ts';
import { type Arc, minimumCut } from './min-cut.ts';

export interface Separation {
  /** The values that are kept, as outputs; its inputs are those that do not change. No outputs: nothing is worth keeping. */
  readonly once: Graph;
  /** The graph's outputs, from the changing inputs and the kept values: new inputs, named as the outputs of `once`. */
  readonly each: Graph;
}

export interface SeparateOptions {
  /** Names of the inputs that change from run to run. */
  readonly changing: readonly string[];
  /** Sizes of the graph's symbols: what the costs are counted at. */
  readonly sizes?: Sizes;
  /** Whether a value may be kept, where not all may: by its shape, say. */
  readonly mayKeep?: (node: Node) => boolean;
}

/** One more tensor to bind, in units of an arithmetic operation: far less than a kernel, but a few numbers are not worth it. */
const BINDING = 1000;
/** One more kernel, where it costs least: what is kept does not depend on the adapter. */
const KERNEL = 20_000;

interface Costs {
  /** Of computing a node in every run, its operands not counted. */
  readonly computing: (node: Node) => number;
  /** Of keeping a node for a run: it is written before and read there. */
  readonly keeping: (node: Node) => number;
}

const costsAt = (sizes: Sizes): Costs => {
  const known = new Map<Dim, number>();
  const extent = (dim: Dim): number => {
    const found = known.get(dim);
    if (found !== undefined) return found;
    const size = substituteDim(dim, sizes);
    if (typeof size === 'string') throw new Error(`invariant: the size of '${size}' is not known`);
    known.set(dim, size);
    return size;
  };
  const elements = (node: Node): number => node.shape.reduce<number>((product, dim) => product * extent(dim), 1);
  const reading = (node: Node): number => BINDING + LOAD * elements(node);
  /** Multiplications of a contraction. */
  const products = (node: Node): number => {
    const { left, right, summed } = parseContraction(textAttribute(node.attributes, 'pattern'));
    const [a, b] = node.inputs;
    const extentOf = (name: string): number => extent(left.includes(name) ? a!.shape[left.indexOf(name)]! : b!.shape[right.indexOf(name)]!); // it is in one of them
    return summed.reduce((product, name) => product * extentOf(name), elements(node));
  };
  const computing = (node: Node): number => {
    if (node.op === 'input') return reading(node);
    if (isLeaf(node) || node.inputs.length === 0) return 0;
    if (isContraction(node)) return KERNEL + 2 * products(node);
    if (isReduction(node)) return KERNEL + elements(node.inputs[0]!);
    return Math.max(0, definitionOf(node.op).traits.cost - LOAD) * elements(node); // an operation or two are hidden behind the load
  };
  return { computing, keeping: (node) => reading(node) + STORE * elements(node) };
};

/** Nodes without a changing input below them, in order. */
const invariantNodes = (nodes: readonly Node[], changing: ReadonlySet<string>): ReadonlySet<Node> => {
  const found = new Set<Node>();
  for (const node of nodes) {
    const changes = node.op === 'input' && textAttribute(node.attributes, 'role') === 'input' && changing.has(inputName(node));
    if (!changes && node.inputs.every((input) => found.has(input))) found.add(node);
  }
  return found;
};

/** Invariant nodes that every run needs: what changing nodes read, and outputs. */
const neededNodes = (graph: Graph, nodes: readonly Node[], invariant: ReadonlySet<Node>): ReadonlySet<Node> =>
  new Set([...nodes.filter((node) => !invariant.has(node)).flatMap((node) => node.inputs), ...graph.outputs.map(({ node }) => node)].filter((node) => invariant.has(node)));

/** Depends on an input or a parameter; the others are folded by the compiler and cost nothing. */
const dependent = (nodes: Iterable<Node>): ReadonlySet<Node> => {
  const found = new Set<Node>();
  for (const node of nodes) if (node.op === 'input' || node.inputs.some((input) => found.has(input))) found.add(node);
  return found;
};

/**
 * Which values to keep. Each node has two vertices: "the source's side" means for the first that runs do not compute the node, for the
 * second that they do not have it at all. First with, second without: it is kept.
 */
const keptNodes = (needed: ReadonlySet<Node>, { computing, keeping }: Costs, mayKeep: (node: Node) => boolean): readonly Node[] => {
  const nodes = topological([...needed]), varied = dependent(nodes);
  const [source, sink] = [2 * nodes.length, 2 * nodes.length + 1];
  const position = new Map(nodes.map((node, i) => [node, i]));
  const arcs = nodes.flatMap((node, i): readonly Arc[] => [
    { from: source, to: 2 * i, capacity: varied.has(node) ? computing(node) : 0 },
    { from: 2 * i, to: 2 * i + 1, capacity: varied.has(node) && !isLeaf(node) && mayKeep(node) ? keeping(node) : Infinity },
    ...[...new Set(node.inputs)].map((input) => ({ from: 2 * position.get(input)! + 1, to: 2 * i, capacity: Infinity })),
    ...(needed.has(node) ? [{ from: 2 * i + 1, to: sink, capacity: Infinity }] : []),
  ]);
  const side = minimumCut(sink + 1, arcs, source, sink);
  return nodes.filter((_, i) => side.has(2 * i) && !side.has(2 * i + 1));
};

/** A name for each kept value: where in the model it was made, numbered where that is not unique. */
const namesFor = (kept: readonly Node[], taken: ReadonlySet<string>): ReadonlyMap<Node, string> => {
  const names = new Map<Node, string>(), used = new Set(taken);
  for (const node of kept) {
    const base = node.scope === '' ? node.op : node.scope;
    let name = base;
    for (let n = 2; used.has(name); n++) name = `${base} (${n})`;
    used.add(name);
    names.set(node, name);
  }
  return names;
};

const isOfRole = (role: 'input' | 'parameter') => (node: Node): boolean => node.op === 'input' && textAttribute(node.attributes, 'role') === role;

/** The graph of some outputs, its inputs and parameters in the order of `all`. */
const graphOf = (outputs: Graph['outputs'], all: readonly Node[]): Graph => {
  const present = new Set(topological(outputs.map(({ node }) => node)));
  const used = all.filter((node) => present.has(node));
  return { inputs: used.filter(isOfRole('input')), parameters: used.filter(isOfRole('parameter')), outputs };
};

/** A graph with mistakes stays as it is: `compile` has the words for them. */
const isRunnable = (graph: Graph, nodes: readonly Node[], sizes: Sizes): boolean =>
  nodes.every((node) => node.op !== 'invalid') && freeSymbols(graph).every((symbol) => Object.hasOwn(sizes, symbol));

/** Cuts a graph in two. Leaves stay inputs of whichever part reads them; those that a part does not read are left out of it. */
export const separate = (graph: Graph, { changing, sizes = {}, mayKeep = () => true }: SeparateOptions): Separation => {
  const nodes = topological(graph.outputs.map(({ node }) => node));
  if (!isRunnable(graph, nodes, sizes)) return { once: { inputs: [], parameters: [], outputs: [] }, each: graph };
  const invariant = invariantNodes(nodes, new Set(changing));
  const kept = keptNodes(neededNodes(graph, nodes, invariant), costsAt(sizes), mayKeep);
  const leaves = [...graph.inputs, ...graph.parameters];
  const names = namesFor(kept, new Set(leaves.map(inputName)));
  const image = new Map<Node, Node>();
  for (const node of nodes) {
    const name = names.get(node);
    image.set(node, inScopeOf(node, () => (name !== undefined ? apply('input', [], { name, role: 'input', shape: node.shape, dtype: node.dtype })
      : node.inputs.length === 0 ? node : apply(node.op, node.inputs.map((input) => image.get(input)!), node.attributes)))); // inputs come first
  }
  const outputs = graph.outputs.map(({ name, node }) => ({ name, node: image.get(node)! })); // every output is among the nodes
  return {
    once: graphOf(kept.map((node) => ({ name: names.get(node)!, node })), leaves),
    each: graphOf(outputs, [...leaves, ...kept.map((node) => image.get(node)!)]),
  };
};
