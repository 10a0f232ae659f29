/** Trees of tensors: what functions that are differentiated take, and what their gradients are. */
import type { Node } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';

/** A tensor, or a list or record of trees. */
export type Tree = Tensor | readonly Tree[] | { readonly [name: string]: Tree };

/** Whether a value is a tensor: it may be anything that a function is called with. */
export const isTensor = (x: unknown): x is Tensor =>
  typeof x === 'object' && x !== null && typeof (x as Partial<Tensor>).op === 'string' && Array.isArray((x as Partial<Tensor>).inputs);

/** The tensors of a tree, in the order of its keys. */
export const leavesOf = (tree: Tree): readonly Node[] => (isTensor(tree) ? [tree] : Object.values(tree).flatMap((part: Tree) => leavesOf(part)));

/** A tree of the same form with other tensors, which come in the order of `leavesOf`. */
export const rebuilt = (tree: Tree, leaves: readonly Node[]): Tree => {
  let next = 0;
  const build = (part: Tree): Tree =>
    isTensor(part) ? (leaves[next++]!)
    : Array.isArray(part) ? (part as readonly Tree[]).map(build)
    : Object.fromEntries(Object.entries(part).map(([name, child]) => [name, build(child)]));
  return build(tree);
};
