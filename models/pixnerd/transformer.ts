/**
 * The transformer blocks of the class model: they read the patches and tell the NeRF blocks what to draw where.
 *
 *   B batch   h x w patches   D width   H heads of 4K channels   F inner width of the feed-forward network
 */
import { add, attention, chunk, index, module, mul, rearrange, rope, silu, type T } from '../../dsl/index.ts';
import { linear, linearNoBias, rmsNorm } from '../../dsl/nn/layers.ts';
import type { RopeTable } from './rope.ts';

type Tokens = T<['B', 'h*w', 'D']>;
type Condition = T<['B', 1, 'D']>;

/** Self-attention: queries and keys normalised per head, then turned by their place in the grid. */
export const rotaryAttention = module(
  { qkv: linearNoBias('D', '12*H*K'), q_norm: rmsNorm('4*K'), k_norm: rmsNorm('4*K'), proj: linear('4*H*K', 'D') },
  (p) => (x: Tokens, { cos, sin }: RopeTable, mask?: T<['h*w', 'h*w'], 'bool'>) => {
    const qkv = rearrange(p.qkv(x), 'b n (three head d) -> three b head n d', { three: 3, head: 'H' });
    const q = rope(p.q_norm(index(qkv, 0, 0)), cos, sin);
    const k = rope(p.k_norm(index(qkv, 0, 1)), cos, sin);
    const v = index(qkv, 0, 2);
    return p.proj(rearrange(attention(q, k, v, { mask }), 'b head n d -> b n (head d)'));
  },
);

/** SwiGLU: w2(silu(w1 x) w3 x). */
export const feedForward = module(
  { w1: linearNoBias('D', 'F'), w3: linearNoBias('D', 'F'), w2: linearNoBias('F', 'D') },
  (p) => (x: Tokens) => p.w2(mul(silu(p.w1(x)), p.w3(x))),
);

const modulate = (x: Tokens, shift: Condition, scale: Condition): Tokens => add(mul(x, add(scale, 1)), shift);

/** Attention and feed-forward network, each shifted, scaled and gated by the condition. */
export const transformerBlock = module(
  {
    norm1: rmsNorm('D'), attn: rotaryAttention,
    norm2: rmsNorm('D'), mlp: feedForward,
    adaLN_modulation: module({ 0: linear('D', '6*D') }, (p) => p[0]),
  },
  (p) => (x: Tokens, c: Condition, table: RopeTable): Tokens => {
    const [shiftAttn, scaleAttn, gateAttn, shiftMlp, scaleMlp, gateMlp] = chunk(p.adaLN_modulation(c), 6, -1);
    const y = add(x, mul(gateAttn, p.attn(modulate(p.norm1(x), shiftAttn, scaleAttn), table)));
    return add(y, mul(gateMlp, p.mlp(modulate(p.norm2(y), shiftMlp, scaleMlp))));
  },
);
