/**
 * Where a pixel stands in its patch, as cosines: the coordinates that the NeRF blocks see.
 *
 * They are written in the language from ramps and cosines; nothing in them depends on the image, so they fold to constants.
 */
import { add, cos, div, exp, expand, iota, linspace, mul, reshape, sizeOf, stackTensors, type T } from '../../dsl/index.ts';
import { ROPE_THETA, UNIT_GRID, type Extent } from './rope.ts';

/** Products of cosines along both axes, damped where both frequencies are high: feature fx * M + fy of pixel (y, x). */
export const cosineFeatures = (): T<[1, 'P*Q', 'M*M']> => {
  const f = linspace(0, 'M', 'M');
  const [fx, fy] = [reshape(f, ['M', 1]), reshape(f, [1, 'M'])];
  const x = reshape(linspace(0, 1, 'Q'), [1, 'Q', 1, 1]);
  const y = reshape(linspace(0, 1, 'P'), ['P', 1, 1, 1]);
  const wave = mul(cos(mul(mul(x, fx), Math.PI)), cos(mul(mul(y, fy), Math.PI)));
  return reshape(div(wave, add(mul(fx, fy), 1)), [1, 'P*Q', 'M*M']);
};

/** Where the text model's pixel positions end, by the size of the patch: columns at its height, rows at its width. */
export const EXCHANGED_PATCH: Extent = { columns: 'P', rows: 'Q' };
/** The heavy decoder's run to 16 whatever the patch. */
export const UNIT_PATCH: Extent = UNIT_GRID;

/** The text model's features: the cosines of a rotary table over the patch, G frequencies per axis, columns and rows in turns. */
export const rotaryFeatures = ({ columns, rows }: Extent): T<[1, 'P*Q', '2*G']> => {
  const frequency = exp(mul(div(iota('G', 'f32'), sizeOf('G')), -Math.log(ROPE_THETA)));
  const x = mul(reshape(linspace(0, columns, 'Q'), [1, 'Q', 1]), frequency);
  const y = mul(reshape(linspace(0, rows, 'P'), ['P', 1, 1]), frequency);
  const both = stackTensors([expand(x, ['P', 'Q', 'G']), expand(y, ['P', 'Q', 'G'])], -1);
  return reshape(cos(both), [1, 'P*Q', '2*G']);
};
