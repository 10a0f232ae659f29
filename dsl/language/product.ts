/** Products: matmul, linear, einsum. All become the primitive `einsum` of two operands. */
import { apply } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import type { Shape } from '../shape/dim.ts';
import { einsumRule, linearRule, matmulRule } from '../shape/rules.ts';
import type { EinsumRule, LinearRule, MatmulRule } from '../shape/rules.ts';
import type { DefinedFor, DTypeOf, Guard, IsAny, Result, SameDType, ShapeOf, Tensor } from '../tensor.ts';
import { definedFor, first, reshapeTo, ruled, sameDType, typed } from './build.ts';
import { contracted, letter } from './einops.ts';

/** A rule of two tensors of one numeric dtype; a tensor from a refused call is let through. */
type Pair<Op extends string, A extends Tensor, B extends Tensor, R> =
  IsAny<A> extends true ? A : IsAny<B> extends true ? B : SameDType<Op, DTypeOf<A>, DTypeOf<B>, DefinedFor<Op, DTypeOf<A>, 'float and integer', R>>;
const pair = (op: string, a: Node, b: Node) => first(sameDType(op, a, b), definedFor(op, a.dtype, 'float and integer'));

/** Letters for axes: a, b, c, from `start` on. */
const axisNames = (count: number, start = 0): readonly string[] => Array.from({ length: count }, (_, i) => letter(start + i));

export type MatmulOf<A extends Tensor, B extends Tensor> = Pair<'matmul', A, B, MatmulRule<ShapeOf<A>, ShapeOf<B>>>;
/** Matrix product over the last two axes; the axes before them broadcast. */
export const matmul: <A extends Tensor, B extends Tensor>(
  a: A, b: Guard<MatmulOf<A, B>, B>,
) => Result<MatmulOf<A, B>, DTypeOf<A>> = typed((a: Node, b: Node) =>
  ruled([a, b], pair('matmul', a, b)(matmulRule(a.shape, b.shape)), (shape) => batchedProduct(a, b, shape)));

/**
 * The product over the last axes, `shape` its result; `transposed`: b's last two axes are the other way round.
 * Batch axes of size 1 that grow in the result are dropped from their operand: einsum then repeats it without a copy.
 */
export const batchedProduct = (a: Node, b: Node, shape: Shape, transposed = false): Node => {
  const lead = shape.length - 2;
  const names = axisNames(lead);
  const [row, inner, column] = axisNames(3, lead);
  const operand = (x: Node, matrix: readonly string[]): { readonly node: Node; readonly names: readonly string[] } => {
    const missing = lead - (x.shape.length - 2);
    const kept = names.flatMap((_, i) => (i >= missing && (x.shape[i - missing] !== 1 || shape[i] === 1) ? [i] : []));
    return { node: reshapeTo(x, [...kept.map((i) => shape[i]!), ...x.shape.slice(-2)]), names: [...kept.map((i) => names[i]!), ...matrix] };
  };
  const left = operand(a, [row!, inner!]);
  const right = operand(b, transposed ? [column!, inner!] : [inner!, column!]);
  return batchless(left, right, [...names, row!, column!], shape);
};

/** Result names that neither operand has any more (size 1 in both) come back by reshape. */
const batchless = (
  left: { readonly node: Node; readonly names: readonly string[] }, right: { readonly node: Node; readonly names: readonly string[] },
  names: readonly string[], shape: Shape,
): Node => {
  const known = names.filter((name) => left.names.includes(name) || right.names.includes(name));
  const pattern = `${left.names.join(' ')}, ${right.names.join(' ')} -> ${known.join(' ')}`;
  return reshapeTo(apply('einsum', [left.node, right.node], { pattern }), shape);
};

export type LinearOf<X extends Tensor, W extends Tensor> = Pair<'linear', X, W, LinearRule<ShapeOf<X>, ShapeOf<W>>>;
/** `x` [.., in] times the transpose of a weight [out, in]: [.., out]. */
export const linear: <X extends Tensor, W extends Tensor>(
  x: X, weight: Guard<LinearOf<X, W>, W>,
) => Result<LinearOf<X, W>, DTypeOf<X>> = typed((x: Node, weight: Node) =>
  ruled([x, weight], pair('linear', x, weight)(linearRule(x.shape, weight.shape)), () => {
    const lead = axisNames(x.shape.length - 1);
    const [inner, out] = axisNames(2, lead.length);
    return apply('einsum', [x, weight], { pattern: `${[...lead, inner].join(' ')}, ${out} ${inner} -> ${[...lead, out].join(' ')}` });
  }));

type EinsumOf<P extends string, Xs extends readonly Tensor[]> =
  IsAny<Xs[number]> extends true ? Xs[number]
  : Xs extends readonly [infer A extends Tensor, infer B extends Tensor] ? Pair<'einsum', A, B, EinsumRule<P, [ShapeOf<A>, ShapeOf<B>]>>
  : Xs extends readonly [infer A extends Tensor] ? DefinedFor<'einsum', DTypeOf<A>, 'float and integer', EinsumRule<P, [ShapeOf<A>]>>
  : 'einsum: takes one or two tensors';
type Einsum = <const P extends string, const Xs extends readonly [Tensor, ...Tensor[]]>(
  pattern: Guard<EinsumOf<P, Xs>, P>, ...operands: Xs
) => Result<EinsumOf<P, Xs>, Xs[0]['dtype']>;
/** Products summed over the names that are not on the right: `einsum('b i j, b j k -> b i k', x, y)`. One or two operands. */
export const einsum: Einsum = typed((pattern: string, ...operands: readonly [Node, ...Node[]]) => {
  const [a, b = a] = operands;
  const count = operands.length > 2 ? 'einsum: takes one or two tensors' : undefined;
  const check = first(count, sameDType('einsum', a, b), definedFor('einsum', a.dtype, 'float and integer'));
  return ruled(operands, check(einsumRule(pattern, operands.map((x) => x.shape))), () => contracted(pattern, operands));
});
