/** The compiler and a WebAssembly device as a backend. */
import * as E from 'fp-ts/Either';
import { compile } from '../../compiler/compile.ts';
import type { Numbers } from '../../compiler/precision/policy.ts';
import { WASM_BYTES } from '../../compiler/profile.ts';
import { partOf, uploadTo, type WasmDevice, type WasmTensor } from '../runtime/wasm/device.ts';
import { isStored, loadWasm, makeWasmParameterStore, type WasmParameterStore, type WasmSession } from '../runtime/wasm/session.ts';
import type { Backend, BackendError, BackendTensor, Executable, LoadRequest, WeightSource } from './backend.ts';
import { mapEntries, mapped, ofCompileErrors, ofDeviceError } from './wgsl.ts';

/** The device's tensor behind each of ours. */
const homes = new WeakMap<BackendTensor, WasmTensor>();
const tensorOf = (tensor: WasmTensor): BackendTensor => {
  const { shape, dtype, dispose } = tensor;
  const made: BackendTensor = { shape, dtype, read: (options) => mapped(tensor.read(options)), dispose };
  homes.set(made, tensor);
  return made;
};
const own = (tensor: BackendTensor): WasmTensor => {
  const home = homes.get(tensor);
  if (home === undefined) throw new Error('invariant: a tensor of another backend was given to this one');
  return home;
};

const executableOf = (session: WasmSession): Executable => ({
  run:
    (inputs, { signal, into } = {}) =>
    () =>
      session.run(mapEntries(inputs, (value) => (ArrayBuffer.isView(value) ? value : own(value))), { ...(signal && { signal }), ...(into && { into: mapEntries(into, own) }) })()
        .then(E.bimap(ofDeviceError, (outputs) => mapEntries(outputs, tensorOf))),
  dispose: session.dispose,
});

const NO_WEIGHTS: WeightSource = {};

/** A backend on an open device, which `close` ends. */
export const wasmBackend = (device: WasmDevice, numbers: Numbers = {}): Backend => {
  const stores = new WeakMap<WeightSource, WasmParameterStore>();
  const storeOf = (source: WeightSource): WasmParameterStore => {
    const store = stores.get(source) ?? makeWasmParameterStore();
    stores.set(source, store);
    return store;
  };
  const open = async ({ graph, sizes, name, weights = NO_WEIGHTS, parameters: placed, inPlace, taps = false, signal, onCompiled }: LoadRequest): Promise<E.Either<BackendError, Executable>> => {
    if (signal?.aborted) return E.left({ kind: 'aborted', message: 'aborted' });
    const made = compile(graph, { ...numbers, target: 'wasm', sizes, taps, name, ...(inPlace && { inPlace }) });
    if (E.isLeft(made)) return E.left(ofCompileErrors(name, made.left));
    const store = placed === undefined ? storeOf(weights) : makeWasmParameterStore(), program = made.right;
    const loaded = await loadWasm(device, program, { parameters: store })();
    if (E.isLeft(loaded)) return E.left(ofDeviceError(loaded.left));
    onCompiled?.(program.kernels.length, program.kernels.length);
    const wanted = program.parameters.filter((port) => !isStored(store, port) && Object.hasOwn(placed ?? weights, port.name));
    const source = Object.fromEntries(wanted.map((port) => [port.name, placed === undefined ? weights[port.name]! : own(placed[port.name]!)])); // own properties
    const set = await loaded.right.setParameters(source, signal && { signal })();
    if (E.isRight(set)) return E.right(executableOf(loaded.right));
    loaded.right.dispose();
    return E.left(ofDeviceError(set.left));
  };
  const { count } = device.threads, adapter = `WebAssembly SIMD, ${count === 1 ? 'one thread' : `${count} threads`}`;
  return {
    name: 'wasm',
    adapter,
    notice: `adapter: ${adapter}`,
    largest: WASM_BYTES,
    load: (request) => () => open(request),
    upload: (shape, data) => () => uploadTo(device, shape, 'f32', data)().then(E.bimap(ofDeviceError, tensorOf)),
    part: (whole, first, shape) => tensorOf(partOf(device, own(whole), first, shape)),
    close: device.close,
  };
};
