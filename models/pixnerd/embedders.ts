/**
 * What enters the class model: time, class, patches and pixels become features.
 *
 *   B batch   C channels   P x Q pixels per patch   h x w patches   D width   X width of a pixel's features
 *   S frequencies of the time   M frequencies of a pixel's place, per axis   V classes and the null class
 */
import { concat, cos, div, exp, expand, iota, module, mul, silu, sin, sizeOf, unsqueeze, type T } from '../../dsl/index.ts';
import { embedding, linear } from '../../dsl/nn/layers.ts';
import { cosineFeatures } from './pixel-features.ts';

/** The longest period of the time's sinusoids: t runs from 0 to 1 as it is. */
const MAX_PERIOD = 10;

/** S cosines, then S sines, of t at frequencies from 1 down towards 1 / maxPeriod. */
export const sinusoid = (t: T<['B']>, maxPeriod: number = MAX_PERIOD): T<['B', '2*S']> => {
  const frequency = exp(mul(div(iota('S', 'f32'), sizeOf('S')), -Math.log(maxPeriod)));
  const angle = mul(unsqueeze(t, 1), frequency);
  return concat([cos(angle), sin(angle)], -1);
};

export const timestepEmbedder = (maxPeriod: number = MAX_PERIOD) => module(
  { mlp: module({ 0: linear('2*S', 'D'), 2: linear('D', 'D') }, (p) => (f: T<['B', '2*S']>) => p[2](silu(p[0](f)))) },
  (p) => (t: T<['B']>) => p.mlp(sinusoid(t, maxPeriod)),
);

/** A row per class; the last one stands for no class. */
export const labelEmbedder = module(
  { embedding_table: embedding('V', 'D') },
  (p) => (y: T<['B'], 'i32'>) => p.embedding_table(y),
);

export const patchEmbedder = module(
  { proj: linear('C*P*Q', 'D') },
  (p) => (patches: T<['B', 'h*w', 'C*P*Q']>) => p.proj(patches),
);

/** A pixel's colours and its place in the patch. */
export const pixelEmbedder = module(
  { embedder: module({ 0: linear('(C+M*M)', 'X') }, (p) => p[0]) },
  (p) => (pixels: T<['B*h*w', 'P*Q', 'C']>) => {
    const place = expand(cosineFeatures(), ['B*h*w', 'P*Q', 'M*M']);
    return p.embedder(concat([pixels, place], -1));
  },
);
