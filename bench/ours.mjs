/**
 * Our own peer: the workloads in our language, compiled and run by the package as it is published (dist/). Variant: webgpu.
 *
 * The first call is everything from the graph to the numbers: trace, compile to WGSL, the driver's compilation, upload of the
 * weights, run. Inputs are on the device before.
 */
import { counts } from './lib/webgpu-count.mjs';
import { canRun } from './ours/graphs.mjs';
import { compilerOptions, compileWorkload, countOwnCalls, loadWorkload, openDevice, orThrow, summaryOf, uploadInputs } from './ours/session.mjs';

export const variants = ['webgpu'];
export const supports = (spec) => canRun(spec.kind);

export const open = async ({ workload, spec, tensors }) => {
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
