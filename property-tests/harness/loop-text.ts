/**
 * The text of the JavaScript target: a loop kernel as the body of a function over `t0`, `t1`, .. (its tensors) and `v0`, `v1`, ..
 * (its threads), `shared` (the arrays of its workgroup, by id) and `thread` (which of its threads this is), and the few functions that
 * this text calls. Wide values are arrays of lanes.
 */
import type { Atom, Index } from '../../dsl/scalar/index-expression.ts';
import { arraysOf, type LoopKernel, type Statement, type TensorAccess } from '../../dsl/scalar/loop.ts';
import { fromHalf, toHalf } from '../../src/runtime/elements.ts';
import type { BinaryScalarOp, Scalar, ScalarType, UnaryScalarOp } from '../../dsl/scalar/scalar.ts';

// ---- what the generated text calls ---------------------------------------------------------------------------------------

const scratch = new DataView(new ArrayBuffer(4));
const floatToBits = (x: number): number => {
  scratch.setFloat32(0, x);
  return scratch.getUint32(0);
};
const bitsToFloat = (x: number): number => {
  scratch.setUint32(0, x);
  return scratch.getFloat32(0);
};
const saturate = (x: number, low: number, high: number): number => Math.max(low, Math.min(high, Math.trunc(x)));

const divided = (x: number, by: number): number => {
  if (x < 0) throw new Error(`index ${x} is divided by ${by}: negative`);
  return Math.floor(x / by);
};
const remaining = (x: number, by: number): number => {
  if (x < 0) throw new Error(`index ${x} modulo ${by}: negative`);
  return x % by;
};
/** A position that was checked to lie inside `count` elements, and to be a multiple of `lanes`. */
const checked = (tensor: number, index: number, count: number, lanes: number): number => {
  if (!Number.isInteger(index) || index < 0 || index + lanes > count)
    throw new Error(`tensor ${tensor}: element ${index} (${lanes} lanes) is outside its ${count} elements`);
  if (index % lanes !== 0) throw new Error(`tensor ${tensor}: ${lanes} lanes at ${index} are not aligned`);
  return index;
};
/**
 * An array of a workgroup, watched: reading what another thread wrote since the last barrier, or writing what another one read or
 * wrote, throws. A driver that runs threads in lockstep would hide it.
 */
export interface SharedArray {
  readonly values: (number | readonly number[])[];
  readonly writers: Map<number, number>;
  readonly readers: Map<number, number>;
}
export const newSharedArray = (): SharedArray => ({ values: [], writers: new Map(), readers: new Map() });
export const passBarrier = (shared: SharedArray): void => {
  shared.writers.clear();
  shared.readers.clear();
};
/** Stands for several threads. */
const MANY = -1;
const inside = (index: number, length: number): void => {
  if (!Number.isInteger(index) || index < 0 || index >= length) throw new Error(`element ${index} is outside an array of ${length}`);
};
const take = ({ values, writers, readers }: SharedArray, index: number, length: number, thread: number): number | readonly number[] => {
  inside(index, length);
  const writer = writers.get(index), value = values[index];
  if (writer !== undefined && writer !== thread) throw new Error(`thread ${thread} reads element ${index} of a workgroup array, which thread ${writer} wrote since the last barrier`);
  if (value === undefined) throw new Error(`element ${index} of a workgroup array is read, and was never written`);
  readers.set(index, readers.has(index) && readers.get(index) !== thread ? MANY : thread);
  return value;
};
const give = ({ values, writers, readers }: SharedArray, index: number, length: number, thread: number, value: number | readonly number[]): void => {
  inside(index, length);
  const reader = readers.get(index) ?? thread, writer = writers.get(index) ?? thread;
  if (reader !== thread || writer !== thread) throw new Error(`thread ${thread} writes element ${index} of a workgroup array, which another thread used since the last barrier`);
  writers.set(index, thread);
  values[index] = value;
};
/** A vector of an array that a thread has for itself. */
const own = (values: readonly (number | readonly number[])[], index: number, length: number): number | readonly number[] => {
  inside(index, length);
  const value = values[index];
  if (value === undefined) throw new Error(`element ${index} of an array is read, and was never written`);
  return value;
};
/** An f16 store saturates. */
const toStoredHalf = (x: number): number => toHalf(Math.max(-65504, Math.min(65504, x)));
/** What the text calls, by name. */
export const RUNTIME = { floatToBits, bitsToFloat, saturate, divided, remaining, checked, take, give, own, inside, toStoredHalf, fromHalf };

// ---- text ---------------------------------------------------------------------------------------------------------------------

const rounded = (type: ScalarType, text: string): string =>
  type === 'f32' ? `Math.fround(${text})` : type === 'u32' ? `((${text}) >>> 0)` : `((${text}) | 0)`;

const UNARY: Readonly<Record<UnaryScalarOp, (a: string, type: ScalarType) => string>> = {
  neg: (a, type) => rounded(type, `-${a}`),
  abs: (a) => `Math.abs(${a})`,
  exp: (a) => `Math.fround(Math.exp(${a}))`,
  sqrt: (a) => `Math.fround(Math.sqrt(${a}))`,
  rsqrt: (a) => `Math.fround(1 / Math.sqrt(${a}))`,
  floor: (a) => `Math.floor(${a})`,
  not: (a) => `(!${a})`,
  bitsToFloat: (a) => `bitsToFloat(${a})`,
  floatToBits: (a) => `floatToBits(${a})`,
};
const arithmetic =
  (symbol: string) =>
  (a: string, b: string, type: ScalarType): string =>
    rounded(type, `${a} ${symbol} ${b}`);
const plain =
  (symbol: string) =>
  (a: string, b: string): string =>
    `(${a} ${symbol} ${b})`;
const BINARY: Readonly<Record<BinaryScalarOp, (a: string, b: string, type: ScalarType) => string>> = {
  add: arithmetic('+'),
  sub: arithmetic('-'),
  div: arithmetic('/'),
  mul: (a, b, type) => (type === 'f32' ? `Math.fround(${a} * ${b})` : rounded(type, `Math.imul(${a}, ${b})`)),
  max: (a, b) => `Math.max(${a}, ${b})`,
  min: (a, b) => `Math.min(${a}, ${b})`,
  eq: plain('==='),
  lt: plain('<'),
  le: plain('<='),
  and: plain('&&'),
  or: plain('||'),
  bitAnd: arithmetic('&'),
  bitOr: arithmetic('|'),
  bitXor: arithmetic('^'),
  shiftLeft: arithmetic('<<'),
  shiftRight: (a, b, type) => rounded(type, `${a} >>> ${b}`),
};
const castText = (from: ScalarType, to: ScalarType, a: string): string =>
  to === 'bool'
    ? `(${a} !== 0)`
    : from === 'bool'
      ? `Number(${a})`
      : from === 'f32'
        ? to === 'i32'
          ? `saturate(${a}, -2147483648, 2147483647)`
          : `saturate(${a}, 0, 4294967295)`
        : rounded(to, a);

const constantText = (value: number, type: ScalarType): string => (type === 'bool' ? String(value !== 0) : `(${rounded(type, String(value))})`);

interface Context {
  readonly access: ReadonlyMap<number, TensorAccess>;
  /** Elements that may be touched. */
  readonly counts: ReadonlyMap<number, number>;
}

const atomText = (atom: Atom, context: Context): string => {
  switch (atom.kind) {
    case 'variable':
      return `v${atom.id}`;
    case 'quotient':
      return `divided(${indexText(atom.of, context)}, ${atom.by})`;
    case 'remainder':
      return `remaining(${indexText(atom.of, context)}, ${atom.by})`;
    case 'clamp':
      return `Math.max(${atom.min}, Math.min(${atom.max}, ${indexText(atom.of, context)}))`;
    case 'value':
      return scalarText(atom.of, 0, context);
  }
};
const indexText = ({ terms, constant }: Index, context: Context): string =>
  `(${[...terms.map(({ atom, coefficient }) => `${coefficient} * ${atomText(atom, context)}`), String(constant)].join(' + ')})`;

const place = (tensor: number, index: Index, lanes: number, context: Context): string =>
  `checked(${tensor}, ${indexText(index, context)}, ${context.counts.get(tensor)!}, ${lanes})`;

/** Lane `lane` of an expression. */
const scalarText = (e: Scalar, lane: number, context: Context): string => {
  const text = (part: Scalar): string => scalarText(part, lane, context);
  switch (e.kind) {
    case 'constant':
      return constantText(e.value, e.type);
    case 'load': {
      const element = `t${e.tensor}[${place(e.tensor, e.index, context.access.get(e.tensor)!.lanes === 1 ? 1 : e.lanes, context)} + ${lane}]`;
      return e.type === 'bool' ? `(${element} !== 0)` : context.access.get(e.tensor)!.dtype === 'f16' ? `fromHalf(${element})` : element;
    }
    case 'index':
      return rounded(e.type, indexText(e.index, context));
    case 'unary':
      return UNARY[e.op](text(e.a), e.type);
    case 'binary':
      return BINARY[e.op](text(e.a), text(e.b), e.type);
    case 'select':
      return `(${text(e.condition)} ? ${text(e.a)} : ${text(e.b)})`;
    case 'cast':
      return castText(e.a.type, e.type, text(e.a));
    case 'local':
      return e.lanes === 1 ? `l${e.local}` : `l${e.local}[${lane}]`;
    case 'element': {
      const { array } = e, at = `${indexText(e.index, context)}, ${array.length}`;
      const value = array.space === 'workgroup' ? `take(shared[${array.id}], ${at}, thread)` : `own(a${array.id}, ${at})`;
      return array.lanes === 1 ? value : `${value}[${lane}]`;
    }
    case 'splat':
      return scalarText(e.a, 0, context);
    case 'vector':
      return scalarText(e.parts[lane]!, 0, context);
    case 'lane':
      return scalarText(e.a, e.lane, context);
    case 'dot':
      return lanesOf(e.a, context)
        .map((a, i) => BINARY.mul(a, scalarText(e.b, i, context), e.type))
        .reduce((sum, part) => BINARY.add(sum, part, e.type));
    case 'reduce':
      throw new Error('invariant: a reduction reached the printer');
  }
};
const lanesOf = (e: Scalar, context: Context): readonly string[] => Array.from({ length: e.lanes }, (_, lane) => scalarText(e, lane, context));
const valueText = (e: Scalar, context: Context): string => (e.lanes === 1 ? scalarText(e, 0, context) : `[${lanesOf(e, context).join(', ')}]`);

const storeText = ({ tensor, index, value }: Extract<Statement, { kind: 'store' }>, context: Context): string => {
  const { dtype, lanes: width } = context.access.get(tensor)!,
    lanes = width === 1 ? 1 : value.lanes;
  const stored = (text: string): string => (dtype === 'f16' ? `toStoredHalf(${text})` : value.type === 'bool' ? `Number(${text})` : text);
  const stores = lanesOf(value, context).map(
    (text, lane) =>
      `t${tensor}[checked(${tensor}, at + ${lane}, ${context.counts.get(tensor)!}, 1)] = ${stored(text)};`,
  );
  return `{ const at = ${place(tensor, index, lanes, context)}; ${stores.join(' ')} }`;
};

const statementText = (statement: Statement, context: Context): string => {
  const body = (inner: readonly Statement[]): string => inner.map((s) => statementText(s, context)).join('\n');
  switch (statement.kind) {
    case 'let':
      return `const l${statement.local} = ${valueText(statement.value, context)};`;
    case 'var':
      return `let l${statement.local} = ${valueText(statement.value, context)};`;
    case 'assign':
      return `l${statement.local} = ${valueText(statement.value, context)};`;
    case 'for': {
      const v = `v${statement.variable.id}`;
      const { start, end, variable } = statement;
      const from = start === undefined ? '0' : scalarText(start, 0, context), to = end === undefined ? `${variable.extent}` : scalarText(end, 0, context);
      const ranged = end === undefined && start === undefined ? '' : `inside(${v}, ${variable.extent});\n`;
      return `for (let ${v} = ${from}; ${v} < ${to}; ${v}++) {\n${ranged}${body(statement.body)}\n}`;
    }
    case 'if':
      return `if (${scalarText(statement.condition, 0, context)}) {\n${body(statement.body)}\n}`;
    case 'store':
      return storeText(statement, context);
    case 'put': {
      const { array, index, value } = statement, at = indexText(index, context), what = valueText(value, context);
      return array.space === 'workgroup' ? `give(shared[${array.id}], ${at}, ${array.length}, thread, ${what});`
        : `inside(${at}, ${array.length}); a${array.id}[${at}] = ${what};`;
    }
    case 'barrier':
      return `yield 'barrier';`;
    case 'share':
      return `const l${statement.local} = yield { share: ${valueText(statement.value, context)}, from: ${statement.lane} };`;
    // the driver below meets all lanes of a workgroup here
    case 'combine':
      return `l${statement.local} = yield { monoid: '${statement.monoid}', type: '${statement.type}', value: l${statement.local} };`;
  }
};

/** The statements of a kernel; `counts` says how many elements of each tensor may be touched. */
export const bodyText = (loop: LoopKernel, counts: ReadonlyMap<number, number>): string => {
  const context: Context = { access: new Map(loop.tensors.map((access) => [access.tensor, access])), counts };
  const arrays = arraysOf(loop.body).filter(({ space }) => space === 'thread').map(({ id }) => `const a${id} = [];`);
  return [...arrays, ...loop.body.map((s) => statementText(s, context))].join('\n');
};
