/**
 * Computing again instead of keeping: a backward pass reads values of the forward pass, and each of them occupies memory from one to the
 * other. Here the values inside a *region* (what a `checkpoint` made, or a block of a model) are read from a second computation of
 * the region, which starts from what enters it.
 *
 * Invariant: the forward pass and the meaning of every result stay as they were; the copies differ from their originals by the op
 * `again` at the border, without which they would be the same nodes.
 */
import { apply } from '../graph/apply.ts';
import { inScopeOf, type Node, topological } from '../graph/node.ts';
import { typed } from '../language/build.ts';
import { isTensor, leavesOf, type Tree } from './tree.ts';

/** Which region a node of the forward pass lies in; `undefined` where its value is kept. */
export type Regions = (node: Node) => object | string | undefined;

const checkpoints = new WeakMap<Node, object>();
/** The region of the innermost `checkpoint` that made the node. */
export const checkpointOf: Regions = (node) => checkpoints.get(node);

/**
 * The function, whose inside is computed again in the backward pass instead of being kept until then: less memory for about one more
 * forward pass. What enters it is kept, as is what other tensors of its caller are used in it.
 */
export const checkpoint: <Xs extends readonly unknown[], Y extends Tree>(f: (...operands: Xs) => Y) => (...operands: Xs) => Y = typed(
  (f: (...operands: unknown[]) => Tree) => (...operands: unknown[]) => {
    const inside = operands.map((operand) => (isTensor(operand) ? apply('again', [operand], { key: 'checkpoint' }) : operand));
    const border = new Set(inside), result = f(...inside), region = {};
    const made = new Set<Node>();
    for (const node of topological(leavesOf(result))) if (node.inputs.some((input) => border.has(input) || made.has(input))) made.add(node);
    for (const node of made) if (!checkpoints.has(node)) checkpoints.set(node, region);
    return result;
  },
);

const STREAMED = 'streamed ';
/** A tensor of its own for one use: kernels that stream compute again what is made of it, and compilers without them see through it. */
export const streamedAgain = (x: Node, use: string): Node => apply('again', [x], { key: `${STREAMED}${use}` });
/** Whether a node was made by `streamedAgain`. */
export const asksForStream = ({ op, attributes: { key } }: Node): boolean => op === 'again' && typeof key === 'string' && key.startsWith(STREAMED);

/** The results, a backward pass among them, with the values of `forward` that lie in a region computed again where the backward pass reads them. */
export const recomputed = (results: readonly Node[], forward: ReadonlySet<Node>, regions: Regions): readonly Node[] => {
  const copies = new Map<Node, Node>(), images = new Map<Node, Node>();
  /** Copies are made inputs first, along the order of the whole. */
  const copy = (node: Node): Node => {
    const stack = [node];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const region = regions(top), missing = top.inputs.filter((input) => regions(input) === region && !copies.has(input));
      if (copies.has(top) || missing.length === 0) {
        stack.pop();
        if (!copies.has(top)) copies.set(top, copyOf(top));
      } else stack.push(...missing);
    }
    return copies.get(node)!;
  };
  const copyOf = (node: Node): Node => inScopeOf({ scope: node.scope === '' ? 'again' : `${node.scope}/again` }, () => {
    const region = regions(node);
    const inputs = node.inputs.map((input) => (regions(input) === region ? copies.get(input)! : isSource(input) ? input : apply('again', [input], { key: 'backward' })));
    return apply(node.op, inputs, node.attributes);
  });
  const imageOf = (node: Node): Node => {
    if (!forward.has(node)) return images.get(node)!;
    return regions(node) === undefined || isSource(node) ? node : copy(node);
  };
  for (const node of topological(results)) {
    if (forward.has(node)) continue;
    const inputs = node.inputs.map(imageOf);
    images.set(node, inputs.every((input, k) => input === node.inputs[k]) ? node : inScopeOf(node, () => apply(node.op, inputs, node.attributes)));
  }
  return results.map((node) => images.get(node) ?? node);
};

/** What is made of nothing costs no memory to keep. */
const isSource = (node: Node): boolean => node.inputs.length === 0;
