/**
 * Programs as text: `printProgram` and `parseProgram`, and the check of everything that a program refers to.
 *
 * Invariant: a program without problems can be loaded without looking at an undefined buffer, kernel or port, and no
 * dispatch of it reaches outside its buffers; what a device thinks of it (limits, WGSL) is `load`'s business.
 */

import type { Either } from 'fp-ts/Either';
import type { BufferPlan, ParameterPlan, Program, ProgramOf, WasmProgram } from '../../compiler/program.ts';
import { elementBytes, elementCount } from './elements.ts';
import { badProgram, left, right } from './errors.ts';
import type { DeviceError } from './errors.ts';

/** A check of one value at one place: the problems it finds, each beginning with the place. */
type Check = (at: string, value: unknown) => readonly string[];

const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

const test =
  (expected: string, holds: (value: unknown) => boolean): Check =>
  (at, value) =>
    holds(value) ? [] : [value === undefined ? `${at} is missing (${expected} expected)` : `${at} is ${shown(value)}, not ${expected}`];

const oneOf = (...values: readonly (string | number)[]): Check =>
  test(values.map(shown).join(' or '), (value) => values.some((known) => known === value));

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const count = test('a whole number from 0', isCount);
const size = test('a positive multiple of 16', (value) => isCount(value) && Number(value) > 0 && Number(value) % 16 === 0);
const words = test('a positive multiple of 4', (value) => isCount(value) && Number(value) > 0 && Number(value) % 4 === 0);
const offset = test('a multiple of 4', (value) => isCount(value) && Number(value) % 4 === 0);
const text = test('text', (value) => typeof value === 'string');
const identifier = test('a WGSL identifier', (value) => typeof value === 'string' && /^[A-Za-z_]\w*$/.test(value));
const base64 = test('base64 text', (value) =>
  value === undefined || (typeof value === 'string' && value.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(value)));

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const fields =
  (checks: Readonly<Record<string, Check>>): Check =>
  (at, value) =>
    isRecord(value)
      ? Object.entries(checks).flatMap(([name, check]) =>
          check(at ? `${at}.${name}` : name, Object.hasOwn(value, name) ? value[name] : undefined),
        )
      : [`${at || 'the program'} is ${shown(value)}, not an object`];

const listOf =
  (check: Check, length?: number): Check =>
  (at, value) =>
    Array.isArray(value) && (length === undefined || value.length === length)
      ? value.flatMap((element: unknown, i) => check(`${at}[${i}]`, element))
      : [`${at} is ${shown(value)}, not a list${length === undefined ? '' : ` of ${length}`}`];

const port = fields({ name: text, shape: listOf(count), dtype: oneOf(...Object.keys(elementBytes)), buffer: count });
const optionalText = test('text', (value) => value === undefined || typeof value === 'string');
const parameter = fields({ name: text, shape: listOf(count), dtype: oneOf(...Object.keys(elementBytes), 'i8'), buffer: count, scale: optionalText });

const shader = fields({ name: identifier, wgsl: text, workgroupSize: listOf(count, 3), bindings: listOf(oneOf('read', 'read_write')) });
const wasmKernel = fields({ name: identifier, bindings: listOf(oneOf('read', 'read_write')) });

const programFields = (kernel: Check): Check => fields({
  format: oneOf('pixnerd-program'),
  version: oneOf(1),
  name: text,
  inputs: listOf(port),
  parameters: listOf(parameter),
  outputs: listOf(port),
  updates: (at, value) => (value === undefined ? [] : listOf(text)(at, value)),
  buffers: listOf(fields({ kind: oneOf('input', 'parameter', 'constant', 'scratch', 'output'), label: text, bytes: size, data: base64 })),
  kernels: listOf(kernel),
  dispatches: listOf(
    fields({
      kernel: count,
      bindings: listOf(fields({ buffer: count, offset, bytes: words })),
      workgroups: listOf(count, 3),
      label: text,
    }),
  ),
  limits: (at, value) =>
    isRecord(value)
      ? Object.entries(value).flatMap(([name, limit]) => count(`${at}.${name}`, limit))
      : [`${at} is ${shown(value)}, not an object`],
  features: listOf(text),
});

/** What the checks of all targets look at. */
type Checked = ProgramOf<{ readonly name: string; readonly bindings: readonly ('read' | 'read_write')[] }>;

const duplicates = (at: string, names: readonly string[]): readonly string[] => {
  const seen = new Set<string>();
  return names.flatMap((name, i) => (seen.size === seen.add(name).size ? [`${at}[${i}].name ${shown(name)} is there twice`] : []));
};

const dataBytes = (data: string): number => (data.length / 4) * 3 - (data.match(/=*$/)?.[0].length ?? 0);

const bufferProblems = (at: string, buffer: BufferPlan): readonly string[] => {
  if (buffer.kind !== 'constant') return buffer.data === undefined ? [] : [`${at}.data is there, but only constants have data`];
  if (buffer.data === undefined) return [`${at}.data is missing (a constant has data)`];
  const bytes = dataBytes(buffer.data);
  return bytes > buffer.bytes ? [`${at}.data has ${bytes} bytes, its buffer ${buffer.bytes}`] : [];
};

const portProblems = (program: Checked, kind: 'input' | 'parameter' | 'output'): readonly string[] => {
  const ports = program[`${kind}s`];
  const found = ports.flatMap(({ shape, dtype, buffer }, i) => {
    const at = `${kind}s[${i}]`;
    const plan = program.buffers[buffer];
    if (!plan) return [`${at}.buffer is ${buffer}, there are ${program.buffers.length} buffers`];
    const bytes = elementCount(shape) * (dtype === 'i8' ? 1 : elementBytes[dtype]);
    return [
      ...(kind !== 'output' && plan.kind !== kind ? [`${at}.buffer is ${buffer}, which is of kind ${plan.kind}`] : []),
      ...(bytes > plan.bytes ? [`${at} has ${bytes} bytes, its buffer ${plan.bytes}`] : []),
    ];
  });
  return [
    ...duplicates(
      `${kind}s`,
      ports.map((each) => each.name),
    ),
    ...found,
  ];
};

/** An i8 parameter has scales, one for each of its rows, and nothing else has; no two share them. */
const scaleProblems = ({ parameters }: Checked): readonly string[] => {
  const scaleOf = ({ scale }: ParameterPlan): ParameterPlan | undefined => parameters.find(({ name }) => name === scale);
  const isRows = ({ shape }: ParameterPlan, { shape: rows }: ParameterPlan): boolean => rows.length <= shape.length && rows.every((length, axis) => length === shape[axis]);
  return parameters.flatMap((port, i) => {
    const at = `parameters[${i}].scale`, found = scaleOf(port);
    if (port.dtype !== 'i8') return port.scale === undefined ? [] : [`${at} is there, but only i8 parameters have scales`];
    if (found === undefined) return [`${at} is ${shown(port.scale)}, which is no parameter; an i8 parameter needs its scales`];
    if (parameters.some((other, k) => k < i && other.scale === port.scale)) return [`${at} is ${shown(port.scale)}, which another parameter fills`];
    return found.dtype === 'f32' && isRows(port, found) ? [] : [`${at} is ${found.dtype}[${found.shape.join(', ')}], not an f32 for each row of [${port.shape.join(', ')}]`];
  });
};

/** An input or parameter buffer must be filled through exactly one port, or a kernel would read what nobody wrote. */
const unfilled = (program: Checked): readonly string[] =>
  program.buffers.flatMap(({ kind }, buffer) => {
    if (kind !== 'input' && kind !== 'parameter') return [];
    const uses = program[`${kind}s`].filter((each) => each.buffer === buffer).length;
    return uses === 1 ? [] : [`buffers[${buffer}] is of kind ${kind}, and ${uses} ${kind}s fill it`];
  });

const bindingProblems = (program: Checked, d: number): readonly string[] => {
  const dispatch = program.dispatches[d]!; // d is one of its indices
  const at = `dispatches[${d}]`;
  const kernel = program.kernels[dispatch.kernel];
  if (!kernel) return [`${at}.kernel is ${dispatch.kernel}, there are ${program.kernels.length} kernels`];
  if (kernel.bindings.length !== dispatch.bindings.length) {
    return [`${at}.bindings has ${dispatch.bindings.length} entries, kernel ${kernel.name} has ${kernel.bindings.length} bindings`];
  }
  const writes = (b: number): boolean => kernel.bindings[b] === 'read_write';
  return dispatch.bindings.flatMap(({ buffer, offset, bytes }, b) => {
    const place = `${at}.bindings[${b}]`;
    const plan = program.buffers[buffer];
    if (!plan) return [`${place}.buffer is ${buffer}, there are ${program.buffers.length} buffers`];
    if (offset + bytes > plan.bytes) return [`${place} ends at byte ${offset + bytes}, buffer ${buffer} has ${plan.bytes}`];
    const changes = program.inputs.some((port) => port.buffer === buffer && program.updates?.includes(port.name));
    if (writes(b) && plan.kind !== 'scratch' && plan.kind !== 'output' && !changes)
      return [`${place} writes to buffer ${buffer}, which is of kind ${plan.kind}`];
    const clash = dispatch.bindings.findIndex(
      (other, o) =>
        o !== b &&
        other.buffer === buffer &&
        ((writes(b) && !writes(o)) ||
          (writes(b) && writes(o) && o < b && other.offset < offset + bytes && offset < other.offset + other.bytes)),
    );
    return clash < 0 ? [] : [`${place} writes to buffer ${buffer}, which bindings[${clash}] of kernel ${kernel.name} also uses`];
  });
};

/** Everything that is wrong with a value as a program; empty when it is one. */
export const programProblems = (value: unknown): readonly string[] => {
  const isWasm = isRecord(value) && value['target'] === 'wasm', own = fields({ module: base64, scratchBytes: count });
  const wrong = isWasm ? [...programFields(wasmKernel)('', value), ...own('', value)] : programFields(shader)('', value);
  if (wrong.length > 0) return wrong;
  const program = value as Checked; // every field was just checked
  return [
    ...program.buffers.flatMap((buffer, i) => bufferProblems(`buffers[${i}]`, buffer)),
    ...(['input', 'parameter', 'output'] as const).flatMap((kind) => portProblems(program, kind)),
    ...(program.updates ?? []).flatMap((name, i) => (program.inputs.some((port) => port.name === name) ? [] : [`updates[${i}] is ${shown(name)}, which is no input`])),
    ...scaleProblems(program),
    ...unfilled(program),
    ...duplicates(
      'kernels',
      program.kernels.map((kernel) => kernel.name),
    ),
    ...program.dispatches.flatMap((_, d) => bindingProblems(program, d)),
  ];
};

/** A program as text that `parseProgram` reads. */
export const printProgram = (program: Program | WasmProgram): string => JSON.stringify(program);

const mostProblems = 20;

/** The program for WebGPU in a saved text. Errors: `BadProgram`, naming each field that is wrong. */
export const parseProgram = (saved: string): Either<DeviceError, Program> => {
  const parsed = parsedProgram(saved);
  return parsed._tag === 'Right' && 'target' in parsed.right ? left(badProgram(['it is a program for WebAssembly'])) : (parsed as Either<DeviceError, Program>); // it has no other target
};

/** The program for WebAssembly in a saved text. Errors: `BadProgram`. */
export const parseWasmProgram = (saved: string): Either<DeviceError, WasmProgram> => {
  const parsed = parsedProgram(saved);
  return parsed._tag === 'Right' && !('target' in parsed.right) ? left(badProgram(['it is a program for WebGPU'])) : (parsed as Either<DeviceError, WasmProgram>); // it has a target
};

const parsedProgram = (saved: string): Either<DeviceError, Program | WasmProgram> => {
  let value: unknown;
  try {
    value = JSON.parse(saved);
  } catch (thrown) {
    return left(badProgram([`it is not JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`]));
  }
  const problems = programProblems(value);
  if (problems.length === 0) return right(value as Program | WasmProgram); // it has no problems
  const more = problems.length - mostProblems;
  return left(badProgram([...problems.slice(0, mostProblems), ...(more > 0 ? [`and ${more} more`] : [])]));
};
