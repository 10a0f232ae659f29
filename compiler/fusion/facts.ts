/** What fusion needs to know of a graph before it decides anything: users, sizes, what rows and matmuls make, and costs. */
import { type Graph, nodesOf } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import { parseContraction } from '../../dsl/ops/reduction.ts';
import { definitionOf, type OpTable } from '../../dsl/ops/table.ts';
import type { MatmulSchedule, Schedule } from '../schedule.ts';

const LEAVES: ReadonlySet<string> = new Set(['input', 'literal']);
/** In memory from the start. */
export const isLeaf = (node: Node): boolean => LEAVES.has(node.op);
export const isReduction = (node: Node): boolean => node.op === 'sum' || node.op === 'reduceMax';
export const isContraction = (node: Node): boolean => node.op === 'einsum';

export const elementsOf = (node: Node): number => (node.shape as readonly number[]).reduce((a, b) => a * b, 1); // sizes are bound

/** Costs in units of one arithmetic operation. */
export const LOAD = 4;
export const STORE = 6;

export interface Facts {
  readonly nodes: readonly Node[];
  readonly outputs: ReadonlySet<Node>;
  readonly usersOf: (node: Node) => readonly Node[];
  /** Reductions, and what is computed from them element by element: one value for each row. */
  readonly rowValues: ReadonlySet<Node>;
  /** Contractions and the elementwise chains after them: storing one of these is part of the contraction's kernel. */
  readonly epilogues: ReadonlySet<Node>;
  /** Elementwise nodes that use the value of a row they lie in: a norm, a softmax. */
  readonly normalised: ReadonlySet<Node>;
  /** Work to compute one element where it is needed. */
  readonly workOf: (node: Node) => number;
}

/** What a plan is made for. */
export interface FusionOptions {
  readonly table: OpTable;
  readonly schedule: Schedule;
  /** Nodes that must be stored, with the reason. */
  readonly forced?: ReadonlyMap<Node, string>;
  /** Storage buffers that a kernel may bind. */
  readonly bindings: number;
  /** False: every op has a kernel of its own. */
  readonly enabled: boolean;
}

const userLists = (nodes: readonly Node[]): ReadonlyMap<Node, readonly Node[]> => {
  const users = new Map<Node, Node[]>(nodes.map((node) => [node, []]));
  for (const node of nodes) for (const input of new Set(node.inputs)) users.get(input)!.push(node);
  return users;
};

const rowValuesIn = (nodes: readonly Node[], table: OpTable): ReadonlySet<Node> => {
  const rows = new Set<Node>();
  for (const node of nodes) {
    const keepsRows = definitionOf(node.op, table).traits.elementwise || node.op === 'reshape';
    if (isReduction(node) || (keepsRows && node.inputs.some((input) => rows.has(input) && elementsOf(input) === elementsOf(node)))) rows.add(node);
  }
  return rows;
};

const normalisedIn = (nodes: readonly Node[], rows: ReadonlySet<Node>, table: OpTable): ReadonlySet<Node> => {
  const found = new Set<Node>();
  for (const node of nodes) {
    const broadcast = node.op === 'expand' && rows.has(node.inputs[0]!) && elementsOf(node) > elementsOf(node.inputs[0]!);
    if (broadcast || (definitionOf(node.op, table).traits.elementwise && node.inputs.some((input) => found.has(input)))) found.add(node);
  }
  return found;
};

/** Einsums and the elementwise chains after them. */
const epiloguesIn = (nodes: readonly Node[], table: OpTable): ReadonlySet<Node> => {
  const found = new Set<Node>();
  for (const node of nodes) {
    if (isContraction(node) || (definitionOf(node.op, table).traits.elementwise && node.inputs.some((input) => found.has(input)))) found.add(node);
  }
  return found;
};

export const factsOf = (graph: Graph, table: OpTable): Facts => {
  const nodes = nodesOf(graph), users = userLists(nodes);
  const usersOf = (node: Node): readonly Node[] => users.get(node) ?? [];
  const rowValues = rowValuesIn(nodes, table), epilogues = epiloguesIn(nodes, table);
  const work = new Map<Node, number>();
  // a row's value is in a register; the end of a matmul's epilogue is in memory if several read it
  const costOfReading = (input: Node, by: Node): number =>
    rowValues.has(input) && elementsOf(input) < elementsOf(by) ? 0 : epilogues.has(input) && usersOf(input).length > 1 ? LOAD : work.get(input)!;
  for (const node of nodes) {
    const inputs = node.inputs.reduce((sum, input) => sum + costOfReading(input, node), 0);
    const inMemory = isLeaf(node) || isContraction(node) || isReduction(node);
    work.set(node, inMemory ? LOAD : node.inputs.length === 0 ? 0 : inputs + definitionOf(node.op, table).traits.cost);
  }
  return { nodes, outputs: new Set(graph.outputs.map((output) => output.node)), usersOf, rowValues, epilogues, normalised: normalisedIn(nodes, rowValues, table), workOf: (node) => work.get(node)! };
};

const contractionOf = (node: Node): ReturnType<typeof parseContraction> => parseContraction(textAttribute(node.attributes, 'pattern'));

/** Two linear layers of one input, such as the halves of a gated layer: one loop reads it for both. */
export const sharesLeft = (a: Node, b: Node): boolean => {
  const { left, result } = contractionOf(a);
  return a.attributes['pattern'] === b.attributes['pattern'] && a.inputs[0] === b.inputs[0] && a.inputs[1] !== b.inputs[1]
    && elementsOf(a) === elementsOf(b) && !left.includes(result[result.length - 1] ?? '');
};

/** How often the tiled matmul reads elements of one of its operands: once for each tile of the other. */
export const contractionReads = (einsum: Node, operand: Node, { rows, columns }: Pick<MatmulSchedule, 'rows' | 'columns'>): number => {
  const { left, right, result } = contractionOf(einsum);
  const isLeft = einsum.inputs[0] === operand;
  const [own, other, otherNode, tile] = isLeft ? [left, right, einsum.inputs[1]!, columns] : [right, left, einsum.inputs[0]!, rows];
  const free = other.reduce((n, name, axis) => (own.includes(name) || !result.includes(name) ? n : n * (otherNode.shape[axis] as number)), 1);
  return elementsOf(operand) * Math.max(1, free / tile);
};
