/**
 * The binary format of WebAssembly, as much of it as kernels need: LEB128 numbers, sections, opcodes (core 1.0 and SIMD128).
 *
 * https://webassembly.github.io/spec/core/binary/: the numbers are those of the specification.
 */

/** Types of locals and parameters. */
export const TYPES = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
export type WasmType = keyof typeof TYPES;

/** Opcodes without immediates, or whose immediates follow by hand; those of SIMD128 are written behind 0xfd. */
export const OP = {
  block: 0x02, loop: 0x03, if: 0x04, end: 0x0b, br: 0x0c, brIf: 0x0d, select: 0x1b, localGet: 0x20, localSet: 0x21, localTee: 0x22,
  i32Load: 0x28, f32Load: 0x2a, i32Load8S: 0x2c, i32Load16U: 0x2f, i32Store: 0x36, f32Store: 0x38, i32Store16: 0x3b, i32Const: 0x41, f32Const: 0x43,
  i32Eqz: 0x45, i32Eq: 0x46, i32Ne: 0x47, i32LtS: 0x48, i32LtU: 0x49, i32LeS: 0x4c, i32LeU: 0x4d, i32GeU: 0x4f, f32Eq: 0x5b, f32Ne: 0x5c, f32Lt: 0x5d, f32Le: 0x5f,
  i32Add: 0x6a, i32Sub: 0x6b, i32Mul: 0x6c, i32DivS: 0x6d, i32DivU: 0x6e, i32RemU: 0x70, i32And: 0x71, i32Or: 0x72, i32Xor: 0x73, i32Shl: 0x74, i32ShrS: 0x75, i32ShrU: 0x76,
  f32Abs: 0x8b, f32Neg: 0x8c, f32Floor: 0x8e, f32Sqrt: 0x91, f32Add: 0x92, f32Sub: 0x93, f32Mul: 0x94, f32Div: 0x95, f32Min: 0x96, f32Max: 0x97,
  f32ConvertI32S: 0xb2, f32ConvertI32U: 0xb3, i32ReinterpretF32: 0xbc, f32ReinterpretI32: 0xbe,
} as const;

export const SIMD = {
  load: 0x00, load16Splat: 0x08, load32Splat: 0x09, store: 0x0b, const: 0x0c, shuffle: 0x0d, i32x4Splat: 0x11, f32x4Splat: 0x13,
  i32x4ExtractLane: 0x1b, i32x4ReplaceLane: 0x1c, f32x4ExtractLane: 0x1f, f32x4ReplaceLane: 0x20,
  i32x4Eq: 0x37, i32x4Ne: 0x38, i32x4LtS: 0x39, i32x4LtU: 0x3a, i32x4LeS: 0x3d, i32x4LeU: 0x3e, f32x4Eq: 0x41, f32x4Ne: 0x42, f32x4Lt: 0x43, f32x4Le: 0x45,
  not: 0x4d, and: 0x4e, or: 0x50, xor: 0x51, bitselect: 0x52, load32Lane: 0x56, store32Lane: 0x5a, store64Lane: 0x5b, load32Zero: 0x5c, load64Zero: 0x5d,
  f32x4Floor: 0x68, f32x4Nearest: 0x6a, i16x8ExtendLowI8x16S: 0x87, i32x4ExtendLowI16x8S: 0xa7, i32x4ExtendLowI16x8U: 0xa9,
  i32x4Abs: 0xa0, i32x4Neg: 0xa1, i32x4Shl: 0xab, i32x4ShrS: 0xac, i32x4ShrU: 0xad, i32x4Add: 0xae, i32x4Sub: 0xb1, i32x4Mul: 0xb5, i32x4MinS: 0xb6, i32x4MinU: 0xb7, i32x4MaxS: 0xb8, i32x4MaxU: 0xb9,
  f32x4Abs: 0xe0, f32x4Neg: 0xe1, f32x4Sqrt: 0xe3, f32x4Add: 0xe4, f32x4Sub: 0xe5, f32x4Mul: 0xe6, f32x4Div: 0xe7, f32x4Pmin: 0xea, f32x4Pmax: 0xeb,
  i32x4TruncSatF32x4S: 0xf8, i32x4TruncSatF32x4U: 0xf9, f32x4ConvertI32x4S: 0xfa, f32x4ConvertI32x4U: 0xfb,
} as const;

/** An unsigned LEB128 number. */
export const unsigned = (value: number): readonly number[] => {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest === 0 ? low : low + 128);
  } while (rest !== 0);
  return bytes;
};

/** A signed LEB128 number of 32 bits. */
export const signed = (value: number): readonly number[] => {
  const bytes: number[] = [];
  for (let rest = value | 0; ; rest >>= 7) {
    const low = rest & 127, done = (rest >> 7 === 0 && (low & 64) === 0) || (rest >> 7 === -1 && (low & 64) !== 0);
    bytes.push(done ? low : low | 128);
    if (done) return bytes;
  }
};

const word = new DataView(new ArrayBuffer(4));
/** The bytes of an f32, lowest first. */
export const floatBytes = (value: number): readonly number[] => {
  word.setFloat32(0, value, true);
  return [0, 1, 2, 3].map((i) => word.getUint8(i));
};
/** The bytes of a u32, lowest first. */
export const wordBytes = (value: number): readonly number[] => [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, (value >>> 24) & 255];

export const simd = (code: number): readonly number[] => [0xfd, ...unsigned(code)];

const append = (out: number[], bytes: readonly number[]): void => {
  for (let i = 0; i < bytes.length; i++) out.push(bytes[i]!); // i < length
};
const vector = (items: readonly (readonly number[])[]): number[] => {
  const bytes: number[] = [];
  append(bytes, unsigned(items.length));
  for (const item of items) append(bytes, item);
  return bytes;
};
const text = (value: string): readonly number[] => vector(Array.from(new TextEncoder().encode(value), (byte) => [byte]));
const section = (id: number, content: readonly number[]): readonly (readonly number[])[] => [[id, ...unsigned(content.length)], content];

/** A function that is exported by its name; parameters are i32, and nothing is returned. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: number;
  /** Locals behind the parameters. */
  readonly locals: readonly WasmType[];
  readonly code: readonly number[];
}

/** Neighbours of one type, as the format wants locals. */
const runsOf = (types: readonly WasmType[]): readonly (readonly number[])[] => {
  const runs: { type: WasmType; count: number }[] = [];
  for (const type of types) {
    const last = runs[runs.length - 1];
    if (last?.type === type) last.count++;
    else runs.push({ type, count: 1 });
  }
  return runs.map(({ type, count }) => [...unsigned(count), TYPES[type]]);
};

/** Where kernels find their memory. */
export const MEMORY_IMPORT = { module: 'env', name: 'memory' } as const;
/** Pages of 64 KiB that 32-bit addresses reach. */
export const MOST_PAGES = 65536;

/** A module of functions over one imported memory, shared between threads where it says so. */
export const encodeModule = (functions: readonly WasmFunction[], shared: boolean): Uint8Array<ArrayBuffer> => {
  const counts = [...new Set(functions.map(({ parameters }) => parameters))];
  const types = counts.map((count) => [0x60, ...vector(Array.from({ length: count }, () => [TYPES.i32])), ...unsigned(0)]);
  const memory = [...text(MEMORY_IMPORT.module), ...text(MEMORY_IMPORT.name), 0x02, shared ? 0x03 : 0x01, ...unsigned(0), ...unsigned(MOST_PAGES)];
  const bodies = unsigned(functions.length).slice();
  for (const { locals, code } of functions) {
    const head = vector(runsOf(locals));
    append(bodies, unsigned(head.length + code.length + 1));
    append(bodies, head);
    append(bodies, code);
    bodies.push(OP.end);
  }
  const parts = [
    [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)), ...section(2, vector([memory])),
    ...section(3, vector(functions.map(({ parameters }) => unsigned(counts.indexOf(parameters))))),
    ...section(7, vector(functions.map(({ name }, i) => [...text(name), 0x00, ...unsigned(i)]))),
    ...section(10, bodies),
  ];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
};
