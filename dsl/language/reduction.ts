/** Reductions over one axis or several. With `keep`, reduced axes stay as size 1. */
import { isFloat } from '../dtype.ts';
import { apply } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import { axisOf, reduceRule } from '../shape/rules.ts';
import type { IsWide, ReduceRule } from '../shape/rules.ts';
import type { DefinedFor, DTypeOf, Guard, IsAny, Kinds, Result, ShapeOf, Tensor } from '../tensor.ts';
import { constantNode, countNode, definedFor, elementwise, first, reshapeTo, ruled, typed } from './build.ts';

export type Axes = number | readonly number[];
/** While the axes are still to be inferred there is nothing to refuse. */
type IsWideAxes<A extends Axes> = [A] extends [number] ? false : [A] extends [readonly number[]] ? IsWide<A> : true;
export type ReductionRule<Op extends string, X extends Tensor, A extends Axes, Keep extends boolean, K extends Kinds> =
  IsAny<X> extends true ? X
  : IsWideAxes<A> extends true ? ShapeOf<X>
  : DefinedFor<Op, DTypeOf<X>, K, ReduceRule<Op, ShapeOf<X>, A, Keep>>;
type Reduction<Op extends string, K extends Kinds> = <X extends Tensor, const A extends Axes, const Keep extends boolean = false>(
  x: X, axes: Guard<ReductionRule<Op, X, A, Keep, K>, A>, keep?: Keep,
) => Result<ReductionRule<Op, X, A, Keep, K>, DTypeOf<X>>;

const listOf = (axes: Axes): readonly number[] => (typeof axes === 'number' ? [axes] : axes);

/** `build` gets the operand and the reduced axes, counted from the front and in order. */
const reduction = <const Op extends string, const K extends Kinds>(
  op: Op, kinds: K, build: (x: Node, axes: readonly number[]) => Node,
): Reduction<Op, K> => typed((x: Node, axes: Axes, keep = false) => {
  const rule = first(definedFor(op, x.dtype, kinds))(reduceRule(op, x.shape, axes, keep));
  return ruled([x], rule, (shape) => {
    const counted = listOf(axes).map((axis) => axisOf(x.shape, axis)!).sort((a, b) => a - b);
    return counted.length === 0 ? x : reshapeTo(build(x, counted), shape);
  });
});

export const sum = reduction('sum', 'float and integer', (x, axes) => apply('sum', [x], { axes }));

/** The largest element along the axes. */
export const max = reduction('max', 'float and integer', (x, axes) => apply('reduceMax', [x], { axes }));

/** Turns the order of a dtype around and is its own inverse; -1 - x, unlike -x, cannot overflow. */
const mirrored = (x: Node): Node =>
  isFloat(x.dtype) ? apply('neg', [x], {}) : elementwise('sub', [constantNode(x.dtype === 'u32' ? 4294967295 : -1, x.dtype), x], x.shape);

/** The smallest element along the axes. */
export const min = reduction('min', 'float and integer', (x, axes) => mirrored(apply('reduceMax', [mirrored(x)], { axes })));

export const mean = reduction('mean', 'float', (x, axes) => {
  const total = apply('sum', [x], { axes });
  return elementwise('div', [total, countNode(axes.map((axis) => x.shape[axis]!), x.dtype)], total.shape);
});
