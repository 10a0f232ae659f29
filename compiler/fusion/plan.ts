/**
 * Fusion: which tensors get memory of their own, and why.
 *
 * A node without memory is computed inside the kernels of its users (its op's lowering is inlined there). Nodes are decided from
 * outputs to inputs, so that all users of a node are known. Every decision has a reason that can be shown.
 */
import type { Graph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { definitionOf } from '../../dsl/ops/table.ts';
import { extentOf, freeVariables, reductionsIn } from '../../dsl/scalar/rewrite.ts';
import { contractionOf } from '../kernels/matmul.ts';
import { localExpression } from '../kernels/local-expression.ts';
import { sharingOf } from '../schedule.ts';
import { planRowPrograms } from './row-programs.ts';
import { askedIn, streamRegion } from './stream.ts';
import { contractionReads, elementsOf, type Facts, factsOf, type FusionOptions, isContraction, isLeaf, isReduction, LOAD, sharesLeft, STORE } from './facts.ts';

export interface FusionPlan {
  /** Nodes that are computed into memory, each by a kernel of its own, in order. */
  readonly roots: readonly Node[];
  /** Why a node has memory of its own. */
  readonly reasons: ReadonlyMap<Node, string>;
  /** Results of row programs, with the nodes whose rows lie in registers there. */
  readonly rowPrograms: ReadonlyMap<Node, readonly Node[]>;
  /** Why a contraction behind a softmax is no streamed kernel. */
  readonly notStreamed: ReadonlyMap<Node, string>;
}

/**
 * How often elements of a node are computed if it is inlined, for each place in a kernel that asks for them: the main loop,
 * and each reduction's loop. Within one place, uses share one computation.
 */
type Demand = ReadonlyMap<string, number>;
/** How places inside a matmul's loop are called. */
const EINSUM = 'einsum ';
const total = (demand: Demand): number => [...demand.values()].reduce((a, b) => a + b, 0);
const joined = (demands: readonly Demand[]): Demand => {
  const all = new Map<string, number>();
  for (const demand of demands) for (const [place, times] of demand) all.set(place, Math.max(all.get(place) ?? 0, times));
  return all;
};

/** What is decided so far; grows from outputs to inputs. */
interface State {
  readonly facts: Facts;
  readonly options: FusionOptions;
  readonly reasons: Map<Node, string>;
  readonly decided: Set<Node>;
  /** Kernels that an inlined node is computed in. */
  readonly homes: Map<Node, ReadonlySet<Node>>;
  readonly demand: Map<Node, Demand>;
  /** Nodes that a streamed kernel computes, and those that it needs in memory. */
  readonly streamed: Set<Node>;
  readonly needed: Set<Node>;
  readonly notStreamed: Map<Node, string>;
  /** Where folds find contractions that ask to be streamed. */
  readonly asked: ReadonlySet<Node>;
  /** What the kernel of a root is built around. */
  readonly core: Map<Node, { readonly kind: 'reduction' | 'stream' } | { readonly kind: 'contraction'; readonly einsums: readonly Node[] }>;
}

/** Why a node is stored; undefined where it is inlined. */
type Decision = string | undefined;

const kernelsReading = ({ facts, reasons, homes }: State, node: Node): ReadonlySet<Node> =>
  new Set(facts.usersOf(node).flatMap((user) => (reasons.has(user) ? [user] : [...(homes.get(user) ?? [])])));

/** What one use of `node` by `user` asks for. */
const demandBy = ({ facts, options, reasons, demand, homes }: State, user: Node, node: Node): Demand => {
  const own: Demand = reasons.has(user) ? new Map([[`${user.id}`, elementsOf(user)]]) : demand.get(user)!;
  const repeats = total(own) / Math.max(1, elementsOf(user));
  if (isReduction(user)) return new Map([[`sum ${user.id}`, repeats * elementsOf(node)]]);
  // contractions of one kernel that share a factor share its loads
  if (isContraction(user)) {
    const [kernel] = reasons.has(user) ? [user] : [...(homes.get(user) ?? [user])];
    return new Map([[`${EINSUM}${kernel!.id} of ${node.id}`, repeats * contractionReads(user, node, sharingOf(options.schedule.matmul))]]);
  }
  // the rows of a matmul's tile share what is broadcast over them
  if (user.op === 'expand' && elementsOf(node) < elementsOf(user)) {
    const shared = Math.min(sharingOf(options.schedule.matmul).rows, elementsOf(user) / elementsOf(node));
    if (!facts.rowValues.has(node)) return new Map([...own].map(([place, times]) => [place, place.startsWith(EINSUM) ? times / shared : times]));
  }
  // a broadcast of a row's value is computed once a row when its reduction joins the kernel
  if (user.op === 'expand' && facts.rowValues.has(node)) return new Map([...own].map(([place, times]) => [place, Math.min(times, elementsOf(node))]));
  return own;
};

/** The one kernel that all elementwise chains after an einsum end in, or why there is none. */
const epilogueRoot = ({ facts, options, reasons }: State, einsum: Node): Node | string => {
  const roots = new Set<Node>(), chain = new Set<Node>([einsum]);
  for (const node of chain) {
    for (const user of facts.usersOf(node)) {
      if (!definitionOf(user.op, options.table).traits.elementwise) return `its user ${user.op} is not elementwise`;
      if (elementsOf(user) !== elementsOf(einsum)) return `its user ${user.op} has another shape`;
      if (reasons.has(user)) roots.add(user);
      else chain.add(user);
    }
  }
  const [root, ...others] = roots;
  return root === undefined || others.length > 0 ? 'several kernels read it' : root;
};

const decideContraction = (state: State, node: Node): Decision => {
  const root = epilogueRoot(state, node);
  if (typeof root === 'string') return `contraction: ${root}`;
  const core = state.core.get(root);
  const einsums = core?.kind === 'contraction' ? core.einsums : [];
  if (core !== undefined && (core.kind !== 'contraction' || !einsums.every((other) => sharesLeft(other, node)))) {
    return `contraction: the kernel of ${root.op} already has a ${core.kind}`;
  }
  state.core.set(root, { kind: 'contraction', einsums: [...einsums, node] });
  return undefined;
};

/** A reduction joins a kernel when each of its values is computed once there, and all of the kernel's are of the same rows. */
const decideReduction = (state: State, node: Node): Decision => {
  const { reasons, decided, core, options } = state;
  const [root, ...others] = kernelsReading(state, node);
  if (root === undefined || others.length > 0) return 'reduction: several kernels read it';
  const around = core.get(root)?.kind;
  if (around === 'stream') return 'reduction: its user is in a streamed kernel';
  if (around === 'contraction' && !options.schedule.normsInMatmuls) return 'reduction: its user is in a matmul kernel';
  const isStored = (other: Node): boolean => other !== root && (isLeaf(other) || reasons.has(other) || (other !== node && !decided.has(other)));
  const { axes, value, variable } = localExpression(root, isStored, options.table).expression;
  if (around === 'contraction') {
    // a norm in front of the matmul: its rows are those of the tile
    return contractionOf({ axes, value, variable }) === undefined ? 'reduction: its user is in a matmul kernel, and it is not made over rows of a factor' : undefined;
  }
  const rows = reductionsIn(value).map((e) => axes.filter((axis) => freeVariables(e).has(axis.id)));
  if (rows.some((row) => extentOf(row) > elementsOf(node))) return 'reduction: fused, it would be computed more than once';
  if (new Set(rows.map((row) => row.map((axis) => axis.id).join())).size > 1) return 'reduction: the kernel already reduces other rows';
  core.set(root, { kind: 'reduction' });
  return undefined;
};

const insideMatmul = ({ demand }: State, node: Node): boolean => [...demand.get(node)!.keys()].some((place) => place.startsWith(EINSUM));

const decideElementwise = (state: State, node: Node): Decision => {
  const cost = state.facts.workOf(node), wanted = total(state.demand.get(node)!);
  // inside a matmul its row's reductions could not join it, or would be computed by each of several matmuls
  const norms = state.options.schedule.normsInMatmuls && kernelsReading(state, node).size === 1;
  if (state.facts.normalised.has(node) && norms && insideMatmul(state, node)) return undefined;
  if (state.facts.normalised.has(node) && insideMatmul(state, node)) {
    return 'a matmul reads it, and the reductions of its rows join it here';
  }
  // what follows a matmul is stored by its kernel, which has to store something in any case where several kernels read it
  const isEpilogue = state.facts.epilogues.has(node), launch = isEpilogue ? 0 : state.options.schedule.launch, kernels = kernelsReading(state, node).size;
  const isStoredAnyway = isEpilogue && kernels > 1;
  if (cost <= LOAD || (!isStoredAnyway && wanted * cost <= elementsOf(node) * (cost + STORE) + wanted * LOAD + launch)) return undefined;
  return `read ${kernels > 1 ? `by ${kernels} kernels` : 'many times'}, cheaper to keep than to compute again`;
};

const decide = (state: State, node: Node): Decision => {
  const { facts, options } = state;
  if (options.forced?.has(node) === true) return options.forced.get(node);
  if (facts.outputs.has(node)) return 'output';
  if (state.streamed.has(node)) return undefined;
  if (state.needed.has(node)) return 'a streamed kernel reads it again and again';
  if (node.inputs.length === 0) return undefined;
  if (!options.enabled) return 'fusion is off';
  if (isContraction(node)) return decideContraction(state, node);
  if (isReduction(node)) return decideReduction(state, node);
  return definitionOf(node.op, options.table).traits.view ? undefined : decideElementwise(state, node);
};

/** Makes the kernel around a contraction a streamed one, where it is the end of an attention. */
const stream = (state: State, einsum: Node): void => {
  const { facts, options, reasons, homes, core } = state;
  const [root, ...others] = reasons.has(einsum) ? [einsum] : [...homes.get(einsum)!];
  const around = root && core.get(root);
  const alone = isContraction(einsum) ? around?.kind === 'contraction' && around.einsums.length === 1 : around?.kind === 'reduction';
  if (root === undefined || others.length > 0 || !alone) return;
  const region = streamRegion({ facts, options, asked: state.asked, stored: (node) => reasons.has(node) || options.forced?.has(node) === true }, einsum, root);
  if (typeof region === 'string') state.notStreamed.set(einsum, region);
  if (region === undefined || typeof region === 'string') return;
  core.set(root, { kind: 'stream' });
  for (const node of region.inside) state.streamed.add(node);
  for (const node of region.boundary) state.needed.add(node);
};

export const planFusion = (graph: Graph, options: FusionOptions): FusionPlan => {
  const facts = factsOf(graph, options.table);
  const state: State = { facts, options, asked: options.schedule.stream === undefined ? new Set() : askedIn(facts.nodes, options.table), reasons: new Map(), decided: new Set(), homes: new Map(), demand: new Map(), core: new Map(), streamed: new Set(), needed: new Set(), notStreamed: new Map() };
  for (const node of [...facts.nodes].reverse()) {
    const isOutput = facts.outputs.has(node), users = facts.usersOf(node);
    if (!isOutput && users.length === 0) continue; // an input that nothing reads
    state.demand.set(node, joined(users.map((user) => demandBy(state, user, node))));
    const reason = isLeaf(node) && !isOutput ? undefined : decide(state, node);
    if (reason === undefined) state.homes.set(node, kernelsReading(state, node));
    else {
      state.reasons.set(node, reason);
      if (isContraction(node)) state.core.set(node, { kind: 'contraction', einsums: [node] });
      if (isReduction(node)) state.core.set(node, { kind: 'reduction' });
    }
    if ((isContraction(node) || isReduction(node)) && options.enabled && !state.streamed.has(node)) stream(state, node);
    state.decided.add(node);
  }
  const { rowProgram } = options.schedule;
  const { programs, freed, reasons } = rowProgram === undefined || !options.enabled ? { programs: new Map<Node, readonly Node[]>(), freed: new Set<Node>(), reasons: new Map<Node, string>() }
    : planRowPrograms(graph, new Set(state.reasons.keys()), new Set([...state.core].flatMap(([root, { kind }]) => (kind === 'stream' ? [root] : []))), { table: options.table, schedule: rowProgram, bindings: options.bindings });
  for (const node of freed) state.reasons.delete(node);
  for (const [node, why] of reasons) state.reasons.set(node, `${state.reasons.get(node)!}; not in the program that reads it: ${why}`);
  return { roots: facts.nodes.filter((node) => state.reasons.has(node) && !isLeaf(node)), reasons: state.reasons, rowPrograms: programs, notStreamed: state.notStreamed };
};
