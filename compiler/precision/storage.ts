/**
 * Which class a tensor of a graph belongs to, and so how it lies in memory.
 *
 * Classes are found from the graph alone (users, ops' traits), whatever fusion then stores: a policy holds for user-written models too.
 * Asked of the graph after all passes. Invariant: the answer for a node that is no f32 tensor is its own dtype.
 */
import type { StorageType } from '../../dsl/dtype.ts';
import { type Graph, nodesOf } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { definitionOf, type OpTable } from '../../dsl/ops/table.ts';
import type { KernelPlan } from '../kernels/plan-kernels.ts';
import { needsHalf, type Numbers, policyOf, type TensorClass } from './policy.ts';
import { packedParameters, scaleParameters } from './quantise.ts';

const isContraction = (node: Node): boolean => node.op === 'einsum';
const isReduction = (node: Node): boolean => node.op === 'sum' || node.op === 'reduceMax';
const elementsOf = (node: Node): number => (node.shape as readonly number[]).reduce((a, b) => a * b, 1); // sizes are bound

interface Facts {
  readonly nodes: readonly Node[];
  readonly isView: (node: Node) => boolean;
  readonly isElementwise: (node: Node) => boolean;
  /** Users that compute: views are looked through. */
  readonly readersOf: (node: Node) => readonly Node[];
}

const factsOf = (graph: Graph, table: OpTable): Facts => {
  const nodes = nodesOf(graph), readers = new Map<Node, Set<Node>>(nodes.map((node) => [node, new Set()]));
  const isView = (node: Node): boolean => definitionOf(node.op, table).traits.view;
  for (const node of [...nodes].reverse()) {
    for (const input of node.inputs) for (const reader of isView(node) ? readers.get(node)! : [node]) readers.get(input)!.add(reader);
  }
  return { nodes, isView, isElementwise: (node) => definitionOf(node.op, table).traits.elementwise, readersOf: (node) => [...readers.get(node)!] };
};

/** The tensor whose elements a view shows; the view itself where it joins several. */
const behind = (node: Node, facts: Facts): Node => (facts.isView(node) && node.inputs.length === 1 ? behind(node.inputs[0]!, facts) : node);

/** Nodes that are made from one of `sources` by elementwise ops and views alone, keeping the number of elements where `sameSize` says so. */
const madeFrom = (sources: (node: Node) => boolean, { nodes, isView, isElementwise }: Facts, sameSize: boolean): ReadonlySet<Node> => {
  const found = new Set<Node>();
  for (const node of nodes) {
    const carries = (input: Node): boolean => found.has(input) && (!sameSize || elementsOf(input) === elementsOf(node));
    if (sources(node) || ((isElementwise(node) || isView(node)) && node.inputs.some(carries))) found.add(node);
  }
  return found;
};

/** Whether `node` is computed from `source` with a contraction on the way. Inputs have smaller ids than their users, which ends the search. */
const contracts = (node: Node, source: Node): boolean => {
  const plain = new Set<Node>(), contracted = new Set<Node>();
  const pending: (readonly [node: Node, past: boolean])[] = [[node, false]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [at, past] = next, seen = past ? contracted : plain;
    if (at === source && past) return true;
    if (seen.has(at) || at.id <= source.id) continue;
    seen.add(at);
    for (const input of at.inputs) pending.push([input, past || isContraction(at)]);
  }
  return false;
};

/** Both ends of every `x + f(x)` where f contracts: the stream that blocks add to. */
const residualsIn = (facts: Facts): ReadonlySet<Node> => {
  const found = new Set<Node>();
  for (const node of facts.nodes) {
    if (node.op !== 'add') continue;
    const [a, b] = node.inputs.map((input) => behind(input, facts)) as [Node, Node]; // an add has two
    for (const [stream, other] of [[a, b], [b, a]] as const) {
      if (stream.inputs.length === 0 || elementsOf(stream) !== elementsOf(node) || !contracts(other, stream)) continue;
      found.add(stream).add(node);
    }
  }
  return found;
};

/** An output that is a reshape is stored as what it reshapes. */
const portsOf = (graph: Graph): ReadonlySet<Node> => {
  const ports = new Set<Node>(graph.inputs);
  for (const { node } of graph.outputs) for (let at = node; ; at = at.inputs[0]!) {
    ports.add(at);
    if (at.op !== 'reshape') break;
  }
  return ports;
};

/** The class of every node of a graph. */
export const classesOf = (graph: Graph, table: OpTable): ((node: Node) => TensorClass) => {
  const facts = factsOf(graph, table), ports = portsOf(graph), parameters = new Set(graph.parameters), packed = packedParameters(graph), scales = scaleParameters(graph);
  const rows = madeFrom(isReduction, facts, true), contracted = madeFrom(isContraction, facts, false), residuals = residualsIn(facts);
  // sums over packed weights are not scaled yet, squares are larger than what they are of, and masked scores are -1e30
  const isStatistic = (node: Node, readers: readonly Node[]): boolean => rows.has(node) || (isContraction(node) && node.inputs.some((input) => packed.has(input)))
    || readers.some(({ op }) => op === 'reduceMax') || (readers.length > 0 && readers.every(isReduction));
  return (node) => {
    const readers = facts.readersOf(node);
    if (ports.has(node)) return 'port';
    if (node.op === 'literal' || scales.has(node)) return 'table';
    if (parameters.has(node)) return readers.some(isContraction) ? 'weight' : 'vector';
    if (isStatistic(node, readers)) return 'statistic';
    if (residuals.has(node)) return 'residual';
    return contracted.has(node) || readers.some(isContraction) ? 'activation' : 'other';
  };
};

/** How the tensors of a graph lie in memory under a policy. */
export const storageIn = (graph: Graph, numbers: Numbers, table: OpTable): ((node: Node) => StorageType) => {
  const policy = policyOf(numbers), packed = packedParameters(graph);
  const classOf = needsHalf(numbers) ? classesOf(graph, table) : (): TensorClass => 'other'; // where all classes are f32, none need be told apart
  return (node) => (packed.has(node) ? 'i8' : node.dtype === 'f32' ? policy[classOf(node)] : node.dtype);
};

/** How the tensors that have memory lie there, as a plan has it; all others as their dtype says. What the reference's bounds ask for. */
export const storageOfPlan = ({ tensors }: Pick<KernelPlan, 'tensors'>): ((node: Node) => StorageType) => {
  const stored = new Map([...tensors.values()].map(({ node, dtype }) => [node, dtype]));
  return (node) => stored.get(node) ?? node.dtype;
};
