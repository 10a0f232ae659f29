/** Between model values in [-1, 1] and bytes, with exactly the authors' roundings in f32. */

const { fround } = Math;

/** trunc(clip((x + 1) * 127.5 + 0.5, 0, 255)), every operation rounded to f32; NaN becomes 0. */
export const toUint8 = (values: Float32Array): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) bytes[i] = clip(fround(fround(fround(values[i]! + 1) * 127.5) + 0.5));
  return bytes;
};

// storing into a Uint8Array truncates
const clip = (value: number): number => Math.min(Math.max(value, 0), 255);

/** (u - 127.5) / 127.5 in f32: 0 becomes -1 and 255 becomes 1. */
export const fromUint8 = (bytes: Uint8Array): Float32Array<ArrayBuffer> => Float32Array.from(bytes, (byte) => (byte - 127.5) / 127.5);
