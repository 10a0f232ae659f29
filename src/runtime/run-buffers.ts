/**
 * The buffers of a run: which buffer of the GPU stands for which buffer of the program's plan.
 *
 * Invariant: constants, scratch and host inputs have buffers that the session keeps; parameters are the store's; a tensor that
 * is fed is read where it is; outputs come from a pool, so no two living tensors share a buffer.
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
import type { DeviceTensor } from './tensor.ts';

/** Inputs of a run by port name: elements from the host, or tensors that are on the device. */
export type RunInputs = Readonly<Record<string, NumberArray | DeviceTensor>>;

/** Buffers that runs hand out as outputs and get back from disposed tensors. */
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
  /** Constants and scratch by buffer index; input buffers are added when host data first needs them. */
  readonly own: Map<number, GPUBuffer>;
  readonly pool: Pool;
  readonly pace: Pace;
}

/** Host inputs in the bytes of their buffers, and the buffers of tensor inputs, by buffer index. */
export interface BoundInputs {
  readonly bytes: ReadonlyMap<number, Uint8Array>;
  readonly tensors: ReadonlyMap<number, GPUBuffer>;
}

/** Checks all inputs and all parameters; every problem is in the one `BadInput`. */
export const bindInputs = ({ device, program, store }: Loaded, inputs: RunInputs): BoundInputs => {
  const bytes = new Map<number, Uint8Array>();
  const tensors = new Map<number, GPUBuffer>();
  const problems = nameProblems('input', new Set(program.inputs.map(({ name }) => name)), new Set(Object.keys(inputs)));
  const unset = program.parameters.filter((port) => !store.find(port, program.buffers[port.buffer]!.bytes));
  problems.push(...unset.map(({ name }) => `parameter ${name} was not set`));
  for (const port of program.inputs) {
    if (!Object.hasOwn(inputs, port.name)) continue;
    const value = inputs[port.name]!; // own property
    const problem = ArrayBuffer.isView(value) ? dataProblem(port.dtype, port.shape, value) : tensorFor(device, port, value);
    if (typeof problem === 'string') problems.push(`input ${port.name}: ${problem}`);
    else if (problem) tensors.set(port.buffer, problem);
    else if (ArrayBuffer.isView(value)) bytes.set(port.buffer, encode(port.dtype, value));
  }
  if (problems.length > 0) throw fail(badInput(`cannot run ${program.name}`, problems));
  return { bytes, tensors };
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
  readonly all: readonly GPUBuffer[];
  /** By output port. */
  readonly outputs: readonly GPUBuffer[];
  /** Of the pool, but of no port: outputs that a program computes and does not return. */
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

/** A buffer for every index of the plan, for one run. */
export const gatherBuffers = async (loaded: Loaded, { bytes, tensors }: BoundInputs): Promise<RunBuffers> => {
  const { program, store, own, pool } = loaded;
  for (const index of bytes.keys()) await ownBuffer(loaded, index);
  const fits = (index: number): boolean => (tensors.get(index)?.size ?? 0) >= program.buffers[index]!.bytes;
  for (const index of tensors.keys()) if (!fits(index)) await ownBuffer(loaded, index);
  const returned = program.outputs.map(({ name, buffer }) => ({ label: `output ${name}`, bytes: program.buffers[buffer]!.bytes }));
  const unreturned = program.buffers.flatMap(({ kind, label, bytes: size }, index) =>
    kind === 'output' && !program.outputs.some(({ buffer }) => buffer === index) ? [{ index, label, bytes: size }] : [],
  );
  const taken = await takeAll(pool, [...returned, ...unreturned]);
  const outputs = taken.slice(0, returned.length);
  const spare = taken.slice(returned.length);
  const computed = new Map<number, GPUBuffer>(unreturned.map(({ index }, i) => [index, spare[i]!]));
  program.outputs.forEach(({ buffer }, i) => isComputed(loaded, i) && computed.set(buffer, outputs[i]!));
  const parameters = new Map(program.parameters.map((port) => [port.buffer, store.find(port, program.buffers[port.buffer]!.bytes)]));
  const direct = (index: number): GPUBuffer | undefined => (fits(index) ? tensors.get(index) : undefined);
  // Every index is in one of the maps: `programProblems` has checked the kinds.
  const all = program.buffers.map((_, index) => computed.get(index) ?? parameters.get(index) ?? direct(index) ?? own.get(index)!);
  return { all, outputs, spare };
};

/** Puts the inputs where the kernels read them. Tensors that are large enough are read where they are. */
export const writeInputs = async (
  { device }: Loaded,
  inputs: BoundInputs,
  all: readonly GPUBuffer[],
  signal?: AbortSignal,
): Promise<void> => {
  for (const [index, data] of inputs.bytes) await writeBytes(device, all[index]!, data, signal);
  const copied = [...inputs.tensors].filter(([index, tensor]) => all[index] !== tensor);
  if (copied.length === 0) return;
  const encoder = device.gpu.createCommandEncoder();
  for (const [index, tensor] of copied) encoder.copyBufferToBuffer(tensor, 0, all[index]!, 0, tensor.size);
  device.gpu.queue.submit([encoder.finish()]);
};

export const copyOutputs =
  (loaded: Loaded, { all, outputs }: RunBuffers) =>
  (encoder: GPUCommandEncoder): void =>
    loaded.program.outputs.forEach(({ buffer }, i) => {
      const target = outputs[i]!; // one per port
      if (!isComputed(loaded, i)) encoder.copyBufferToBuffer(all[buffer]!, 0, target, 0, target.size);
    });
