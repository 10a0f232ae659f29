/** Pixels between -1 ... 1 in float32 and 0 ... 255 in bytes, bit for bit as the authors convert them. */
const { fround } = Math;

/** trunc(clip((x + 1) * 127.5 + 0.5, 0, 255)), each operation in float32. NaN becomes 0. */
export const toUint8 = (values: ArrayLike<number>): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(values.length);
  // storing into a Uint8Array truncates
  for (let i = 0; i < values.length; i++) bytes[i] = Math.max(0, Math.min(255, fround(fround(fround(values[i]! + 1) * 127.5) + 0.5)));
  return bytes;
};

/** The way back: (byte - 127.5) / 127.5, each operation in float32: 0 becomes -1 and 255 becomes 1. */
export const fromUint8 = (bytes: ArrayLike<number>): Float32Array<ArrayBuffer> => Float32Array.from(bytes, (byte) => (byte - 127.5) / 127.5);
