/**
 * The WGSL target: one table from the scalar and loop form to text.
 *
 * Never emitted: sin, cos, log, tanh, pow (too coarse on some drivers; ops lower to polynomials), infinities and NaNs (WGSL
 * assumes finite math, https://www.w3.org/TR/WGSL/#floating-point-evaluation). Integers of indices are i32.
 */
import type { StorageType } from '../../dsl/dtype.ts';
import type { Atom, Index, Variable } from '../../dsl/scalar/index-expression.ts';
import { arraysOf, type LoopKernel, type Statement, type TensorAccess } from '../../dsl/scalar/loop.ts';
import type { BinaryScalarOp, Lanes, LocalArray, Scalar, ScalarType, UnaryScalarOp } from '../../dsl/scalar/scalar.ts';

const UNARY: Readonly<Record<UnaryScalarOp, (a: string, vec: (type: string) => string) => string>> = {
  neg: (a) => `(-${a})`, abs: (a) => `abs(${a})`, exp: (a) => `exp(${a})`, sqrt: (a) => `sqrt(${a})`, rsqrt: (a) => `inverseSqrt(${a})`,
  floor: (a) => `floor(${a})`, not: (a) => `(!${a})`, bitsToFloat: (a, vec) => `bitcast<${vec('f32')}>(${a})`, floatToBits: (a, vec) => `bitcast<${vec('u32')}>(${a})`,
};
const infix = (symbol: string) => (a: string, b: string): string => `(${a} ${symbol} ${b})`;
const call = (name: string) => (a: string, b: string): string => `${name}(${a}, ${b})`;
const BINARY: Readonly<Record<BinaryScalarOp, (a: string, b: string) => string>> = {
  add: infix('+'), sub: infix('-'), mul: infix('*'), div: infix('/'), max: call('max'), min: call('min'),
  eq: infix('=='), lt: infix('<'), le: infix('<='), and: infix('&'), or: infix('|'),
  bitAnd: infix('&'), bitOr: infix('|'), bitXor: infix('^'), shiftLeft: infix('<<'), shiftRight: infix('>>'),
};
/** How an element lies in a buffer; a bool is a u32. */
const STORED: Readonly<Record<Exclude<StorageType, 'i8'>, string>> = { f32: 'f32', f16: 'f16', i32: 'i32', u32: 'u32', bool: 'u32' };

const typeName = (type: string, lanes: Lanes): string => (lanes === 1 ? type : `vec${lanes}<${type}>`);

const floatText = (value: number): string => {
  const single = Math.fround(value);
  if (!Number.isFinite(single)) throw new Error(`invariant: ${value} is not a finite f32 and cannot be written in WGSL`);
  const text = String(single);
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
};
const constantText = (value: number, type: ScalarType): string =>
  type === 'f32' ? floatText(value) : type === 'u32' ? `${value >>> 0}u` : type === 'bool' ? String(value !== 0)
  : value === -2147483648 ? '(-2147483647i - 1i)' : `${value}i`;

interface Names {
  readonly variable: (v: Variable) => string;
  readonly tensor: (tensor: number) => { readonly name: string; readonly access: TensorAccess };
  /** Loops of at most this many rounds are kept from being unrolled. */
  readonly keptLoops: number;
}

/** Zero, which no compiler can know: workgroups are counted up to 65535. */
const HIDDEN_ZERO = 'let zero = i32(groups.x >> 31u);';
/** Longer loops are not unrolled anyway. */
const MOST_ROUNDS = 64;
const isKept = (extent: number, { keptLoops }: Pick<Names, 'keptLoops'>): boolean => extent > 1 && extent <= keptLoops;

const atomText = (atom: Atom, names: Names): string => {
  switch (atom.kind) {
    case 'variable': return names.variable(atom);
    case 'quotient': return `(${indexText(atom.of, names)} / ${atom.by})`;
    case 'remainder': return `(${indexText(atom.of, names)} % ${atom.by})`;
    case 'clamp': return `clamp(${indexText(atom.of, names)}, ${atom.min}, ${atom.max})`;
    case 'value': return atom.of.type === 'i32' ? scalarText(atom.of, names) : `i32(${scalarText(atom.of, names)})`;
  }
};

/** An index as i32 text; `divideBy` for arrays of vectors. */
const indexText = (index: Index, names: Names, divideBy = 1): string => {
  const parts = index.terms.map(({ atom, coefficient }) => {
    const c = coefficient / divideBy, text = atomText(atom, names);
    return c === 1 ? text : `${text} * ${c}`;
  });
  const rest = index.constant / divideBy;
  if (rest !== 0 || parts.length === 0) parts.push(`${rest}`);
  return parts.length === 1 ? parts[0]! : `(${parts.join(' + ').replaceAll('+ -', '- ')})`;
};

/** By shifts: the built-in unpack4xI8 is a language feature that older browsers lack. The lowest byte comes first. */
const UNPACK_BYTES = [
  'fn bytes_of(word: u32) -> vec4<f32> { return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)); }',
  'fn byte_at(word: u32, at: i32) -> f32 { return f32(bitcast<i32>(word << (24u - 8u * u32(at % 4))) >> 24u); }',
];
/** Elements that lie four to a word: a wide load is one word, which its index proves aligned. */
const packedText = (name: string, index: Index, lanes: Lanes, names: Names): string => {
  if (lanes === 4) return `bytes_of(${name}[${indexText(index, names, 4)}])`;
  const element = (offset: number): string => {
    const at = indexText({ ...index, constant: index.constant + offset }, names);
    return `byte_at(${name}[${at} / 4], ${at})`;
  };
  return lanes === 1 ? element(0) : `vec2<f32>(${element(0)}, ${element(1)})`;
};

const loadText = (tensor: number, index: Index, lanes: Lanes, names: Names): string => {
  const { name, access } = names.tensor(tensor);
  if (access.dtype === 'i8') return packedText(name, index, lanes, names);
  const element = (offset: number): string => {
    const text = `${name}[${indexText(offset === 0 ? index : { ...index, constant: index.constant + offset }, names)}]`;
    return access.dtype === 'f16' ? `f32(${text})` : access.dtype === 'bool' ? `(${text} != 0u)` : text;
  };
  if (lanes === 1) return element(0);
  const memory = access.dtype === 'bool' ? 'bool' : access.dtype === 'f16' ? 'f32' : access.dtype;
  if (access.lanes < lanes) return `${typeName(memory, lanes)}(${Array.from({ length: lanes }, (_, i) => element(i)).join(', ')})`;
  const wide = `${name}[${indexText(index, names, lanes)}]`;
  return access.dtype === 'f16' ? `${typeName('f32', lanes)}(${wide})` : access.dtype === 'bool' ? `(${wide} != ${typeName('u32', lanes)}(0u))` : wide;
};

const castText = (from: Scalar, to: ScalarType, text: string, lanes: Lanes): string =>
  from.type === 'bool' && lanes > 1 ? `select(${typeName(to, lanes)}(0), ${typeName(to, lanes)}(1), ${text})` : `${typeName(to, lanes)}(${text})`;

const scalarText = (e: Scalar, names: Names): string => {
  const text = (part: Scalar): string => scalarText(part, names);
  switch (e.kind) {
    case 'constant': return constantText(e.value, e.type);
    case 'load': return loadText(e.tensor, e.index, e.lanes, names);
    case 'index': return e.type === 'i32' ? indexText(e.index, names) : `${e.type}(${indexText(e.index, names)})`;
    case 'unary': return UNARY[e.op](text(e.a), (type) => typeName(type, e.lanes));
    case 'binary': return BINARY[e.op](text(e.a), text(e.b));
    case 'select': return `select(${text(e.b)}, ${text(e.a)}, ${text(e.condition)})`;
    case 'cast': return castText(e.a, e.type, text(e.a), e.lanes);
    case 'local': return `l${e.local}`;
    case 'element': return `a${e.array.id}[${indexText(e.index, names)}]`;
    case 'splat': return `${typeName(e.type, e.lanes)}(${text(e.a)})`;
    case 'vector': return `${typeName(e.type, e.lanes)}(${e.parts.map(text).join(', ')})`;
    case 'lane': return `${text(e.a)}[${e.lane}]`;
    case 'dot': return `dot(${text(e.a)}, ${text(e.b)})`;
    case 'reduce': throw new Error('invariant: a reduction reached the printer');
  }
};

/** Beyond the largest f16 a store saturates: WGSL leaves a conversion that overflows open, and an infinity would end in NaNs. */
const halfText = (text: string, lanes: Lanes): string => {
  const limit = (value: string): string => (lanes === 1 ? value : `${typeName('f32', lanes)}(${value})`);
  return `${typeName('f16', lanes)}(clamp(${text}, ${limit('-65504.0f')}, ${limit('65504.0f')}))`;
};
const storedValue = (text: string, dtype: StorageType, lanes: Lanes): string =>
  dtype === 'f16' ? halfText(text, lanes) : dtype === 'bool' ? `select(${typeName('u32', lanes)}(0), ${typeName('u32', lanes)}(1), ${text})` : text;

const storeLines = (statement: Extract<Statement, { kind: 'store' }>, names: Names): readonly string[] => {
  const { name, access } = names.tensor(statement.tensor);
  const { value, index } = statement, text = scalarText(value, names);
  if (value.lanes === 1) return [`${name}[${indexText(index, names)}] = ${storedValue(text, access.dtype, 1)};`];
  if (access.lanes === value.lanes) return [`${name}[${indexText(index, names, value.lanes)}] = ${storedValue(text, access.dtype, value.lanes)};`];
  const lanes = Array.from({ length: value.lanes }, (_, i) =>
    `  ${name}[${indexText({ ...index, constant: index.constant + i }, names)}] = ${storedValue(`v[${i}]`, access.dtype, 1)};`);
  return ['{', `  let v = ${text};`, ...lanes, '}'];
};

/** Tree reduction over workgroup memory; every thread reaches both barriers. */
const combineLines = ({ local, type, monoid }: Extract<Statement, { kind: 'combine' }>, workgroup: number): readonly string[] => {
  const join = BINARY[monoid === 'sum' ? 'add' : 'max'];
  return [
    `shared_${type}[lane] = l${local};`,
    'workgroupBarrier();',
    `for (var s = ${workgroup / 2}u; s > 0u; s = s / 2u) {`,
    `  if (lane < s) { shared_${type}[lane] = ${join(`shared_${type}[lane]`, `shared_${type}[lane + s]`)}; }`,
    '  workgroupBarrier();',
    '}',
    `l${local} = workgroupUniformLoad(&shared_${type}[0]);`,
  ];
};

const statementLines = (statement: Statement, names: Names, workgroup: number): readonly string[] => {
  const inner = (body: readonly Statement[]): readonly string[] => body.flatMap((s) => statementLines(s, names, workgroup)).map((line) => `  ${line}`);
  switch (statement.kind) {
    case 'let': return [`let l${statement.local} = ${scalarText(statement.value, names)};`];
    case 'var': return [`var l${statement.local} = ${scalarText(statement.value, names)};`];
    case 'assign': return [`l${statement.local} = ${scalarText(statement.value, names)};`];
    case 'for': {
      const v = names.variable(statement.variable), { start, end } = statement;
      const from = start === undefined ? '0' : scalarText(start, names), to = end !== undefined ? scalarText(end, names) : `${statement.variable.extent}${isKept(statement.variable.extent, names) ? ' + zero' : ''}`;
      return [`for (var ${v} = ${from}; ${v} < ${to}; ${v}++) {`, ...inner(statement.body), '}'];
    }
    case 'if': return [`if (${scalarText(statement.condition, names)}) {`, ...inner(statement.body), '}'];
    case 'store': return storeLines(statement, names);
    case 'put': return [`a${statement.array.id}[${indexText(statement.index, names)}] = ${scalarText(statement.value, names)};`];
    case 'barrier': return ['workgroupBarrier();'];
    case 'share': return [`let l${statement.local} = subgroupBroadcast(${scalarText(statement.value, names)}, ${statement.lane}u);`];
    case 'combine': return combineLines(statement, workgroup);
  }
};

const keepsLoop = (body: readonly Statement[], names: Names): boolean => body.some((s) =>
  s.kind === 'for' ? (s.end === undefined && isKept(s.variable.extent, names)) || keepsLoop(s.body, names) : s.kind === 'if' && keepsLoop(s.body, names));

const combines = (body: readonly Statement[]): readonly ScalarType[] => body.flatMap((s) =>
  s.kind === 'combine' ? [s.type] : s.kind === 'for' || s.kind === 'if' ? combines(s.body) : []);

/** Lines that compute the thread variables and stop threads that have no work. */
const threadLines = (kernel: LoopKernel, groups: readonly [number, number, number], names: Names): readonly string[] => {
  const [first] = kernel.thread;
  if (kernel.thread.length === 1) {
    const perRow = kernel.lane === undefined ? groups[0] * kernel.workgroupSize[0] : groups[0];
    const [x, y] = kernel.lane === undefined ? ['gid.x', 'gid.y'] : ['wid.x', 'wid.y'];
    const flat = groups[1] === 1 ? x : `${x} + ${y} * ${perRow}u`;
    const total = kernel.lane === undefined ? perRow * groups[1] : groups[0] * groups[1];
    const guard = total === first!.extent ? [] : [`if (${names.variable(first!)} >= ${first!.extent}) { return; }`];
    return [`let ${names.variable(first!)} = i32(${flat});`, ...guard, ...(kernel.lane === undefined ? [] : [`let ${names.variable(kernel.lane)} = i32(lane);`])];
  }
  return kernel.thread.flatMap((axis, i) => {
    const guard = axis.extent === groups[i]! * kernel.workgroupSize[i]! ? [] : [`if (${names.variable(axis)} >= ${axis.extent}) { return; }`];
    return [`let ${names.variable(axis)} = i32(gid.${'xyz'[i]});`, ...guard];
  });
};

/** Workgroups needed; a flat grid that is too long for one dimension wraps into the second. */
export const workgroupsOf = (kernel: LoopKernel, most: number): readonly [number, number, number] => {
  const [first] = kernel.thread;
  if (kernel.thread.length > 1) return kernel.thread.map((axis, i) => Math.ceil(axis.extent / kernel.workgroupSize[i]!)) as unknown as readonly [number, number, number]; // three axes
  const groups = kernel.lane === undefined ? Math.ceil(first!.extent / kernel.workgroupSize[0]) : first!.extent;
  const rows = Math.ceil(groups / most);
  return [Math.ceil(groups / rows), rows, 1];
};

/** A complete WGSL module for a kernel. */
export const printWgsl = (kernel: LoopKernel, groups: readonly [number, number, number]): string => {
  const letters = new Map(kernel.tensors.map((access, i) => [access.tensor, { name: access.access === 'read_write' ? 'y' : `x${i}`, access }]));
  const numbers = new Map<number, string>();
  const names: Names = {
    variable: (v) => { if (!numbers.has(v.id)) numbers.set(v.id, `i${numbers.size}`); return numbers.get(v.id)!; },
    keptLoops: kernel.keepLoops === true ? MOST_ROUNDS : 0,
    tensor: (tensor) => letters.get(tensor) ?? ((): never => { throw new Error(`invariant: tensor ${tensor} has no binding`); })(),
  };
  const bindings = kernel.tensors.map(({ tensor, access, dtype, lanes }, i) =>
    `@group(0) @binding(${i}) var<storage, ${access}> ${letters.get(tensor)!.name}: array<${dtype === 'i8' ? 'u32' : typeName(STORED[dtype], lanes)}>;`);
  const shared = [...new Set(combines(kernel.body))].map((type) => `var<workgroup> shared_${type}: array<${type}, ${kernel.workgroupSize[0]}>;`);
  const arrays = arraysOf(kernel.body), declared = ({ id, type, lanes, length }: LocalArray): string => `a${id}: array<${typeName(type, lanes)}, ${length}>;`;
  const threads = [...threadLines(kernel, groups, names), ...(kernel.subgroup === undefined ? [] : [`let ${names.variable(kernel.subgroup)} = i32(place % ${kernel.subgroup.extent}u);`])];
  const body = kernel.body.flatMap((statement) => statementLines(statement, names, kernel.workgroupSize[0]));
  const hides = keepsLoop(kernel.body, names);
  const builtins = [
    kernel.lane === undefined ? '@builtin(global_invocation_id) gid: vec3<u32>' : '@builtin(workgroup_id) wid: vec3<u32>, @builtin(local_invocation_index) lane: u32',
    ...(kernel.subgroup === undefined ? [] : ['@builtin(subgroup_invocation_id) place: u32']),
    ...(hides ? ['@builtin(num_workgroups) groups: vec3<u32>'] : []),
  ].join(', ');
  return [
    ...(kernel.tensors.some((access) => access.dtype === 'f16') ? ['enable f16;'] : []),
    ...(kernel.subgroup === undefined ? [] : ['enable subgroups;']),
    ...bindings, ...shared, ...arrays.filter(({ space }) => space === 'workgroup').map((array) => `var<workgroup> ${declared(array)}`),
    ...(kernel.tensors.some((access) => access.dtype === 'i8') ? UNPACK_BYTES : []), '',
    `@compute @workgroup_size(${kernel.workgroupSize.join(', ')})`,
    `fn main(${builtins}) {`,
    ...[...threads, ...(hides ? [HIDDEN_ZERO] : []), ...arrays.filter(({ space }) => space === 'thread').map((array) => `var ${declared(array)}`), ...body].map((line) => `  ${line}`),
    '}', '',
  ].join('\n');
};
