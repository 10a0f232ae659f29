/** The compiler and a WebGPU device as a backend. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { costsOf } from '../../compiler/analysis/cost.ts';
import { explain } from '../../compiler/compile.ts';
import { type CompileError, showCompileError } from '../../compiler/errors.ts';
import type { Numbers } from '../../compiler/precision/policy.ts';
import { profileOf } from '../../compiler/profile.ts';
import type { ParameterPlan, Program } from '../../compiler/program.ts';
import type { TunedSchedules } from '../../compiler/tuning/table.ts';
import { compileAloud } from '../debug.ts';
import { adapterName } from '../runtime/adapter-profile.ts';
import type { Device } from '../runtime/device.ts';
import type { DeviceError } from '../runtime/errors.ts';
import { makeParameterStore, parametersAt, type ParameterSource, type ParameterStore } from '../runtime/parameters.ts';
import { makeRecorder, type Recorder as DeviceRecorder } from '../runtime/recorder.ts';
import { load, type Session } from '../runtime/session.ts';
import { type DeviceTensor, part, upload } from '../runtime/tensor.ts';
import type { Backend, BackendError, BackendTensor, Executable, Inputs, LoadRequest, Recorder, RunOptions, WeightSource } from './backend.ts';

const KINDS: Readonly<Record<DeviceError['_tag'], BackendError['kind']>> = {
  NoAdapter: 'adapter',
  MissingLimits: 'limit',
  Lost: 'lost',
  OutOfMemory: 'memory',
  Validation: 'device',
  Aborted: 'aborted',
  BadInput: 'input',
  BadProgram: 'device',
};

export const ofDeviceError = (error: DeviceError): BackendError => ({ kind: KINDS[error._tag], message: error.message });

/** All errors of a program in one message. It is a `limit` when limits are all that is wrong. */
export const ofCompileErrors = (name: string, errors: readonly CompileError[]): BackendError => ({
  kind: errors.every((error) => error.kind === 'limit') ? 'limit' : 'program',
  message: `${name} cannot be compiled:${errors.map((error) => `\n  - ${showCompileError(error)}`).join('')}`,
});

/** A task of the runtime as one of a backend. */
export const mapped =
  <A>(task: TaskEither<DeviceError, A>): TaskEither<BackendError, A> =>
  () =>
    task().then(E.mapLeft(ofDeviceError));

/** The device's tensor behind each of ours. */
const homes = new WeakMap<BackendTensor, DeviceTensor>();

const tensorOf = (tensor: DeviceTensor): BackendTensor => {
  const { shape, dtype, dispose } = tensor;
  const made: BackendTensor = { shape, dtype, read: (options) => mapped(tensor.read(options)), dispose };
  homes.set(made, tensor);
  return made;
};

const homeOf = (tensor: BackendTensor): DeviceTensor => {
  const home = homes.get(tensor);
  if (home === undefined) throw new Error('invariant: a tensor of another backend was given to this one');
  return home;
};

const elementsOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Whether a port takes a tensor under another shape of the same size. */
const isReshaped = (tensor: DeviceTensor, shape: readonly number[] | undefined): shape is readonly number[] =>
  shape !== undefined && shape.join() !== tensor.shape.join() && elementsOf(shape) === elementsOf(tensor.shape);

/** Runs with what the session takes: host data as it is, tensors under the shapes of the program's ports. */
const runOf = async (session: Session, inputs: Inputs, { recorder, into, ...options }: RunOptions): ReturnType<ReturnType<Executable['run']>> => {
  const shapes = new Map(session.program.inputs.map(({ name, shape }) => [name, shape]));
  const reshaped: DeviceTensor[] = [];
  const given = mapEntries(inputs, (value, name) => {
    if (ArrayBuffer.isView(value)) return value;
    const home = homeOf(value),
      shape = shapes.get(name);
    if (!isReshaped(home, shape)) return home;
    const made = part(home, 0, shape);
    reshaped.push(made);
    return made;
  });
  const recorded = recorder && { recorder: recorderOf(recorder) }, places = into && { into: mapEntries(into, homeOf) };
  const result = await session.run(given, { ...options, ...recorded, ...places })();
  for (const tensor of reshaped) tensor.dispose();
  return E.isLeft(result) ? E.left(ofDeviceError(result.left)) : E.right(mapEntries(result.right, (tensor) => tensorOf(tensor)));
};

/** The device's recorder behind each of ours. */
const recorders = new WeakMap<Recorder, DeviceRecorder>();
const recorderOf = (recorder: Recorder): DeviceRecorder => {
  const found = recorders.get(recorder);
  if (found === undefined) throw new Error('invariant: a recorder of another backend was given to this one');
  return found;
};
const recorderOn = (device: Device): Recorder => {
  const recorder = makeRecorder(device);
  const made: Recorder = { submit: () => mapped(recorder.submit()), done: (signal) => mapped(recorder.done(signal)) };
  recorders.set(made, recorder);
  return made;
};

/** The same names with other values. */
export const mapEntries = <A, B>(record: Readonly<Record<string, A>>, change: (value: A, name: string) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value, name)]));

/** What the store lacks of the program's parameters, out of the source; names that the source lacks are reported by the session. */
const lackingParameters = (program: Program, store: ParameterStore, source: WeightSource): ParameterSource => {
  const isSet = (port: ParameterPlan): boolean => store.find(port, program.buffers[port.buffer]!.bytes) !== undefined; // `load` checked the index
  const wanted = program.parameters.filter((port) => !isSet(port) && Object.hasOwn(source, port.name));
  return Object.fromEntries(wanted.map(({ name }) => [name, source[name]!])); // own property
};

const executableOf = (session: Session): Executable => ({
  run:
    (inputs, options = {}) =>
    () =>
      runOf(session, inputs, options),
  dispose: session.dispose,
});

const NO_WEIGHTS: WeightSource = {};

/** What all programs of a backend have in common: how they keep their numbers, and schedules that were measured on the adapter. */
export interface WgslOptions extends Numbers {
  readonly tuned?: TunedSchedules;
}

/** A backend on an open device, which `close` destroys. `notice` says which adapter that is. */
export const wgslBackend = (device: Device, notice: string, options: WgslOptions = {}): Backend => {
  const profile = profileOf(device.profile.class, device.profile.limits, device.profile.features);
  const stores = new WeakMap<WeightSource, ParameterStore>();
  const storeOf = (source: WeightSource): ParameterStore => {
    const store = stores.get(source) ?? makeParameterStore(device);
    stores.set(source, store);
    return store;
  };
  const open = async ({
    graph,
    sizes,
    name,
    weights = NO_WEIGHTS,
    parameters: placed,
    inPlace,
    numbers,
    taps = false,
    signal,
    onCompiled,
  }: LoadRequest): Promise<E.Either<BackendError, Executable>> => {
    const program = compileAloud(graph, { ...options, ...numbers, sizes, profile, taps, name, ...(inPlace && { inPlace }) });
    if (E.isLeft(program)) return E.left(ofCompileErrors(name, program.left));
    const parameters = placed === undefined ? storeOf(weights) : parametersAt(device, mapEntries(placed, homeOf));
    const loaded = await load(device, program.right, { parameters, ...(signal && { signal }), ...(onCompiled && { onCompiled }) })();
    if (E.isLeft(loaded)) return E.left(ofDeviceError(loaded.left));
    const set = await loaded.right.setParameters(lackingParameters(program.right, parameters, weights), signal && { signal })();
    if (E.isRight(set)) return E.right(executableOf(loaded.right));
    loaded.right.dispose();
    return E.left(ofDeviceError(set.left));
  };
  return {
    name: 'wgsl',
    adapter: adapterName(device.profile),
    largest: Math.min(profile.limits.maxStorageBufferBindingSize, profile.limits.maxBufferSize),
    notice,
    load: (request) => () => open(request),
    estimate: ({ graph, sizes, name, inPlace, numbers }) => {
      const made = explain(graph, { ...options, ...numbers, sizes, profile, name, ...(inPlace && { inPlace }) });
      if (E.isLeft(made)) return E.left(ofCompileErrors(name, made.left));
      const { program, kernels } = made.right, own = program.buffers.filter(({ kind }) => kind !== 'parameter' && kind !== 'output');
      return E.right({ bytes: own.reduce((sum, { bytes }) => sum + bytes, 0), flops: costsOf(kernels).reduce((sum, { flops }) => sum + flops, 0) });
    },
    upload: (shape, data) => () => upload(device, shape, 'f32', data)().then(E.bimap(ofDeviceError, tensorOf)),
    part: (whole, first, shape) => tensorOf(part(homeOf(whole), first, shape)),
    record: () => recorderOn(device),
    forget: (weights) => {
      stores.get(weights)?.dispose();
      stores.delete(weights);
    },
    close: device.destroy,
  };
};
