/**
 * How far rows are from the nearest of other rows: what tells a copy from something new.
 *
 *   N rows   M others   D elements
 */
import type { Graph } from '../../dsl/graph/graph.ts';
import { makeGraph } from '../../dsl/graph/graph.ts';
import { add, input, linear, maximum, min, mul, square, sub, sum, type T } from '../../dsl/index.ts';

/** The square of each row's distance to the nearest of the others. |x - y|^2 = |x|^2 - 2 x.y + |y|^2, so that a product does the work. */
export const nearestSquared = (rows: T<['N', 'D']>, others: T<['M', 'D']>): T<['N']> => {
  const shifted = sub(sum(square(others), -1), mul(linear(rows, others), 2));
  return maximum(add(min(shifted, -1), sum(square(rows), -1)), 0);
};

/** Inputs `rows` [N, D] and `others` [M, D]; output `squared` [N]. */
export const nearestGraph = (): Graph => {
  const rows = input('rows', ['N', 'D']), others = input('others', ['M', 'D']);
  return makeGraph({ squared: nearestSquared(rows, others) }, [rows, others]);
};
