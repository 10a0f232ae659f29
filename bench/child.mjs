/**
 * One peer on one workload, in this process: prints one line of JSON after `@@`. Started by `lib/measure.mjs`.
 *
 * Order: setup, first call, check against the reference, warm-up, rest until the process is quiet, one call for counting, timed calls.
 */
import { writeSync } from 'node:fs';
import { load, reference } from './lib/data.mjs';
import { compare } from './lib/stats.mjs';

const options = JSON.parse(process.argv[2]);
const rssMB = () => process.resourceUsage().maxRSS / 1024;
/** Marks the counted call in the log, for peers whose dispatches are counted there. */
const mark = (text) => { try { writeSync(2, `\n##${text}\n`); } catch { /* a full pipe: the log is lost anyway */ } };
process.on('unhandledRejection', (error) => { console.error(error); process.exit(1); });
setInterval(() => {}, 1 << 30); // some libraries wait for promises that nothing else keeps alive

const timed = async (act) => {
  const began = performance.now(), value = await act();
  return { value, ms: performance.now() - began };
};

/** V8 may still be optimising a large wasm module in the background: waits until the process uses less than a fifth of a core. */
const settle = async (atMost) => {
  const began = performance.now();
  while (performance.now() - began < atMost) {
    const before = process.cpuUsage(), start = performance.now();
    await new Promise((resolve) => { setTimeout(resolve, 250); });
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1e3 / (performance.now() - start) < 0.2) break;
  }
  return performance.now() - began;
};

const peer = await import(options.module);
const { spec, tensors } = load(options.dir, options.workload);
const baseRssMB = rssMB();
const { value: opened, ms: setupMs } = await timed(() => peer.open({ ...options, spec, tensors }));
const { value: firstOutput, ms: firstMs } = await timed(() => opened.run());

const { by, tensors: wanted } = reference(options.dir, options.workload), got = opened.check ? await opened.check() : { out: firstOutput };
const errors = Object.fromEntries(Object.entries(wanted).map(([name, { data }]) => [name, compare(got[name], data)]));

for (let i = 0; i < options.warmup; i++) await opened.run();
const settleMs = options.iters > 0 ? await settle(options.settleMs ?? 120_000) : 0;

const before = opened.counts && { ...opened.counts };
mark('count-begin');
await opened.run();
mark('count-end');
const perRun = before && Object.fromEntries(Object.entries(opened.counts).map(([name, value]) => [name, value - before[name]]));

const times = [], end = performance.now() + options.budgetMs;
while (times.length < options.iters && (times.length < options.minIters || performance.now() < end)) times.push((await timed(() => opened.run())).ms);

const { counts, adapterName: device, version, note, facts } = opened;
const record = {
  setupMs, firstMs, settleMs, times, errors, by, baseRssMB, peakRssMB: rssMB(), perRun, gpuPeakMB: counts && counts.peakBytes / 2 ** 20, pipelines: counts?.pipelines, device, version, note, facts,
};
process.stdout.write(`@@${JSON.stringify(record)}\n`, () => process.exit(0));
