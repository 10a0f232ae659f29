/**
 * Windows of 4 x 4 pixels at every second pixel: a convolution with stride 2 is `linear` of them.
 *
 * Invariant: window (i, j) covers rows 2i - 1 ... 2i + 2 and columns 2j - 1 ... 2j + 2; what lies outside the image is 0.
 */
import { concat, pad, rearrange, slice, type T } from '../../dsl/index.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import { typed } from '../../dsl/language/build.ts';
import type { Dim, MultiplyDim } from '../../dsl/shape/dim.ts';

type Times<N extends number, D extends Dim> = MultiplyDim<N, D>;
type Windows = <B extends Dim, H extends Dim, W extends Dim, K extends Dim, const M extends Dim, const N extends Dim>(
  x: Tensor<readonly [B, H, W, K], 'f32'> & Tensor<readonly [B, Times<2, M>, Times<2, N>, K], 'f32'>, height: M, width: N,
) => Tensor<[B, M, N, Times<16, K>], 'f32'>;

// the formula is written for the symbols m and n, which stand for any two dimensions
type Image = T<['B', '2*m', '2*n', 'K']>;

/** The windows of [B, 2m, 2n, K], as [B, m, n, 16K]. */
export const windows: Windows = typed((x: Image, m: 'm', n: 'n') => {
  const blocks = rearrange(pad(pad(x, 1, 1, 1), 2, 1, 1), 'b (i p) (j q) k -> b i j (p q k)', { p: 2, q: 2 });
  const upper = slice(blocks, 1, 0, m), lower = slice(blocks, 1, 1, m);
  return concat([slice(upper, 2, 0, n), slice(upper, 2, 1, n), slice(lower, 2, 0, n), slice(lower, 2, 1, n)], -1);
});
