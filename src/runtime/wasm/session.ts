/**
 * `loadWasm` puts a program into a device's memory; the session then runs it as often as wanted.
 *
 * Invariant: runs of a device take turns; outputs have memory of their own, inputs that are tensors are read where they are.
 */
import type { TaskEither } from 'fp-ts/TaskEither';
import type { ParameterPlan, PortPlan, WasmProgram } from '../../../compiler/program.ts';
import { dataProblem, elementCount, encode, fromBase64, type NumberArray } from '../elements.ts';
import { attempt, badInput, badProgram, type DeviceError, fail } from '../errors.ts';
import { elementsOf, fillingsOf, nameProblems, type ParameterPort } from '../parameters.ts';
import { programProblems } from '../saved-program.ts';
import { homeOf, newPlace, type Place, tensorAt, type WasmDevice, type WasmTensor, write } from './device.ts';
import type { Task } from './share.ts';
import type { Loaded } from './threads.ts';

/** Elements of a parameter, a tensor of the device, or a function that fetches the elements when it is their turn. */
export type WasmParameterSource = Readonly<Record<string, NumberArray | WasmTensor | ((port: ParameterPort) => NumberArray | Promise<NumberArray>)>>;
export type WasmInputs = Readonly<Record<string, NumberArray | WasmTensor>>;
export type WasmOutputs = Readonly<Record<string, WasmTensor>>;

/** Parameters by name, storage and size, which programs share. */
export interface WasmParameterStore {
  readonly places: Map<string, { readonly place: Place; readonly offset: number }>;
}
export const makeWasmParameterStore = (): WasmParameterStore => ({ places: new Map() });
const storeKey = ({ name, dtype, shape }: ParameterPlan): string => `${dtype} ${elementCount(shape)} ${name}`;

/** Where the elements of a parameter are. */
export const storedAt = ({ places }: WasmParameterStore, port: ParameterPlan) => places.get(storeKey(port));
/** Whether the store has the elements of a parameter. */
export const isStored = (store: WasmParameterStore, port: ParameterPlan): boolean => store.places.has(storeKey(port));

export interface WasmRunOptions {
  readonly signal?: AbortSignal;
  /** Tensors that outputs are written to, by name; those outputs are not returned. */
  readonly into?: WasmOutputs;
}

export interface WasmSession {
  readonly program: WasmProgram;
  /** Writes parameters; each must be given unless the store has it. Errors: `BadInput` with all problems, `OutOfMemory`, `Aborted`. */
  readonly setParameters: (source: WasmParameterSource, options?: { readonly signal?: AbortSignal }) => TaskEither<DeviceError, void>;
  /** One run. Errors: `BadInput`, `OutOfMemory`, `Aborted`, `Lost` (a thread failed). */
  readonly run: (inputs: WasmInputs, options?: WasmRunOptions) => TaskEither<DeviceError, WasmOutputs>;
  readonly dispose: () => void;
}

const isArray = (value: unknown): value is NumberArray => ArrayBuffer.isView(value);
const aborted = (signal: AbortSignal | undefined): void => {
  if (signal?.aborted) throw fail({ _tag: 'Aborted', message: 'aborted' });
};

/** A tensor where a port is expected, or what is wrong with it. */
const placeFor = (device: WasmDevice, { dtype, shape }: Pick<ParameterPlan, 'dtype' | 'shape'>, tensor: WasmTensor): { readonly place: Place; readonly offset: number } | string => {
  if (tensor.dtype !== dtype) return `${tensor.dtype} given, ${dtype} expected`;
  if (elementCount(tensor.shape) !== elementCount(shape)) return `shape [${tensor.shape.join(', ')}] given, [${shape.join(', ')}] expected`;
  return homeOf(device, tensor) ?? 'the tensor was disposed, or belongs to another device';
};

const fillParameters = async (device: WasmDevice, store: WasmParameterStore, program: WasmProgram, source: WasmParameterSource, signal: AbortSignal | undefined): Promise<void> => {
  const scales = new Set(program.parameters.map(({ scale }) => scale)), ports = program.parameters.filter(({ name }) => !scales.has(name));
  const known = new Set(ports.filter((port) => isStored(store, port)).map(({ name }) => name));
  const problems = nameProblems('parameter', new Set(ports.map(({ name }) => name)), new Set(Object.keys(source)), known);
  const fill = (port: ParameterPlan, bytes: Uint8Array): void => {
    const found = store.places.get(storeKey(port)) ?? { place: newPlace(device, `parameter ${port.name}`, program.buffers[port.buffer]!.bytes), offset: 0 }; // checked by `load`
    write(device, found.place.address + found.offset, bytes);
    store.places.set(storeKey(port), found);
  };
  for (const port of ports) {
    if (!Object.hasOwn(source, port.name)) continue;
    aborted(signal);
    const value = source[port.name]!; // own property
    if (typeof value === 'object' && !isArray(value)) {
      const place = placeFor(device, port, value);
      if (typeof place === 'string') { problems.push(`parameter ${port.name}: ${place}`); continue; }
      place.place.hold();
      store.places.get(storeKey(port))?.place.release();
      store.places.set(storeKey(port), place);
      continue;
    }
    const data = await elementsOf(port, value), fillings = typeof data === 'string' ? data : fillingsOf(program, port, data);
    if (typeof fillings === 'string') problems.push(`parameter ${port.name}: ${fillings}`);
    else if (problems.length === 0) for (const filling of fillings) fill(filling.port, filling.bytes);
  }
  if (problems.length > 0) throw fail(badInput(`parameters of ${program.name}`, problems));
};

/** How many pieces of a dispatch each thread takes, about: enough that none waits long for the others. */
const PIECES = 4;
const tasksOf = (program: WasmProgram, threads: number): readonly Task[] => program.dispatches.map(({ kernel, workgroups, bindings }) => {
  const total = workgroups[0] * workgroups[1] * workgroups[2];
  return { kernel: program.kernels[kernel]!.name, total, chunk: Math.max(1, Math.ceil(total / (threads * PIECES))), bindings: bindings.map(({ buffer, offset }) => ({ buffer, offset })) }; // checked by `load`
});

/** The module for a memory that is not shared differs in one flag of its import, which follows `env` and `memory`. */
const forMemory = (module: Uint8Array<ArrayBuffer>, isShared: boolean): Uint8Array<ArrayBuffer> => {
  if (isShared) return module;
  const name = Array.from(new TextEncoder().encode('memory')), at = module.findIndex((_, i) => name.every((byte, k) => module[i + k] === byte));
  const copy = module.slice();
  copy[at + name.length + 1] = 0x01;
  return copy;
};

const compileModule = async (program: WasmProgram, isShared: boolean): Promise<WebAssembly.Module> => {
  try {
    const module = await WebAssembly.compile(forMemory(fromBase64(program.module).slice(0, moduleBytes(program.module)), isShared));
    const names = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
    const missing = program.kernels.filter(({ name }) => !names.has(name)).map(({ name }) => `the module has no function ${name}`);
    const imports = WebAssembly.Module.imports(module).filter(({ module: from, name, kind }) => from !== 'env' || name !== 'memory' || kind !== 'memory');
    if (missing.length + imports.length > 0) throw fail(badProgram([...missing, ...imports.map(({ module: from, name }) => `the module imports ${from}.${name}`)]));
    return module;
  } catch (thrown) {
    if (thrown instanceof WebAssembly.CompileError) throw fail({ _tag: 'Validation', message: `the engine refused the module of ${program.name}: ${thrown.message}`, kernel: program.name });
    throw thrown;
  }
};
const moduleBytes = (base64: string): number => (base64.length / 4) * 3 - (base64.match(/=*$/)?.[0].length ?? 0);

interface State {
  readonly device: WasmDevice;
  readonly program: WasmProgram;
  readonly store: WasmParameterStore;
  /** Addresses of constants, scratch and inputs from the host. */
  readonly own: ReadonlyMap<number, number>;
  readonly loaded: Loaded;
}

const changed = (program: WasmProgram, { name }: PortPlan): boolean => program.updates?.includes(name) === true;

/** Where inputs are, or the bytes of their elements; every problem is in the one `BadInput`. */
const bindAll = ({ device, program, store, own }: State, inputs: WasmInputs, into: WasmOutputs) => {
  const addresses = program.buffers.map((_, buffer) => own.get(buffer) ?? 0), held: Place[] = [], writes: (() => void)[] = [];
  const problems = nameProblems('input', new Set(program.inputs.map(({ name }) => name)), new Set(Object.keys(inputs)));
  for (const port of program.parameters) {
    const found = store.places.get(storeKey(port));
    if (found === undefined) problems.push(`parameter ${port.name} was not set`);
    else addresses[port.buffer] = found.place.address + found.offset;
  }
  for (const port of program.inputs) {
    if (!Object.hasOwn(inputs, port.name)) continue;
    const value = inputs[port.name]!; // own property
    if (isArray(value)) {
      const problem = changed(program, port) ? 'the program changes it, so it must be a tensor of the device' : dataProblem(port.dtype, port.shape, value);
      if (problem !== undefined) problems.push(`input ${port.name}: ${problem}`);
      else writes.push(() => write(device, addresses[port.buffer]!, encode(port.dtype, value)));
      continue;
    }
    const place = placeFor(device, port, value);
    if (typeof place === 'string') problems.push(`input ${port.name}: ${place}`);
    else { addresses[port.buffer] = place.place.address + place.offset; held.push(place.place); }
  }
  const wanted = new Map<number, { readonly place: Place; readonly offset: number }>();
  for (const [name, tensor] of Object.entries(into)) {
    const at = program.outputs.findIndex((port) => port.name === name), place = at < 0 ? 'is not known to the program' : placeFor(device, program.outputs[at]!, tensor); // its index
    if (typeof place === 'string') problems.push(`output ${name}: ${place}`);
    else { wanted.set(at, place); held.push(place.place); }
  }
  if (problems.length > 0) throw fail(badInput(`cannot run ${program.name}`, problems));
  return { addresses, held, writes, wanted };
};

const runOnce = async (state: State, inputs: WasmInputs, { signal, into = {} }: WasmRunOptions): Promise<WasmOutputs> => {
  const { device, program, loaded } = state;
  aborted(signal);
  const { addresses, held, writes, wanted } = bindAll(state, inputs, into);
  const made: Place[] = [];
  held.forEach((place) => place.hold());
  try {
    const outputs = program.outputs.map((port, at) => {
      const given = wanted.get(at);
      const place = given?.place ?? newPlace(device, `output ${port.name}`, program.buffers[port.buffer]!.bytes); // checked by `load`
      if (given === undefined) made.push(place);
      addresses[port.buffer] = place.address + (given?.offset ?? 0);
      return { port, place, isGiven: given !== undefined };
    });
    writes.forEach((put) => put());
    await loaded.run(addresses, signal);
    return Object.fromEntries(outputs.flatMap(({ port, place, isGiven }) => (isGiven ? [] : [[port.name, tensorAt(device, port.shape, port.dtype, place)] as const])));
  } catch (thrown) {
    made.forEach((place) => place.release());
    throw thrown;
  } finally {
    held.forEach((place) => place.release());
  }
};

/** Runs of one device, one after the other. */
const turns = new WeakMap<WasmDevice, Promise<unknown>>();
const inTurn = <A>(device: WasmDevice, task: () => Promise<A>): Promise<A> => {
  const before = turns.get(device) ?? Promise.resolve(), mine = before.then(task, task);
  turns.set(device, mine.catch(() => undefined));
  return mine;
};

const loadOn = async (device: WasmDevice, program: WasmProgram, store: WasmParameterStore): Promise<WasmSession> => {
  const problems = programProblems(program);
  if (problems.length > 0) throw fail(badProgram(problems));
  const { heap, threads } = device, places: number[] = [], own = new Map<number, number>();
  const allocate = (label: string, bytes: number): number => {
    const address = heap.allocate(label, bytes);
    places.push(address);
    return address;
  };
  try {
    const module = await compileModule(program, heap.isShared);
    program.buffers.forEach(({ kind, label, bytes, data }, buffer) => {
      if (kind === 'parameter' || kind === 'output') return;
      const address = allocate(`${kind} ${label}`, bytes);
      own.set(buffer, address);
      if (kind === 'constant') write(device, address, fromBase64(data ?? '').subarray(0, bytes));
    });
    const scratch = Array.from({ length: threads.count }, () => allocate('memory of a thread', program.scratchBytes));
    const loaded = await threads.load(module, heap.memory, tasksOf(program, threads.count), (thread) => scratch[thread]!); // one for each
    const state: State = { device, program, store, own, loaded };
    let isDisposed = false;
    return {
      program,
      setParameters: (source, { signal } = {}) => attempt(() => fillParameters(device, store, program, source, signal)),
      run: (inputs, options = {}) => attempt(() => inTurn(device, () => {
        if (isDisposed) throw fail(badInput('cannot run', ['the session was disposed']));
        return runOnce(state, inputs, options);
      })),
      dispose: () => {
        if (isDisposed) return;
        isDisposed = true;
        void inTurn(device, async () => {
          loaded.unload();
          places.forEach(heap.free);
        });
      },
    };
  } catch (thrown) {
    places.forEach(heap.free);
    throw thrown;
  }
};

/** Compiles the module of a program and allocates what its memory plan says. Errors: `BadProgram`, `Validation`, `OutOfMemory`. */
export const loadWasm = (device: WasmDevice, program: WasmProgram, { parameters = makeWasmParameterStore() }: { readonly parameters?: WasmParameterStore } = {}): TaskEither<DeviceError, WasmSession> =>
  attempt(() => loadOn(device, program, parameters));
