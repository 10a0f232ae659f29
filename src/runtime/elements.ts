/**
 * Elements of tensors between typed arrays and the bytes of GPU buffers.
 *
 * Invariant: `encode` gives whole 4-byte words (WebGPU copies nothing smaller); `decode(encode(x)) = x` for f32, i32, u32
 * and bool, and is the nearest half for f16.
 */

import type { ProgramDType } from '../../compiler/program.ts';

/** The typed arrays that callers may hand in: f32 and f16 from floats, i32 and u32 from their own kind, bool from bytes or words. */
export type NumberArray = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

/** What `read` gives: Float32Array for f32 and f16, Int32Array for i32, Uint32Array for u32 and bool (0 or 1). */
export type ReadArray = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Bytes of one element in a buffer. */
export const elementBytes: Readonly<Record<ProgramDType, number>> = { f32: 4, f16: 2, i32: 4, u32: 4, bool: 4 };

export const elementCount = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Names of the typed arrays that are accepted for each dtype, the usual one first. Uint16Array for f16 is the raw bits. */
const accepted: Readonly<Record<ProgramDType, readonly string[]>> = {
  f32: ['Float32Array', 'Float64Array'],
  f16: ['Float32Array', 'Float64Array', 'Uint16Array'],
  i32: ['Int32Array'],
  u32: ['Uint32Array'],
  bool: ['Uint32Array', 'Uint8Array'],
};

/** What is wrong with `data` as a tensor of this dtype and shape, or undefined. */
export const dataProblem = (dtype: ProgramDType, shape: readonly number[], data: NumberArray): string | undefined => {
  const kind = ArrayBuffer.isView(data) ? data.constructor.name : typeof data;
  if (!accepted[dtype].includes(kind)) return `a ${dtype} tensor is given as ${accepted[dtype].join(' or ')}, not as ${kind}`;
  const count = elementCount(shape);
  if (data.length !== count) return `${data.length} elements given, [${shape.join(', ')}] has ${count}`;
  return undefined;
};

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** Bits of the half-precision number nearest to `value` (ties to even; beyond 65504 + 16 infinity). */
export const toHalf = (value: number): number => {
  word[0] = value;
  const x = bits[0]!; // the array has one element
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) return sign | roundEven(Math.abs(word[0]) * 2 ** 24);
  // Rebias the exponent (127 to 15); a carry out of the rounded mantissa runs into the exponent, as it should.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
};

const roundEven = (value: number): number => {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
};

/** The number that half-precision bits stand for. */
export const fromHalf = (half: number): number => {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + mantissa / 1024) : mantissa * 2 ** -24);
};

/** All bit patterns decoded once: 4 times faster than computing each. */
let halves: Float32Array | undefined;
const halfTable = (): Float32Array => (halves ??= Float32Array.from({ length: 65536 }, (_, half) => fromHalf(half)));

const padded = (bytes: number): number => Math.ceil(bytes / 4) * 4;

const encodeHalf = (data: NumberArray): Uint16Array<ArrayBuffer> => {
  const halfs = new Uint16Array(padded(data.length * 2) / 2);
  if (data instanceof Uint16Array) halfs.set(data);
  else for (let i = 0; i < data.length; i++) halfs[i] = toHalf(data[i]!); // i < length
  return halfs;
};

/** The bytes of `data` as the buffer holds them; the data has passed `dataProblem`. */
export const encode = (dtype: ProgramDType, data: NumberArray): Uint8Array => {
  const words =
    dtype === 'f16'
      ? encodeHalf(data)
      : dtype === 'bool'
        ? Uint32Array.from(data, (element) => (element ? 1 : 0))
        : dtype === 'f32' && data instanceof Float64Array
          ? Float32Array.from(data)
          : data;
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
};

/** The elements in a copy of a buffer, which may be longer than the tensor. */
export const decode = (dtype: ProgramDType, count: number, buffer: ArrayBuffer): ReadArray => {
  if (dtype === 'f32') return new Float32Array(buffer, 0, count);
  if (dtype === 'i32') return new Int32Array(buffer, 0, count);
  if (dtype !== 'f16') return new Uint32Array(buffer, 0, count);
  const table = halfTable();
  return Float32Array.from(new Uint16Array(buffer, 0, count), (half) => table[half]!); // the table has all 65536
};

/** Bytes of standard base64 text. */
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> => {
  const binary = atob(text);
  const bytes = new Uint8Array(padded(binary.length));
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
};
