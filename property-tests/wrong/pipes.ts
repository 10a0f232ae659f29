/** In a pipe the error sits on the wrong step and its last line is the message. */
import { pipe } from 'fp-ts/function';
import { bind, exp, input, layers, on, silu } from '../../dsl/index.ts';

const x = input('x', ['B', 256, 1152]);
const up = bind(layers.linear(1152, 4608));
const wrong = bind(layers.linear(1024, 4608));

// error: linear: in differs: 1152 vs 1024 in [B, 256, 1152] x [4608, 1024]
export const layer = pipe(x, wrong, silu);
export const step = pipe(
  x,
  up,
  silu,
  // error: reshape: [B, 256, 4608] has 1179648*B elements, [B, 7] has 7*B
  on.reshape(['B', 7]),
  exp,
);
// error: rearrange: (n m): 256 is not divisible by 7 in [B, 256, 4608]
export const pattern = pipe(x, up, on.rearrange('b (n m) d -> b n m d', { m: 7 }), on.sum(-1));
// error: sum: axis 3 is out of range for [B, 256, 1152]
export const axis = pipe(x, on.sum(3), exp);
// error: add: cannot broadcast [B, 256, 1152] with [B, 256, 4608]: 1152 vs 4608
export const operand = pipe(x, on.add(up(x)));
