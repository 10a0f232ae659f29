/**
 * Fusion: which tensors get memory of their own, and why.
 *
 * A node without memory is computed inside the kernels of its users (its op's lowering is inlined there). Nodes are decided from
 * outputs to inputs, so that all users of a node are known. Every decision has a reason that can be shown.
 */
import { type Graph, nodesOf } from '../dsl/graph/graph.ts';
import type { Node } from '../dsl/graph/node.ts';
import { definitionOf, type OpTable } from '../dsl/ops/table.ts';
import { freeVariables, reductionsIn } from '../dsl/scalar/rewrite.ts';
import { textAttribute } from '../dsl/ops/attributes.ts';
import { parseContraction } from '../dsl/ops/reduction.ts';
import { tensorExpression } from './kernels/tensor-expression.ts';
import type { Schedule } from './schedule.ts';

export interface FusionPlan {
  /** Nodes that are computed into memory, each by a kernel of its own, in order. */
  readonly roots: readonly Node[];
  /** Why a node has memory of its own. */
  readonly reasons: ReadonlyMap<Node, string>;
}

const LEAVES: ReadonlySet<string> = new Set(['input', 'literal']);
export const isLeaf = (node: Node): boolean => LEAVES.has(node.op);
const isReduction = (node: Node): boolean => node.op === 'sum' || node.op === 'reduceMax';

const elements = (shape: Node['shape']): number => (shape as readonly number[]).reduce((a, b) => a * b, 1); // sizes are bound

/** Costs in units of one arithmetic operation; LAUNCH is that of one more kernel. */
const LOAD = 4;
const STORE = 6;
const LAUNCH = 20_000;

/** Times by place. */
type Demand = ReadonlyMap<string, number>;
const total = (demand: Demand): number => [...demand.values()].reduce((a, b) => a + b, 0);
const joined = (demands: readonly Demand[]): Demand => {
  const all = new Map<string, number>();
  for (const demand of demands) for (const [place, times] of demand) all.set(place, Math.max(all.get(place) ?? 0, times));
  return all;
};

interface Decision {
  readonly stored: boolean;
  readonly reason: string;
}
const inline: Decision = { stored: false, reason: '' };
const store = (reason: string): Decision => ({ stored: true, reason });

export const planFusion = (graph: Graph, table: OpTable, schedule: Schedule, forced: ReadonlyMap<Node, string> = new Map(), enabled = true): FusionPlan => {
  const nodes = nodesOf(graph);
  const users = new Map<Node, Node[]>();
  for (const node of nodes) for (const input of node.inputs) users.set(input, [...(users.get(input) ?? []), node]);
  const outputs = new Set(graph.outputs.map((output) => output.node));

  const reasons = new Map<Node, string>();
  const decided = new Set<Node>();
  /** Kernels that a node is computed in. */
  const homes = new Map<Node, ReadonlySet<Node>>();
  /**
   * How often elements of a node are computed if it is inlined, for each place in a kernel that asks for them: the main loop,
   * and each reduction's loop. Within one place, uses share one computation.
   */
  const demand = new Map<Node, Demand>();
  /** What the kernel of a root is built around. */
  const core = new Map<Node, 'contraction' | 'reduction'>();

  /** Reductions, and what is computed from them element by element. */
  const rowValues = new Set<Node>();
  for (const node of nodes) {
    const { traits } = definitionOf(node.op, table);
    const follows = (traits.elementwise || node.op === 'reshape') && node.inputs.some((input) => rowValues.has(input) && elements(input.shape) === elements(node.shape));
    if (isReduction(node) || follows) rowValues.add(node);
  }

  /** The einsums in the kernel of a root. */
  const contractions = new Map<Node, readonly Node[]>();

  /** Work to compute one element, its own inputs being in memory or inlined. */
  const work = new Map<Node, number>();
  const afterContraction = new Set<Node>();
  /** A value of the row is in a register; the end of a matmul's epilogue will be in memory if several read it. */
  const costOfReading = (input: Node, by: Node): number =>
    rowValues.has(input) && elements(input.shape) < elements(by.shape) ? 0
    : afterContraction.has(input) && (users.get(input) ?? []).length > 1 ? LOAD : work.get(input)!;
  for (const node of nodes) {
    const { traits } = definitionOf(node.op, table);
    const inputs = node.inputs.reduce((sum, input) => sum + costOfReading(input, node), 0);
    if (node.op === 'einsum' || (traits.elementwise && node.inputs.some((input) => afterContraction.has(input)))) afterContraction.add(node);
    work.set(node, isLeaf(node) ? LOAD : node.inputs.length === 0 ? 0 : node.op === 'einsum' || isReduction(node) ? LOAD : inputs + traits.cost);
  }

  const isStored = (node: Node): boolean => isLeaf(node) || reasons.has(node);
  const homesOf = (node: Node): ReadonlySet<Node> => (reasons.has(node) ? new Set([node]) : homes.get(node) ?? new Set());

  /** What one use of `node` by `user` asks for. */
  const demandBy = (user: Node, node: Node): Demand => {
    const own: Demand = reasons.has(user) ? new Map([[`${user.id}`, elements(user.shape)]]) : demand.get(user)!;
    const repeats = total(own) / Math.max(1, elements(user.shape));
    if (isReduction(user)) return new Map([[`sum ${user.id}`, repeats * elements(node.shape)]]);
    if (user.op === 'einsum') return new Map([[`einsum ${user.id}`, repeats * contractionReads(user, node, schedule)]]);
    // a broadcast of a row's value is computed once a row when its reduction joins the kernel
    if (user.op === 'expand' && rowValues.has(node)) return new Map([...own].map(([place, times]) => [place, Math.min(times, elements(node.shape))]));
    return own;
  };

  /** An einsum joins the kernel that all elementwise chains after it end in, alone. */
  const epilogueRoot = (node: Node, shape: Node['shape'] = node.shape): Node | string => {
    const roots = new Set<Node | string>();
    for (const user of users.get(node) ?? []) {
      if (!definitionOf(user.op, table).traits.elementwise) return `its user ${user.op} is not elementwise`;
      if (elements(user.shape) !== elements(shape)) return `its user ${user.op} has another shape`;
      roots.add(reasons.has(user) ? user : epilogueRoot(user, shape));
    }
    const [root, ...others] = roots;
    return root === undefined || others.length > 0 ? 'several kernels read it' : root;
  };

  const decideContraction = (node: Node): Decision => {
    const root = epilogueRoot(node);
    if (typeof root === 'string') return store(`contraction: ${root}`);
    const others = contractions.get(root) ?? [];
    if (core.has(root) && !others.every((other) => sharesLeft(other, node))) return store(`contraction: the kernel of ${root.op} already has a ${core.get(root)}`);
    core.set(root, 'contraction');
    contractions.set(root, [...others, node]);
    return inline;
  };

  /** A reduction joins a kernel when each of its values is computed once there. */
  const decideReduction = (node: Node): Decision => {
    const kernels = [...kernelsOf(node)];
    const [root] = kernels;
    if (root === undefined || kernels.length > 1) return store('reduction: several kernels read it');
    if (core.get(root) === 'contraction') return store('reduction: its user is in a matmul kernel');
    const expression = tensorExpression(root, (n) => (n !== root && (isStored(n) || (n !== node && !decided.has(n))) ? n.id : undefined), table);
    const sets = reductionsIn(expression.value).map((e) => expression.axes.filter((axis) => freeVariables(e).has(axis.id)));
    const rows = sets.map((set) => set.reduce((n, axis) => n * axis.extent, 1));
    if (rows.some((count) => count > elements(node.shape))) return store('reduction: fused, it would be computed more than once');
    if (new Set(sets.map((set) => set.map((axis) => axis.id).join())).size > 1) return store('reduction: the kernel already reduces other rows');
    core.set(root, 'reduction');
    return inline;
  };
  const kernelsOf = (node: Node): ReadonlySet<Node> => new Set((users.get(node) ?? []).flatMap((user) => [...homesOf(user)]));

  const decideElementwise = (node: Node): Decision => {
    const cost = work.get(node)!, size = elements(node.shape), wanted = total(demand.get(node)!);
    if (cost <= LOAD) return inline;
    const kernels = kernelsOf(node);
    const inlined = wanted * cost, stored = size * (cost + STORE) + wanted * LOAD + LAUNCH;
    if (inlined <= stored) return inline;
    return store(kernels.size > 1 ? `read by ${kernels.size} kernels, cheaper to keep than to compute again` : 'read many times, cheaper to keep than to compute again');
  };

  const decide = (node: Node): Decision => {
    const force = forced.get(node);
    if (force !== undefined) return store(force);
    if (outputs.has(node)) return store('output');
    if (!enabled) return node.inputs.length === 0 ? inline : store('fusion is off');
    if (node.inputs.length === 0) return inline;
    if (node.op === 'einsum') return decideContraction(node);
    if (isReduction(node)) return decideReduction(node);
    return definitionOf(node.op, table).traits.view ? inline : decideElementwise(node);
  };

  for (const node of [...nodes].reverse()) {
    if (!outputs.has(node) && (users.get(node) ?? []).length === 0) continue; // an unused input
    demand.set(node, joined((users.get(node) ?? []).map((user) => demandBy(user, node))));
    if (!isLeaf(node) || outputs.has(node)) {
      const { stored, reason } = decide(node);
      if (stored) {
        reasons.set(node, reason);
        if (node.op === 'einsum') { core.set(node, 'contraction'); contractions.set(node, [node]); }
        if (isReduction(node)) core.set(node, 'reduction');
      } else homes.set(node, kernelsOf(node));
    }
    decided.add(node);
  }
  return { roots: nodes.filter((node) => reasons.has(node) && !isLeaf(node)), reasons };
};

/** Two linear layers of one input, such as the halves of a gated layer: one loop reads it for both. */
const sharesLeft = (a: Node, b: Node): boolean => {
  const { left, result } = parseContraction(textAttribute(a.attributes, 'pattern'));
  return a.attributes['pattern'] === b.attributes['pattern'] && a.inputs[0] === b.inputs[0] && a.inputs[1] !== b.inputs[1]
    && elements(a.shape) === elements(b.shape) && !left.includes(result[result.length - 1] ?? '');
};

/** How often the tiled matmul reads elements of one of its operands: once for each tile of the other. */
const contractionReads = (einsum: Node, operand: Node, schedule: Schedule): number => {
  const names = parseContraction(textAttribute(einsum.attributes, 'pattern'));
  const [own, other, otherNode, tile] = einsum.inputs[0] === operand
    ? [names.left, names.right, einsum.inputs[1]!, schedule.matmul.columns] : [names.right, names.left, einsum.inputs[0]!, schedule.matmul.rows];
  const free = other.reduce((n, name, axis) => (own.includes(name) || !names.result.includes(name) ? n : n * (otherNode.shape[axis] as number)), 1);
  return elements(operand.shape) * Math.max(1, free / tile);
};
