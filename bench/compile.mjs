/**
 * What the official models compile to, planned for a GPU that offers no more than every WebGPU adapter: `node bench/compile.mjs`, after a
 * build. Each model has a process of its own: the first time is that of a cold compiler, the second of the same one again.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { explain, PRESETS, PROFILES, showCompileError, sizesOf, summarize, velocityGraph } from '../dist/index.js';
import { table } from './lib/table.mjs';

/** Batch 1 with guidance is a batch of 2. */
const SHAPE = { batch: 2, height: 256, width: 256 };
const MODELS = ['c2i-L', 'c2i-XL'];

/** What we want of c2i-XL; [title, value, at most, unit]. */
const LIMITS = [
  ['kernels a forward', ({ dispatches }) => dispatches, 140, ''], ['graph to WGSL, cold, CPU time', ({ coldCpuMs }) => coldCpuMs, 1000, ' ms'], ['again', ({ warmCpuMs }) => warmCpuMs, 300, ' ms'],
  ['buffers besides weights', ({ bytes, weightBytes }) => (bytes - weightBytes) / 1e6, 150, ' MB'], ['largest binding', ({ largestBinding }) => largestBinding / 2 ** 20, 128, ' MiB'],
];

/** CPU milliseconds of this process, all threads. */
const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};

const options = JSON.parse(process.env.BENCH_OPTIONS ?? '{}');
/** With f16 where the options of BENCH_OPTIONS may ask for it. */
const profile = options.precision === undefined && options.weights === undefined ? PROFILES.gpu : { ...PROFILES.gpu, features: ['shader-f16'] };

const compileOnce = (model, sizes) => {
  const began = performance.now(), cpu = cpuMs();
  const made = explain(velocityGraph(PRESETS[model]), { name: model, sizes, profile, ...options });
  if (made._tag === 'Left') throw new Error(made.left.map(showCompileError).join('\n'));
  return { ms: performance.now() - began, cpu: cpuMs() - cpu, program: made.right.program };
};

const compileModel = (model) => {
  const sizes = sizesOf(PRESETS[model], SHAPE).right, cold = compileOnce(model, sizes), warm = compileOnce(model, sizes), { program } = cold;
  const bytesOf = (buffers) => buffers.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    model, ...summarize(program), coldMs: cold.ms, coldCpuMs: cold.cpu, warmMs: warm.ms, warmCpuMs: warm.cpu, bytes: bytesOf(program.buffers),
    weightBytes: bytesOf(program.buffers.filter(({ kind }) => kind === 'parameter')), wgslBytes: program.kernels.reduce((sum, { wgsl }) => sum + wgsl.length, 0),
  };
};

const self = fileURLToPath(import.meta.url);

/** The models, each compiled in a process of its own. */
export const compileModels = () =>
  MODELS.map((model) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [self, model], { encoding: 'utf8', maxBuffer: 1 << 26 });
    if (status !== 0) throw new Error(`compiling ${model}: ${stderr.slice(-2000)}`);
    return JSON.parse(stdout);
  });

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

export const compileTable = (models) => [
  table([
    ['model, 256 x 256, batch 1 with guidance', ({ model }) => model, '---'], ['dispatches', ({ dispatches }) => dispatches], ['kernels', ({ kernels }) => kernels], ['WGSL kB', ({ wgslBytes }) => (wgslBytes / 1e3).toFixed(0)],
    ['graph to WGSL ms, cold (CPU)', ({ coldMs, coldCpuMs }) => `${coldMs.toFixed(0)} (${coldCpuMs.toFixed(0)})`], ['again (CPU)', ({ warmMs, warmCpuMs }) => `${warmMs.toFixed(0)} (${warmCpuMs.toFixed(0)})`],
    ['weights MB', ({ weightBytes }) => megabytes(weightBytes)], ['other buffers MB', ({ bytes, weightBytes }) => megabytes(bytes - weightBytes)], ['largest binding MiB', ({ largestBinding }) => (largestBinding / 2 ** 20).toFixed(1)],
  ], models),
  table([
    ['c2i-XL', ([title]) => title, '---'], ['is', ([, value, , unit]) => `${value.toFixed(value < 10 ? 1 : 0)}${unit}`], ['at most', ([, , most, unit]) => `${most}${unit}`], ['reached', ([, value, most]) => (value <= most ? 'yes' : 'no'), '---'],
  ], LIMITS.map(([title, value, most, unit]) => [title, value(models.find(({ model }) => model === 'c2i-XL')), most, unit])),
].join('\n\n');

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv[2] === undefined) console.log(compileTable(compileModels()));
  else console.log(JSON.stringify(compileModel(process.argv[2])));
}
