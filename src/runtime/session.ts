/**
 * `load` puts a program on a device; the session then runs it as often as wanted.
 *
 * Invariant: runs of a session take turns from the first write of an input to the last submit, since they share its scratch
 * and input buffers; the queue of the GPU keeps that order. Outputs are in buffers of their own, so they outlive later runs.
 */

import type { TaskEither } from 'fp-ts/TaskEither';
import type { PortPlan, Program } from '../../compiler/program.ts';
import type { Device } from './device.ts';
import { fromBase64 } from './elements.ts';
import { makeBindGroups, submitAtOnce, submitInParts, submitTimed } from './encode.ts';
import type { KernelTiming, Recording } from './encode.ts';
import { attempt, badInput, badProgram, fail, missingLimits } from './errors.ts';
import type { DeviceError } from './errors.ts';
import { checkFit } from './fit.ts';
import { fillParameters, makeParameterStore } from './parameters.ts';
import type { ParameterSource, ParameterStore } from './parameters.ts';
import { compileKernels } from './pipelines.ts';
import { bindInputs, copyOutputs, gatherBuffers, makePool, ownBuffer, writeInputs } from './run-buffers.ts';
import type { BoundInputs, Loaded, RunBuffers, RunInputs } from './run-buffers.ts';
import { programProblems } from './saved-program.ts';
import { hold, makeTensor, writeBytes } from './tensor.ts';
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

/** Runs tasks one after the other; one that fails does not stop the next. */
const makeTurns = (): (<A>(task: () => Promise<A>) => Promise<A>) => {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const mine = last.then(task, task);
    last = mine.catch(() => undefined);
    return mine;
  };
};

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
  const submitWith = async (bound: BoundInputs, options: RunOptions): Promise<RunBuffers> => {
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
  const compute = async (inputs: RunInputs, options: RunOptions): Promise<RunBuffers> => {
    await device.wait(Promise.resolve(), options.signal); // lost or aborted before it began
    checkRunnable(loaded, isDisposed(), options);
    const bound = bindInputs(loaded, inputs);
    const holds = Object.values(inputs).flatMap((input) => (ArrayBuffer.isView(input) ? [] : [hold(input)]));
    try {
      return await submitWith(bound, options);
    } finally {
      for (const letGo of holds) letGo();
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
