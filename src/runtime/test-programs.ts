/** Small programs, written by hand, for the tests of this folder. */

import type { TaskEither } from 'fp-ts/TaskEither';
import type { BufferPlan, Dispatch, Kernel, ParameterPlan, PortPlan, Program, ProgramDType } from '../../compiler/program.ts';
import type { DeviceError } from './errors.ts';
import { openNodeDevice } from './node.ts';
import type { Device } from './browser.ts';

export const bufferPlan = (kind: BufferPlan['kind'], label: string, bytes: number, data?: string): BufferPlan => ({
  kind,
  label,
  bytes,
  ...(data === undefined ? {} : { data }),
});

export const port = (name: string, shape: readonly number[], buffer: number, dtype: ProgramDType = 'f32'): PortPlan => ({
  name,
  shape,
  dtype,
  buffer,
});

export const kernel = (name: string, wgsl: string, bindings: Kernel['bindings'], size: number = 64): Kernel => ({
  name,
  wgsl,
  workgroupSize: [size, 1, 1],
  bindings,
});

/** A dispatch over whole buffers. */
export const dispatch = (
  index: number,
  buffers: readonly (readonly [buffer: number, bytes: number])[],
  groups: number,
  label = 'test',
): Dispatch => ({
  kernel: index,
  bindings: buffers.map(([buffer, bytes]) => ({ buffer, offset: 0, bytes })),
  workgroups: [groups, 1, 1],
  label,
});

export const makeProgram = (name: string, parts: Partial<Program>): Program => ({
  format: 'pixnerd-program',
  version: 1,
  name,
  inputs: [],
  parameters: [],
  outputs: [],
  buffers: [],
  kernels: [],
  dispatches: [],
  limits: {},
  features: [],
  ...parts,
});

const binding = (dtype: string, i: number, access: string): string =>
  `@group(0) @binding(${i}) var<storage, ${access}> b${i}: array<${dtype}>;`;

const elementwise = (dtypes: readonly string[], body: string, enables = ''): string => `${enables}
${dtypes.map((dtype, i) => binding(dtype, i, i === dtypes.length - 1 ? 'read_write' : 'read')).join('\n')}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= arrayLength(&b${dtypes.length - 1})) { return; }
  ${body}
}`;

/** out = x + y, vectors of `n` (a multiple of 4). */
export const vectorAdd = (n: number): Program =>
  makeProgram('vector_add', {
    inputs: [port('x', [n], 0), port('y', [n], 1)],
    outputs: [port('out', [n], 2)],
    buffers: [bufferPlan('input', 'x', 4 * n), bufferPlan('input', 'y', 4 * n), bufferPlan('output', 'out', 4 * n)],
    kernels: [kernel('k0_add', elementwise(['f32', 'f32', 'f32'], 'b2[i] = b0[i] + b1[i];'), ['read', 'read', 'read_write'])],
    dispatches: [
      dispatch(
        0,
        [
          [0, 4 * n],
          [1, 4 * n],
          [2, 4 * n],
        ],
        Math.ceil(n / 64),
      ),
    ],
  });

/** out = x w, [n, n] each; w is a parameter. */
export const matmul = (n: number): Program => {
  const bytes = 4 * n * n;
  const body = `let r = i / ${n}u; let c = i % ${n}u; var sum = 0.0;
  for (var k = 0u; k < ${n}u; k++) { sum += b0[r * ${n}u + k] * b1[k * ${n}u + c]; }
  b2[i] = sum;`;
  return makeProgram('matmul', {
    inputs: [port('x', [n, n], 0)],
    parameters: [port('w', [n, n], 1)],
    outputs: [port('out', [n, n], 2)],
    buffers: [bufferPlan('input', 'x', bytes), bufferPlan('parameter', 'w', bytes), bufferPlan('output', 'out', bytes)],
    kernels: [kernel('k0_matmul', elementwise(['f32', 'f32', 'f32'], body), ['read', 'read', 'read_write'])],
    dispatches: [
      dispatch(
        0,
        [
          [0, bytes],
          [1, bytes],
          [2, bytes],
        ],
        Math.ceil((n * n) / 64),
      ),
    ],
  });
};

/** base64 of [2, 3, 5, 7] as f32. */
const primes = 'AAAAQAAAQEAAAKBAAADgQA==';

/** out = (x + scale)^2 by two kernels with scratch between and a constant [2, 3, 5, 7] that repeats; also returns x itself. */
export const twoSteps = (n: number): Program =>
  makeProgram('two_steps', {
    inputs: [port('x', [n], 0)],
    outputs: [port('out', [n], 3), port('same', [n], 0), port('again', [n], 3)],
    buffers: [
      bufferPlan('input', 'x', 4 * n),
      bufferPlan('constant', 'primes', 16, primes),
      bufferPlan('scratch', 'sum', 4 * n),
      bufferPlan('output', 'out', 4 * n),
    ],
    kernels: [
      kernel('k0_add', elementwise(['f32', 'f32', 'f32'], 'b2[i] = b0[i] + b1[i % 4u];'), ['read', 'read', 'read_write']),
      kernel('k1_square', elementwise(['f32', 'f32'], 'b1[i] = b0[i] * b0[i];'), ['read', 'read_write']),
    ],
    dispatches: [
      dispatch(
        0,
        [
          [0, 4 * n],
          [1, 16],
          [2, 4 * n],
        ],
        Math.ceil(n / 64),
        'first',
      ),
      dispatch(
        1,
        [
          [2, 4 * n],
          [3, 4 * n],
        ],
        Math.ceil(n / 64),
        'second',
      ),
    ],
  });

/** out = f(x) for one element type. */
export const unary = (dtype: ProgramDType, n: number, expression: string): Program => {
  const element = dtype === 'bool' ? 'u32' : dtype;
  const bytes = Math.ceil((n * (dtype === 'f16' ? 2 : 4)) / 16) * 16;
  const half = dtype === 'f16';
  return makeProgram(`unary_${dtype}`, {
    inputs: [port('x', [n], 0, dtype)],
    outputs: [port('out', [n], 1, dtype)],
    buffers: [bufferPlan('input', 'x', bytes), bufferPlan('output', 'out', bytes)],
    kernels: [
      kernel('k0_unary', elementwise([element, element], `b1[i] = ${expression};`, half ? 'enable f16;' : ''), ['read', 'read_write']),
    ],
    dispatches: [
      dispatch(
        0,
        [
          [0, bytes],
          [1, bytes],
        ],
        Math.ceil(n / 64),
      ),
    ],
    features: half ? ['shader-f16'] : [],
  });
};

/** out[r] = the first element of row r of an int8 parameter `w` [rows, 8], with its scale. */
export const firstOfRows = (rows: number): Program => {
  const bytes = 4 * rows;
  const parameters: readonly ParameterPlan[] = [
    { name: 'w', shape: [rows, 8], dtype: 'i8', buffer: 0, scale: 'w.scale' },
    { name: 'w.scale', shape: [rows], dtype: 'f32', buffer: 1 },
  ];
  return makeProgram('first_of_rows', {
    parameters,
    outputs: [port('out', [rows], 2)],
    buffers: [bufferPlan('parameter', 'w', 8 * rows), bufferPlan('parameter', 'w.scale', bytes), bufferPlan('output', 'out', bytes)],
    kernels: [
      kernel('k0_rows', elementwise(['u32', 'f32', 'f32'], 'b2[i] = f32(bitcast<i32>(b0[i * 2u] << 24u) >> 24u) * b1[i];'), ['read', 'read', 'read_write']),
    ],
    dispatches: [
      dispatch(
        0,
        [
          [0, 8 * rows],
          [1, bytes],
          [2, bytes],
        ],
        1,
      ),
    ],
  });
};

/** Takes `repeats` times a second or so of a software adapter. */
export const slow = (repeats: number): Program => {
  const once = matmul(512);
  return { ...once, name: 'slow', dispatches: Array.from({ length: repeats }, () => once.dispatches[0]!) };
};

/** The device that tests run on: the driver in VK_DRIVER_FILES, or SwiftShader. */
export const openTestDevice = async (memoryCap?: number): Promise<Device> =>
  (await expectRight(openNodeDevice('software', {}, memoryCap === undefined ? {} : { memoryCap }))).device;

/** The result of a task that must succeed. */
export const expectRight = async <A>(task: TaskEither<DeviceError, A>): Promise<A> => {
  const result = await task();
  if (result._tag === 'Left') throw new Error(`${result.left._tag}: ${result.left.message}`);
  return result.right;
};

/** The error of a task that must fail. */
export const expectLeft = async (task: TaskEither<DeviceError, unknown>): Promise<DeviceError> => {
  const result = await task();
  if (result._tag === 'Right') throw new Error('an error was expected');
  return result.left;
};
