/** Wrong shapes. The line below each `error:` must be refused with that message, and nothing else may be. */
import {
  add, concat, chunk, embedding, expand, gather, index, input, is, matmul, linear, einsum, mul, pad, permute, reshape, slice, softmax, split, squeeze,
  stackTensors, sum, transpose, unsqueeze, resizeNearest,
} from '../../dsl/index.ts';

const x = input('x', ['B', 256, 1152]);
const c = input('c', ['B', 6, 1152]);
const w = input('w', [1024, 4608]);
const ids = input('ids', ['B'], 'i32');

// error: add: cannot broadcast [B, 256, 1152] with [B, 6, 1152]: 256 vs 6
export const broadcast = add(x, c);
// error: mul: cannot broadcast [1024, 4608] with [B, 256, 1152]: 4608 vs 1152
export const alsoBroadcast = mul(w, x);
// error: matmul: inner differs: 1152 vs 1024 in [B, 256, 1152] x [1024, 4608]
export const product = matmul(x, w);
// error: matmul: batch differs: 2 vs 3 in [2, 4, 5] x [3, 5, 6]
export const batches = matmul(input('a', [2, 4, 5]), input('b', [3, 5, 6]));
// error: matmul: needs two dimensions or more in [5] x [5, 6]
export const vector = matmul(input('a', [5]), input('b', [5, 6]));
// error: linear: in differs: 1152 vs 4608 in [B, 256, 1152] x [1024, 4608]
export const weights = linear(x, w);
// error: einsum: d differs: 1152 vs 4608 in [B, 256, 1152] x [1024, 4608]
export const contraction = einsum('b n d, e d -> b n e', x, w);
// error: reshape: [B, 256, 1152] has 294912*B elements, [B, 256, 16, 64] has 262144*B
export const count = reshape(x, ['B', 256, 16, 64]);
// error: reshape: [B, 256, 1152] has 294912*B elements, not a multiple of 7 for [7, -1]
export const rest = reshape(x, [7, -1]);
// error: reshape: -1 can stand once only in [-1, B, -1]
export const twoRests = reshape(x, [-1, 'B', -1]);
// error: expand: cannot expand [B, 6, 1152] to [B, 12, 1152]
export const grown = expand(c, ['B', 12, 1152]);
// error: is: expected [B, 256, 768], got [B, 256, 1152]
export const asserted = is(x, ['B', 256, 768]);
// error: concat: [B, 256, 1152] and [B, 6, 1152] differ outside axis 2
export const joined = concat([x, c], -1);
// error: stack: [B, 256, 1152] and [B, 6, 1152] differ
export const stacked = stackTensors([x, c], 0);
// error: chunk: axis -1 of [B, 256, 1152] is 1152, not divisible by 7
export const parts = chunk(x, 7, -1);
// error: split: [100, 155] sums to 255, axis 1 of [B, 256, 1152] is 256
export const cut = split(x, [100, 155], 1);
// error: slice: start 200, size 57, step 1 leaves axis 1 of [B, 256, 1152]
export const beyond = slice(x, 1, 200, 57);
// error: index: 256 is outside axis 1 of [B, 256, 1152]
export const outside = index(x, 1, 256);
// error: pad: axis 3 is out of range for [B, 256, 1152]
export const padded = pad(x, 3, 1, 1);
// error: permute: axis 2 appears twice in [0, 2, 2]
export const order = permute(x, [0, 2, 2]);
// error: permute: [B, 256, 1152] has 3 axes, the permutation [1, 0] has 2
export const fewAxes = permute(x, [1, 0]);
// error: transpose: axis 5 is out of range for [B, 256, 1152]
export const exchanged = transpose(x, 0, 5);
// error: sum: axis -2 appears twice for [B, 256, 1152]
export const folded = sum(x, [1, -2]);
// error: softmax: axis 3 is out of range for [B, 256, 1152]
export const weighed = softmax(x, 3);
// error: squeeze: axis 1 of [B, 256, 1152] is 256, not 1
export const dropped = squeeze(x, 1);
// error: unsqueeze: axis 4 is out of range for [B, 256, 1152]
export const opened = unsqueeze(x, 4);
// error: embedding: too many dimensions in [B, 256, 1152] x [B]
export const rows = embedding(x, ids);
// error: gather: axis 3 is out of range for [B, 256, 1152]
export const taken = gather(x, ids, 3);
// error: resizeNearest: needs two dimensions or more, has 1
export const resized = resizeNearest(ids, [2, 2]);

// one mistake, one message: what is built on a refused tensor is quiet
// error: matmul: inner differs: 1152 vs 1024 in [B, 256, 1152] x [1024, 4608]
const refused = matmul(x, w);
const [a, b] = chunk(refused, 2, -1);
export const quiet = [add(refused, x), reshape(a, [1, 2]), concat([b, x], 0), sum(refused, 9), is(refused, [7])];
