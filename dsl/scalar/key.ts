/**
 * Structural keys of expressions. Short keys stay readable; a long one becomes a 128-bit digest, so that keys of deeply
 * shared expressions (ten rounds of Philox) stay small. Equal keys mean equal structure (up to digest collisions, ~2^-64).
 */
const mix = (h: number, seed: number): number => {
  let x = Math.imul(h ^ (h >>> 16), 0x85ebca6b ^ seed);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
};

const SEEDS = [0x9e3779b9, 0x7f4a7c15, 0x94d049bb, 0x2545f491] as const;

/** 32 hexadecimal digits that identify `text`. */
export const digest = (text: string): string => SEEDS.map((seed) => {
  let h: number = seed;
  for (let i = 0; i < text.length; i++) h = (Math.imul(h ^ text.charCodeAt(i), 0x01000193) + seed) | 0;
  return mix(h, seed).toString(16).padStart(8, '0');
}).join('');

/** 32 hexadecimal digits that identify the bits of `data`. */
export const digestWords = (data: Uint32Array): string => SEEDS.map((seed) => {
  let h: number = seed;
  for (let i = 0; i < data.length; i++) h = (Math.imul(h ^ data[i]!, 0x01000193) + Math.imul(h >>> 15, seed)) | 0;
  return mix(h, seed).toString(16).padStart(8, '0');
}).join('');

export const compactKey = (key: string): string => (key.length <= 96 ? key : `#${digest(key)}`);
