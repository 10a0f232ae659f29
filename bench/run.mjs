/**
 * `npm run bench`: us and the peers on the same workloads, same adapter, interleaved; prints ratio tables. See README.md.
 *
 *     npm run bench -- --quick --workloads W3,W5-64
 *     npm run bench -- --cfg '{"kind":"pixnerd","B":4,"img":[32,48],"patch":4,"D":192,"heads":3}'
 *     npm run bench -- --kernels W5-64
 *     npm run bench -- --save
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseWorkloads } from './lib/choose.mjs';
import { modelsBy, prepare } from './lib/data.mjs';
import { measureAll } from './lib/measure.mjs';
import { fullTable, ownTable, ratioTable } from './lib/report.mjs';
import { buildOurs, chooseDriver, installPeers } from './lib/setup.mjs';
import { WORKLOADS } from './lib/workloads.mjs';

const root = fileURLToPath(new URL('..', import.meta.url)), cache = join(root, '.cache', 'bench'), saved = join(root, 'docs', 'benchmarks');

const ON_GPU = ['ort-node:webgpu', 'jax:webgpu', 'tfjs:webgpu', 'ort-web:webgpu'];
const ON_CPU = ['jax:wasm', 'jax:wasm-mt', 'tfjs:wasm', 'ort-web:wasm', 'ort-node:cpu', 'torch:cpu'];
const USUAL = Object.keys(WORKLOADS);

const HELP = `usage: npm run bench -- [options]
  --workloads A,B   of ${Object.keys(WORKLOADS).join(', ')} (default: all)
  --cfg JSON        shapes of your own, one object or an array: {"kind":"pixnerd","B":4,"img":[32,48],...}
  --target wasm     us on WebAssembly, beside who runs on processors
  --peers A:v,B:v   of ${[...ON_GPU, ...ON_CPU].join(', ')}; gpu (default), all, or none
  --rounds N        whole passes over all pairs (2)        --iters N    timed calls a round (12, at least 10)
  --quick           one round of 5 calls                   --budget S   seconds of timed calls a round (30)
  --kernels NAMES   time of each of our kernels instead    --by dispatch  each dispatch on its own
  --compile         what the official models compile to    --scaling    how time grows; a plot in docs/benchmarks
  --save            also writes everything to docs/benchmarks   --data DIR   where tensors and references are kept
  --driver system   the machine's own Vulkan driver, not lavapipe`;

const OPTIONS = {
  workloads: { type: 'string', default: '' }, cfg: { type: 'string' }, peers: { type: 'string' }, target: { type: 'string' }, rounds: { type: 'string' }, iters: { type: 'string' },
  budget: { type: 'string' }, limit: { type: 'string' }, threads: { type: 'string' }, quick: { type: 'boolean' },
  kernels: { type: 'string' }, by: { type: 'string', default: 'kernel' }, runs: { type: 'string', default: '5' }, compile: { type: 'boolean', default: false }, scaling: { type: 'boolean', default: false },
  save: { type: 'boolean', default: false }, data: { type: 'string', default: join(cache, 'data') }, driver: { type: 'string' }, 'no-build': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
};

const peersOf = (text) => (text === 'all' ? [...ON_GPU, ...ON_CPU] : text === 'gpu' ? ON_GPU : text === 'none' ? [] : text.split(',').filter(Boolean));

const pairOf = (text) => {
  const [peer, variant] = text.split(':');
  if (![...ON_GPU, ...ON_CPU, 'ours:wasm', 'ours:webgpu'].includes(text)) throw new Error(`there is no peer ${text}; there is ${[...ON_GPU, ...ON_CPU].join(', ')}`);
  return { peer, variant };
};

const settingsOf = ({ quick, data, ...values }) => {
  const number = (name, usual, short = usual) => {
    const given = values[name], value = Number(given ?? (quick ? short : usual));
    if (!(value > 0)) throw new Error(`--${name} ${given}: use a number above 0`);
    return value;
  };
  const iters = Math.ceil(number('iters', 12, 5));
  return {
    dir: join(data, modelsBy() === 'PyTorch' ? 'pytorch' : 'own'), rounds: Math.ceil(number('rounds', 2, 1)), iters, minIters: Math.min(10, iters), warmup: quick ? 1 : 3, budgetMs: 1000 * number('budget', 30, 10), settleMs: quick ? 10_000 : 120_000,
    limitSeconds: number('limit', 900), threads: number('threads', cpus().length),
  };
};

const machine = () => ({ date: new Date().toISOString(), cpu: cpus()[0].model, cores: cpus().length, memoryGB: Math.round(totalmem() / 2 ** 30), node: process.version, load: loadavg() });

const command = () => `npm run bench${process.argv.length > 2 ? ` -- ${process.argv.slice(2).map((text) => (/^[\w,.:=/-]+$/.test(text) ? text : `'${text}'`)).join(' ')}` : ''}`;

const adapterOf = (rows) => rows.find((row) => row.peer === 'ours')?.device ?? 'no adapter';

const headOf = ({ date, cpu, cores, node, load }, rows, { rounds, iters }) => {
  const references = [...new Set(rows.map((row) => row.reference).filter(Boolean))];
  return [
    `- adapter: ${adapterOf(rows)}`, `- machine: ${cores} x ${cpu}, Node ${node}, load average ${load.map((x) => x.toFixed(1)).join(', ')} at the end`, `- date: ${date}`, `- command: \`${command()}\``,
    `- ${rounds === 1 ? 'one round' : `${rounds} rounds`} of up to ${iters} calls for each pair, interleaved; outputs checked against ${references.join(' and ') || 'nothing'}; ONNX models by ${modelsBy()}`,
  ].join('\n');
};

/** The first word of an adapter's name, for files. */
const slugOf = (adapter) => adapter.toLowerCase().match(/[a-z0-9]+/)?.[0] ?? 'unknown';

const write = (path, text) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
};

/** Kernel tables in a process of their own: this one opens no device. */
const kernelTables = (names) => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [fileURLToPath(new URL('kernels.mjs', import.meta.url)), names], { encoding: 'utf8', maxBuffer: 1 << 26 });
  return status === 0 ? stdout.trim() : `could not be timed: ${stderr.trim().split('\n').at(-1)}`;
};

/** What `--save` adds: the official models, and where our time goes. */
const appendix = async () => {
  const { compileModels, compileTable } = await import('./compile.mjs');
  return ['## What the official models compile to, planned for a GPU', compileTable(compileModels()), '## Our kernels', kernelTables('W3,W4,W5-64')];
};

const compare = async (values, pairs, settings) => {
  const chosen = chooseWorkloads(values.workloads, values.cfg, USUAL);
  await prepare(settings.dir, chosen);
  const rows = await measureAll(pairs, chosen, settings, (so) => write(join(cache, 'results.json'), JSON.stringify({ machine: machine(), command: command(), rows: so }, undefined, 1)));
  const meta = machine();
  const sections = [headOf(meta, rows, settings), `## Against the fastest ${values.target === 'wasm' ? 'WebAssembly' : 'WebGPU'} peer`, ratioTable(rows, chosen), '## Our calls', ownTable(rows), '## Every row', fullTable(rows, chosen)];
  if (values.save) sections.push(...(await appendix()));
  const text = `${sections.join('\n\n')}\n`;
  write(join(cache, 'results.md'), text);
  if (values.save) {
    const path = join(saved, slugOf(adapterOf(rows)));
    write(`${path}.md`, `# Benchmarks on ${adapterOf(rows)}\n\n${text}`);
    write(`${path}.json`, `${JSON.stringify({ machine: meta, command: command(), rows })}\n`);
  }
  const isWrong = (row) => row.peer === 'ours' && !(row.verified ?? row.failed.startsWith('n/a'));
  if (rows.some(isWrong)) process.exitCode = 1;
  return text;
};

const scale = async (pairs, settings) => {
  const { scaling } = await import('./scaling.mjs');
  const { rows, tables, svg } = await scaling(pairs, settings, `${command()}, ${machine().date.slice(0, 10)}, ${cpus().length} x ${cpus()[0].model}`);
  const path = join(saved, `scaling-${slugOf(adapterOf(rows))}`), head = headOf(machine(), rows, settings);
  write(`${path}.svg`, svg);
  write(`${path}.md`, `# How time grows on ${adapterOf(rows)}\n\n${head}\n\n![least milliseconds of a call against tokens, batch and resolution](scaling-${slugOf(adapterOf(rows))}.svg)\n\n${tables}\n`);
  return `${tables}\n\nthe plot: ${path}.svg`;
};

const answer = async (values) => {
  if (values.compile) {
    const { compileModels, compileTable } = await import('./compile.mjs');
    return compileTable(compileModels());
  }
  const ours = { peer: 'ours', variant: values.target === 'wasm' ? 'wasm' : 'webgpu' }, usual = values.target === 'wasm' ? ON_CPU.filter((name) => name !== 'torch:cpu').join() : values.scaling ? 'ort-node:webgpu,jax:webgpu' : 'gpu';
  const pairs = [ours, ...peersOf(values.peers ?? usual).map(pairOf)];
  if (pairs.length > 1) installPeers();
  return values.scaling ? scale(pairs, settingsOf({ quick: true, ...values })) : compare(values, pairs, settingsOf(values));
};

const main = async () => {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) return console.log(HELP);
  if (!values['no-build']) buildOurs();
  chooseDriver(values.driver);
  if (values.kernels === undefined) return console.log(await answer(values));
  const { printKernelTables } = await import('./kernels.mjs');
  return printKernelTables(chooseWorkloads(values.kernels, values.cfg, []), { runs: Number(values.runs), merge: values.by !== 'dispatch' });
};

main().then(() => process.exit(), (error) => { console.error(error.message); process.exit(1); });
