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

/** Finds the row programs among the stored nodes; `excluded` ones have kernels of another kind. */
export const planRowPrograms = (graph: Graph, stored: ReadonlySet<Node>, excluded: ReadonlySet<Node>, { table, schedule, bindings }: RowProgramOptions): RowPrograms => {
  const order = nodesOf(graph), position = new Map(order.map((node, i) => [node, i])), outputs = new Set(graph.outputs.map(({ node }) => node));
  const number = (node: Node): number => position.get(node)!;
  const taken = new Set<Node>(), freed = new Set<Node>(), reasons = new Map<Node, string>();
  const programs = new Map<Node, readonly Node[]>(), tried = new Map<string, RowProgram | string>();
  const isKept = (node: Node): boolean => isLeaf(node) || (stored.has(node) && !freed.has(node));
  const readersOf = new Map<Node, ReadonlySet<Node>>();
  for (const other of stored) {
    if (isLeaf(other)) continue;
    for (const node of around(other, (x) => isLeaf(x) || stored.has(x)).reads) readersOf.set(node, new Set([...(readersOf.get(node) ?? []), other]));
  }

  const programOf = ({ root, rows, inlined }: Chain): RowProgram | string => {
    const isStored = (node: Node): boolean => isKept(node) && !inlined.has(node) && !rows.includes(node);
    const { stages, reads, signature } = stagesOf(root, rows, isStored, table);
    const known = tried.get(signature) ?? rowProgramOf(stages, (tensor) => reads[tensor] && shapeOf(reads[tensor]));
    tried.set(signature, known);
    return typeof known === 'string' ? known : withinLimits(known, reads.length + 1);
  };
  const withinLimits = (program: RowProgram, buffers: number): RowProgram | string => {
    if (buffers > bindings) return `the kernel would bind ${buffers} buffers, and the adapter allows ${bindings}`;
    if (program.stages.some(({ width, layers }) => width > schedule.width || layers.some(({ depth }) => depth.extent > schedule.depth))) return 'its layers are not small';
    if (program.stages.some(({ layers }) => layers.some(({ right }) => outermostReductions(right).length > 0))) return 'weights would be summed up anew for every row';
    if (rowRegisters(program) > schedule.registers) return 'a row has more elements than a thread can keep in registers';
    if (rowStatements(program) > schedule.statements) return 'the kernel would have too many statements';
    return program;
  };
  const hasContraction = (node: Node, chain: Chain): boolean =>
    [...around(node, (other) => other !== node && isKept(other) && !chain.inlined.has(other)).inside].some(isContraction);
  const addRow = (chain: Chain, node: Node): Chain => ({ ...chain, rows: [...chain.rows, node].sort((a, b) => number(a) - number(b)) });
  const addInlined = (chain: Chain, node: Node): Chain => ({ ...chain, inlined: new Set([...chain.inlined, node]) });

  /** A hidden layer may be computed on the fly where one layer reads it, and computing it takes no such layer itself. */
  const isHidden = (chain: Chain, node: Node): boolean => {
    const isStored = (other: Node): boolean => isKept(other) && !chain.inlined.has(other) && !chain.rows.includes(other);
    const users = [chain.root, ...chain.rows].filter((user) => around(user, (other) => isStored(other) || chain.rows.includes(other)).reads.has(node));
    if (users.length !== 1) return false;
    const { expression, reads } = localExpression(users[0]!, (other) => isStored(other) || chain.rows.includes(other), table), tensor = reads.indexOf(node);
    const loads = (e: Scalar): boolean => subexpressions(e).some((part) => part.kind === 'load' && part.tensor === tensor);
    const within = outermostReductions(expression.value).filter(loads), nested = within.some((sum) => reductionsIn(sum.body).some(loads));
    return within.length === 1 && !nested;
  };

  /** Sizes alone rule most nodes out, and cost nothing. */
  const mayJoin = (chain: Chain, node: Node): boolean => {
    if (!hasContraction(node, chain)) return true;
    const known = chain.rows[0], rows = countOf(node) / widthOf(node);
    return widthOf(node) <= schedule.width && (known === undefined ? countOf(chain.root) % rows === 0 && countOf(chain.root) / rows <= schedule.width : rows === countOf(known) / widthOf(known));
  };
  const isSmall = (root: Node): boolean => [...around(root, (other) => other !== root && isKept(other)).inside].every((node) => !isContraction(node) || widthOf(node) <= schedule.width);

  const grow = (start: Chain, refused: Map<Node, string>): Chain => {
    let chain = start;
    for (let grew = true; grew;) {
      grew = false;
      const isStored = (node: Node): boolean => isKept(node) && !chain.inlined.has(node);
      const members = [chain.root, ...chain.rows];
      const candidates = [...new Set(members.flatMap((node) => [...around(node, (other) => isStored(other) || chain.rows.includes(other)).reads]))]
        .filter((node) => !isLeaf(node) && !chain.rows.includes(node) && !outputs.has(node) && !taken.has(node))
        .sort((a, b) => number(b) - number(a));
      for (const node of candidates) {
        const outside = [...(readersOf.get(node) ?? [])].some((user) => !members.includes(user) && !chain.inlined.has(user));
        if (outside) { refused.set(node, 'other kernels read it too'); continue; }
        if (!mayJoin(chain, node)) continue;
        // a generator of weights is no layer of rows, whatever else would allow it
        const asRow = addRow(chain, node), fault = programOf(asRow), isRow = typeof fault !== 'string' || !NOT_ROWS.has(fault);
        const hidden = isRow && isHidden(chain, node) ? [addInlined(chain, node)] : [];
        const choices = !hasContraction(node, chain) ? [addInlined(chain, node)] : widthOf(node) <= FEW ? [asRow, ...hidden] : [...hidden, asRow];
        // a chain without a row in registers is no program yet
        const results = choices.map((choice) => [choice, programOf(choice)] as const);
        const legal = results.find(([, program]) => typeof program !== 'string');
        const pending = legal ?? (chain.rows.length + chain.inlined.size === 0 || typeof programOf(chain) === 'string' ? results.find(([choice, program]) => isPromising(choice, program)) : undefined);
        if (pending === undefined) { const why = results[results.length - 1]![1]; if (typeof why === 'string') refused.set(node, why); continue; }
        chain = pending[0];
        grew = true;
        break;
      }
    }
    return chain;
  };
  /** Not legal yet, but a layer further up may have the weights of its own that it still lacks. */
  const isPromising = (choice: Chain, program: RowProgram | string): boolean => choice.rows.length <= 2 && program === ROW_FAULTS.common;

  for (const root of [...order].reverse()) {
    if (!stored.has(root) || isLeaf(root) || taken.has(root) || freed.has(root) || excluded.has(root) || !isSmall(root)) continue;
    const refused = new Map<Node, string>(), chain = grow({ root, rows: [], inlined: new Set() }, refused);
    if (chain.rows.length + chain.inlined.size === 0 || typeof programOf(chain) === 'string') continue;
    programs.set(root, chain.rows);
    taken.add(root);
    for (const node of [...chain.rows, ...chain.inlined]) { freed.add(node); taken.add(node); }
    for (const [node, why] of refused) reasons.set(node, why);
  }
  return { programs, freed, reasons: new Map([...reasons].filter(([node]) => stored.has(node) && !freed.has(node))) };
};
