/**
 * Gradients of composites: where the derived one is slower or less accurate, a composite brings its own.
 *
 * Such a rule is a note beside the node that the composite made, and no part of its identity: it is read by `gradients`, which runs
 * before any pass rewrites the graph. Without it the gradient is derived from the ops, and means the same.
 */
import { apply } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import { typed } from '../language/build.ts';
import type { Tensor } from '../tensor.ts';

/** How a cotangent of a node becomes cotangents of what the node was made of; `undefined` where none flows. */
export interface GradientRule {
  readonly operands: readonly Node[];
  readonly pullback: (cotangent: Node) => readonly (Node | undefined)[];
}

const rules = new WeakMap<Node, GradientRule>();

/** The rule that a composite gave for this node. */
export const ruleOf = (node: Node): GradientRule | undefined => rules.get(node);

/** Notes how cotangents go from `output` to `operands`, past everything in between; the first note for a node stays. */
export const withRule = (output: Node, operands: readonly Node[], pullback: GradientRule['pullback']): Node => {
  if (output.op === 'invalid') return output;
  const made = operands.includes(output) ? apply('again', [output], { key: 'custom gradient' }) : output; // the identity with a rule is not its operand
  if (!rules.has(made)) rules.set(made, { operands, pullback });
  return made;
};

type Cotangents<Xs extends readonly Tensor[]> = { readonly [K in keyof Xs]: Xs[K] | undefined };

/**
 * The function `f` with a gradient of its own: `pullback` gets the cotangent of the result, the result and the operands, and gives the
 * cotangent of each operand, of the operand's shape and dtype; `undefined` where none flows.
 */
export const customGradient: <const Xs extends readonly Tensor[], Y extends Tensor>(
  f: (...operands: Xs) => Y,
  pullback: (cotangent: Y, result: Y, ...operands: Xs) => Cotangents<NoInfer<Xs>>,
) => (...operands: Xs) => Y = typed(
  (f: (...operands: Node[]) => Node, pullback: (cotangent: Node, result: Node, ...operands: Node[]) => readonly (Node | undefined)[]) =>
    (...operands: Node[]) => {
      const result = f(...operands);
      return withRule(result, operands, (cotangent) => pullback(cotangent, result, ...operands));
    },
);

/** The same tensor, through which no gradient flows. */
export const stopGradient: <X extends Tensor>(x: X) => X = typed((x: Node) => apply('stopGradient', [x], {}));
