/** Measures a workload of ours on an open device: whole runs, runs that queue up, and every dispatch by the GPU's timestamps. */
import { dispatchFlops } from '../lib/flops.mjs';
import { compare, median } from '../lib/stats.mjs';
import { table } from '../lib/table.mjs';
import { generate } from '../lib/workloads.mjs';
import { referenceOutputs } from './reference.mjs';
import { compilerOptions, compileWorkload, loadWorkload, orThrow, summaryOf, uploadInputs } from './session.mjs';

const disposeAll = (tensors) => { for (const tensor of Object.values(tensors)) tensor.dispose(); };

const repeat = async (count, act) => {
  const results = [];
  for (let i = 0; i < count; i++) results.push(await act());
  return results;
};

const milliseconds = async (act) => {
  const began = performance.now();
  await act();
  return performance.now() - began;
};

const runOnce = async (session, inputs, options) => disposeAll(await orThrow(session.run(inputs, options)));

/** Milliseconds of each dispatch of one run. */
const dispatchTimes = async (session, inputs) => {
  let times = [];
  await runOnce(session, inputs, { profile: (timings) => { times = timings.map(({ nanoseconds }) => nanoseconds / 1e6); } });
  return times;
};

/** Milliseconds per run when many are on the queue: what the GPU needs, without the way there and back. */
const queuedTime = async (session, inputs, count) => {
  const all = await milliseconds(async () => {
    for (let i = 1; i < count; i++) await runOnce(session, inputs, { wait: false });
    await runOnce(session, inputs);
  });
  return all / count;
};

const relativeError = async (session, inputs, spec, tensors) => {
  const outputs = await orThrow(session.run(inputs)), got = await orThrow(outputs[session.program.outputs[0].name].read());
  disposeAll(outputs);
  return compare(got, referenceOutputs(spec, tensors).out.data).rel;
};

/**
 * Times of a workload: medians over `runs`. `kernels` is left out where the device has no timestamps, `error` (against the reference
 * interpreter, slow for large workloads) unless `check`.
 */
export const profileWorkload = async ({ device, profile, tuned }, name, spec, { runs = 5, queued = runs, check = false, options = compilerOptions() } = {}) => {
  const tensors = generate(spec), compiled = compileWorkload(spec, tensors, profile, name, { tuned, ...options }), { program } = compiled;
  let session;
  const loadMs = await milliseconds(async () => { session = await loadWorkload(device, compiled); });
  const inputs = await uploadInputs(device, spec, tensors);
  try {
    const firstMs = await milliseconds(() => runOnce(session, inputs));
    const wholes = await repeat(runs, () => milliseconds(() => runOnce(session, inputs)));
    const queuedMs = await queuedTime(session, inputs, queued);
    const samples = device.profile.features.includes('timestamp-query') ? await repeat(runs, () => dispatchTimes(session, inputs)) : [];
    const flops = dispatchFlops(compiled.compilation);
    const kernels = samples.length === 0 ? undefined : program.dispatches.map(({ kernel, label, workgroups }, i) => ({
      kernel: program.kernels[kernel].name, label, workgroups, size: program.kernels[kernel].workgroupSize, count: 1, ms: median(samples.map((times) => times[i])), flops: flops[i],
    }));
    const error = check ? await relativeError(session, inputs, spec, tensors) : undefined;
    return {
      name, kind: spec.kind, cfg: spec.cfg, flops: spec.flops, ...summaryOf(program), compileMs: compiled.compileMs, loadMs, firstMs, runMs: median(wholes), minMs: Math.min(...wholes), queuedMs,
      gpuMs: kernels?.reduce((sum, { ms }) => sum + ms, 0), error, dispatchTimes: kernels,
    };
  } finally {
    disposeAll(inputs);
    session.dispose();
  }
};

/** Rows of the same kernel as one, times and flops summed. */
const byKernel = (rows) => {
  const sums = new Map();
  for (const row of rows) {
    const known = sums.get(row.kernel);
    sums.set(row.kernel, known ? { ...known, count: known.count + 1, ms: known.ms + row.ms, flops: known.flops + row.flops } : row);
  }
  return [...sums.values()];
};

/** The kernels of a profile as a table, longest first; each dispatch on its own unless `merge`. */
export const kernelTable = ({ name, runMs, minMs, compileMs, gpuMs, dispatchTimes }, merge = true) => {
  if (dispatchTimes === undefined) return `### ${name}: ${runMs.toFixed(1)} ms a run (min ${minMs.toFixed(1)}); the device has no timestamps`;
  const sorted = [...(merge ? byKernel(dispatchTimes) : dispatchTimes)].sort((a, b) => b.ms - a.ms);
  return [
    `### ${name}: ${runMs.toFixed(2)} ms a run (min ${minMs.toFixed(2)}), ${gpuMs.toFixed(2)} ms in ${dispatchTimes.length} dispatches, compiled in ${compileMs.toFixed(0)} ms`,
    table([
      ['kernel', ({ kernel }) => kernel, '---'], ['n', ({ count }) => count], ['ms', ({ ms }) => ms.toFixed(3)], ['share', ({ ms }) => `${((100 * ms) / gpuMs).toFixed(1)} %`],
      ['GFLOP/s', ({ flops, ms }) => (flops > 0 && ms > 0 ? (flops / ms / 1e6).toFixed(2) : '')],
      ['workgroups', ({ workgroups, size }) => `${workgroups.join(' x ')} of ${size.join(' x ')}`, '---'], ['label', ({ label }) => label, '---'],
    ], sorted),
  ].join('\n\n');
};
