/** Wrong modules and composites. */
import { add, attention, bind, chunk, input, layerNorm, module, repeat, rmsNorm, rope, trace, type T } from '../../dsl/index.ts';
import { linear, rmsNorm as normLayer } from '../../dsl/nn/layers.ts';

type Rows = T<['B', 'n', 'D']>;
const q = input('q', ['B', 16, 'N', 72]);
const k = input('k', ['B', 16, 'N', 64]);

export const feedForward = module({ up: linear('D', 'F'), down: linear('F', 'D'), norm: normLayer('D') }, (p) => (x: Rows) =>
  // error: linear: in differs: D vs F in [B, n, D] x [D, F]
  add(x, p.down(p.norm(x))));
export const modulation = module({ ada: linear('D', '5*D') }, (p) => (x: Rows) => {
  // error: chunk: axis -1 of [B, n, 5*D] is 5*D, not divisible by 6
  const [shift] = chunk(p.ada(x), 6, -1);
  return add(x, shift);
});
const block = module({ fc: linear('D', 'D') }, (p) => (x: Rows): Rows => p.fc(x));
// error: Property 'fc2' does not exist on type
export const missing = module({ fc: linear('D', 'D') }, (p) => (x: Rows): Rows => p.fc2(x));
// error: Type 'Tensor<["B", "n", "F"], "f32">' is not assignable to type 'Tensor<["B", "n", "D"], "f32">'.
export const result = module({ fc: linear('D', 'F') }, (p) => (x: Rows): Rows => p.fc(x));
export const stacked = module({ blocks: repeat(4, block) }, (p) => (x: T<['B', 'm', 'D']>) =>
  // error: Argument of type 'Tensor<["B", "m", "D"], "f32">' is not assignable to parameter of type 'Tensor<["B", "n", "D"], "f32">'.
  p.blocks.map((f) => f(x)));
// error: Type 'Tensor<["B", "D"], "f32">' is not assignable to type 'Tensor<["B", "n", "D"], "f32">'.
export const traced = trace(block, [input('x', ['B', 'D'])]);
// error: linear: in differs: 7 vs 8 in [B, 7] x [4, 8]
export const concrete = bind(linear(8, 4))(input('x', ['B', 7]));

// error: attention: head differs: 72 vs 64 in [B, 16, N, 72] x [B, 16, N, 64] x [B, 16, N, 64]
export const heads = attention(q, k, k);
// error: attention: key differs: N vs M in [B, 16, N, 72] x [B, 16, N, 72] x [B, 16, M, 72]
export const values = attention(q, q, input('v', ['B', 16, 'M', 72]));
// error: attention: the mask [3, 3] does not broadcast to the scores [B, 16, N, N]
export const masked = attention(q, q, q, { mask: input('mask', [3, 3], 'bool') });
// error: rmsNorm: dim differs: 72 vs 64 in [B, 16, N, 72] x [64]
export const normalised = rmsNorm(q, input('w', [64]));
// error: layerNorm: dim differs: 72 vs 64 in [B, 16, N, 72] x [64]
export const centred = layerNorm(q, input('w', [72]), input('b', [64]));
// error: rope: half differs: 36 vs 18 in [B, 16, N, 72] x [N, 36] x [N, 18]
export const turned = rope(q, input('cos', ['N', 36]), input('sin', ['N', 18]));
