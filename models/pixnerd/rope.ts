/**
 * Angles of the two-dimensional rotary embedding, and the turn itself.
 *
 * Half a head are pairs (2K of them, adjacent channels): pair 2k turns by the column's angle of frequency k, pair 2k + 1
 * by the row's; frequency k is 10000^(-k / K). The tables are written in the language from ramps and cosines, so that the
 * compiler folds them into constants.
 */
import { cos, div, exp, expand, iota, linspace, mul, reshape, sin, sizeOf, stackTensors, type T } from '../../dsl/index.ts';

/** The base of the frequencies. */
export const ROPE_THETA = 10000;

/** Where the positions of columns and rows end; both start at 0 and include their end. A name is that size. */
export interface Extent {
  readonly columns: number | string;
  readonly rows: number | string;
}
/** The class model's grid runs from 0 to 16 on both axes, whatever its size. */
export const UNIT_GRID: Extent = { columns: 16, rows: 16 };
/** The text model's: columns run to the grid's height and rows to its width. It looks exchanged, and is the authors'. */
export const EXCHANGED_GRID: Extent = { columns: 'h', rows: 'w' };

const frequencies = (): T<['K']> => exp(mul(div(iota('K', 'f32'), sizeOf('K')), -Math.log(ROPE_THETA)));

/** Angles of a grid of h rows and w columns, row-major: column and row angles take turns. */
export const gridAngles = ({ columns, rows }: Extent): T<['h*w', '2*K']> => {
  const x = mul(reshape(linspace(0, columns, 'w'), [1, 'w', 1]), frequencies());
  const y = mul(reshape(linspace(0, rows, 'h'), ['h', 1, 1]), frequencies());
  const both = stackTensors([expand(x, ['h', 'w', 'K']), expand(y, ['h', 'w', 'K'])], -1);
  return reshape(both, ['h*w', '2*K']);
};

export interface RopeTable {
  readonly cos: T<['h*w', '2*K']>;
  readonly sin: T<['h*w', '2*K']>;
}
export const ropeTable = (extent: Extent): RopeTable => {
  const angles = gridAngles(extent);
  return { cos: cos(angles), sin: sin(angles) };
};
