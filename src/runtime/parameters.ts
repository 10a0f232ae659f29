/**
 * Parameter buffers of a device, by name, dtype and size: two programs over the same weights share one copy.
 *
 * Invariant: a buffer is `filled` once all its elements were written; writing again (new weights) is seen by all sharers.
 */

import type { ParameterPlan, Program, ProgramDType } from '../../compiler/program.ts';
import { usage } from './device.ts';
import type { Device } from './device.ts';
import { dataProblem, elementCount, encode } from './elements.ts';
import type { NumberArray } from './elements.ts';
import { badInput, fail } from './errors.ts';
import { halfProblem, quantiseRows } from './quantise.ts';
import { placeOf, settled, writeBytes } from './tensor.ts';
import type { DeviceTensor, Place } from './tensor.ts';

/** The port of a parameter, as its reader may want to see it. */
export interface ParameterPort {
  readonly name: string;
  readonly shape: readonly number[];
  /** What is wanted of the reader: floats (f32) where the program keeps int8. */
  readonly dtype: ProgramDType;
}

/** Which buffer of a store is meant. */
type ParameterKey = Pick<ParameterPlan, 'name' | 'dtype'>;

/** Elements of a parameter, a tensor of the device, or a function that fetches the elements when it is their turn. */
export type ParameterValue = NumberArray | DeviceTensor | ((port: ParameterPort) => NumberArray | Promise<NumberArray>);

export type ParameterSource = Readonly<Record<string, ParameterValue>>;

export interface ParameterStore {
  readonly device: Device;
  /** Names of the parameters that are there. */
  readonly names: () => readonly string[];
  /** Where the elements of a port are; undefined if it was never set. */
  readonly find: (port: ParameterKey, bytes: number) => Place | undefined;
  /** Writes a parameter; allocates its buffer the first time. */
  readonly write: (port: ParameterKey, bytes: number, write: (buffer: GPUBuffer) => Promise<void>) => Promise<void>;
  /** Frees all buffers; sessions that use the store cannot run afterwards until they set their parameters again. */
  readonly dispose: () => void;
}

/** An empty store, to be given to `load` by sessions that share weights. */
export const makeParameterStore = (device: Device): ParameterStore => {
  const buffers = new Map<string, { readonly name: string; readonly buffer: GPUBuffer }>();
  const keyOf = (port: ParameterKey, bytes: number): string => `${port.dtype} ${bytes} ${port.name}`;
  return {
    device,
    names: () => [...new Set([...buffers.values()].map(({ name }) => name))],
    find: (port, bytes) => {
      const buffer = buffers.get(keyOf(port, bytes))?.buffer;
      return buffer && { buffer, offset: 0 };
    },
    write: async (port, bytes, write) => {
      const key = keyOf(port, bytes);
      const known = buffers.get(key)?.buffer;
      const flags = usage.storage | usage.copyTarget | usage.copySource;
      const buffer = known ?? (await device.allocate(`parameter ${port.name}`, bytes, flags));
      try {
        await write(buffer);
        buffers.set(key, { name: port.name, buffer });
      } catch (thrown) {
        if (!known) device.free(buffer);
        throw thrown;
      }
    },
    dispose: () => {
      for (const { buffer } of buffers.values()) device.free(buffer);
      buffers.clear();
    },
  };
};

/**
 * A store over tensors of the device, which programs then read where they are: what trains is seen by whoever runs next. The tensors stay
 * the caller's and must outlive the sessions. Each must begin at a multiple of 256 bytes, as `part` of a larger one may.
 */
export const parametersAt = (device: Device, tensors: Readonly<Record<string, DeviceTensor>>): ParameterStore => ({
  device,
  names: () => Object.keys(tensors),
  find: ({ name, dtype }, bytes) => {
    const tensor = Object.hasOwn(tensors, name) ? tensors[name]! : undefined; // own property
    if (tensor === undefined || tensor.dtype !== dtype) return undefined;
    const place = placeOf(device, tensor);
    const bindable = typeof place !== 'string' && place.offset % device.gpu.limits.minStorageBufferOffsetAlignment === 0 && place.buffer.size - place.offset >= bytes;
    return bindable ? { buffer: place.buffer, offset: place.offset } : undefined;
  },
  write: ({ name }) => Promise.reject(fail(badInput('cannot set parameters', [`${name} lies in a tensor of its own, which is changed by runs`]))),
  dispose: () => undefined,
});

const isTensor = (value: ParameterValue): value is DeviceTensor => 'dispose' in value;

/** What is wrong with a tensor of the device where `port` is expected, or where it is. */
export const tensorFor = (device: Device, port: Pick<ParameterPlan, 'dtype' | 'shape'>, tensor: DeviceTensor): Place | string => {
  const shape = (sizes: readonly number[]): string => `[${sizes.join(', ')}]`;
  if (port.dtype === 'i8') return `a tensor of the device is given, but int8 is made from elements of the host`;
  if (tensor.dtype !== port.dtype) return `${tensor.dtype} given, ${port.dtype} expected`;
  if (shape(tensor.shape) !== shape(port.shape)) return `shape ${shape(tensor.shape)} given, ${shape(port.shape)} expected`;
  return placeOf(device, tensor);
};

/** Words for names that are missing and names that nobody knows. */
export const nameProblems = (
  kind: string,
  expected: ReadonlySet<string>,
  given: ReadonlySet<string>,
  optional: ReadonlySet<string> = new Set(),
): string[] => [
  ...[...expected].filter((name) => !given.has(name) && !optional.has(name)).map((name) => `${kind} ${name} is missing`),
  ...[...given].filter((name) => !expected.has(name)).map((name) => `${kind} ${name} is not known to the program`),
];

/** Elements of a host value, or what is wrong with them. A reader that throws is a problem of its parameter. */
export const elementsOf = async ({ name, shape, dtype }: ParameterPlan, value: Exclude<ParameterValue, DeviceTensor>): Promise<NumberArray | string> => {
  const wanted = dtype === 'i8' ? 'f32' : dtype;
  try {
    const data = ArrayBuffer.isView(value) ? value : await value({ name, shape, dtype: wanted });
    return dataProblem(wanted, shape, data) ?? data;
  } catch (thrown) {
    return `reading failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  }
};

const copyTensor = (device: Device, { buffer, offset }: Place, target: GPUBuffer): void => {
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, offset, target, 0, Math.min(buffer.size - offset, target.size));
  device.gpu.queue.submit([encoder.finish()]);
};

/** The contents of a port's buffer. */
interface Filling {
  readonly port: ParameterPlan;
  readonly bytes: Uint8Array;
}

/** What the elements of a parameter fill: its own buffer, and that of its scales where it is int8; or what is wrong with them. */
export const fillingsOf = (program: Pick<Program, 'parameters'>, port: ParameterPlan, data: NumberArray): readonly Filling[] | string => {
  if (port.dtype !== 'i8') {
    const problem = port.dtype === 'f16' && !(data instanceof Uint16Array) ? halfProblem(data) : undefined;
    return problem ?? [{ port, bytes: encode(port.dtype, data) }];
  }
  const scale = program.parameters.find(({ name }) => name === port.scale)!; // checked by `load`
  const packed = quantiseRows(data, elementCount(scale.shape));
  return typeof packed === 'string' ? packed : [{ port, bytes: packed.bytes }, { port: scale, bytes: encode('f32', packed.scales) }];
};

/** Sets one parameter; gives what is wrong with the value. With `dry` nothing is written. */
const setOne = async (
  store: ParameterStore,
  program: Program,
  port: ParameterPlan,
  value: ParameterValue,
  dry: boolean,
  signal?: AbortSignal,
): Promise<string | undefined> => {
  const { device } = store;
  const sizeOf = ({ buffer }: ParameterPlan): number => program.buffers[buffer]!.bytes; // checked by `load`
  if (isTensor(value)) {
    const source = tensorFor(device, port, value);
    if (typeof source === 'string') return source;
    await settled(value);
    if (!dry) await store.write(port, sizeOf(port), async (target) => copyTensor(device, source, target));
    return undefined;
  }
  const data = await elementsOf(port, value);
  if (typeof data === 'string') return data;
  const fillings = fillingsOf(program, port, data);
  if (typeof fillings === 'string') return fillings;
  if (dry) return undefined;
  for (const filling of fillings) await store.write(filling.port, sizeOf(filling.port), (target) => writeBytes(device, target, filling.bytes, signal));
  return undefined;
};

/** Lets this many bytes be on their way to the GPU before waiting for them. */
const inFlightBytes = 1 << 27;

/**
 * Fills the store with the parameters of a program, one at a time, in the program's order. All problems come in one
 * `BadInput`: names that are missing or unknown, wrong counts and kinds, readers that throw. After the first problem
 * nothing more is written.
 */
export const fillParameters = async (
  store: ParameterStore,
  program: Program,
  source: ParameterSource,
  signal?: AbortSignal,
): Promise<void> => {
  const { device } = store;
  const bytesOf = (port: ParameterPlan): number => program.buffers[port.buffer]!.bytes; // checked by `load`
  const scales = new Set(program.parameters.map(({ scale }) => scale));
  const ports = program.parameters.filter(({ name }) => !scales.has(name)); // scales come with what they scale
  const isSet = new Set(ports.filter((port) => store.find(port, bytesOf(port))).map((port) => port.name));
  const problems = nameProblems('parameter', new Set(ports.map((port) => port.name)), new Set(Object.keys(source)), isSet);
  let inFlight = 0;
  for (const port of ports) {
    if (!Object.hasOwn(source, port.name)) continue;
    const value = source[port.name]!; // own property
    await device.wait(Promise.resolve(), signal);
    const problem = await setOne(store, program, port, value, problems.length > 0, signal);
    if (problem) problems.push(`parameter ${port.name}: ${problem}`);
    inFlight += bytesOf(port);
    if (inFlight < inFlightBytes) continue;
    device.gpu.queue.submit([]);
    await device.wait(device.gpu.queue.onSubmittedWorkDone(), signal);
    inFlight = 0;
  }
  if (problems.length > 0) throw fail(badInput(`parameters of ${program.name}`, problems));
};
