/**
 * Fusion of attention: which nodes around a contraction become one streamed kernel.
 *
 * Upwards from the contraction of weights and values lie the softmax, the score and the contraction of queries and keys (the core), and
 * before that whatever is computed from queries, keys and values alone (the prologue: norms, rotations). The core is taken whole or
 * not at all; of the prologue, what nobody else reads and no matmul stores in passing (a bias).
 */
import { asksForStream } from '../../dsl/gradient/recompute.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { definitionOf, type OpTable } from '../../dsl/ops/table.ts';
import { streamFits } from '../kernels/stream.ts';
import { streamOf } from '../kernels/stream-pattern.ts';
import { localExpression } from '../kernels/local-expression.ts';
import { type Facts, type FusionOptions, isContraction, isLeaf, isReduction } from './facts.ts';

export interface StreamRegion {
  /** Nodes that are computed inside the kernel. */
  readonly inside: ReadonlySet<Node>;
  /** Nodes that the kernel reads, and that must be stored for it. */
  readonly boundary: ReadonlySet<Node>;
}

const isSource = (node: Node): boolean => node.inputs.length === 0;

/** Nodes above `from`, `from` included, up to leaves, stored nodes and those that `stop` names. */
const above = (from: readonly Node[], stop: (node: Node) => boolean): ReadonlySet<Node> => {
  const found = new Set<Node>(from.filter((node) => !stop(node)));
  for (const node of found) for (const input of node.inputs) if (!stop(input)) found.add(input);
  return found;
};

interface Softmax {
  /** What lies above the weights, up to contractions. */
  readonly scored: ReadonlySet<Node>;
  /** The contractions there: of queries and keys, and others, such as a learned bias. */
  readonly contractions: readonly Node[];
  /** What is reduced before, such as the maxima of the rows, is read from memory. */
  readonly asked?: boolean;
}

/** The softmax whose weights `einsum` sums values with, if there is one. */
const softmaxOf = (isStop: (node: Node) => boolean, einsum: Node): Softmax | undefined => {
  for (const weights of einsum.inputs) {
    const scored = above([weights], (node) => isStop(node) || isContraction(node));
    if (![...scored].some((node) => node.op === 'reduceMax')) continue;
    return { scored, contractions: [...new Set([...scored].flatMap((node) => node.inputs.filter((input) => isContraction(input) && !isStop(input))))] };
  }
  return undefined;
};

/** Whether a contraction is to be computed again where it is read: views of its operands lead to `streamedAgain`. */
const isAsked = (contraction: Node, isView: (node: Node) => boolean): boolean => contraction.inputs.some((input) => {
  let at = input;
  while (isView(at) && at.inputs.length === 1 && !asksForStream(at)) at = at.inputs[0]!;
  return asksForStream(at);
});

/** The contractions of a graph that ask for it, and what elementwise ops and views make of them: where a fold has to look. */
export const askedIn = (nodes: readonly Node[], table: OpTable): ReadonlySet<Node> => {
  const found = new Set<Node>(), isView = (node: Node): boolean => definitionOf(node.op, table).traits.view;
  for (const node of nodes) {
    if (isContraction(node) ? isAsked(node, isView) : !isReduction(node) && node.inputs.some((input) => found.has(input))) found.add(node);
  }
  return found;
};
/** A fold over shares that were asked to be computed again: what lies between the fold and the contractions is elementwise. */
const askedFold = (isStop: (node: Node) => boolean, isView: (node: Node) => boolean, fold: Node, asked: ReadonlySet<Node>): Softmax | undefined => {
  for (const shares of fold.inputs) {
    if (!asked.has(shares)) continue;
    const scored = above([shares], (node) => isStop(node) || isContraction(node) || isReduction(node));
    const contractions = [...new Set([...scored, ...(isContraction(shares) && !isStop(shares) ? [fold] : [])].flatMap((node) => node.inputs.filter((input) => isContraction(input) && !isStop(input))))];
    if (contractions.some((contraction) => isAsked(contraction, isView))) return { scored, contractions, asked: true };
  }
  return undefined;
};

/** The nodes of an attention whose scores come from the contractions `scores`, and whose weights and values meet in `einsum`. */
const regionOf = ({ facts, options, stored }: StreamSite, einsum: Node, { scored, asked = false }: Softmax, scores: readonly Node[]): StreamRegion | string => {
  const { usersOf } = facts, isStop = (node: Node): boolean => isLeaf(node) || stored(node) || (asked && isReduction(node));
  const isView = (node: Node): boolean => definitionOf(node.op, options.table).traits.view;
  const between = (node: Node, ends: ReadonlySet<Node>, memo: Map<Node, boolean>): boolean => {
    const known = memo.get(node);
    if (known !== undefined) return known;
    const result = ends.has(node) || node.op === 'reduceMax' || node.inputs.some((input) => scored.has(input) ? between(input, ends, memo) : ends.has(input));
    memo.set(node, result);
    return result;
  };
  const memo = new Map<Node, boolean>(), ends = new Set(scores);
  const core = new Set([...scores, ...[...scored].filter((node) => between(node, ends, memo))]);
  const outsider = [...core].find((node) => facts.outputs.has(node) || usersOf(node).some((user) => user !== einsum && !core.has(user)));
  if (outsider !== undefined) return `${outsider.op} of the softmax is also read elsewhere`;
  // the prologue: above the core, without contractions
  const prologue = new Set(above([...core, einsum].flatMap((node) => node.inputs), (node) => isStop(node) || isContraction(node) || core.has(node)));
  const staged = options.schedule.stream?.staging === 'workgroup';
  const mayJoin = (node: Node): boolean => isView(node) || isSource(node) || (!facts.outputs.has(node) && !facts.epilogues.has(node) && (staged || !isCostly(node))
    && usersOf(node).every((user) => user === einsum || core.has(user) || prologue.has(user)));
  // a node that has to be stored takes nothing above it along
  for (let removed = true; removed;) {
    removed = false;
    for (const node of prologue) {
      const reached = node.inputs.length === 0 || [...usersOf(node)].some((user) => user === einsum || core.has(user) || prologue.has(user));
      if (reached && mayJoin(node)) continue;
      prologue.delete(node);
      removed = true;
    }
  }
  const inside = new Set([...core, ...prologue]);
  const boundary = new Set([...inside, einsum].flatMap((node) => node.inputs).filter((node) => !inside.has(node) && !isLeaf(node) && !isSource(node)));
  return { inside, boundary };
};

/** Worth storing where every thread would compute it for each key again. */
const isCostly = (node: Node): boolean => node.op === 'sum' || node.op === 'reduceMax' || node.op === 'mul' || node.op === 'add' || node.op === 'div' || node.op === 'concat';

export interface StreamSite {
  readonly facts: Facts;
  readonly options: FusionOptions;
  /** See `askedIn`. */
  readonly asked: ReadonlySet<Node>;
  /** Decided to be in memory. */
  readonly stored: (node: Node) => boolean;
}

/** The streamed kernel around `einsum`, whose result goes into the kernel of `root`; a string says why there is none; undefined: no softmax. */
export const streamRegion = (site: StreamSite, einsum: Node, root: Node): StreamRegion | string | undefined => {
  const isStop = (node: Node): boolean => isLeaf(node) || site.stored(node), isView = (node: Node): boolean => definitionOf(node.op, site.options.table).traits.view;
  const softmax = askedFold(isStop, isView, einsum, site.asked) ?? (isContraction(einsum) ? softmaxOf(isStop, einsum) : undefined);
  if (softmax === undefined) return undefined;
  const { contractions } = softmax;
  // all of them inside; where that cannot be, one of them, and the others in memory
  const choices = [contractions, ...(contractions.length > 1 ? contractions.map((one) => [one]) : [])];
  const tried = choices.map((scores) => regionWith(site, einsum, root, softmax, scores));
  return tried.find((region) => typeof region !== 'string') ?? tried[0]!;
};

const regionWith = (site: StreamSite, einsum: Node, root: Node, softmax: Softmax, scores: readonly Node[]): StreamRegion | string => {
  const { options } = site, { stream: schedule } = options.schedule;
  if (schedule === undefined) return 'this schedule does not stream';
  const region = regionOf(site, einsum, softmax, scores);
  if (typeof region === 'string') return region;
  const isTensor = (node: Node): boolean => isLeaf(node) || site.stored(node) || region.boundary.has(node);
  const stream = streamOf(localExpression(root, isTensor, options.table).expression);
  if (typeof stream === 'string') return stream;
  return streamFits(stream, schedule) ? region : 'a row has more elements than a thread can keep in registers';
};
