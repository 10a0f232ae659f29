/**
 * Our own peer: the workloads in our language, compiled and run by the package as it is published (dist/). Variants: webgpu, wasm.
 *
 * The first call is everything from the graph to the numbers: trace, compile to WGSL, the driver's compilation, upload of the
 * weights, run. Inputs are on the device before.
 */
import { loadWasm, nodeThreads, openWasmDevice, wasmUpload } from '../dist/index.js';
import { counts } from './lib/webgpu-count.mjs';
import { canRun } from './ours/graphs.mjs';
import { compilerOptions, compileWorkload, countOwnCalls, loadWorkload, openDevice, orThrow, summaryOf, uploadInputs } from './ours/session.mjs';

export const variants = ['webgpu', 'wasm'];
export const supports = (spec) => canRun(spec.kind);

/** On WebAssembly: the same calls of another runtime. */
const openWasm = async ({ workload, spec, tensors, threads }) => {
  const device = await orThrow(openWasmDevice(() => nodeThreads(threads))), facts = {}, inputs = {};
  for (const [name] of spec.input) inputs[name] = await orThrow(wasmUpload(device, tensors[name].shape, tensors[name].data instanceof Int32Array ? 'i32' : 'f32', tensors[name].data));
  let session, names;
  const start = async () => {
    const compiled = compileWorkload(spec, tensors, undefined, workload, { target: 'wasm', ...compilerOptions() });
    const { kernels, dispatches, peakBytes } = summaryOf(compiled.program);
    Object.assign(facts, { compileMs: compiled.compileMs, kernels, dispatches, plannedBytes: peakBytes });
    names = compiled.outputs;
    const loaded = await orThrow(loadWasm(device, compiled.program));
    await orThrow(loaded.setParameters(compiled.weights));
    return loaded;
  };
  const call = async (read) => {
    session ??= await start();
    const outputs = await orThrow(session.run(inputs)), first = session.program.outputs[0].name, found = {};
    for (const [name, tensor] of Object.entries(outputs)) if (read === 'all' || name === first) found[names[name]] = await orThrow(tensor.read());
    for (const tensor of Object.values(outputs)) tensor.dispose();
    return found;
  };
  return {
    adapterName: `WebAssembly SIMD, ${device.threads.count} threads`, version: 'dist/', facts,
    run: async () => (await call('first')).out,
    ...(spec.kind === 'pixnerd_train' && { check: () => call('all') }),
  };
};

export const open = async (given) => (given.variant === 'wasm' ? openWasm(given) : openGpu(given));

const openGpu = async ({ workload, spec, tensors }) => {
  await countOwnCalls();
  const { device, adapter, profile, tuned } = await openDevice();
  const inputs = await uploadInputs(device, spec, tensors);
  const facts = {};
  let session, names;
  const start = async () => {
    const compiled = compileWorkload(spec, tensors, profile, workload, { tuned, ...compilerOptions() });
    const { kernels, dispatches, peakBytes } = summaryOf(compiled.program);
    Object.assign(facts, { compileMs: compiled.compileMs, kernels, dispatches, plannedBytes: peakBytes });
    names = compiled.outputs;
    return loadWorkload(device, compiled);
  };
  /** One run: the first output read back, which waits for all of them, and the others as they are asked for. */
  const call = async (read) => {
    session ??= await start();
    const outputs = await orThrow(session.run(inputs, { wait: false })), first = session.program.outputs[0].name, found = {};
    for (const [name, tensor] of Object.entries(outputs)) if (read === 'all' || name === first) found[names[name]] = await orThrow(tensor.read());
    for (const tensor of Object.values(outputs)) tensor.dispose();
    return found;
  };
  return {
    adapterName: adapter, version: 'dist/', counts, facts,
    run: async () => (await call('first')).out,
    ...(spec.kind === 'pixnerd_train' && { check: () => call('all') }),
  };
};
