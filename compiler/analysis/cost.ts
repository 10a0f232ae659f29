/**
 * What a kernel costs, read off its loop form: arithmetic operations, and distinct bytes of its tensors.
 *
 * Operations are those that run, also beyond the edge of a tile, with equal parts of one statement counted once. Bytes are those that must
 * cross the memory bus at least once, were caches perfect. Both are the same for equal loops, so that a deep model takes no longer than its
 * different kernels. Example: a matmul of m x k by k x n takes 2mkn operations and 4(mk + kn + mn) bytes.
 */
import { byteSize } from '../../dsl/dtype.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import { parseContraction } from '../../dsl/ops/reduction.ts';
import { definitionOf, OPS, type OpTable } from '../../dsl/ops/table.ts';
import { type Atom, atomRange, type Index, type Term } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel, Statement } from '../../dsl/scalar/loop.ts';
import { extentOf, subexpressions } from '../../dsl/scalar/rewrite.ts';
import type { BinaryScalarOp, Scalar } from '../../dsl/scalar/scalar.ts';
import { isContraction, isLeaf, isReduction } from '../fusion/facts.ts';
import type { KernelPlan, PlannedKernel } from '../kernels/plan-kernels.ts';

export interface KernelCost {
  /** Arithmetic operations on elements; comparing, choosing and finding indices are free. */
  readonly flops: number;
  /** Distinct bytes read and written, for each binding. */
  readonly traffic: readonly number[];
  /** Their sum. */
  readonly bytes: number;
}

/** Operations per byte: what a roofline is plotted over. */
export const intensityOf = ({ flops, bytes }: Pick<KernelCost, 'flops' | 'bytes'>): number => (bytes === 0 ? 0 : flops / bytes);

const FREE: ReadonlySet<BinaryScalarOp> = new Set<BinaryScalarOp>(['eq', 'lt', 'le', 'and', 'or']);

/** Operations of one expression without its parts. A dot of n lanes is n products and n - 1 sums; what adds it to an accumulator is the nth. */
const operations = (e: Scalar): number => {
  switch (e.kind) {
    case 'unary': return e.op === 'not' || e.op === 'bitsToFloat' || e.op === 'floatToBits' ? 0 : e.lanes;
    case 'binary': return FREE.has(e.op) ? 0 : e.lanes;
    case 'dot': return 2 * e.a.lanes - 1;
    default: return 0;
  }
};

const isNumber = (e: Scalar): boolean => e.kind === 'constant' || (e.kind === 'index' && e.index.terms.length === 0);
const numberOf = (e: Scalar): number => (e.kind === 'constant' ? e.value : e.kind === 'index' ? e.index.constant : NaN);

/** The part of the time in which a condition holds, for bounds of an index, whose values are about equally frequent; else always. */
const shareOf = (condition: Scalar): number => {
  if (condition.kind === 'binary' && condition.op === 'and') return shareOf(condition.a) * shareOf(condition.b);
  if (condition.kind !== 'binary' || condition.a.kind !== 'index' || !isNumber(condition.b)) return 1;
  const { min, max } = condition.a.index, count = max - min + 1, limit = numberOf(condition.b);
  const holding = condition.op === 'lt' ? limit - min : condition.op === 'le' ? limit - min + 1 : condition.op === 'eq' ? 1 : count;
  return Math.min(1, Math.max(0, holding / count));
};

const spanOf = (atom: Atom): number => {
  const [low, high] = atomRange(atom);
  return high - low + 1;
};
/** About what a number is on average, over all threads: that of an index is half way between its ends. */
const meanOf = (e: Scalar): number => {
  if (e.kind === 'constant') return e.value;
  if (e.kind === 'index') return (e.index.min + e.index.max) / 2;
  if (e.kind !== 'binary') return NaN;
  const [a, b] = [meanOf(e.a), meanOf(e.b)];
  return e.op === 'min' ? Math.min(a, b) : e.op === 'max' ? Math.max(a, b) : e.op === 'add' ? a + b : e.op === 'sub' ? a - b : NaN;
};

/** How often a loop runs: to its extent, or, where it skips tiles, about as often as its ends say. */
const tripsOf = ({ variable, start, end }: Extract<Statement, { kind: 'for' }>): number => {
  const trips = (end === undefined ? variable.extent : meanOf(end)) - (start === undefined ? 0 : meanOf(start));
  return Number.isFinite(trips) ? Math.min(variable.extent, Math.max(0, trips)) : variable.extent;
};

/** Values that an index takes at most: `64*(i / 8) + i % 8` takes as many as its quotient times its remainder. */
const valuesOf = ({ terms, min, max }: Index): number => Math.min(max - min + 1, terms.reduce((product, { atom }) => product * spanOf(atom), 1));

/**
 * The lattice that an index runs through: its terms without the names of variables, and without constants, since indices of one tile differ
 * in those alone. A clamp counts as what it clamps.
 */
const latticeOf = ({ terms }: Index): string => terms.flatMap((term) => latticeTerms(term, 1)).sort().join('+');
const latticeTerms = ({ atom, coefficient }: Pick<Term, 'atom' | 'coefficient'>, scale: number): readonly string[] =>
  atom.kind === 'clamp' ? atom.of.terms.flatMap((inner) => latticeTerms(inner, scale * coefficient)) : [`${scale * coefficient}*${latticeAtom(atom)}`];
const latticeAtom = (atom: Atom): string =>
  atom.kind === 'variable' ? `v${atom.extent}` : atom.kind === 'value' ? atom.of.key : `${atom.kind}(${latticeOf(atom.of)},${atom.kind === 'clamp' ? '' : atom.by})`;
/** An index with its constants, but without names: two loops over the same rows, one behind the other, have the same. */
const placesOf = (index: Index): string => `${index.min} ${index.max} ${latticeOf(index)}`;

/** Elements of one lattice, and where it begins. */
interface Lattice {
  readonly elements: number;
  readonly min: number;
}

/** Places of one tensor that a kernel touches. */
interface Reach {
  /** Places that are counted already. */
  readonly seen: Set<string>;
  readonly lattices: Map<string, Lattice>;
  min: number;
  max: number;
}

/** Elements that a vector or a pair holds: lattices that begin nearer to each other begin at the same place. */
const NEAR = 4;

/** Lattices that begin at the same place, together. */
const byStart = (lattices: Iterable<Lattice>): readonly (readonly Lattice[])[] => {
  const groups: Lattice[][] = [];
  for (const lattice of [...lattices].sort((a, b) => a.min - b.min)) {
    const last = groups.at(-1);
    if (last !== undefined && lattice.min - last[0]!.min < NEAR) last.push(lattice); // no group is empty
    else groups.push([lattice]);
  }
  return groups;
};

/**
 * Distinct elements. Lattices that begin elsewhere are other parts of the tensor: queries, keys and values side by side, or what a last, narrower
 * loop reads. Of those that begin together, one as large as another is the same rows read in another way (a norm reads its row twice): whole
 * repeats count once.
 */
const distinct = ({ lattices, min, max }: Reach): number => {
  const parts = byStart(lattices.values()).map((group) => {
    const sum = group.reduce((total, { elements }) => total + elements, 0), largest = Math.max(1, ...group.map(({ elements }) => elements));
    return sum / Math.max(1, Math.floor(sum / largest));
  });
  return Math.min(max - min + 1, Math.round(parts.reduce((a, b) => a + b, 0)));
};

interface Count {
  flops: number;
  readonly reached: Map<number, Reach>;
}

const touch = ({ reached }: Count, tensor: number, index: Index, lanes: number, times: number): void => {
  const reach = reached.get(tensor) ?? { seen: new Set(), lattices: new Map(), min: Infinity, max: -Infinity };
  reached.set(tensor, reach);
  const places = `${lanes} ${placesOf(index)}`;
  if (reach.seen.has(places)) return;
  reach.seen.add(places);
  const key = `${lanes} ${latticeOf(index)}`, known = reach.lattices.get(key) ?? { elements: 0, min: index.min };
  reach.lattices.set(key, { elements: known.elements + Math.min(valuesOf(index), times) * lanes, min: Math.min(known.min, index.min) });
  reach.min = Math.min(reach.min, index.min);
  reach.max = Math.max(reach.max, index.max + lanes - 1);
};

const countExpression = (count: Count, root: Scalar, times: number): void => {
  for (const e of subexpressions(root)) {
    count.flops += operations(e) * times;
    if (e.kind === 'load') touch(count, e.tensor, e.index, e.lanes, times);
  }
};

/** Any kind of statement: what it repeats, what it computes, what it stores. */
const countStatement = (count: Count, statement: Statement, times: number): void => {
  if (statement.kind === 'if') countExpression(count, statement.condition, times);
  if ('value' in statement) countExpression(count, statement.value, times);
  if (statement.kind === 'store') touch(count, statement.tensor, statement.index, statement.value.lanes, times);
  if (statement.kind === 'combine') count.flops += times; // one operation for each thread but one of a workgroup
  if ('body' in statement) {
    const inner = times * (statement.kind === 'for' ? tripsOf(statement) : statement.kind === 'if' ? shareOf(statement.condition) : 1);
    for (const part of statement.body) countStatement(count, part, inner);
  }
};

/** Operations of a loop, and the elements of each of its tensors that it touches. */
const countLoop = (loop: LoopKernel): { readonly flops: number; readonly elements: readonly number[] } => {
  const count: Count = { flops: 0, reached: new Map() };
  const threads = extentOf(loop.thread) * (loop.lane?.extent ?? 1);
  for (const statement of loop.body) countStatement(count, statement, threads);
  const elements = loop.tensors.map(({ tensor }) => {
    const reach = count.reached.get(tensor);
    return reach === undefined ? 0 : distinct(reach);
  });
  return { flops: Math.round(count.flops), elements };
};

/** The cost of each kernel of a plan, in its order. */
export const costsOf = ({ kernels, tensors }: Pick<KernelPlan, 'kernels' | 'tensors'>): readonly KernelCost[] => {
  const known = new Map<LoopKernel, ReturnType<typeof countLoop>>();
  return kernels.map(({ loop, bindings }: PlannedKernel): KernelCost => {
    const counted = known.get(loop) ?? countLoop(loop);
    known.set(loop, counted);
    const traffic = bindings.map(({ tensor, window }, i) => {
      const { elements, dtype } = tensors.get(tensor)!; // a binding is of a stored tensor
      return Math.min(window?.count ?? elements, counted.elements[i]!) * byteSize(dtype); // one binding for each of the loop's tensors
    });
    return { flops: counted.flops, traffic, bytes: traffic.reduce((a, b) => a + b, 0) };
  });
};

const elementsIn = (shape: Node['shape']): number => (shape as readonly number[]).reduce((a, b) => a * b, 1); // sizes are bound

/** The size of each of a contraction's letters. */
const contractedSizes = ({ inputs, attributes }: Node): ReadonlyMap<string, number> => {
  const { left, right } = parseContraction(textAttribute(attributes, 'pattern'));
  const of = (letters: readonly string[], shape: Node['shape']): readonly (readonly [string, number])[] => letters.map((letter, axis) => [letter, shape[axis] as number]);
  return new Map([...of(left, inputs[0]!.shape), ...of(right, inputs[1]!.shape)]); // a contraction has two operands
};

/**
 * About how many operations nodes take when each of their elements is computed once. A kernel takes more where its threads compute the same
 * value again, as those of a matmul do with what stands in front of it, and beyond the edges of tiles.
 */
export const operationsOnce = (nodes: readonly Node[], table: OpTable = OPS): number => nodes.reduce((sum, node) => {
  if (isLeaf(node)) return sum;
  if (isContraction(node)) return sum + 2 * [...contractedSizes(node).values()].reduce((a, b) => a * b, 1);
  return sum + (isReduction(node) ? elementsIn(node.inputs[0]!.shape) : definitionOf(node.op, table).traits.cost * elementsIn(node.shape));
}, 0);
