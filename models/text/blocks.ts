/**
 * Blocks of the text-to-image model. They differ from the class model's in what attention sees (the text's tokens beside the
 * image's), in the feed-forward network (one matrix for gate and value), and in the decoder (one matrix normalised, no last norm).
 *
 *   B batch   h x w patches of P x Q pixels   T tokens of text of E channels   D width   H heads of 4K channels
 *   A channels of a text head   F inner width   C channels   X pixel width   R NeRF ratio   G frequencies of a pixel's place
 */
import {
  add, attention, chunk, concat, expand, index, l2Normalize, matmul, module, mul, rearrange, reshape, rope, silu, type T,
} from '../../dsl/index.ts';
import { linear, linearNoBias, rmsNorm } from '../../dsl/nn/layers.ts';
import { rotaryFeatures } from '../pixnerd/pixel-features.ts';
import type { Extent, RopeTable } from '../pixnerd/rope.ts';

type Patches = T<['B', 'h*w', 'D']>;
type Text = T<['B', 'T', 'D']>;
type Condition = T<['B', 1, 'D']>;
type Pixels = T<['B*h*w', 'P*Q', 'X']>;

// text ----------------------------------------------------------------------------------------------------------------------------

/** Embeddings of a language model, brought to the model's width; `pixnerd` normalises them. */
export const textEmbedder = module(
  { proj: linear('E', 'D'), norm: rmsNorm('D') },
  (p) => (y: T<['B', 'T', 'E']>): Text => p.norm(p.proj(y)),
);

/** The same layer without its norm. */
export const plainEmbedder = module({ proj: linear('E', 'D') }, (p) => (y: T<['B', 'T', 'E']>): Text => p.proj(y));

/** Self-attention over text: no rotary embedding, no mask for padding. */
export const textAttention = module(
  { qkv: linearNoBias('D', '3*A*H'), q_norm: rmsNorm('A'), k_norm: rmsNorm('A'), proj: linear('A*H', 'D') },
  (p) => (x: Text): Text => {
    const qkv = rearrange(p.qkv(x), 'b n (three head d) -> three b head n d', { three: 3, head: 'H' });
    const y = attention(p.q_norm(index(qkv, 0, 0)), p.k_norm(index(qkv, 0, 1)), index(qkv, 0, 2));
    return p.proj(rearrange(y, 'b head n d -> b n (head d)'));
  },
);

/** w3(silu(gate) value), gate and value from one matrix. */
export const textFeedForward = module(
  { w12: linearNoBias('D', '2*F'), w3: linearNoBias('F', 'D') },
  (p) => (x: Text): Text => {
    const [gate, value] = chunk(p.w12(x), 2, -1);
    return p.w3(mul(silu(gate), value));
  },
);

const modulation = module({ 0: linear('D', '6*D') }, (p) => p[0]);
const modulateText = (x: Text, shift: Condition, scale: Condition): Text => add(mul(x, add(scale, 1)), shift);

export const textBlock = module(
  { norm1: rmsNorm('D'), attn: textAttention, norm2: rmsNorm('D'), mlp: textFeedForward, adaLN_modulation: modulation },
  (p) => (x: Text, c: Condition): Text => {
    const [shiftAttn, scaleAttn, gateAttn, shiftMlp, scaleMlp, gateMlp] = chunk(p.adaLN_modulation(c), 6, -1);
    const y = add(x, mul(gateAttn, p.attn(modulateText(p.norm1(x), shiftAttn, scaleAttn))));
    return add(y, mul(gateMlp, p.mlp(modulateText(p.norm2(y), shiftMlp, scaleMlp))));
  },
);

// image -----------------------------------------------------------------------------------------------------------------------------

/** Patches look at patches, turned by their place, and then at the text, which has none. */
export const jointAttention = module(
  {
    qkv_x: linearNoBias('D', '12*H*K'), kv_y: linearNoBias('D', '8*H*K'),
    q_norm: rmsNorm('4*K'), k_norm: rmsNorm('4*K'), proj: linear('4*H*K', 'D'),
  },
  (p) => (x: Patches, y: Text, { cos, sin }: RopeTable): Patches => {
    const image = rearrange(p.qkv_x(x), 'b n (three head d) -> three b head n d', { three: 3, head: 'H' });
    const text = rearrange(p.kv_y(y), 'b n (two head d) -> two b head n d', { two: 2, head: 'H' });
    const q = rope(p.q_norm(index(image, 0, 0)), cos, sin);
    const k = concat([rope(p.k_norm(index(image, 0, 1)), cos, sin), p.k_norm(index(text, 0, 0))], 2);
    const v = concat([index(image, 0, 2), index(text, 0, 1)], 2);
    return p.proj(rearrange(attention(q, k, v), 'b head n d -> b n (head d)'));
  },
);

/** As `textFeedForward`, on patches. */
export const imageFeedForward = module(
  { w12: linearNoBias('D', '2*F'), w3: linearNoBias('F', 'D') },
  (p) => (x: Patches): Patches => {
    const [gate, value] = chunk(p.w12(x), 2, -1);
    return p.w3(mul(silu(gate), value));
  },
);

const modulateImage = (x: Patches, shift: Condition, scale: Condition): Patches => add(mul(x, add(scale, 1)), shift);

export const imageBlock = module(
  { norm1: rmsNorm('D'), attn: jointAttention, norm2: rmsNorm('D'), mlp: imageFeedForward, adaLN_modulation: modulation },
  (p) => (x: Patches, y: Text, c: Condition, table: RopeTable): Patches => {
    const [shiftAttn, scaleAttn, gateAttn, shiftMlp, scaleMlp, gateMlp] = chunk(p.adaLN_modulation(c), 6, -1);
    const z = add(x, mul(gateAttn, p.attn(modulateImage(p.norm1(x), shiftAttn, scaleAttn), y, table)));
    return add(z, mul(gateMlp, p.mlp(modulateImage(p.norm2(z), shiftMlp, scaleMlp))));
  },
);

// pixels ----------------------------------------------------------------------------------------------------------------------------

/** A pixel's colours and the cosines of its place; `extent` says where places end. */
export const rotaryPixelEmbedder = (extent: Extent) => module(
  { embedder: module({ 0: linear('(C+2*G)', 'X') }, (p) => p[0]) },
  (p) => (pixels: T<['B*h*w', 'P*Q', 'C']>): Pixels =>
    p.embedder(concat([pixels, expand(rotaryFeatures(extent), ['B*h*w', 'P*Q', '2*G'])], -1)),
);

/** The class model's NeRF block with the first matrix normalised only. */
export const textNerfBlock = module(
  { param_generator1: module({ 0: linear('D', '2*R*X*X') }, (p) => p[0]), norm: rmsNorm('X') },
  (p) => (x: Pixels, s: T<['B*h*w', 'D']>): Pixels => {
    const [first, second] = chunk(p.param_generator1(s), 2, -1);
    const fc1 = l2Normalize(reshape(first, ['B*h*w', 'X', 'R*X']), -2);
    const fc2 = reshape(second, ['B*h*w', 'R*X', 'X']);
    return add(x, matmul(silu(matmul(p.norm(x), fc1)), fc2));
  },
);

export const textFinalLayer = module({ linear: linear('X', 'C') }, (p) => (x: Pixels) => p.linear(x));
