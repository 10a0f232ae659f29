/**
 * `npm run bench`: us and the peers on the same workloads, same adapter, interleaved; prints ratio tables. See README.md.
 *
 *     npm run bench -- --quick --workloads W3,W5-64
 *     npm run bench -- --cfg '{"kind":"pixnerd","B":4,"img":[32,48],"patch":4,"D":192,"heads":3}'
 *     npm run bench -- --kernels W5-64
 *     npm run bench -- --save
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseWorkloads } from './lib/choose.mjs';
import { prepare } from './lib/data.mjs';
import { measureAll } from './lib/measure.mjs';
import { fullTable, ownTable, ratioTable } from './lib/report.mjs';
import { buildOurs, chooseDriver, installPeers } from './lib/setup.mjs';
import { WORKLOADS } from './lib/workloads.mjs';

const root = fileURLToPath(new URL('..', import.meta.url)), cache = join(root, '.cache', 'bench');

const ON_GPU = ['ort-node:webgpu', 'jax:webgpu', 'tfjs:webgpu', 'ort-web:webgpu'];
const ON_CPU = ['jax:wasm', 'jax:wasm-mt', 'tfjs:wasm', 'ort-web:wasm', 'ort-node:cpu', 'torch:cpu'];
/** W6 has nobody to compare with until we train; it runs when it is named. */
const USUAL = Object.keys(WORKLOADS).filter((name) => WORKLOADS[name].kind !== 'pixnerd_train');

const HELP = `usage: npm run bench -- [options]
  --workloads A,B   of ${Object.keys(WORKLOADS).join(', ')} (default: all but W6-32)
  --cfg JSON        shapes of your own, one object or an array: {"kind":"pixnerd","B":4,"img":[32,48],...}
  --peers A:v,B:v   of ${[...ON_GPU, ...ON_CPU].join(', ')}; gpu (default), all, or none
  --rounds N        whole passes over all pairs (2)        --iters N    timed calls a round (12, at least 10)
  --quick           one round of 5 calls                   --budget S   seconds of timed calls a round (30)
  --kernels NAMES   time of each of our kernels instead    --by dispatch  each dispatch on its own
  --compile         what the official models compile to    --scaling    how time grows; a plot in docs/benchmarks
  --save            writes the tables to docs/benchmarks   --data DIR   where tensors and references are kept
  --driver system   the machine's own Vulkan driver, not lavapipe`;

const OPTIONS = {
  workloads: { type: 'string', default: '' }, cfg: { type: 'string' }, peers: { type: 'string', default: 'gpu' }, rounds: { type: 'string' }, iters: { type: 'string' },
  budget: { type: 'string' }, limit: { type: 'string', default: '900' }, threads: { type: 'string', default: String(cpus().length) }, quick: { type: 'boolean', default: false },
  kernels: { type: 'string' }, by: { type: 'string', default: 'kernel' }, runs: { type: 'string', default: '5' }, compile: { type: 'boolean', default: false }, scaling: { type: 'boolean', default: false },
  save: { type: 'boolean', default: false }, data: { type: 'string', default: join(cache, 'data') }, driver: { type: 'string' }, 'no-build': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
};

const peersOf = (text) => (text === 'all' ? [...ON_GPU, ...ON_CPU] : text === 'gpu' ? ON_GPU : text === 'none' ? [] : text.split(',').filter(Boolean));

const pairOf = (text) => {
  const [peer, variant] = text.split(':');
  if (![...ON_GPU, ...ON_CPU].includes(text)) throw new Error(`there is no peer ${text}; there is ${[...ON_GPU, ...ON_CPU].join(', ')}`);
  return { peer, variant };
};

const settingsOf = ({ quick, data, ...values }) => {
  const number = (name, usual, short) => Number(values[name] ?? (quick ? short : usual));
  const iters = number('iters', 12, 5);
  return {
    dir: data, rounds: number('rounds', 2, 1), iters, minIters: Math.min(10, iters), warmup: quick ? 1 : 3, budgetMs: 1000 * number('budget', 30, 10), settleMs: quick ? 10_000 : 120_000,
    limitSeconds: Number(values.limit), threads: Number(values.threads),
  };
};

const machine = () => ({ date: new Date().toISOString(), cpu: cpus()[0].model, cores: cpus().length, memoryGB: Math.round(totalmem() / 2 ** 30), node: process.version, load: loadavg() });

const command = () => `npm run bench${process.argv.length > 2 ? ` -- ${process.argv.slice(2).map((text) => (/^[\w,.:=/-]+$/.test(text) ? text : `'${text}'`)).join(' ')}` : ''}`;

const headOf = ({ date, cpu, cores, node, load }, rows, { rounds, iters }) => {
  const device = rows.find((row) => row.peer === 'ours')?.device ?? 'no adapter', references = [...new Set(rows.map((row) => row.reference).filter(Boolean))];
  return [
    `- adapter: ${device}`, `- machine: ${cores} x ${cpu}, Node ${node}, load average ${load.map((x) => x.toFixed(1)).join(', ')} at the end`, `- date: ${date}`, `- command: \`${command()}\``,
    `- ${rounds} rounds of up to ${iters} calls for each pair, interleaved; outputs checked against ${references.join(' and ') || 'nothing'}`,
  ].join('\n');
};

const compare = async (values) => {
  const chosen = chooseWorkloads(values.workloads, values.cfg, USUAL), pairs = [{ peer: 'ours', variant: 'webgpu' }, ...peersOf(values.peers).map(pairOf)], settings = settingsOf(values);
  await prepare(settings.dir, chosen);
  mkdirSync(cache, { recursive: true });
  const keep = (rows) => writeFileSync(join(cache, 'results.json'), JSON.stringify({ machine: machine(), command: command(), rows }, undefined, 1));
  const rows = await measureAll(pairs, chosen, settings, keep), meta = machine();
  const text = [
    headOf(meta, rows, settings), '## Against the fastest WebGPU peer', ratioTable(rows, chosen), '## Our calls', ownTable(rows), '## Every row', fullTable(rows, chosen),
  ].join('\n\n');
  writeFileSync(join(cache, 'results.md'), `${text}\n`);
  return { text, rows, machine: meta, command: command() };
};

const main = async () => {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return console.log(HELP);
  if (!values['no-build']) buildOurs();
  chooseDriver(values.driver);
  if (values.kernels !== undefined) {
    const { printKernelTables } = await import('./kernels.mjs');
    return printKernelTables(chooseWorkloads(values.kernels, values.cfg, []), { runs: Number(values.runs), merge: values.by !== 'dispatch' });
  }
  if (peersOf(values.peers).length > 0) installPeers();
  const { text } = await compare(values);
  console.log(text);
};

main().then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });
