/**
 * `load` puts a program on a device; the session then runs it as often as wanted.
 *
 * Invariant: runs of a session take turns from the first write of an input to the last submit, since they share its scratch
 * and input buffers; the queue of the GPU keeps that order. Outputs are in buffers of their own, so they outlive later runs.
 */

import type { TaskEither } from 'fp-ts/TaskEither';
import type { PortPlan, Program } from '../../compiler/program.ts';
import { usage } from './device.ts';
import type { Device } from './device.ts';
import { dataProblem, encode, fromBase64 } from './elements.ts';
import type { NumberArray } from './elements.ts';
import { makeBindGroups, submitAtOnce, submitInParts, submitTimed } from './encode.ts';
import type { KernelTiming, Pace, Recording } from './encode.ts';
import { attempt, badInput, badProgram, fail, missingLimits } from './errors.ts';
import type { DeviceError } from './errors.ts';
import { checkFit } from './fit.ts';
import { fillParameters, makeParameterStore, nameProblems, tensorFor } from './parameters.ts';
import type { ParameterSource, ParameterStore } from './parameters.ts';
import { compileKernels } from './pipelines.ts';
import { programProblems } from './saved-program.ts';
import { makeTensor, writeBytes } from './tensor.ts';
import type { DeviceTensor } from './tensor.ts';

export interface LoadOptions {
  /** Weights to share with other sessions of the device; a store of its own if left out, freed by `dispose`. */
  readonly parameters?: ParameterStore;
  readonly signal?: AbortSignal;
  /** Hears of each kernel that is compiled: software adapters need seconds for large ones. */
  readonly onCompiled?: (ready: number, all: number) => void;
}

export interface RunOptions {
  /** Aborting ends the run with `Aborted`; software adapters then stop computing within a fraction of a second. */
  readonly signal?: AbortSignal;
  /** Gets the time of every dispatch; the device needs `timestamp-query`. Slows the run down a little. */
  readonly profile?: (timings: readonly KernelTiming[]) => void;
  /** False: the result comes when the work is on the GPU's queue, not when it is done. */
  readonly wait?: boolean;
}

export type RunInputs = Readonly<Record<string, NumberArray | DeviceTensor>>;
export type RunOutputs = Readonly<Record<string, DeviceTensor>>;

export interface Session {
  readonly program: Program;
  /**
   * Uploads parameters, one at a time; each must be given unless it was set before (by this session or one that shares the
   * store). Errors: `BadInput` with all problems, `OutOfMemory`, `Lost`, `Aborted`.
   */
  readonly setParameters: (source: ParameterSource, options?: { readonly signal?: AbortSignal }) => TaskEither<DeviceError, void>;
  /** One run; the outputs stay on the GPU until disposed. Errors: `BadInput`, `OutOfMemory`, `Validation`, `Lost`, `Aborted`. */
  readonly run: (inputs: RunInputs, options?: RunOptions) => TaskEither<DeviceError, RunOutputs>;
  /** Frees the session's buffers; outputs that are not disposed stay alive. */
  readonly dispose: () => void;
}

/** Buffers that runs hand out as outputs and get back from disposed tensors. */
const makePool = (device: Device) => {
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

/** Runs tasks one after the other; one that fails does not stop the next. */
const makeTurns = (): (<A>(task: () => Promise<A>) => Promise<A>) => {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const mine = last.then(task, task);
    last = mine.catch(() => undefined);
    return mine;
  };
};

/** A loaded program: what `load` made, before parameters and inputs. */
interface Loaded {
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
interface BoundInputs {
  readonly bytes: ReadonlyMap<number, Uint8Array>;
  readonly tensors: ReadonlyMap<number, GPUBuffer>;
}

/** Checks all inputs and all parameters; every problem is in the one `BadInput`. */
const bindInputs = ({ device, program, store }: Loaded, inputs: RunInputs): BoundInputs => {
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
const ownBuffer = async ({ device, program, own }: Loaded, index: number): Promise<GPUBuffer> => {
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

interface RunBuffers {
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
const gatherBuffers = async (loaded: Loaded, { bytes, tensors }: BoundInputs): Promise<RunBuffers> => {
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
const writeInputs = async ({ device }: Loaded, inputs: BoundInputs, all: readonly GPUBuffer[], signal?: AbortSignal): Promise<void> => {
  for (const [index, data] of inputs.bytes) await writeBytes(device, all[index]!, data, signal);
  const copied = [...inputs.tensors].filter(([index, tensor]) => all[index] !== tensor);
  if (copied.length === 0) return;
  const encoder = device.gpu.createCommandEncoder();
  for (const [index, tensor] of copied) encoder.copyBufferToBuffer(tensor, 0, all[index]!, 0, tensor.size);
  device.gpu.queue.submit([encoder.finish()]);
};

const copyOutputs =
  (loaded: Loaded, { all, outputs }: RunBuffers) =>
  (encoder: GPUCommandEncoder): void =>
    loaded.program.outputs.forEach(({ buffer }, i) => {
      const target = outputs[i]!; // one per port
      if (!isComputed(loaded, i)) encoder.copyBufferToBuffer(all[buffer]!, 0, target, 0, target.size);
    });

const submitRun = async (loaded: Loaded, recording: Recording, buffers: RunBuffers, options: RunOptions): Promise<void> => {
  const copies = copyOutputs(loaded, buffers);
  if (options.profile) options.profile(await submitTimed(recording, copies));
  else if (options.signal && loaded.device.profile.class === 'cpu') await submitInParts(recording, copies, loaded.pace, options.signal);
  else await submitAtOnce(recording, copies);
};

const checkRunnable = ({ device }: Loaded, disposed: boolean, options: RunOptions): void => {
  if (disposed) throw fail(badInput('cannot run', ['the session was disposed']));
  if (options.profile && !device.gpu.features.has('timestamp-query')) {
    throw fail(missingLimits([], ['timestamp-query']));
  }
};

const outputTensor = ({ device, pool }: Loaded, { shape, dtype }: PortPlan, buffer: GPUBuffer): DeviceTensor =>
  makeTensor(device, shape, dtype, buffer, pool.release);

/** The run of a loaded program, as `Session.run` promises it. */
const makeRun = (loaded: Loaded, isDisposed: () => boolean) => {
  const { device, program, pipelines, pool } = loaded;
  const groups = makeBindGroups(device, program, pipelines);
  const turn = makeTurns();
  const compute = async (inputs: RunInputs, options: RunOptions): Promise<RunBuffers> => {
    await device.wait(Promise.resolve(), options.signal); // lost or aborted before it began
    checkRunnable(loaded, isDisposed(), options);
    const bound = bindInputs(loaded, inputs);
    const buffers = await gatherBuffers(loaded, bound);
    try {
      await writeInputs(loaded, bound, buffers.all, options.signal);
      const recording = { device, program, pipelines, bindGroup: (dispatch: number) => groups.of(dispatch, buffers.all) };
      await submitRun(loaded, recording, buffers, options);
      return buffers;
    } catch (thrown) {
      groups.clear(); // an invalid one may be among them
      buffers.outputs.forEach(pool.release);
      throw thrown;
    } finally {
      buffers.spare.forEach(pool.release);
    }
  };
  return async (inputs: RunInputs, options: RunOptions): Promise<RunOutputs> => {
    const { outputs } = await turn(() => compute(inputs, options));
    try {
      if (options.wait !== false) await device.wait(device.gpu.queue.onSubmittedWorkDone(), options.signal);
    } catch (thrown) {
      outputs.forEach(pool.release);
      throw thrown;
    }
    return Object.fromEntries(program.outputs.map((port, i) => [port.name, outputTensor(loaded, port, outputs[i]!)])); // one per port
  };
};

/** Constants are written, scratch is allocated; all with the names of the plan. */
const allocateOwn = async (loaded: Loaded): Promise<void> => {
  for (const [index, { kind, data }] of loaded.program.buffers.entries()) {
    if (kind === 'scratch') await ownBuffer(loaded, index);
    if (kind === 'constant') await writeBytes(loaded.device, await ownBuffer(loaded, index), fromBase64(data ?? ''));
  }
};

const loadOn = async (device: Device, program: Program, options: LoadOptions): Promise<Session> => {
  await device.wait(Promise.resolve(), options.signal); // lost or aborted before it began
  const problems = programProblems(program);
  if (problems.length > 0) throw fail(badProgram(problems));
  checkFit(device, program);
  const pipelines = await compileKernels(device, program.kernels, options.signal, options.onCompiled);
  const store = options.parameters ?? makeParameterStore(device);
  const loaded: Loaded = { device, program, store, pipelines, own: new Map(), pool: makePool(device), pace: { part: 4 } };
  let disposed = false;
  const dispose = (): void => {
    if (disposed) return;
    disposed = true;
    for (const buffer of loaded.own.values()) device.free(buffer);
    loaded.pool.close();
    if (!options.parameters) store.dispose();
  };
  try {
    await allocateOwn(loaded);
  } catch (thrown) {
    dispose();
    throw thrown;
  }
  const run = makeRun(loaded, () => disposed);
  return {
    program,
    setParameters: (source, { signal } = {}) => attempt(() => fillParameters(store, program, source, signal)),
    run: (inputs, runOptions = {}) => attempt(() => run(inputs, runOptions)),
    dispose,
  };
};

/**
 * Compiles the kernels, allocates the buffers and uploads the constants of a program. Errors: `BadProgram`,
 * `MissingLimits`, `Validation` (the kernel's name), `OutOfMemory` (the buffer's name), `Lost`, `Aborted`.
 */
export const load = (device: Device, program: Program, options: LoadOptions = {}): TaskEither<DeviceError, Session> =>
  attempt(() => loadOn(device, program, options));
