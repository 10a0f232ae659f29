/** From a thread number to positions along several axes. */
import { type Index, unflatten, type Variable } from '../../dsl/scalar/index-expression.ts';

/** Position along each axis of the row-major number `flat`, by variable id. */
export const splitThread = (flat: Index, axes: readonly Variable[]): ReadonlyMap<number, Index> => {
  const positions = unflatten(flat, axes.map((axis) => axis.extent));
  return new Map(axes.map((axis, i) => [axis.id, positions[i]!]));
};
