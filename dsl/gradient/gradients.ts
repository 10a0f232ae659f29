/**
 * Reverse mode: from a graph to a graph. Every node on a path from what is asked for to the loss gets a cotangent, the sum over its
 * users of what their op's `gradient` (or a composite's own rule) says; the walk goes from the loss to the inputs.
 *
 * Invariant: the cotangent of a node has its shape and dtype. All rules are made of ops, so gradients have gradients.
 */
import { DTYPES } from '../dtype.ts';
import { apply, invalid } from '../graph/apply.ts';
import { type Node, inScopeOf, topological } from '../graph/node.ts';
import { broadcastTo, constantNode } from '../language/build.ts';
import { definitionOf } from '../ops/table.ts';
import { showShape } from '../shape/dim.ts';
import { ruleOf } from './custom.ts';
import { checkpointOf, recomputed, type Regions } from './recompute.ts';

const isFloat = (node: Node): boolean => DTYPES[node.dtype].kind === 'float';

/** What a node's cotangent goes to, in the scope of the node: its kernels then carry the name of the part of the model. */
const pulledBack = (node: Node, cotangent: Node, derive: boolean): readonly (readonly [Node, Node])[] => {
  if (cotangent.op === 'invalid') return node.inputs.map((operand) => [operand, cotangent]); // the message is that of the gradient that was refused
  const rule = derive ? undefined : ruleOf(node);
  if (rule !== undefined) return pairs(rule.operands, rule.pullback(cotangent));
  const { gradient } = definitionOf(node.op);
  return gradient === 'not differentiable' ? [] : pairs(node.inputs, gradient({ apply, cotangent, node }));
};
const pairs = (operands: readonly Node[], cotangents: readonly (Node | undefined)[]): readonly (readonly [Node, Node])[] =>
  operands.flatMap((operand, k) => (cotangents[k] === undefined ? [] : [[operand, cotangents[k]] as const]));

/** The nodes that depend on what is asked for: cotangents of others are of no use. */
const dependents = (order: readonly Node[], wanted: ReadonlySet<Node>): ReadonlySet<Node> => {
  const found = new Set<Node>();
  for (const node of order) if (wanted.has(node) || node.inputs.some((input) => found.has(input))) found.add(node);
  return found;
};

const backwards = (node: Node): Pick<Node, 'scope'> => ({ scope: node.scope === '' ? 'gradient' : `${node.scope}/gradient` });

export interface GradientOptions {
  /** What is computed again in the backward pass; by default the inside of every `checkpoint`. */
  readonly recompute?: Regions;
  /** A result whose own rule is passed over: for that rule's use. */
  readonly derive?: Node;
}

/**
 * Cotangents of `wanted`, in order, given those of some results: the vector-Jacobian product. Zeros where a result does not depend
 * on what is asked for. Integers and booleans have none: asking for theirs is refused.
 */
export const pullback = (results: readonly Node[], cotangents: readonly Node[], wanted: readonly Node[], { recompute = checkpointOf, derive }: GradientOptions = {}): readonly Node[] => {
  const order = topological(results), relevant = dependents(order, new Set(wanted)), sums = new Map<Node, Node>();
  const give = (node: Node, cotangent: Node): void => {
    if (!relevant.has(node) || !isFloat(node)) return;
    const sum = sums.get(node);
    sums.set(node, sum === undefined ? cotangent : apply('add', [sum, cotangent], {}));
  };
  results.forEach((result, k) => give(result, cotangents[k]!));
  for (const node of order.toReversed()) {
    const cotangent = sums.get(node);
    if (cotangent === undefined) continue;
    inScopeOf(backwards(node), () => { for (const [operand, part] of pulledBack(node, cotangent, node === derive)) give(operand, part); });
  }
  const found = wanted.map((node) =>
    node.op === 'invalid' ? invalid('', [node])
    : !isFloat(node) ? invalid(`gradients: a tensor of ${node.dtype} has no gradient, only floats do`)
    : (sums.get(node) ?? broadcastTo(constantNode(0, node.dtype), node.shape)));
  return order.some((node) => recompute(node) !== undefined) ? recomputed(found, new Set(order), recompute) : found;
};

/**
 * Gradients of a scalar with respect to nodes it is made of, in the order asked for. The loss must be a float of shape []; else each
 * gradient is an `invalid` node with the message, as builders give it.
 */
export const gradients = (loss: Node, wanted: readonly Node[], options: GradientOptions = {}): readonly Node[] => {
  if (loss.op === 'invalid') return wanted.map(() => invalid('', [loss]));
  if (loss.shape.length > 0 || !isFloat(loss)) {
    const refused = invalid(`gradients: the loss must be one float of shape [], got ${loss.dtype}${showShape(loss.shape)}; take its mean or sum`);
    return wanted.map(() => refused);
  }
  return pullback([loss], [constantNode(1, loss.dtype)], wanted, options);
};

/**
 * An order for outputs of a backward pass in which little has to be kept: parameters whose first use comes last come first, as the walk
 * reaches them. Programs compute their outputs in the order given.
 */
export const backwardOrder = (loss: Node, wanted: readonly Node[]): readonly number[] => {
  const firstUse = new Map<Node, number>();
  topological([loss]).forEach((node, place) => { for (const input of node.inputs) if (!firstUse.has(input)) firstUse.set(input, place); });
  const use = (k: number): number => firstUse.get(wanted[k]!) ?? Infinity;
  return wanted.map((_, k) => k).sort((a, b) => use(b) - use(a));
};
