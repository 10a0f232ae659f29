/**
 * Time of each kernel of our programs, from timestamps of the GPU: `node bench/kernels.mjs W5-64`, after a build. A pass of its own
 * for each dispatch, so that the sum is a little above the time of a whole run, which stands beside it.
 *
 *     node bench/kernels.mjs W5-64,W3 --runs 5 [--by kernel|dispatch] [--json]
 */
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { dispatchFlops } from './lib/flops.mjs';
import { median } from './lib/stats.mjs';
import { generate } from './lib/workloads.mjs';
import { chooseWorkloads } from './lib/choose.mjs';
import { compileWorkload, loadWorkload, openDevice, orThrow, uploadInputs } from './ours/session.mjs';

const profileOnce = async (session, inputs) => {
  let timings = [];
  const outputs = await orThrow(session.run(inputs, { profile: (times) => { timings = times; } }));
  for (const output of Object.values(outputs)) output.dispose();
  return timings.map(({ nanoseconds }) => nanoseconds / 1e6);
};

const timeOnce = async (session, inputs) => {
  const began = performance.now();
  const outputs = await orThrow(session.run(inputs));
  const took = performance.now() - began;
  for (const output of Object.values(outputs)) output.dispose();
  return took;
};

const repeat = async (count, act) => {
  const results = [];
  for (let i = 0; i < count; i++) results.push(await act());
  return results;
};

/** Median milliseconds of every dispatch over `runs` runs, with its kernel, label, workgroups and flops; and of a whole run. */
export const profileWorkload = async ({ device, profile }, spec, name, runs = 5) => {
  const tensors = generate(spec), compiled = compileWorkload(spec, tensors, profile, name);
  const session = await loadWorkload(device, compiled), inputs = await uploadInputs(device, spec, tensors);
  try {
    await timeOnce(session, inputs);
    const wholes = await repeat(runs, () => timeOnce(session, inputs));
    const samples = await repeat(runs, () => profileOnce(session, inputs));
    const flops = dispatchFlops(compiled.compilation), { program } = compiled;
    const rows = program.dispatches.map(({ kernel, label, workgroups }, i) => ({
      kernel: program.kernels[kernel].name, label, workgroups, size: program.kernels[kernel].workgroupSize, count: 1, ms: median(samples.map((times) => times[i])), flops: flops[i],
    }));
    return { name, runMs: median(wholes), minMs: Math.min(...wholes), compileMs: compiled.compileMs, rows };
  } finally {
    for (const tensor of Object.values(inputs)) tensor.dispose();
    session.dispose();
  }
};

/** Rows of the same kernel as one, times and flops summed. */
export const byKernel = (rows) => {
  const sums = new Map();
  for (const row of rows) {
    const known = sums.get(row.kernel);
    sums.set(row.kernel, known ? { ...known, count: known.count + 1, ms: known.ms + row.ms, flops: known.flops + row.flops } : row);
  }
  return [...sums.values()];
};

/** The rows as a table, longest first. */
export const kernelTable = ({ name, runMs, minMs, compileMs, rows }, merge = true) => {
  const all = rows.reduce((sum, row) => sum + row.ms, 0), sorted = [...(merge ? byKernel(rows) : rows)].sort((a, b) => b.ms - a.ms);
  const line = ({ kernel, label, count, ms, flops, workgroups, size }) =>
    `| ${kernel} | ${count} | ${ms.toFixed(3)} | ${((100 * ms) / all).toFixed(1)} % | ${flops > 0 ? (flops / ms / 1e6).toFixed(2) : ''} | ${workgroups.join(' x ')} of ${size.join(' x ')} | ${label} |`;
  return [
    `### ${name}: ${runMs.toFixed(1)} ms a run (min ${minMs.toFixed(1)}), ${all.toFixed(1)} ms in ${rows.length} dispatches, compiled in ${compileMs.toFixed(0)} ms`, '',
    '| kernel | n | ms | share | GFLOP/s | workgroups | first label |', '|---|--:|--:|--:|--:|---|---|', ...sorted.map(line),
  ].join('\n');
};

/** Profiles the chosen workloads one after the other on one device and prints their tables. */
export const printKernelTables = async (chosen, { runs = 5, merge = true, json = false } = {}) => {
  const opened = await openDevice(), profiles = [];
  if (!opened.device.profile.features.includes('timestamp-query')) throw new Error(`${opened.adapter} has no timestamps (feature timestamp-query): kernels cannot be timed here`);
  if (!json) console.log(`adapter: ${opened.adapter}; median of ${runs} runs\n`);
  for (const [name, spec] of Object.entries(chosen)) {
    profiles.push(await profileWorkload(opened, spec, name, runs));
    if (!json) console.log(`${kernelTable(profiles.at(-1), merge)}\n`);
  }
  if (json) console.log(JSON.stringify({ adapter: opened.adapter, profiles }, undefined, 1));
  opened.device.destroy();
};

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true, options: { runs: { type: 'string', default: '5' }, by: { type: 'string', default: 'kernel' }, cfg: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  await printKernelTables(chooseWorkloads(positionals.join(','), values.cfg), { runs: Number(values.runs), merge: values.by !== 'dispatch', json: values.json });
}
