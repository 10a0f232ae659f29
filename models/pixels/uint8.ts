/** Pixels between -1 ... 1 in float32 and 0 ... 255 in bytes, bit for bit as the authors convert them. */
const { fround } = Math;

/** trunc(clip((x + 1) * 127.5 + 0.5, 0, 255)), each operation in float32. NaN becomes 0. */
export const toBytes = (values: ArrayLike<number>): Uint8ClampedArray<ArrayBuffer> => {
  const bytes = new Uint8ClampedArray(values.length);
  for (let i = 0; i < values.length; i++) {
    const scaled = fround(fround(fround(values[i]! + 1) * 127.5) + 0.5);
    bytes[i] = Math.trunc(Math.max(0, Math.min(255, scaled)));
  }
  return bytes;
};

/** The way back: (byte - 127.5) / 127.5, each operation in float32. */
export const fromBytes = (bytes: ArrayLike<number>): Float32Array<ArrayBuffer> =>
  Float32Array.from(bytes, (byte) => (byte - 127.5) / 127.5);
