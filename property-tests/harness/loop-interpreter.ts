/**
 * A third target of the loop form: JavaScript, with float32 rounding after every operation. It runs a compiled program on plain
 * buffers, memory plan and windows included, without a driver.
 *
 * It is stricter than a device: an access outside the tensor (or the bound part of it), a wide access that is not aligned, a
 * division of a negative index (WGSL truncates, the index algebra floors), and a dispatch that is too small all throw.
 */
import { byteSize, type DType } from '../../dsl/dtype.ts';
import type { Atom, Index } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel, Statement, TensorAccess } from '../../dsl/scalar/loop.ts';
import type { BinaryScalarOp, Scalar, ScalarType, UnaryScalarOp } from '../../dsl/scalar/scalar.ts';
import type { Compilation } from '../../compiler/compile.ts';
import type { KernelPlan, PlannedKernel } from '../../compiler/kernels/plan-kernels.ts';
import type { Dispatch, PortPlan } from '../../compiler/program.ts';
import type { Data, Results } from './run-program.ts';

type View = Float32Array | Int32Array | Uint32Array;

// ---- what the generated text calls ---------------------------------------------------------------------------------------

const scratch = new DataView(new ArrayBuffer(4));
const floatToBits = (x: number): number => { scratch.setFloat32(0, x); return scratch.getUint32(0); };
const bitsToFloat = (x: number): number => { scratch.setUint32(0, x); return scratch.getFloat32(0); };
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
  if (!Number.isInteger(index) || index < 0 || index + lanes > count) throw new Error(`tensor ${tensor}: element ${index} (${lanes} lanes) is outside its ${count} elements`);
  if (index % lanes !== 0) throw new Error(`tensor ${tensor}: ${lanes} lanes at ${index} are not aligned`);
  return index;
};
const RUNTIME = { floatToBits, bitsToFloat, saturate, divided, remaining, checked };

// ---- text ---------------------------------------------------------------------------------------------------------------------

const rounded = (type: ScalarType, text: string): string => (type === 'f32' ? `Math.fround(${text})` : type === 'u32' ? `((${text}) >>> 0)` : `((${text}) | 0)`);

const UNARY: Readonly<Record<UnaryScalarOp, (a: string, type: ScalarType) => string>> = {
  neg: (a, type) => rounded(type, `-${a}`), abs: (a) => `Math.abs(${a})`, exp: (a) => `Math.fround(Math.exp(${a}))`, sqrt: (a) => `Math.fround(Math.sqrt(${a}))`,
  rsqrt: (a) => `Math.fround(1 / Math.sqrt(${a}))`, floor: (a) => `Math.floor(${a})`, not: (a) => `(!${a})`,
  bitsToFloat: (a) => `bitsToFloat(${a})`, floatToBits: (a) => `floatToBits(${a})`,
};
const arithmetic = (symbol: string) => (a: string, b: string, type: ScalarType): string => rounded(type, `${a} ${symbol} ${b}`);
const plain = (symbol: string) => (a: string, b: string): string => `(${a} ${symbol} ${b})`;
const BINARY: Readonly<Record<BinaryScalarOp, (a: string, b: string, type: ScalarType) => string>> = {
  add: arithmetic('+'), sub: arithmetic('-'), div: arithmetic('/'),
  mul: (a, b, type) => (type === 'f32' ? `Math.fround(${a} * ${b})` : rounded(type, `Math.imul(${a}, ${b})`)),
  max: (a, b) => `Math.max(${a}, ${b})`, min: (a, b) => `Math.min(${a}, ${b})`,
  eq: plain('==='), lt: plain('<'), le: plain('<='), and: plain('&&'), or: plain('||'),
  bitAnd: arithmetic('&'), bitOr: arithmetic('|'), bitXor: arithmetic('^'), shiftLeft: arithmetic('<<'), shiftRight: (a, b, type) => rounded(type, `${a} >>> ${b}`),
};
const castText = (from: ScalarType, to: ScalarType, a: string): string =>
  to === 'bool' ? `(${a} !== 0)`
  : from === 'bool' ? `Number(${a})`
  : from === 'f32' ? (to === 'i32' ? `saturate(${a}, -2147483648, 2147483647)` : `saturate(${a}, 0, 4294967295)`)
  : rounded(to, a);

const constantText = (value: number, type: ScalarType): string => (type === 'bool' ? String(value !== 0) : `(${rounded(type, String(value))})`);

interface Context {
  readonly access: ReadonlyMap<number, TensorAccess>;
  /** Elements that may be touched. */
  readonly counts: ReadonlyMap<number, number>;
}

const atomText = (atom: Atom, context: Context): string => {
  switch (atom.kind) {
    case 'variable': return `v${atom.id}`;
    case 'quotient': return `divided(${indexText(atom.of, context)}, ${atom.by})`;
    case 'remainder': return `remaining(${indexText(atom.of, context)}, ${atom.by})`;
    case 'clamp': return `Math.max(${atom.min}, Math.min(${atom.max}, ${indexText(atom.of, context)}))`;
    case 'value': return scalarText(atom.of, 0, context);
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
    case 'constant': return constantText(e.value, e.type);
    case 'load': {
      const element = `t${e.tensor}[${place(e.tensor, e.index, context.access.get(e.tensor)!.lanes === 1 ? 1 : e.lanes, context)} + ${lane}]`;
      return e.type === 'bool' ? `(${element} !== 0)` : element;
    }
    case 'index': return rounded(e.type, indexText(e.index, context));
    case 'unary': return UNARY[e.op](text(e.a), e.type);
    case 'binary': return BINARY[e.op](text(e.a), text(e.b), e.type);
    case 'select': return `(${text(e.condition)} ? ${text(e.a)} : ${text(e.b)})`;
    case 'cast': return castText(e.a.type, e.type, text(e.a));
    case 'local': return e.lanes === 1 ? `l${e.local}` : `l${e.local}[${lane}]`;
    case 'splat': return scalarText(e.a, 0, context);
    case 'vector': return scalarText(e.parts[lane]!, 0, context);
    case 'lane': return scalarText(e.a, e.lane, context);
    case 'dot': return lanesOf(e.a, context).map((a, i) => BINARY.mul(a, scalarText(e.b, i, context), e.type)).reduce((sum, part) => BINARY.add(sum, part, e.type));
    case 'reduce': throw new Error('invariant: a reduction reached the printer');
  }
};
const lanesOf = (e: Scalar, context: Context): readonly string[] => Array.from({ length: e.lanes }, (_, lane) => scalarText(e, lane, context));
const valueText = (e: Scalar, context: Context): string => (e.lanes === 1 ? scalarText(e, 0, context) : `[${lanesOf(e, context).join(', ')}]`);

const storeText = ({ tensor, index, value }: Extract<Statement, { kind: 'store' }>, context: Context): string => {
  const lanes = context.access.get(tensor)!.lanes === 1 ? 1 : value.lanes;
  const stores = lanesOf(value, context).map((text, lane) => `t${tensor}[checked(${tensor}, at + ${lane}, ${context.counts.get(tensor)!}, 1)] = ${value.type === 'bool' ? `Number(${text})` : text};`);
  return `{ const at = ${place(tensor, index, lanes, context)}; ${stores.join(' ')} }`;
};

const statementText = (statement: Statement, context: Context): string => {
  const body = (inner: readonly Statement[]): string => inner.map((s) => statementText(s, context)).join('\n');
  switch (statement.kind) {
    case 'let': return `const l${statement.local} = ${valueText(statement.value, context)};`;
    case 'var': return `let l${statement.local} = ${valueText(statement.value, context)};`;
    case 'assign': return `l${statement.local} = ${valueText(statement.value, context)};`;
    case 'for': return `for (let v${statement.variable.id} = 0; v${statement.variable.id} < ${statement.variable.extent}; v${statement.variable.id}++) {\n${body(statement.body)}\n}`;
    case 'if': return `if (${scalarText(statement.condition, 0, context)}) {\n${body(statement.body)}\n}`;
    case 'store': return storeText(statement, context);
    // the driver below meets all lanes of a workgroup here
    case 'combine': return `l${statement.local} = yield { monoid: '${statement.monoid}', type: '${statement.type}', value: l${statement.local} };`;
  }
};

// ---- running ------------------------------------------------------------------------------------------------------------------

interface Meeting { readonly monoid: 'sum' | 'max'; readonly type: ScalarType; readonly value: number }
type Lane = Generator<Meeting, void, number>;

const joined = ({ monoid, type }: Meeting, a: number, b: number): number =>
  monoid === 'max' ? Math.max(a, b) : type === 'f32' ? Math.fround(a + b) : type === 'u32' ? (a + b) >>> 0 : (a + b) | 0;

/** The same tree as the kernels': the upper half onto the lower, again and again. */
const combined = (meetings: readonly Meeting[]): number => {
  const values = meetings.map((meeting) => meeting.value);
  for (let half = values.length / 2; half >= 1; half /= 2) {
    for (let i = 0; i < half; i++) values[i] = joined(meetings[0]!, values[i]!, values[i + half]!);
  }
  return values[0]!;
};

/** Runs all lanes from meeting to meeting; all must take the same way. */
const runTogether = (lanes: readonly Lane[]): void => {
  for (let incoming = 0; ;) {
    const steps = lanes.map((lane) => lane.next(incoming));
    const waiting = steps.flatMap((step) => (step.done === true ? [] : [step.value]));
    if (waiting.length === 0) return;
    if (waiting.length < lanes.length) throw new Error('only some threads of a workgroup reach a barrier');
    incoming = combined(waiting);
  }
};

const covers = (have: number, need: number): void => {
  if (have < need) throw new Error(`the dispatch has ${have} threads or workgroups, its kernel needs ${need}`);
};

/** Calls `run` for every thread (or workgroup) that has work. */
const forEachThread = ({ thread, lane, workgroupSize }: LoopKernel, workgroups: Dispatch['workgroups'], run: (at: readonly number[]) => void): void => {
  if (thread.length === 1) {
    covers(workgroups[0] * workgroups[1] * (lane === undefined ? workgroupSize[0] : 1), thread[0]!.extent);
    for (let i = 0; i < thread[0]!.extent; i++) run([i]);
    return;
  }
  thread.forEach((axis, i) => covers(workgroups[i]! * workgroupSize[i]!, axis.extent));
  const [x, y, z] = thread;
  for (let k = 0; k < z!.extent; k++) for (let j = 0; j < y!.extent; j++) for (let i = 0; i < x!.extent; i++) run([i, j, k]);
};

interface Bound {
  /** A tensor's number in the loop. */
  readonly tensor: number;
  readonly view: View;
  /** Elements that may be touched. */
  readonly count: number;
}

const runKernel = (loop: LoopKernel, workgroups: Dispatch['workgroups'], bound: readonly Bound[]): void => {
  const context: Context = { access: new Map(loop.tensors.map((access) => [access.tensor, access])), counts: new Map(bound.map(({ tensor, count }) => [tensor, count])) };
  const variables = [...loop.thread, ...(loop.lane === undefined ? [] : [loop.lane])].map((v) => `v${v.id}`);
  const text = `return function${loop.lane === undefined ? '' : '*'} (${variables.join(', ')}) {\n${loop.body.map((s) => statementText(s, context)).join('\n')}\n}`;
  // the constructor of functions is the only way to run text; both kinds of functions share one signature here
  const make = new Function(...Object.keys(RUNTIME), ...bound.map(({ tensor }) => `t${tensor}`), text) as (...values: unknown[]) => (...at: number[]) => Lane;
  const body = make(...Object.values(RUNTIME), ...bound.map(({ view }) => view));
  forEachThread(loop, workgroups, (at) => {
    if (loop.lane === undefined) body(...at);
    else runTogether(Array.from({ length: loop.workgroupSize[0] }, (_, lane) => body(...at, lane)));
  });
};

const viewOf = (bytes: ArrayBuffer, dtype: DType, offset: number, length: number): View => {
  if (dtype === 'f16') throw new Error('the loop interpreter has no f16');
  const View = dtype === 'f32' ? Float32Array : dtype === 'i32' ? Int32Array : Uint32Array;
  return new View(bytes, offset, Math.floor(length / byteSize(dtype)));
};

const bytesOf = (text: string): ArrayBuffer => Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;

/** Runs a compiled program; scratch and output buffers start full of a pattern that no kernel writes. */
export const interpret = ({ program, kernels: plan }: Compilation, data: Data): Results => {
  const buffers = program.buffers.map(({ bytes, data: constant }) => (constant === undefined ? new Uint32Array(bytes / 4).fill(0x7f1234ab).buffer : bytesOf(constant)));
  for (const { name, buffer, dtype } of [...program.inputs, ...program.parameters]) {
    const given = data[name]!;
    viewOf(buffers[buffer]!, dtype, 0, program.buffers[buffer]!.bytes).set(given as ArrayLike<number>);
  }
  program.dispatches.forEach((dispatch, k) => runKernel(plan.kernels[k]!.loop, dispatch.workgroups, boundOf(dispatch, plan.kernels[k]!, plan.tensors, buffers)));
  const read = ({ buffer, dtype, shape }: PortPlan): ArrayLike<number> =>
    viewOf(buffers[buffer]!, dtype, 0, program.buffers[buffer]!.bytes).slice(0, shape.reduce((a, b) => a * b, 1));
  return Object.fromEntries(program.outputs.map((port) => [port.name, read(port)]));
};

const boundOf = ({ bindings }: Dispatch, { loop, bindings: planned }: PlannedKernel, tensors: KernelPlan['tensors'], buffers: readonly ArrayBuffer[]): readonly Bound[] =>
  loop.tensors.map(({ tensor, dtype }, i) => {
    const { buffer, offset, bytes } = bindings[i]!, stored = planned[i]!;
    const view = viewOf(buffers[buffer]!, dtype, offset, bytes);
    return { tensor, view, count: Math.min(stored.window?.count ?? tensors.get(stored.tensor)!.elements, view.length) };
  });
