/**
 * Where a pixel stands in its patch, as cosines: the coordinates that the NeRF blocks see.
 *
 * They are written in the language from ramps and cosines; nothing in them depends on the image, so they fold to constants.
 */
import { cos, div, linspace, mul, reshape, add, type T } from '../../dsl/index.ts';

/** Products of cosines along both axes, damped where both frequencies are high: feature fx * M + fy of pixel (y, x). */
export const cosineFeatures = (): T<[1, 'P*Q', 'M*M']> => {
  const f = linspace(0, 'M', 'M');
  const [fx, fy] = [reshape(f, ['M', 1]), reshape(f, [1, 'M'])];
  const x = reshape(linspace(0, 1, 'Q'), [1, 'Q', 1, 1]);
  const y = reshape(linspace(0, 1, 'P'), ['P', 1, 1, 1]);
  const wave = mul(cos(mul(mul(x, fx), Math.PI)), cos(mul(mul(y, fy), Math.PI)));
  return reshape(div(wave, add(mul(fx, fy), 1)), [1, 'P*Q', 'M*M']);
};
