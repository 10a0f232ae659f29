/**
 * Time of each kernel of our programs, from timestamps of the GPU: `node bench/kernels.mjs W5-64`, after a build. Each dispatch has a
 * pass of its own, so that the sum is a little above the time of a whole run, which stands beside it.
 *
 *     node bench/kernels.mjs W5-64,W3 --runs 5 --by dispatch
 *     node bench/kernels.mjs --cfg '{"kind":"matmul","n":700}' --json
 */
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseWorkloads } from './lib/choose.mjs';
import { kernelTable, profileWorkload } from './ours/profile.mjs';
import { openDevice } from './ours/session.mjs';

/** Profiles the chosen workloads one after the other on one device and prints their tables, or everything as JSON. */
export const printKernelTables = async (chosen, { runs = 5, merge = true, json = false } = {}) => {
  const opened = await openDevice(), profiles = [];
  if (!json) console.log(`adapter: ${opened.adapter}; medians of ${runs} runs\n`);
  for (const [name, spec] of Object.entries(chosen)) {
    const profile = await profileWorkload(opened, name, spec, { runs });
    profiles.push(profile);
    if (!json) console.log(`${kernelTable(profile, merge)}\n`);
  }
  if (json) console.log(JSON.stringify({ adapter: opened.adapter, profiles }, undefined, 1));
  opened.device.destroy();
};

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true, options: { runs: { type: 'string', default: '5' }, by: { type: 'string', default: 'kernel' }, cfg: { type: 'string' }, json: { type: 'boolean', default: false } },
  });
  await printKernelTables(chooseWorkloads(positionals.join(','), values.cfg, []), { runs: Number(values.runs), merge: values.by !== 'dispatch', json: values.json });
}
