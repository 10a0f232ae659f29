/**
 * The WebAssembly target: one table from the scalar and loop form to instructions, SIMD128 for what has lanes.
 *
 * A kernel is a function `(first, last, scratch, binding, binding, ...)` that runs the workgroups first..last - 1 (of one thread each);
 * `scratch` points to memory of the thread's own. A bool of one lane is 0 or 1, one of several lanes is a mask.
 *
 * Errors: exp is within 2 ulps of the true value (below the bound 3 + 2|x| that the reference allows; Cephes' polynomial, two-part ln 2), rsqrt is
 * 1 / sqrt, two roundings; everything else rounds once, as IEEE 754 has it.
 */
import { byteSize, type StorageType } from '../../../dsl/dtype.ts';
import type { Atom, Index, Term } from '../../../dsl/scalar/index-expression.ts';
import { arraysOf, type LoopKernel, type Statement } from '../../../dsl/scalar/loop.ts';
import { freeVariables } from '../../../dsl/scalar/rewrite.ts';
import type { BinaryScalarOp, Lanes, LocalArray, Scalar, ScalarKind, ScalarType } from '../../../dsl/scalar/scalar.ts';
import { distance } from '../../kernels/widen.ts';
import { type Code, depthOf, emit, get, hoisted, integer, newLocal, newScope, set, tee } from './code.ts';
import { floatBytes, OP, SIMD, simd, unsigned, type WasmFunction, type WasmType, wordBytes } from './encode.ts';

const FIRST = 0, LAST = 1, SCRATCH = 2, BINDINGS = 3;

interface Printer {
  readonly code: Code;
  readonly parameters: number;
  /** Binding number and storage of each tensor. */
  readonly tensors: ReadonlyMap<number, { readonly binding: number; readonly dtype: StorageType }>;
  readonly arrays: ReadonlyMap<number, number>;
  readonly variables: Map<number, number>;
  readonly locals: Map<number, number>;
}

const wasmType = (type: ScalarType, lanes: Lanes): WasmType => (lanes > 1 ? 'v128' : type === 'f32' ? 'f32' : 'i32');
const op = (p: Printer, ...bytes: readonly number[]): void => emit(p.code, ...bytes);
const v = (p: Printer, code: number): void => emit(p.code, ...simd(code));
const fresh = (p: Printer, type: WasmType): number => newLocal(p.code, p.parameters, type);
/** `offset` counts bytes. Alignment is a hint, and 0 is always true. */
const memoryArgument = (offset: number): readonly number[] => [0, ...unsigned(offset)];
const vectorConstant = (p: Printer, words: readonly number[]): void => emit(p.code, ...simd(SIMD.const), ...words.flatMap(wordBytes));
const floatWord = (value: number): number => {
  const [a, b, c, d] = floatBytes(value) as readonly [number, number, number, number]; // four bytes
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
};
const splatBits = (p: Printer, bits: number): void => vectorConstant(p, [bits, bits, bits, bits]);
const splatFloat = (p: Printer, value: number): void => splatBits(p, floatWord(value));
/** Keeps the vector on the stack in a local. */
const kept = (p: Printer, type: WasmType = 'v128'): number => {
  const local = fresh(p, type);
  set(p.code, local);
  return local;
};

// ---- integers of indices -----------------------------------------------------------------------------------------------------------

const variablesIn = (index: Index): Set<number> => {
  const found = new Set<number>();
  for (const { atom } of index.terms) for (const id of variablesOf(atom)) found.add(id);
  return found;
};
/** Variables, and locals as negative numbers, that an atom depends on. */
const variablesOf = (atom: Atom): ReadonlySet<number> => (atom.kind === 'variable' ? new Set([atom.id]) : atom.kind === 'value' ? freeVariables(atom.of) : variablesIn(atom.of));
/** Reads memory or locals, so it has to stay where it is. */
const staysHere = (atom: Atom): boolean => atom.kind === 'value' || (atom.kind !== 'variable' && atom.of.terms.some((term) => staysHere(term.atom)));

const powerOf = (value: number): number | undefined => (Number.isInteger(Math.log2(value)) ? Math.log2(value) : undefined);

const timesConstant = (p: Printer, factor: number): void => {
  if (factor === 1) return;
  const shift = factor > 0 ? powerOf(factor) : undefined;
  integer(p.code, shift ?? factor);
  op(p, shift === undefined ? OP.i32Mul : OP.i32Shl);
};

const plainAtom = (p: Printer, atom: Atom): void => {
  switch (atom.kind) {
    case 'variable': get(p.code, p.variables.get(atom.id)!); break;
    case 'value': scalar(p, atom.of); break;
    case 'quotient': case 'remainder': {
      index(p, atom.of);
      const shift = powerOf(atom.by);
      integer(p.code, shift === undefined ? atom.by : atom.kind === 'quotient' ? shift : atom.by - 1);
      // what is divided is never negative
      op(p, atom.kind === 'quotient' ? (shift === undefined ? OP.i32DivU : OP.i32ShrU) : shift === undefined ? OP.i32RemU : OP.i32And);
      break;
    }
    case 'clamp': {
      index(p, atom.of);
      const local = kept(p, 'i32');
      clampLocal(p, local, atom.min, OP.i32LtS, false);
      clampLocal(p, local, atom.max, OP.i32LtS, true);
      get(p.code, local);
      break;
    }
  }
};
/** local = local below (or above) the limit ? limit : local. */
const clampLocal = (p: Printer, local: number, limit: number, less: number, above: boolean): void => {
  integer(p.code, limit);
  get(p.code, local);
  if (above) { integer(p.code, limit); get(p.code, local); } else { get(p.code, local); integer(p.code, limit); }
  op(p, less, OP.select);
  set(p.code, local);
};

/** An atom on the stack, from the head of its loop where that is possible. */
const atomValue = (p: Printer, atom: Atom): void => {
  if (atom.kind === 'variable' || atom.kind === 'value' || staysHere(atom)) { plainAtom(p, atom); return; }
  const key = `${atom.kind} ${atom.of.key} ${atom.kind === 'clamp' ? `${atom.min} ${atom.max}` : atom.by}`;
  get(p.code, hoisted(p.code, depthOf(p.code, variablesOf(atom)), key, () => fresh(p, 'i32'), () => plainAtom(p, atom)));
};

const termValue = (p: Printer, { atom, coefficient }: Term, scale: number): void => {
  atomValue(p, atom);
  timesConstant(p, coefficient * scale);
};

/**
 * `base + scale * (terms + constant)` on the stack: a sum for each loop around, of what is known there.
 * `base` is a local of the function's head, or undefined.
 */
const sumValue = (p: Printer, base: number | undefined, terms: readonly Term[], constant: number, scale: number): void => {
  const { code } = p;
  const deep = terms.filter(({ atom }) => staysHere(atom)), rest = terms.filter(({ atom }) => !staysHere(atom));
  const byDepth = new Map<number, Term[]>();
  for (const term of rest) {
    const depth = depthOf(code, variablesOf(term.atom));
    byDepth.set(depth, [...(byDepth.get(depth) ?? []), term]);
  }
  let local = base, key = base === undefined ? '' : `p${base}`, left = constant * scale;
  for (const depth of [...byDepth.keys()].sort((a, b) => a - b)) {
    const own = byDepth.get(depth)!, before = local, added = left; // keys of the map
    const partKey = own.map((term) => `${term.coefficient * scale}${term.key}`).join('+');
    key = `${key}|${partKey}|${added}`;
    left = 0;
    const part = (): void => own.forEach((term, i) => {
      termValue(p, term, scale);
      if (i > 0) op(p, OP.i32Add);
    });
    local = hoisted(code, depth, key, () => fresh(p, 'i32'), () => {
      if (before === undefined) part();
      else {
        get(code, before);
        get(code, hoisted(code, depth, `part ${partKey}`, () => fresh(p, 'i32'), part));
        op(p, OP.i32Add);
      }
      if (added !== 0) { integer(code, added); op(p, OP.i32Add); }
    });
  }
  if (local === undefined) integer(code, left);
  else {
    get(code, local);
    if (left !== 0) { integer(code, left); op(p, OP.i32Add); }
  }
  for (const term of deep) {
    termValue(p, term, scale);
    op(p, OP.i32Add);
  }
};

const index = (p: Printer, { terms, constant }: Index): void => sumValue(p, undefined, terms, constant, 1);

/** Leaves an address on the stack and answers with the static offset behind it. */
const address = (p: Printer, pointer: number, { terms, constant, min }: Index, size: number, fixed = 0): number => {
  // an address without its constant must not lie before the tensor: offsets do not wrap
  const isOffset = constant >= 0 && min - constant >= 0;
  sumValue(p, pointer, terms, isOffset ? 0 : constant, size);
  return (isOffset ? constant * size : 0) + fixed;
};

// ---- loads -------------------------------------------------------------------------------------------------------------------------

/** Half-precision bits in the low halves of four words become floats: rebiased by a multiplication, which is exact, also for subnormals. */
const halvesToFloats = (p: Printer): void => {
  const bits = kept(p);
  get(p.code, bits);
  splatBits(p, 0x7fff);
  v(p, SIMD.and);
  integer(p.code, 13);
  v(p, SIMD.i32x4Shl);
  splatFloat(p, 2 ** 112);
  v(p, SIMD.f32x4Mul);
  get(p.code, bits);
  splatBits(p, 0x8000);
  v(p, SIMD.and);
  integer(p.code, 16);
  v(p, SIMD.i32x4Shl);
  v(p, SIMD.or);
};

const pointerOf = (p: Printer, tensor: number): { readonly pointer: number; readonly dtype: StorageType } => {
  const found = p.tensors.get(tensor);
  if (found === undefined) throw new Error(`invariant: tensor ${tensor} has no binding`);
  return { pointer: BINDINGS + found.binding, dtype: found.dtype };
};

const loadAt = (p: Printer, tensor: number, at: Index, lanes: Lanes): void => {
  const { pointer, dtype } = pointerOf(p, tensor), size = byteSize(dtype);
  const offset = memoryArgument(address(p, pointer, at, size));
  if (dtype === 'i8') {
    if (lanes === 1) { op(p, OP.i32Load8S, ...offset, OP.f32ConvertI32S); return; }
    if (lanes === 2) { op(p, OP.i32Load16U, ...offset); v(p, SIMD.i32x4Splat); } else op(p, ...simd(SIMD.load32Zero), ...offset);
    v(p, SIMD.i16x8ExtendLowI8x16S);
    v(p, SIMD.i32x4ExtendLowI16x8S);
    v(p, SIMD.f32x4ConvertI32x4S);
    return;
  }
  if (dtype === 'f16') {
    op(p, ...simd(lanes === 4 ? SIMD.load64Zero : lanes === 2 ? SIMD.load32Zero : SIMD.load16Splat), ...offset);
    v(p, SIMD.i32x4ExtendLowI16x8U);
    halvesToFloats(p);
    if (lanes === 1) op(p, ...simd(SIMD.f32x4ExtractLane), 0);
    return;
  }
  if (lanes === 1) { op(p, dtype === 'f32' ? OP.f32Load : OP.i32Load, ...offset); return; }
  op(p, ...simd(lanes === 4 ? SIMD.load : SIMD.load64Zero), ...offset);
  if (dtype === 'bool') { splatBits(p, 0); v(p, SIMD.i32x4Ne); }
};

const arrayPlace = (p: Printer, array: LocalArray, at: Index): readonly number[] =>
  memoryArgument(address(p, SCRATCH, at, 4 * array.lanes, p.arrays.get(array.id)));

const isWord = (p: Printer, e: Scalar): e is ScalarKind<'load'> & Scalar =>
  e.kind === 'load' && e.lanes === 1 && e.type !== 'bool' && (p.tensors.get(e.tensor)?.dtype === 'f32' || p.tensors.get(e.tensor)?.dtype === 'i32' || p.tensors.get(e.tensor)?.dtype === 'u32');

/** Separate elements as one vector: a wide load where they are neighbours, loads into lanes where they are words of memory. */
const vectorOf = (p: Printer, parts: readonly Scalar[], lanes: Lanes): void => {
  const [first, ...rest] = parts as readonly [Scalar, ...Scalar[]]; // two or four
  if (first.kind === 'load' && first.lanes === 1 && rest.every((other, i) => other.kind === 'load' && other.tensor === first.tensor && distance(first.index, other.index) === i + 1)) {
    loadAt(p, first.tensor, first.index, lanes);
    return;
  }
  if (first.kind === 'lane' && parts.every((part) => part.kind === 'lane')) { shuffled(p, parts); return; }
  if (first.type === 'bool') {
    parts.forEach((part, i) => {
      scalar(p, part);
      if (i === 0) v(p, SIMD.i32x4Splat); else op(p, ...simd(SIMD.i32x4ReplaceLane), i);
    });
    v(p, SIMD.i32x4Neg);
    return;
  }
  const isFloat = first.type === 'f32', made = fresh(p, 'v128');
  parts.forEach((part, i) => {
    if (isWord(p, part)) {
      const offset = memoryArgument(address(p, pointerOf(p, part.tensor).pointer, part.index, 4));
      if (i === 0) op(p, ...simd(SIMD.load32Zero), ...offset);
      else { get(p.code, made); op(p, ...simd(SIMD.load32Lane), ...offset, i); }
    } else if (i === 0) { scalar(p, part); v(p, isFloat ? SIMD.f32x4Splat : SIMD.i32x4Splat); }
    else { get(p.code, made); scalar(p, part); op(p, ...simd(isFloat ? SIMD.f32x4ReplaceLane : SIMD.i32x4ReplaceLane), i); }
    if (i < parts.length - 1) set(p.code, made);
  });
};

/** Lanes of at most two vectors by one shuffle; of more by extracting. */
const shuffled = (p: Printer, parts: readonly ScalarKind<'lane'>[]): void => {
  const sources = [...new Map(parts.map(({ a }) => [a.key, a])).values()];
  if (sources.length > 2) {
    const isFloat = parts[0]!.a.type === 'f32';
    parts.forEach((part, i) => {
      scalar(p, part.a);
      op(p, ...simd(isFloat ? SIMD.f32x4ExtractLane : SIMD.i32x4ExtractLane), part.lane);
      if (i === 0) v(p, isFloat ? SIMD.f32x4Splat : SIMD.i32x4Splat); else op(p, ...simd(isFloat ? SIMD.f32x4ReplaceLane : SIMD.i32x4ReplaceLane), i);
    });
    return;
  }
  const a = sources[0]!, b = sources[1] ?? a; // there is one at least
  scalar(p, a);
  scalar(p, b);
  const words = Array.from({ length: 4 }, (_, i) => {
    const part = parts[Math.min(i, parts.length - 1)]!;
    return part.lane + (part.a.key === a.key ? 0 : 4);
  });
  op(p, ...simd(SIMD.shuffle), ...words.flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * word + byte)));
};

// ---- arithmetic --------------------------------------------------------------------------------------------------------------------

/** exp of the vector on the stack. */
const expVector = (p: Printer): void => {
  const { code } = p, x = fresh(p, 'v128'), n = fresh(p, 'v128'), r = fresh(p, 'v128'), bits = fresh(p, 'v128'), half = fresh(p, 'v128');
  const MAGIC = 12582912; // 1.5 * 2^23: adding it rounds to a whole number, in the low bits
  splatFloat(p, -104);
  v(p, SIMD.f32x4Pmax);
  splatFloat(p, 89);
  v(p, SIMD.f32x4Pmin);
  tee(code, x);
  splatFloat(p, Math.LOG2E);
  v(p, SIMD.f32x4Mul);
  splatFloat(p, MAGIC);
  v(p, SIMD.f32x4Add);
  tee(code, bits);
  splatFloat(p, MAGIC);
  v(p, SIMD.f32x4Sub);
  set(code, n);
  get(code, x);
  for (const part of [0.693359375, -2.12194440e-4]) {
    get(code, n);
    splatFloat(p, part);
    v(p, SIMD.f32x4Mul);
    v(p, SIMD.f32x4Sub);
  }
  set(code, r);
  [1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1].forEach((c, i) => {
    if (i > 0) { get(code, r); v(p, SIMD.f32x4Mul); }
    splatFloat(p, c);
    if (i > 0) v(p, SIMD.f32x4Add);
  });
  get(code, r);
  get(code, r);
  v(p, SIMD.f32x4Mul);
  v(p, SIMD.f32x4Mul);
  get(code, r);
  v(p, SIMD.f32x4Add);
  splatFloat(p, 1);
  v(p, SIMD.f32x4Add);
  // 2^n in two halves, which also reaches subnormals and infinity
  get(code, bits);
  splatBits(p, floatWord(MAGIC));
  v(p, SIMD.i32x4Sub);
  tee(code, bits);
  integer(code, 1);
  v(p, SIMD.i32x4ShrS);
  set(code, half);
  const power = (write: () => void): void => {
    write();
    splatBits(p, 127);
    v(p, SIMD.i32x4Add);
    integer(code, 23);
    v(p, SIMD.i32x4Shl);
    v(p, SIMD.f32x4Mul);
  };
  power(() => get(code, half));
  power(() => { get(code, bits); get(code, half); v(p, SIMD.i32x4Sub); });
};

const unaryScalar = (p: Printer, { op: name, a }: ScalarKind<'unary'>): void => {
  const isFloat = a.type === 'f32';
  if (name === 'neg' && !isFloat) { integer(p.code, 0); scalar(p, a); op(p, OP.i32Sub); return; }
  if (name === 'rsqrt') { op(p, OP.f32Const, ...floatBytes(1)); scalar(p, a); op(p, OP.f32Sqrt, OP.f32Div); return; }
  scalar(p, a);
  switch (name) {
    case 'neg': op(p, OP.f32Neg); break;
    case 'abs': {
      if (isFloat) { op(p, OP.f32Abs); break; }
      if (a.type === 'u32') break;
      const local = kept(p, 'i32');
      integer(p.code, 0);
      get(p.code, local);
      op(p, OP.i32Sub);
      get(p.code, local);
      get(p.code, local);
      integer(p.code, 0);
      op(p, OP.i32LtS, OP.select);
      break;
    }
    case 'exp': v(p, SIMD.f32x4Splat); expVector(p); op(p, ...simd(SIMD.f32x4ExtractLane), 0); break;
    case 'sqrt': op(p, OP.f32Sqrt); break;
    case 'floor': if (isFloat) op(p, OP.f32Floor); break;
    case 'not': op(p, OP.i32Eqz); break;
    case 'bitsToFloat': op(p, OP.f32ReinterpretI32); break;
    case 'floatToBits': op(p, OP.i32ReinterpretF32); break;
  }
};
const unaryVector = (p: Printer, { op: name, a }: ScalarKind<'unary'>): void => {
  const isFloat = a.type === 'f32';
  if (name === 'rsqrt') { splatFloat(p, 1); scalar(p, a); v(p, SIMD.f32x4Sqrt); v(p, SIMD.f32x4Div); return; }
  scalar(p, a);
  switch (name) {
    case 'neg': v(p, isFloat ? SIMD.f32x4Neg : SIMD.i32x4Neg); break;
    case 'abs': if (a.type !== 'u32') v(p, isFloat ? SIMD.f32x4Abs : SIMD.i32x4Abs); break;
    case 'exp': expVector(p); break;
    case 'sqrt': v(p, SIMD.f32x4Sqrt); break;
    case 'floor': if (isFloat) v(p, SIMD.f32x4Floor); break;
    case 'not': v(p, SIMD.not); break;
    case 'bitsToFloat': case 'floatToBits': break;
  }
};

type Instruction = readonly number[];
type Table = Readonly<Partial<Record<BinaryScalarOp, Instruction>>>;
const one = (code: number): Instruction => [code];
const BITS: Table = { bitAnd: one(OP.i32And), bitOr: one(OP.i32Or), bitXor: one(OP.i32Xor), and: one(OP.i32And), or: one(OP.i32Or), shiftLeft: one(OP.i32Shl), add: one(OP.i32Add), sub: one(OP.i32Sub), mul: one(OP.i32Mul), eq: one(OP.i32Eq) };
const ONE_LANE: Readonly<Record<ScalarType, Table>> = {
  f32: { add: one(OP.f32Add), sub: one(OP.f32Sub), mul: one(OP.f32Mul), div: one(OP.f32Div), max: one(OP.f32Max), min: one(OP.f32Min), eq: one(OP.f32Eq), lt: one(OP.f32Lt), le: one(OP.f32Le) },
  i32: { ...BITS, lt: one(OP.i32LtS), le: one(OP.i32LeS), shiftRight: one(OP.i32ShrS) },
  u32: { ...BITS, lt: one(OP.i32LtU), le: one(OP.i32LeU), shiftRight: one(OP.i32ShrU), div: one(OP.i32DivU) },
  bool: { ...BITS, lt: one(OP.i32LtU), le: one(OP.i32LeU) },
};
const V_BITS: Table = { bitAnd: simd(SIMD.and), bitOr: simd(SIMD.or), bitXor: simd(SIMD.xor), and: simd(SIMD.and), or: simd(SIMD.or), add: simd(SIMD.i32x4Add), sub: simd(SIMD.i32x4Sub), mul: simd(SIMD.i32x4Mul), eq: simd(SIMD.i32x4Eq) };
const FOUR_LANES: Readonly<Record<ScalarType, Table>> = {
  f32: {
    add: simd(SIMD.f32x4Add), sub: simd(SIMD.f32x4Sub), mul: simd(SIMD.f32x4Mul), div: simd(SIMD.f32x4Div), max: simd(SIMD.f32x4Pmax), min: simd(SIMD.f32x4Pmin),
    eq: simd(SIMD.f32x4Eq), lt: simd(SIMD.f32x4Lt), le: simd(SIMD.f32x4Le),
  },
  i32: { ...V_BITS, max: simd(SIMD.i32x4MaxS), min: simd(SIMD.i32x4MinS), lt: simd(SIMD.i32x4LtS), le: simd(SIMD.i32x4LeS) },
  u32: { ...V_BITS, max: simd(SIMD.i32x4MaxU), min: simd(SIMD.i32x4MinU), lt: simd(SIMD.i32x4LtU), le: simd(SIMD.i32x4LeU) },
  // masks: true is -1, so what is less as a bool is more as a number
  bool: { ...V_BITS, lt: simd(0x3b), le: simd(0x3f) },
};

const integerMost = (p: Printer, { op: name, a, b }: ScalarKind<'binary'>): void => {
  scalar(p, a);
  const left = kept(p, 'i32');
  scalar(p, b);
  const right = kept(p, 'i32');
  const [x, y] = name === 'max' ? [right, left] : [left, right];
  get(p.code, left);
  get(p.code, right);
  get(p.code, x);
  get(p.code, y);
  op(p, a.type === 'i32' ? OP.i32LtS : OP.i32LtU, OP.select);
};

/** Division by 0 gives the dividend, and so does the one quotient that overflows, as in WGSL; the instruction would trap. */
const integerDivision = (p: Printer, { a, b }: ScalarKind<'binary'>): void => {
  scalar(p, a);
  const left = kept(p, 'i32');
  scalar(p, b);
  const right = kept(p, 'i32');
  if (a.type === 'i32') {
    integer(p.code, 0);
    get(p.code, left);
    op(p, OP.i32Sub);
  }
  get(p.code, left);
  integer(p.code, 1);
  get(p.code, right);
  get(p.code, right);
  op(p, OP.i32Eqz);
  if (a.type === 'i32') { get(p.code, right); integer(p.code, -1); op(p, OP.i32Eq, OP.i32Or); }
  op(p, OP.select, a.type === 'i32' ? OP.i32DivS : OP.i32DivU);
  if (a.type === 'i32') { get(p.code, right); integer(p.code, -1); op(p, OP.i32Eq, OP.select); }
};

const binaryScalar = (p: Printer, e: ScalarKind<'binary'>): void => {
  const { op: name, a, b } = e;
  if (a.type !== 'f32' && (name === 'max' || name === 'min')) { integerMost(p, e); return; }
  if (a.type !== 'f32' && name === 'div') { integerDivision(p, e); return; }
  const found = ONE_LANE[a.type][name];
  if (found === undefined) throw new Error(`invariant: ${name} of ${a.type} has no instruction`);
  scalar(p, a);
  scalar(p, b);
  op(p, ...found);
};

const constantLane = (e: Scalar): number | undefined => (e.kind === 'splat' && e.a.kind === 'constant' ? e.a.value : undefined);

/** One lane after the other, for what SIMD128 lacks: integer division, shifts by different amounts. */
const byLanes = (p: Printer, e: ScalarKind<'binary'> & Scalar): void => {
  scalar(p, e.a);
  const left = kept(p);
  scalar(p, e.b);
  const right = kept(p), result = fresh(p, 'v128');
  for (let i = 0; i < e.lanes; i++) {
    const lane = (from: number): Scalar => ({ kind: 'local', local: from, type: e.a.type, lanes: 1, key: '' });
    const a = fresh(p, 'i32'), b = fresh(p, 'i32'), place = [left, right].map((from, side) => {
      get(p.code, from);
      op(p, ...simd(SIMD.i32x4ExtractLane), i);
      set(p.code, side === 0 ? a : b);
      return side === 0 ? a : b;
    });
    // locals of the function stand in for locals of the kernel, under numbers that no kernel has
    const [x, y] = place.map((home) => { p.locals.set(-1 - home, home); return lane(-1 - home); }) as [Scalar, Scalar];
    get(p.code, result);
    binaryScalar(p, { ...e, a: x, b: y, lanes: 1 });
    op(p, ...simd(SIMD.i32x4ReplaceLane), i);
    set(p.code, result);
  }
  get(p.code, result);
};

const binaryVector = (p: Printer, e: ScalarKind<'binary'> & Scalar): void => {
  const { op: name, a, b } = e;
  if (name === 'shiftLeft' || name === 'shiftRight') {
    const amount = constantLane(b);
    if (amount === undefined) { byLanes(p, e); return; }
    scalar(p, a);
    integer(p.code, amount);
    v(p, name === 'shiftLeft' ? SIMD.i32x4Shl : a.type === 'i32' ? SIMD.i32x4ShrS : SIMD.i32x4ShrU);
    return;
  }
  const found = FOUR_LANES[a.type][name];
  if (found === undefined) { byLanes(p, e); return; }
  scalar(p, a);
  scalar(p, b);
  op(p, ...found);
};

const castScalar = (p: Printer, from: ScalarType, to: ScalarType): void => {
  if (to === 'bool') { if (from === 'f32') op(p, OP.f32Const, ...floatBytes(0), OP.f32Ne); else { integer(p.code, 0); op(p, OP.i32Ne); } return; }
  if (to === 'f32') op(p, from === 'i32' ? OP.f32ConvertI32S : OP.f32ConvertI32U);
  else if (from === 'f32') op(p, 0xfc, to === 'i32' ? 0 : 1);
};
const castVector = (p: Printer, from: ScalarType, to: ScalarType): void => {
  if (from === 'bool') { splatBits(p, to === 'f32' ? floatWord(1) : 1); v(p, SIMD.and); return; }
  if (to === 'bool') { splatBits(p, 0); v(p, from === 'f32' ? SIMD.f32x4Ne : SIMD.i32x4Ne); return; }
  if (to === 'f32') v(p, from === 'i32' ? SIMD.f32x4ConvertI32x4S : SIMD.f32x4ConvertI32x4U);
  else if (from === 'f32') v(p, to === 'i32' ? SIMD.i32x4TruncSatF32x4S : SIMD.i32x4TruncSatF32x4U);
};

const splatOf = (p: Printer, a: Scalar): void => {
  if (a.kind === 'constant') { splatBits(p, a.type === 'f32' ? floatWord(a.value) : a.type === 'bool' ? (a.value !== 0 ? 0xffffffff : 0) : a.value >>> 0); return; }
  if (isWord(p, a)) {
    const { pointer } = pointerOf(p, a.tensor);
    op(p, ...simd(SIMD.load32Splat), ...memoryArgument(address(p, pointer, a.index, 4)));
    return;
  }
  if (a.kind === 'element' && a.array.lanes === 1 && a.type !== 'bool') { op(p, ...simd(SIMD.load32Splat), ...arrayPlace(p, a.array, a.index)); return; }
  if (a.kind === 'lane') { shuffled(p, [a, a, a, a]); return; }
  scalar(p, a);
  v(p, a.type === 'f32' ? SIMD.f32x4Splat : SIMD.i32x4Splat);
  if (a.type === 'bool') v(p, SIMD.i32x4Neg);
};

/** The sum of the products of the lanes. */
const dotOf = (p: Printer, { a, b }: ScalarKind<'dot'>): void => {
  const isOne = (e: Scalar): boolean => constantLane(e) === 1;
  const isFloat = a.type === 'f32';
  scalar(p, a);
  if (!isOne(b)) { scalar(p, b); v(p, isFloat ? SIMD.f32x4Mul : SIMD.i32x4Mul); }
  const local = kept(p);
  for (let i = 0; i < a.lanes; i++) {
    get(p.code, local);
    op(p, ...simd(isFloat ? SIMD.f32x4ExtractLane : SIMD.i32x4ExtractLane), i);
    if (i > 0) op(p, isFloat ? OP.f32Add : OP.i32Add);
  }
};

const constantOf = (p: Printer, value: number, type: ScalarType): void => {
  if (type === 'f32') op(p, OP.f32Const, ...floatBytes(value));
  else integer(p.code, type === 'bool' ? Number(value !== 0) : value);
};

/** The value of an expression on the stack. */
const scalar = (p: Printer, e: Scalar): void => {
  switch (e.kind) {
    case 'constant': constantOf(p, e.value, e.type); break;
    case 'load': loadAt(p, e.tensor, e.index, e.lanes); if (e.type === 'bool' && e.lanes === 1) { integer(p.code, 0); op(p, OP.i32Ne); } break;
    case 'index': index(p, e.index); castScalar(p, 'i32', e.type === 'u32' ? 'i32' : e.type); break;
    case 'unary': if (e.lanes === 1) unaryScalar(p, e); else unaryVector(p, e); break;
    case 'binary': if (e.lanes === 1) binaryScalar(p, e); else binaryVector(p, e); break;
    case 'select':
      scalar(p, e.a);
      scalar(p, e.b);
      scalar(p, e.condition);
      if (e.lanes === 1) op(p, OP.select); else v(p, SIMD.bitselect);
      break;
    case 'cast': scalar(p, e.a); if (e.lanes === 1) castScalar(p, e.a.type, e.type); else castVector(p, e.a.type, e.type); break;
    case 'local': get(p.code, p.locals.get(e.local)!); break;
    case 'element': op(p, ...(e.lanes === 1 ? one(e.type === 'f32' ? OP.f32Load : OP.i32Load) : simd(e.lanes === 4 ? SIMD.load : SIMD.load64Zero)), ...arrayPlace(p, e.array, e.index)); break;
    case 'splat': splatOf(p, e.a); break;
    case 'vector': vectorOf(p, e.parts, e.lanes); break;
    case 'lane':
      scalar(p, e.a);
      op(p, ...simd(e.type === 'f32' ? SIMD.f32x4ExtractLane : SIMD.i32x4ExtractLane), e.lane);
      if (e.type === 'bool') { integer(p.code, 1); op(p, OP.i32And); }
      break;
    case 'dot': dotOf(p, e); break;
    case 'reduce': throw new Error('invariant: a reduction reached the printer');
  }
};

// ---- statements --------------------------------------------------------------------------------------------------------------------

/** Floats on the stack as half-precision bits in the low half of each word; what is too large saturates, ties go to even. */
const floatsToHalves = (p: Printer): void => {
  const { code } = p;
  splatFloat(p, -65504);
  v(p, SIMD.f32x4Pmax);
  splatFloat(p, 65504);
  v(p, SIMD.f32x4Pmin);
  const x = kept(p), size = fresh(p, 'v128');
  get(code, x);
  v(p, SIMD.f32x4Abs);
  set(code, size);
  // normal: a new exponent, and half of the last place added
  get(code, size);
  splatBits(p, 0x38000000);
  v(p, SIMD.i32x4Sub);
  splatBits(p, 0xfff);
  v(p, SIMD.i32x4Add);
  get(code, size);
  integer(code, 13);
  v(p, SIMD.i32x4ShrU);
  splatBits(p, 1);
  v(p, SIMD.and);
  v(p, SIMD.i32x4Add);
  integer(code, 13);
  v(p, SIMD.i32x4ShrU);
  // subnormal: a whole number of 2^-24
  get(code, size);
  splatFloat(p, 2 ** 24);
  v(p, SIMD.f32x4Mul);
  v(p, SIMD.f32x4Nearest);
  v(p, SIMD.i32x4TruncSatF32x4U);
  splatFloat(p, 2 ** -14);
  get(code, size);
  v(p, SIMD.f32x4Le);
  v(p, SIMD.bitselect);
  get(code, x);
  integer(code, 16);
  v(p, SIMD.i32x4ShrU);
  splatBits(p, 0x8000);
  v(p, SIMD.and);
  v(p, SIMD.or);
};
/** The low halves of four words, side by side in the low half of the vector. */
const NARROWED = [0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13];

const storeOf = (p: Printer, { tensor, index: at, value }: Extract<Statement, { kind: 'store' }>): void => {
  const { pointer, dtype } = pointerOf(p, tensor), { lanes } = value, size = byteSize(dtype);
  const offset = memoryArgument(address(p, pointer, at, size));
  scalar(p, value);
  if (dtype === 'f16') {
    if (lanes === 1) v(p, SIMD.f32x4Splat);
    floatsToHalves(p);
    if (lanes === 1) { op(p, ...simd(SIMD.i32x4ExtractLane), 0, OP.i32Store16, ...offset); return; }
    const local = kept(p);
    get(p.code, local);
    get(p.code, local);
    op(p, ...simd(SIMD.shuffle), ...NARROWED, ...simd(lanes === 4 ? SIMD.store64Lane : SIMD.store32Lane), ...offset, 0);
    return;
  }
  if (value.type === 'bool' && lanes > 1) { splatBits(p, 1); v(p, SIMD.and); }
  if (lanes === 1) op(p, dtype === 'f32' ? OP.f32Store : OP.i32Store, ...offset);
  else if (lanes === 4) op(p, ...simd(SIMD.store), ...offset);
  else op(p, ...simd(SIMD.store64Lane), ...offset, 0);
};

const putOf = (p: Printer, { array, index: at, value }: Extract<Statement, { kind: 'put' }>): void => {
  const place = arrayPlace(p, array, at);
  scalar(p, value);
  if (array.lanes === 1) op(p, array.type === 'f32' ? OP.f32Store : OP.i32Store, ...place);
  else if (array.lanes === 4) op(p, ...simd(SIMD.store), ...place);
  else op(p, ...simd(SIMD.store64Lane), ...place, 0);
};

const assignTo = (p: Printer, local: number, value: Scalar): void => {
  scalar(p, value);
  const known = p.locals.get(local);
  if (known !== undefined) { set(p.code, known); return; }
  const home = fresh(p, wasmType(value.type, value.lanes));
  p.locals.set(local, home);
  set(p.code, home);
};

/** A scope for each round of a loop; what it hoists goes before what it does. */
const inScope = (p: Printer, variables: readonly number[], write: () => void): readonly number[] => {
  const { code } = p, outside = code.out, scope = newScope(variables);
  code.scopes.push(scope);
  code.out = scope.body;
  write();
  code.scopes.pop();
  code.out = outside;
  return scope.head.concat(scope.body);
};

const VOID = 0x40;
const loopOf = (p: Printer, { variable, start, end, body }: Extract<Statement, { kind: 'for' }>): void => {
  const { code } = p, counter = fresh(p, 'i32');
  p.variables.set(variable.id, counter);
  if (start === undefined) integer(code, 0); else scalar(p, start);
  set(code, counter);
  const limit = end === undefined ? undefined : fresh(p, 'i32');
  if (end !== undefined) { scalar(p, end); set(code, limit!); }
  const upTo = (): void => { if (limit === undefined) integer(code, variable.extent); else get(code, limit); };
  const isSure = start === undefined && end === undefined;
  if (!isSure) {
    op(p, OP.block, VOID);
    upTo();
    get(code, counter);
    op(p, OP.i32LeS, OP.brIf, 0);
  }
  op(p, OP.loop, VOID);
  for (const byte of inScope(p, [variable.id], () => statements(p, body))) code.out.push(byte);
  get(code, counter);
  integer(code, 1);
  op(p, OP.i32Add);
  tee(code, counter);
  upTo();
  op(p, OP.i32LtS, OP.brIf, 0, OP.end);
  if (!isSure) op(p, OP.end);
};

const statements = (p: Printer, body: readonly Statement[]): void => {
  for (const s of body) {
    switch (s.kind) {
      case 'let': case 'var': assignTo(p, s.local, s.value); break;
      case 'assign': assignTo(p, s.local, s.value); break;
      case 'for': if (s.variable.extent > 0) loopOf(p, s); break;
      case 'if':
        scalar(p, s.condition);
        op(p, OP.if, VOID);
        statements(p, s.body);
        op(p, OP.end);
        break;
      case 'store': storeOf(p, s); break;
      case 'put': putOf(p, s); break;
      case 'combine': break; // one thread has it all
      case 'barrier': case 'share': throw new Error(`invariant: a kernel for WebAssembly has a ${s.kind}`);
    }
  }
};

/** Bytes of a thread's own that a kernel needs, and where each of its arrays lies. */
const layOut = (arrays: readonly LocalArray[]): { readonly places: ReadonlyMap<number, number>; readonly bytes: number } => {
  const places = new Map<number, number>();
  let bytes = 0;
  for (const { id, lanes, length } of arrays) {
    places.set(id, bytes);
    bytes += Math.ceil((4 * lanes * length) / 64) * 64;
  }
  return { places, bytes };
};

/** The thread variables of workgroup `group`. */
const placeThreads = (p: Printer, kernel: LoopKernel, group: number, extents: readonly number[]): void => {
  const { code } = p;
  kernel.thread.forEach((axis, i) => {
    const home = fresh(p, 'i32'), inner = extents.slice(0, i).reduce((a, b) => a * b, 1);
    p.variables.set(axis.id, home);
    get(code, group);
    if (inner > 1) { integer(code, inner); op(p, OP.i32DivU); }
    if (i < kernel.thread.length - 1) { integer(code, axis.extent); op(p, OP.i32RemU); }
    set(code, home);
  });
};

/** A kernel as a function of the module, and how much memory a thread needs for it. */
export const printKernel = (name: string, kernel: LoopKernel): { readonly text: WasmFunction; readonly scratchBytes: number } => {
  if (kernel.lane !== undefined || kernel.workgroupSize.some((size) => size !== 1)) throw new Error('invariant: a kernel for WebAssembly has workgroups of more than one thread');
  const { places, bytes } = layOut(arraysOf(kernel.body)), parameters = BINDINGS + kernel.tensors.length;
  const code: Code = { locals: [], scopes: [newScope()], out: [] };
  const p: Printer = {
    code, parameters, arrays: places, variables: new Map(), locals: new Map(),
    tensors: new Map(kernel.tensors.map(({ tensor, dtype }, binding) => [tensor, { binding, dtype }])),
  };
  const root = code.scopes[0]!; // just made
  code.out = root.body;
  const extents = kernel.thread.map(({ extent }) => extent), lastGroup = fresh(p, 'i32');
  // the grid may be longer than there is work
  const all = extents.reduce((a, b) => a * b, 1);
  get(code, LAST);
  integer(code, all);
  get(code, LAST);
  integer(code, all);
  op(p, OP.i32LtU, OP.select);
  tee(code, lastGroup);
  get(code, FIRST);
  op(p, OP.i32LeU);
  op(p, OP.if, VOID, 0x0f, OP.end, OP.loop, VOID);
  const threads = inScope(p, kernel.thread.map(({ id }) => id), () => {
    const own = code.scopes[code.scopes.length - 1]!, outside = code.out; // just opened
    code.out = own.head;
    placeThreads(p, kernel, FIRST, extents);
    code.out = outside;
    statements(p, kernel.body);
  });
  for (const byte of threads) code.out.push(byte);
  get(code, FIRST);
  integer(code, 1);
  op(p, OP.i32Add);
  tee(code, FIRST);
  get(code, lastGroup);
  op(p, OP.i32LtU, OP.brIf, 0, OP.end);
  return { text: { name, parameters, locals: code.locals, code: root.head.concat(root.body) }, scratchBytes: bytes };
};
