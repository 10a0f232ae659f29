/**
 * The buffers of a run: which place on the GPU stands for which buffer of the program's plan.
 *
 * Invariant: constants, scratch and copies of tensors have buffers that the session keeps; parameters are the store's; a tensor that
 * is fed is read where it is, if a kernel can bind it there; outputs and host inputs come from a pool, so no two living tensors share
 * a buffer, and a run that waits for its submit keeps its inputs.
 */

import type { Program } from '../../compiler/program.ts';
import { usage } from './device.ts';
import type { Device } from './device.ts';
import { dataProblem, encode } from './elements.ts';
import type { NumberArray } from './elements.ts';
import type { Pace } from './encode.ts';
import { badInput, fail } from './errors.ts';
import { nameProblems, tensorFor } from './parameters.ts';
import type { ParameterStore } from './parameters.ts';
import { writeBytes } from './tensor.ts';
import type { DeviceTensor, Place } from './tensor.ts';

/** Inputs of a run by port name: elements from the host, or tensors that are on the device. */
export type RunInputs = Readonly<Record<string, NumberArray | DeviceTensor>>;

/** Buffers that runs hand out as outputs and get back from disposed tensors, and those that host inputs are written to. */
export const makePool = (device: Device) => {
  const free = new Map<number, GPUBuffer[]>();
  let closed = false;
  return {
    take: async (label: string, bytes: number): Promise<GPUBuffer> =>
      free.get(bytes)?.pop() ?? device.allocate(label, bytes, usage.storage | usage.copySource | usage.copyTarget),
    release: (buffer: GPUBuffer): void => {
      if (closed) return device.free(buffer);
      free.set(buffer.size, [...(free.get(buffer.size) ?? []), buffer]);
    },
    close: (): void => {
      closed = true;
      for (const buffers of free.values()) buffers.forEach(device.free);
      free.clear();
    },
  };
};

type Pool = ReturnType<typeof makePool>;

/** A loaded program: what `load` made, before parameters and inputs. */
export interface Loaded {
  readonly device: Device;
  readonly program: Program;
  readonly store: ParameterStore;
  readonly pipelines: readonly GPUComputePipeline[];
  /** Constants and scratch by buffer index; input buffers are added when a tensor first has to be copied there. */
  readonly own: Map<number, GPUBuffer>;
  readonly pool: Pool;
  readonly pace: Pace;
}

/** Host inputs in the bytes of their buffers, and the places of tensor inputs, by buffer index. */
export interface BoundInputs {
  readonly bytes: ReadonlyMap<number, Uint8Array>;
  readonly tensors: ReadonlyMap<number, Place>;
  /** Where outputs are wanted, by output port; the others go to buffers of the pool. */
  readonly wanted: ReadonlyMap<number, Place>;
}

/** Tensors that outputs are written to, by port name. */
export type OutputPlaces = Readonly<Record<string, DeviceTensor>>;

/** Checks all inputs and all parameters; every problem is in the one `BadInput`. */
export const bindInputs = (loaded: Loaded, inputs: RunInputs, into: OutputPlaces = {}): BoundInputs => {
  const { device, program, store } = loaded;
  const bytes = new Map<number, Uint8Array>();
  const tensors = new Map<number, Place>();
  const problems = nameProblems('input', new Set(program.inputs.map(({ name }) => name)), new Set(Object.keys(inputs)));
  const unset = program.parameters.filter((port) => !store.find(port, program.buffers[port.buffer]!.bytes));
  problems.push(...unset.map(({ name }) => `parameter ${name} was not set`));
  for (const port of program.inputs) {
    if (!Object.hasOwn(inputs, port.name)) continue;
    const value = inputs[port.name]!; // own property
    const changed = program.updates?.includes(port.name) === true;
    const problem = ArrayBuffer.isView(value) ? (changed ? CHANGED : dataProblem(port.dtype, port.shape, value)) : tensorFor(device, port, value);
    if (changed && problem && typeof problem !== 'string' && !isBindable(loaded, port.buffer, problem)) problems.push(`input ${port.name}: ${UNBINDABLE}`);
    if (typeof problem === 'string') problems.push(`input ${port.name}: ${problem}`);
    else if (problem) tensors.set(port.buffer, problem);
    else if (ArrayBuffer.isView(value)) bytes.set(port.buffer, encode(port.dtype, value));
  }
  const { places, mistakes } = wantedPlaces(loaded, into);
  problems.push(...mistakes);
  if (problems.length > 0) throw fail(badInput(`cannot run ${program.name}`, problems));
  return { bytes, tensors, wanted: places };
};

const CHANGED = 'the program changes it, so it must be a tensor of the device';
const UNBINDABLE = 'kernels cannot write there: a part must begin at a multiple of 256 bytes, and its buffer reach 16 bytes further at most';

/** The places of tensors that outputs are written to. */
const wantedPlaces = (loaded: Loaded, into: OutputPlaces): { readonly places: ReadonlyMap<number, Place>; readonly mistakes: readonly string[] } => {
  const { device, program } = loaded, places = new Map<number, Place>(), mistakes: string[] = [];
  for (const [name, tensor] of Object.entries(into)) {
    const at = program.outputs.findIndex((port) => port.name === name), port = program.outputs[at];
    const place = port === undefined ? 'is not known to the program' : tensorFor(device, port, tensor);
    if (typeof place === 'string') mistakes.push(`output ${name}: ${place}`);
    else if (!isBindable(loaded, port!.buffer, place)) mistakes.push(`output ${name}: ${UNBINDABLE}`); // a place was found for it
    else places.set(at, place);
  }
  return { places, mistakes };
};

/** The buffer at `index` that the session keeps, made when it is first wanted. */
export const ownBuffer = async ({ device, program, own }: Loaded, index: number): Promise<GPUBuffer> => {
  const known = own.get(index);
  if (known) return known;
  const { kind, label, bytes } = program.buffers[index]!; // indices were checked by `load`, here and below
  const made = await device.allocate(`${kind} ${label}`, bytes, usage.storage | usage.copyTarget | usage.copySource);
  own.set(index, made);
  return made;
};

/** Output ports that cannot be computed in place (a second name for a tensor, or one that the run got) are copied. */
const isComputed = ({ program }: Loaded, index: number): boolean => {
  const { buffer } = program.outputs[index]!;
  return program.buffers[buffer]!.kind === 'output' && program.outputs.findIndex((port) => port.buffer === buffer) === index;
};

export interface RunBuffers {
  /** By buffer index. */
  readonly all: readonly Place[];
  /** By output port: where its elements are to be. */
  readonly outputs: readonly Place[];
  /** Of the pool, for outputs that no place was given for. */
  readonly returned: readonly GPUBuffer[];
  /** Of the pool, but of no port: host inputs, and outputs that a program computes and does not return. */
  readonly spare: readonly GPUBuffer[];
}

/** Takes from the pool what fits, in order; gives everything back if memory ends half-way. */
const takeAll = async (
  pool: Pool,
  wanted: readonly { readonly label: string; readonly bytes: number }[],
): Promise<readonly GPUBuffer[]> => {
  const taken: GPUBuffer[] = [];
  try {
    for (const { label, bytes } of wanted) taken.push(await pool.take(label, bytes));
    return taken;
  } catch (thrown) {
    taken.forEach(pool.release);
    throw thrown;
  }
};

/** Whether kernels can bind a tensor where it is: it must be long enough, and begin where a binding may. */
const isBindable = ({ device, program }: Loaded, index: number, { buffer, offset }: Place): boolean =>
  buffer.size - offset >= program.buffers[index]!.bytes && offset % device.gpu.limits.minStorageBufferOffsetAlignment === 0;

/** A place for every index of the plan, for one run. */
export const gatherBuffers = async (loaded: Loaded, { bytes, tensors, wanted }: BoundInputs): Promise<RunBuffers> => {
  const { program, store, own, pool } = loaded;
  for (const [index, place] of tensors) if (!isBindable(loaded, index, place)) await ownBuffer(loaded, index);
  const asked = program.outputs.filter((_, i) => !wanted.has(i)).map(({ name, buffer }) => ({ label: `output ${name}`, bytes: program.buffers[buffer]!.bytes }));
  const unreturned = program.buffers.flatMap(({ kind }, index) =>
    bytes.has(index) || (kind === 'output' && !program.outputs.some(({ buffer }) => buffer === index)) ? [index] : [],
  );
  const planned = (index: number) => ({ label: `${program.buffers[index]!.kind} ${program.buffers[index]!.label}`, bytes: program.buffers[index]!.bytes });
  const taken = await takeAll(pool, [...unreturned.map(planned), ...asked]);
  const spare = taken.slice(0, unreturned.length);
  const returned = taken.slice(unreturned.length), rest = [...returned];
  const outputs = program.outputs.map((_, i) => wanted.get(i) ?? whole(rest.shift()!)); // one for each that is not given
  const places = new Map<number, Place>(unreturned.map((index, i) => [index, whole(spare[i]!)]));
  program.outputs.forEach(({ buffer }, i) => isComputed(loaded, i) && places.set(buffer, outputs[i]!));
  for (const port of program.parameters) places.set(port.buffer, store.find(port, program.buffers[port.buffer]!.bytes)!); // `bindInputs` checked it
  for (const [index, place] of tensors) if (isBindable(loaded, index, place)) places.set(index, place);
  // Every index is in one of the maps: `programProblems` has checked the kinds.
  const all = program.buffers.map((_, index) => places.get(index) ?? whole(own.get(index)!));
  return { all, outputs, returned, spare };
};

const whole = (buffer: GPUBuffer): Place => ({ buffer, offset: 0 });

/** Writes host inputs to the buffers that this run has for them. */
export const writeInputs = async ({ device }: Loaded, { bytes }: BoundInputs, { all }: RunBuffers, signal?: AbortSignal): Promise<void> => {
  for (const [index, data] of bytes) await writeBytes(device, all[index]!.buffer, data, signal);
};

/** Brings tensors that cannot be bound where they are to the session's own buffers. */
export const copyInputs =
  ({ program }: Loaded, { tensors }: BoundInputs, { all }: RunBuffers) =>
  (encoder: GPUCommandEncoder): void => {
    for (const [index, { buffer, offset }] of tensors) {
      const target = all[index]!;
      if (target.buffer === buffer) continue;
      encoder.copyBufferToBuffer(buffer, offset, target.buffer, 0, Math.min(program.buffers[index]!.bytes, buffer.size - offset));
    }
  };

/** Copies outputs that are not computed in place. */
export const copyOutputs =
  (loaded: Loaded, { all, outputs }: RunBuffers) =>
  (encoder: GPUCommandEncoder): void =>
    loaded.program.outputs.forEach(({ buffer }, i) => {
      const source = all[buffer]!, target = outputs[i]!; // one per port
      if (!isComputed(loaded, i)) encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, loaded.program.buffers[buffer]!.bytes);
    });
