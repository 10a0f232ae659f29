/**
 * The neural field of each patch: a small network over pixels whose weights are made from the patch's condition.
 *
 *   B batch   h x w patches   P x Q pixels per patch   D width of the condition   X width of a pixel   R inner ratio
 */
import { add, chunk, l2Normalize, matmul, module, reshape, silu, type T } from '../../dsl/index.ts';
import { linear, rmsNorm } from '../../dsl/nn/layers.ts';

type Pixels = T<['B*h*w', 'P*Q', 'X']>;

/** One linear layer gives both matrices of the patch's own network; their columns are normalised, over the inputs. */
export const nerfBlock = module(
  { param_generator1: module({ 0: linear('D', '2*R*X*X') }, (p) => p[0]), norm: rmsNorm('X') },
  (p) => (x: Pixels, s: T<['B*h*w', 'D']>): Pixels => {
    const [first, second] = chunk(p.param_generator1(s), 2, -1);
    const fc1 = l2Normalize(reshape(first, ['B*h*w', 'X', 'R*X']), -2);
    const fc2 = l2Normalize(reshape(second, ['B*h*w', 'R*X', 'X']), -2);
    return add(x, matmul(silu(matmul(p.norm(x), fc1)), fc2));
  },
);

/** From features back to colours. */
export const finalLayer = module(
  { norm: rmsNorm('X'), linear: linear('X', 'C') },
  (p) => (x: Pixels) => p.linear(p.norm(x)),
);
