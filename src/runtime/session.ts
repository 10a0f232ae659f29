/**
 * `load` puts a program on a device; the session then runs it as often as wanted.
 *
 * Invariant: runs of a session take turns from the first write of an input to the last submit, since they share its scratch; the
 * queue of the GPU, or the recorder, keeps that order. Outputs are in buffers of their own, so they outlive later runs.
 */

import type { TaskEither } from 'fp-ts/TaskEither';
import type { Program } from '../../compiler/program.ts';
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
import type { Recorder } from './recorder.ts';
import { bindInputs, copyInputs, copyOutputs, gatherBuffers, makePool, ownBuffer, writeInputs } from './run-buffers.ts';
import type { BoundInputs, Loaded, OutputPlaces, RunBuffers, RunInputs } from './run-buffers.ts';
import { programProblems } from './saved-program.ts';
import { hold, makeTensor, settled, writeBytes } from './tensor.ts';
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
  /** Tensors that outputs are written to, by name; those outputs are not returned. */
  readonly into?: OutputPlaces;
  /** False: the result comes when the work is on the GPU's queue, not when it is done. */
  readonly wait?: boolean;
  /** Records the run, to be submitted with others; the result comes at once. Not with `profile`. */
  readonly recorder?: Recorder;
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

const submitRun = async ({ device, pace }: Loaded, recording: Recording, { profile, signal }: RunOptions): Promise<void> => {
  if (profile) profile(await submitTimed(recording));
  else if (signal && device.profile.class === 'cpu') await submitInParts(recording, pace, signal);
  else await submitAtOnce([recording]);
};

const checkRunnable = ({ device }: Loaded, disposed: boolean, options: RunOptions): void => {
  if (disposed) throw fail(badInput('cannot run', ['the session was disposed']));
  if (options.profile && !device.gpu.features.has('timestamp-query')) {
    throw fail(missingLimits([], ['timestamp-query']));
  }
};

const outputTensors = ({ device, program, pool }: Loaded, { outputs, returned }: RunBuffers, settle?: () => Promise<void>): RunOutputs =>
  Object.fromEntries(
    program.outputs.flatMap(({ name, shape, dtype }, i) => {
      const { buffer } = outputs[i]!; // one per port
      if (!returned.includes(buffer)) return [];
      return [[name, makeTensor(device, shape, dtype, { buffer, release: pool.release, ...(settle && { settle }) })] as const];
    }),
  );

/** Holds tensors in place until the answer is called. */
const holdAll = (tensors: readonly DeviceTensor[]): (() => void) => {
  const holds = tensors.map(hold);
  return () => holds.forEach((letGo) => letGo());
};

/** The run of a loaded program, as `Session.run` promises it. */
const makeRun = (loaded: Loaded, isDisposed: () => boolean) => {
  const { device, program, pipelines, pool } = loaded;
  const groups = makeBindGroups(device, program, pipelines);
  const turn = makeTurns();
  const prepare = async (bound: BoundInputs, signal: AbortSignal | undefined): Promise<RunBuffers> => {
    const buffers = await gatherBuffers(loaded, bound);
    try {
      await writeInputs(loaded, bound, buffers, signal);
      return buffers;
    } catch (thrown) {
      [...buffers.returned, ...buffers.spare].forEach(pool.release);
      throw thrown;
    }
  };
  /** Records or submits; `over` is called, once, when inputs and spare buffers are no longer needed. */
  const submitWith = async (bound: BoundInputs, buffers: RunBuffers, options: RunOptions, over: () => void): Promise<RunOutputs> => {
    const bindGroup = (dispatch: number): GPUBindGroup => groups.of(dispatch, buffers.all);
    const recording = { device, program, pipelines, bindGroup, before: copyInputs(loaded, bound, buffers), after: copyOutputs(loaded, buffers) };
    const finish = (submitted: boolean): void => {
      if (!submitted) groups.clear(); // an invalid one may be among them
      over();
    };
    if (options.recorder && !options.profile) {
      // outputs stay in place too: what is written into a buffer that was given back would be overwritten by this run
      let letGo = (): void => undefined;
      const settle = options.recorder.add(recording, (submitted) => {
        finish(submitted);
        letGo();
      });
      const outputs = outputTensors(loaded, buffers, settle);
      letGo = holdAll(Object.values(outputs));
      return outputs;
    }
    let submitted = false;
    try {
      await submitRun(loaded, recording, options);
      submitted = true;
    } finally {
      finish(submitted);
      if (!submitted) buffers.returned.forEach(pool.release);
    }
    return outputTensors(loaded, buffers);
  };
  const compute = async (inputs: RunInputs, options: RunOptions): Promise<RunOutputs> => {
    await device.wait(Promise.resolve(), options.signal); // lost or aborted before it began
    checkRunnable(loaded, isDisposed(), options);
    const bound = bindInputs(loaded, inputs, options.into);
    const fed = [...Object.values(inputs).flatMap((input) => (ArrayBuffer.isView(input) ? [] : [input])), ...Object.values(options.into ?? {})];
    const letGo = holdAll(fed);
    let buffers;
    try {
      for (const tensor of fed) if (!options.recorder) await settled(tensor);
      buffers = await prepare(bound, options.signal);
    } catch (thrown) {
      letGo();
      throw thrown;
    }
    const { spare } = buffers;
    return submitWith(bound, buffers, options, () => {
      letGo();
      spare.forEach(pool.release);
    });
  };
  return async (inputs: RunInputs, options: RunOptions): Promise<RunOutputs> => {
    const outputs = await turn(() => compute(inputs, options));
    try {
      if (options.wait !== false && !options.recorder) await device.wait(device.gpu.queue.onSubmittedWorkDone(), options.signal);
    } catch (thrown) {
      for (const tensor of Object.values(outputs)) tensor.dispose();
      throw thrown;
    }
    return outputs;
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
