/**
 * Fusion of chains of small per-item layers into row programs, after everything else is decided.
 *
 * From a stored result upwards, each stored tensor that only this chain reads is taken in: as a row in registers, as a hidden layer that is
 * computed on the fly, or inlined (norms, lengths of weights, inputs of the first layer). The chain grows as long as the kernel that it
 * makes is legal; what it cannot take stays in memory, with the reason.
 */
import { type Graph, nodesOf } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import type { OpTable } from '../../dsl/ops/table.ts';
import { outermostReductions, reductionsIn, rewriteScalar, subexpressions } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import { type Local, localExpression } from '../kernels/local-expression.ts';
import type { TensorExpression } from '../kernels/tensor-expression.ts';
import { ROW_FAULTS, type RowFault, type RowProgram, rowProgramOf, type StageSource } from '../kernels/row-pattern.ts';
import { rowRegisters, rowStatements } from '../kernels/row-program.ts';
import type { RowProgramSchedule } from '../schedule.ts';
import { isContraction, isLeaf } from './facts.ts';

export interface RowPrograms {
  /** For each result, the nodes whose rows lie in registers, in order. */
  readonly programs: ReadonlyMap<Node, readonly Node[]>;
  /** Nodes that need no memory any more. */
  readonly freed: ReadonlySet<Node>;
  /** Why a stored node is not part of the program that reads it. */
  readonly reasons: ReadonlyMap<Node, string>;
}

export interface RowProgramOptions {
  readonly table: OpTable;
  readonly schedule: RowProgramSchedule;
  /** Storage buffers that a kernel may bind. */
  readonly bindings: number;
}

/** What a result's kernel is made of while it grows. */
interface Chain {
  readonly root: Node;
  /** Nodes whose rows lie in registers. */
  readonly rows: readonly Node[];
  /** Nodes that were stored and are now computed in place. */
  readonly inlined: ReadonlySet<Node>;
}

const shapeOf = (node: Node): readonly number[] => node.shape as readonly number[]; // sizes are bound

export interface ChainStages {
  readonly stages: readonly StageSource[];
  /** The tensors outside that it reads, numbered from 0; then come the rows in registers, and the result. */
  readonly reads: readonly Node[];
  /** Equal texts mean equal programs. */
  readonly signature: string;
}

/** The stages of a chain, in one numbering. */
export const stagesOf = (root: Node, rows: readonly Node[], isStored: (node: Node) => boolean, table: OpTable): ChainStages => {
  const locals = [...rows, root].map((node) => ({ node, local: localExpression(node, (other) => isStored(other) || rows.includes(other), table) }));
  const reads = [...new Set(locals.flatMap(({ local }) => local.reads))].filter((node) => !rows.includes(node));
  const numbers = new Map([...reads, ...rows, root].map((node, i) => [node, i]));
  const stages = locals.map(({ node, local }) => ({ tensor: numbers.get(node)!, shape: shapeOf(node), expression: renumbered(local, (read) => numbers.get(read)!) }));
  const signature = locals.map(({ node, local }) => `${numbers.get(node)!}=${local.reads.map((read) => numbers.get(read)!).join()}:${local.signature}`).join('|');
  return { stages, reads, signature };
};
const renumbered = ({ expression, reads }: Local, number: (node: Node) => number): TensorExpression =>
  ({ ...expression, value: rewriteScalar(expression.value, (_old, e) => (e.kind === 'load' ? S.load(number(reads[e.tensor]!), e.index, e.stored, e.lanes) : e)) });

/** Nodes above `from` that are computed in its kernel, and stored ones that it reads. */
const around = (from: Node, isStored: (node: Node) => boolean): { readonly inside: ReadonlySet<Node>; readonly reads: ReadonlySet<Node> } => {
  const inside = new Set([from]), reads = new Set<Node>();
  for (const node of inside) for (const input of node.inputs) (isStored(input) ? reads : inside).add(input);
  return { inside, reads };
};

/** Rows of so few elements are kept rather than computed on the fly. */
const FEW = 16;
const countOf = (node: Node): number => shapeOf(node).reduce((a, b) => a * b, 1);
const widthOf = (node: Node): number => shapeOf(node)[node.shape.length - 1] ?? 1;

/** Answers that say that a tensor is not made of the chain's rows. */
const NOT_ROWS: ReadonlySet<string> = new Set<RowFault>([ROW_FAULTS.counts, ROW_FAULTS.others, ROW_FAULTS.dynamic, ROW_FAULTS.several, ROW_FAULTS.parts, ROW_FAULTS.axes, ROW_FAULTS.own]);

/** What is known while chains grow. */
interface Site {
  readonly options: RowProgramOptions;
  /** Position of a node in the graph: later nodes are computed from earlier ones. */
  readonly number: (node: Node) => number;
  /** In memory so far. */
  readonly isKept: (node: Node) => boolean;
  /** May not be taken into a chain: an output, or part of another one. */
  readonly isFixed: (node: Node) => boolean;
  /** Stored nodes whose kernels read a node. */
  readonly readersOf: (node: Node) => ReadonlySet<Node>;
  /** Answers by signature: a chain is asked about again and again. */
  readonly tried: Map<string, RowProgram | string>;
}

const isStoredFor = ({ isKept }: Site, { rows, inlined }: Chain) => (node: Node): boolean => isKept(node) && !inlined.has(node) && !rows.includes(node);
/** Stored nodes and rows in registers that the kernel part of `member` reads. */
const readsOf = (site: Site, chain: Chain, member: Node): ReadonlySet<Node> => {
  const isStored = isStoredFor(site, chain);
  return around(member, (node) => isStored(node) || chain.rows.includes(node)).reads;
};

/** What a schedule or an adapter forbids. */
const beyondLimits = ({ stages }: RowProgram, buffers: number, { schedule, bindings }: RowProgramOptions): string | undefined =>
  buffers > bindings ? `the kernel would bind ${buffers} buffers, and the adapter allows ${bindings}`
  : stages.some(({ width, layers }) => width > schedule.width || layers.some(({ depth }) => depth.extent > schedule.depth)) ? 'its layers are not small'
  : stages.some(({ layers }) => layers.some(({ right }) => outermostReductions(right).length > 0)) ? 'weights would be summed up anew for every row'
  : rowRegisters(stages) > schedule.registers ? 'a row has more elements than a thread can keep in registers'
  : rowStatements(stages) > schedule.statements ? 'the kernel would have too many statements'
  : undefined;

/** The program of a chain, or why it has none. */
const programOf = (site: Site, chain: Chain): RowProgram | string => {
  const { stages, reads, signature } = stagesOf(chain.root, chain.rows, isStoredFor(site, chain), site.options.table);
  const program = site.tried.get(signature) ?? rowProgramOf(stages, (tensor) => reads[tensor] && shapeOf(reads[tensor]));
  site.tried.set(signature, program);
  return typeof program === 'string' ? program : beyondLimits(program, reads.length + 1, site.options) ?? program;
};
const isLegal = (site: Site, chain: Chain): boolean => typeof programOf(site, chain) !== 'string';

const withRow = ({ number }: Site, chain: Chain, node: Node): Chain => ({ ...chain, rows: [...chain.rows, node].sort((a, b) => number(a) - number(b)) });
const withInlined = (chain: Chain, node: Node): Chain => ({ ...chain, inlined: new Set([...chain.inlined, node]) });
const hasContraction = (site: Site, chain: Chain, node: Node): boolean => {
  const isStored = isStoredFor(site, { ...chain, rows: [] });
  return [...around(node, (other) => other !== node && isStored(other)).inside].some(isContraction);
};

/** A hidden layer may be computed on the fly where one layer reads it, and computing it takes no such layer itself. */
const isHidden = (site: Site, chain: Chain, node: Node): boolean => {
  const users = [chain.root, ...chain.rows].filter((user) => readsOf(site, chain, user).has(node));
  if (users.length !== 1) return false;
  const isStored = isStoredFor(site, chain);
  const { expression, reads } = localExpression(users[0]!, (other) => isStored(other) || chain.rows.includes(other), site.options.table), tensor = reads.indexOf(node);
  const loads = (e: Scalar): boolean => subexpressions(e).some((part) => part.kind === 'load' && part.tensor === tensor);
  const within = outermostReductions(expression.value).filter(loads), nested = within.some((sum) => reductionsIn(sum.body).some(loads));
  return within.length === 1 && !nested;
};

/** Sizes alone rule most nodes out, and cost nothing. */
const fitsRows = (site: Site, { root, rows: [known] }: Chain, node: Node): boolean => {
  const { width } = site.options.schedule, rows = countOf(node) / widthOf(node);
  return widthOf(node) <= width && (known === undefined ? countOf(root) % rows === 0 && countOf(root) / rows <= width : rows === countOf(known) / widthOf(known));
};

/** The chains that take `node` in, the better one first; none where sizes forbid it. */
const choicesFor = (site: Site, chain: Chain, node: Node): readonly Chain[] => {
  if (!hasContraction(site, chain, node)) return [withInlined(chain, node)];
  if (!fitsRows(site, chain, node)) return [];
  const asRow = withRow(site, chain, node), fault = programOf(site, asRow);
  // a generator of weights is no layer of rows, whatever else would allow it
  const isRow = typeof fault !== 'string' || !NOT_ROWS.has(fault);
  const hidden = isRow && isHidden(site, chain, node) ? [withInlined(chain, node)] : [];
  return widthOf(node) <= FEW ? [asRow, ...hidden] : [...hidden, asRow];
};

/** The chain with `node` in it, or why that cannot be; undefined where sizes alone forbid it. */
const taking = (site: Site, chain: Chain, node: Node): Chain | string | undefined => {
  const members = [chain.root, ...chain.rows];
  if ([...site.readersOf(node)].some((user) => !members.includes(user) && !chain.inlined.has(user))) return 'other kernels read it too';
  const choices = choicesFor(site, chain, node), answers = choices.map((choice) => programOf(site, choice));
  const legal = choices.find((_, i) => typeof answers[i] !== 'string');
  if (legal !== undefined) return legal;
  // not legal yet, but a layer further up may have the weights of its own that are still lacking
  const isOpen = chain.rows.length + chain.inlined.size === 0 || !isLegal(site, chain);
  const promising = choices.find((choice, i) => isOpen && choice.rows.length <= 2 && answers[i] === ROW_FAULTS.common);
  return promising ?? (answers[answers.length - 1] as string | undefined); // none of them is a program
};

interface Grown { readonly chain: Chain; readonly refused: ReadonlyMap<Node, string> }
/** Takes in stored nodes, the latest first, until nothing more can be taken. */
const grow = (site: Site, root: Node): Grown => {
  const refused = new Map<Node, string>();
  const next = (chain: Chain): Chain | undefined => {
    const candidates = [...new Set([root, ...chain.rows].flatMap((member) => [...readsOf(site, chain, member)]))]
      .filter((node) => !isLeaf(node) && !chain.rows.includes(node) && !site.isFixed(node)).sort((a, b) => site.number(b) - site.number(a));
    for (const node of candidates) {
      const larger = taking(site, chain, node);
      if (typeof larger === 'object') return larger;
      if (larger !== undefined) refused.set(node, larger);
    }
    return undefined;
  };
  let chain: Chain = { root, rows: [], inlined: new Set() };
  for (let larger = next(chain); larger !== undefined; larger = next(chain)) chain = larger;
  return { chain, refused };
};

const readersIn = (stored: ReadonlySet<Node>): ReadonlyMap<Node, ReadonlySet<Node>> => {
  const readers = new Map<Node, Set<Node>>();
  for (const user of stored) {
    if (isLeaf(user)) continue;
    for (const node of around(user, (other) => isLeaf(other) || stored.has(other)).reads) readers.set(node, (readers.get(node) ?? new Set()).add(user));
  }
  return readers;
};

/** Finds the row programs among the stored nodes; `excluded` ones have kernels of another kind. */
export const planRowPrograms = (graph: Graph, stored: ReadonlySet<Node>, excluded: ReadonlySet<Node>, options: RowProgramOptions): RowPrograms => {
  const order = nodesOf(graph), position = new Map(order.map((node, i) => [node, i])), outputs = new Set(graph.outputs.map(({ node }) => node));
  const taken = new Set<Node>(), freed = new Set<Node>(), reasons = new Map<Node, string>(), readers = readersIn(stored);
  const programs = new Map<Node, readonly Node[]>();
  const isKept = (node: Node): boolean => isLeaf(node) || (stored.has(node) && !freed.has(node));
  const site: Site = {
    options, isKept, number: (node) => position.get(node)!, isFixed: (node) => outputs.has(node) || taken.has(node), readersOf: (node) => readers.get(node) ?? new Set(), tried: new Map(),
  };
  const isSmall = (root: Node): boolean => [...around(root, (other) => other !== root && isKept(other)).inside].every((node) => !isContraction(node) || widthOf(node) <= options.schedule.width);
  for (const root of [...order].reverse()) {
    if (!stored.has(root) || isLeaf(root) || taken.has(root) || freed.has(root) || excluded.has(root) || !isSmall(root)) continue;
    const { chain, refused } = grow(site, root), inside = [...chain.rows, ...chain.inlined];
    if (inside.length === 0 || !isLegal(site, chain)) continue;
    programs.set(root, chain.rows);
    taken.add(root);
    for (const node of inside) { freed.add(node); taken.add(node); }
    for (const [node, why] of refused) reasons.set(node, why);
  }
  return { programs, freed, reasons: new Map([...reasons].filter(([node]) => stored.has(node) && !freed.has(node))) };
};
