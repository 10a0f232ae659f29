/**
 * `grad`, `valueAndGrad`, `vjp`: from a function of tensors to its derivative, typed. The gradient of a tree of tensors (a tensor, a
 * list, a record, nested) is a tree of the same type.
 */
import { invalid } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import { typed } from '../language/build.ts';
import { showShape } from '../shape/dim.ts';
import type { ShowShape } from '../shape/dim.ts';
import type { DType } from '../dtype.ts';
import type { DTypeOf, Guard, IsAny, ShapeOf, Tensor } from '../tensor.ts';
import { gradients, pullback } from './gradients.ts';
import { leavesOf, rebuilt, type Tree } from './tree.ts';

/** The loss of a function that may be differentiated, or what is wrong with it. */
type LossRule<Op extends string, L> =
  IsAny<L> extends true ? L
  : L extends Tensor ? (ShapeOf<L> extends readonly [] ? (DTypeOf<L> extends 'f32' | 'f16' ? L : `${Op}: the loss must be a float, got ${DTypeOf<L>}`)
    : `${Op}: the loss must have shape [], got ${ShowShape<ShapeOf<L>>}; take its mean or sum`)
  : `${Op}: the function must give a tensor`;
type Differentiable<Op extends string, P extends Tree, Rest extends readonly unknown[], L> =
  (parameters: P, ...rest: Rest) => Guard<LossRule<Op, L>, L>;

type FloatTree<P> = P extends Tensor<infer _S, infer D extends DType> ? (D extends 'f32' | 'f16' ? P : never) : { readonly [K in keyof P]: FloatTree<P[K]> };

/** The gradient of a scalar function with respect to its first argument, as a function of the same arguments. */
export const grad: <P extends Tree, Rest extends readonly unknown[], L>(
  f: Differentiable<'grad', P, Rest, L>,
) => (parameters: P, ...rest: Rest) => FloatTree<P> = typed((f: (parameters: Tree, ...rest: unknown[]) => Node) => (parameters: Tree, ...rest: unknown[]) =>
  rebuilt(parameters, gradients(f(parameters, ...rest), leavesOf(parameters))));

/** A scalar function's value and its gradient with respect to the first argument. */
export const valueAndGrad: <P extends Tree, Rest extends readonly unknown[], L>(
  f: Differentiable<'valueAndGrad', P, Rest, L>,
) => (parameters: P, ...rest: Rest) => { readonly value: L; readonly gradient: FloatTree<P> } = typed(
  (f: (parameters: Tree, ...rest: unknown[]) => Node) => (parameters: Tree, ...rest: unknown[]) => {
    const value = f(parameters, ...rest);
    return { value, gradient: rebuilt(parameters, gradients(value, leavesOf(parameters))) };
  },
);

/** A function's value, and what takes cotangents of it to cotangents of the arguments: the vector-Jacobian product. */
export const vjp: <P extends Tree, Y extends Tree>(
  f: (parameters: P) => Y, parameters: P,
) => { readonly value: Y; readonly pullback: (cotangents: Y) => FloatTree<P> } = typed((f: (parameters: Tree) => Tree, parameters: Tree) => {
  const value = f(parameters), results = leavesOf(value), wanted = leavesOf(parameters);
  return {
    value,
    pullback: (cotangents: Tree) => {
      const given = leavesOf(cotangents), problem = cotangentProblem(results, given);
      return rebuilt(parameters, problem === undefined ? pullback(results, given, wanted) : wanted.map(() => invalid(problem)));
    },
  };
});

const typeOf = (node: Node): string => `${node.dtype}${showShape(node.shape)}`;
const cotangentProblem = (results: readonly Node[], cotangents: readonly Node[]): string | undefined => {
  if (results.length !== cotangents.length) return `vjp: ${results.length} results but ${cotangents.length} cotangents`;
  const k = results.findIndex((result, i) => typeOf(result) !== typeOf(cotangents[i]!));
  return k < 0 ? undefined : `vjp: a cotangent has the type of its result, ${typeOf(results[k]!)}, got ${typeOf(cotangents[k]!)}`;
};
