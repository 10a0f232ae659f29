/** IEEE 754 binary16 from a number, rounded to nearest even (https://en.wikipedia.org/wiki/Half-precision_floating-point_format). */
const scratch = new DataView(new ArrayBuffer(4));

export const toHalf = (value: number): number => {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0), sign = (bits >>> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | 0x7c00 | (magnitude > 0x7f800000 ? 0x200 : 0);
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds beyond 65504
  if (magnitude < 0x33000001) return sign; // below half the smallest subnormal
  const exponent = magnitude >>> 23;
  if (exponent < 113) {
    const mantissa = (magnitude & 0x7fffff) | 0x800000, shift = 126 - exponent;
    const half = mantissa >>> shift, rest = mantissa & ((1 << shift) - 1), tie = 1 << (shift - 1);
    return sign | (half + (rest > tie || (rest === tie && (half & 1) === 1) ? 1 : 0));
  }
  const half = (magnitude - 0x38000000) >>> 13, rest = magnitude & 0x1fff;
  return sign | (half + (rest > 0x1000 || (rest === 0x1000 && (half & 1) === 1) ? 1 : 0));
};

/** The number that binary16 bits stand for. */
const fromHalf = (bits: number): number => {
  const sign = (bits & 0x8000) === 0 ? 1 : -1, exponent = (bits >> 10) & 0x1f, mantissa = bits & 0x3ff;
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
};
/** The nearest number that binary16 can hold. */
export const roundToHalf = (value: number): number => fromHalf(toHalf(value));
