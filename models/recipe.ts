/**
 * Weights and inputs from an integer hash: models of full size can be compared without shipping their weights.
 *
 * Invariant: 32-bit integer arithmetic and single roundings to float32 only, so the numbers are the same everywhere.
 */
const { fround, imul } = Math;

/** FNV-1a of the key's UTF-8 bytes. */
export const fnv1a32 = (text: string): number => {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = imul(hash ^ byte, 0x01000193);
  return hash;
};

/** Uniform in [-1, 1), a multiple of 2^-23. */
const uniform = (start: number, index: number): number => {
  let z = start + imul(index, 0x9e3779b9);
  z = imul(z ^ (z >>> 16), 0x21f0aaad);
  z = imul(z ^ (z >>> 15), 0x735a2d97);
  return ((z ^ (z >>> 15)) >>> 8) * 2 ** -23 - 1;
};

/** What a tensor's elements become of the uniform number, by its name and shape. */
const rule = (key: string, shape: readonly number[]): ((u: number) => number) => {
  const tenth = fround(0.1);
  if (key === 'in.x') return (u) => fround(fround(Math.sqrt(3)) * u);
  if (key.endsWith('embedding_table.weight')) return (u) => fround(0.5 * u);
  if (key.includes('norm')) return (u) => fround(1 + fround(tenth * u));
  if (shape.length === 1) return (u) => fround(tenth * u);
  const spread = fround(Math.sqrt(3 / shape.at(-1)!));
  return (u) => fround(spread * u);
};

/** The tensor that the recipe gives to an official state_dict key, or to the input image `in.x`; float32, row-major. */
export const recipeTensor = (key: string, shape: readonly number[]): Float32Array<ArrayBuffer> => {
  const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  const [start, value] = [fnv1a32(key), rule(key, shape)];
  for (let i = 0; i < values.length; i++) values[i] = value(uniform(start, i));
  return values;
};
