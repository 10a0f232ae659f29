/** A workload on our runtime, through the public package: what `ours.mjs` times and `kernels.mjs` looks into. */
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { adapterName, explain, load, openNodeDevice, profileOf, showCompileError, summarize, tuningHere, upload } from '../../dist/index.js';
import { countCalls } from '../lib/webgpu-count.mjs';
import { graphOf } from './graphs.mjs';

/** Errors of the package are values; the bench stops at the first one. */
export const orThrow = async (task) => {
  const result = await task();
  if (result._tag === 'Left') throw new Error(result.left.message);
  return result.right;
};

/** Counts what the package asks of its own Dawn: the `webgpu` that dist/ finds, which is not the peers'. */
export const countOwnCalls = async () => {
  const dist = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
  const { globals } = await import(pathToFileURL(createRequire(dist).resolve('webgpu')).href);
  countCalls(globals);
};

/**
 * The device of this process, and what programs are compiled for: its profile, and schedules that were tuned on it (BENCH_TUNING=off: none).
 * `dawnFlags` as `openNodeDevice` takes them.
 */
export const openDevice = async (dawnFlags = []) => {
  const { device } = await orThrow(openNodeDevice('auto', {}, { dawnFlags }));
  const { tuned } = process.env.BENCH_TUNING === 'off' ? {} : await tuningHere(device.profile);
  return { device, adapter: adapterName(device.profile), tuned, profile: profileOf(device.profile.class, device.profile.limits, device.profile.features) };
};

/** Options of the compiler besides sizes and profile, from BENCH_OPTIONS (JSON): a schedule, fusion off, ... */
export const compilerOptions = () => JSON.parse(process.env.BENCH_OPTIONS ?? '{}');

/** From the tensors of a workload to its kernels, with every stage of the compiler and the milliseconds that it took. */
export const compileWorkload = (spec, tensors, profile, name, options = compilerOptions()) => {
  const began = performance.now();
  const { graph, sizes, weights, inputs, outputs } = graphOf(spec, tensors);
  const made = explain(graph, { name, sizes, profile, ...options });
  if (made._tag === 'Left') throw new Error(made.left.map(showCompileError).join('\n'));
  return { compilation: made.right, program: made.right.program, weights, inputs, outputs, compileMs: performance.now() - began };
};

/** A compiled workload on the device, weights uploaded. */
export const loadWorkload = async (device, { program, weights }) => {
  const session = await orThrow(load(device, program));
  await orThrow(session.setParameters(weights));
  return session;
};

/** The inputs as tensors on the device. */
export const uploadInputs = async (device, spec, tensors) => {
  const uploaded = {};
  for (const [name] of spec.input) {
    const { shape, data } = tensors[name];
    uploaded[name] = await orThrow(upload(device, shape, data instanceof Int32Array ? 'i32' : 'f32', data));
  }
  return uploaded;
};

/** What is known of a program without running it. */
export const summaryOf = summarize;
