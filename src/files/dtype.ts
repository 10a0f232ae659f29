/**
 * The number formats of weight files, named as safetensors names them, and their exact conversion to numbers.
 *
 * Little-endian throughout, as the files are. Conversions to f32 from f16, bf16, f8 and the 8- and 16-bit integers are exact; from f64, i32 and
 * i64 they round to nearest, as a cast does.
 */

/** A number format of a weight file. */
export type FileDType = keyof typeof widths;

const widths = {
  BOOL: 1, U8: 1, I8: 1, F8_E4M3: 1, F8_E5M2: 1, I16: 2, U16: 2, F16: 2, BF16: 2, I32: 4, U32: 4, F32: 4, I64: 8, U64: 8, F64: 8,
} as const; // prettier-ignore

/** Bytes per element. */
export const byteWidth = (dtype: FileDType): number => widths[dtype];

/** Whether a word of a file names a format that is read here. */
export const isFileDType = (word: string): word is FileDType => Object.hasOwn(widths, word);

/** All names, for messages. */
export const fileDTypes: readonly string[] = Object.keys(widths);

/** The values as f32; `bytes` must hold whole elements. For F32 data that is aligned the result shares its memory. */
export const toFloat32 = (bytes: Uint8Array<ArrayBuffer>, dtype: FileDType): Float32Array<ArrayBuffer> => {
  if (dtype === 'F32') return new Float32Array(...aligned(bytes, 4));
  if (dtype === 'BF16') return bfloat16(new Uint16Array(...aligned(bytes, 2)));
  return new Float32Array(toNumbers(bytes, dtype));
};

/** The values as f64 (exact for every format but 64-bit integers beyond 2^53). */
export const toFloat64 = (bytes: Uint8Array<ArrayBuffer>, dtype: FileDType): Float64Array<ArrayBuffer> => {
  if (dtype === 'F64') return new Float64Array(...aligned(bytes, 8));
  return new Float64Array(dtype === 'BF16' ? toFloat32(bytes, dtype) : toNumbers(bytes, dtype));
};

type Numbers = ArrayLike<number>;

const toNumbers = (bytes: Uint8Array<ArrayBuffer>, dtype: Exclude<FileDType, 'BF16'>): Numbers => {
  switch (dtype) {
    case 'F64': return new Float64Array(...aligned(bytes, 8));
    case 'F32': return new Float32Array(...aligned(bytes, 4));
    case 'F16': return lookUp(halfTable(), new Uint16Array(...aligned(bytes, 2)));
    case 'F8_E4M3': return lookUp(e4m3Table(), bytes);
    case 'F8_E5M2': return lookUp(e5m2Table(), bytes);
    case 'I64': return Array.from(new BigInt64Array(...aligned(bytes, 8)), Number);
    case 'U64': return Array.from(new BigUint64Array(...aligned(bytes, 8)), Number);
    case 'I32': return new Int32Array(...aligned(bytes, 4));
    case 'U32': return new Uint32Array(...aligned(bytes, 4));
    case 'I16': return new Int16Array(...aligned(bytes, 2));
    case 'U16': return new Uint16Array(...aligned(bytes, 2));
    case 'I8': return new Int8Array(...aligned(bytes, 1));
    case 'U8': return bytes;
    case 'BOOL': return bytes.map((byte) => Number(byte !== 0));
  }
}; // prettier-ignore

const aligned = (bytes: Uint8Array<ArrayBuffer>, width: number): [ArrayBuffer, number, number] => {
  const { buffer, byteOffset, length } = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return [buffer, byteOffset, length / width];
};

/** bf16 is the upper half of an f32. */
const bfloat16 = (halves: Uint16Array): Float32Array<ArrayBuffer> => {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
};

const lookUp = (table: Float32Array, codes: Uint8Array | Uint16Array): Float32Array => {
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = table[codes[i]!]!;
  return values;
};

const once = <A>(make: () => A): (() => A) => {
  let made: A | undefined;
  return () => (made ??= make());
};

// 65,536 entries are filled in a millisecond and then make the conversion one load per element
const halfTable = once(() => Float32Array.from({ length: 65536 }, (_, code) => minifloat(code, 5, 10, true)));
const e5m2Table = once(() => Float32Array.from({ length: 256 }, (_, code) => minifloat(code, 5, 2, true)));
const e4m3Table = once(() => Float32Array.from({ length: 256 }, (_, code) => minifloat(code, 4, 3, false)));

/** The value of a small float; formats without infinity use the all-ones code as NaN and the rest of the top exponent as numbers. */
const minifloat = (code: number, exponentBits: number, mantissaBits: number, infinity: boolean): number => {
  const mantissaSize = 2 ** mantissaBits;
  const top = 2 ** exponentBits - 1;
  const mantissa = code % mantissaSize;
  const exponent = Math.floor(code / mantissaSize) & top;
  const sign = code >> (exponentBits + mantissaBits) ? -1 : 1;
  if (exponent === top && infinity) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === top && mantissa === mantissaSize - 1) return NaN;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 0) return sign * (mantissa / mantissaSize) * 2 ** (1 - bias);
  return sign * (1 + mantissa / mantissaSize) * 2 ** (exponent - bias);
};
