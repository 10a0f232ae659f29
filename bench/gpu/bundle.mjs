/**
 * `npm run bench:gpu`: writes the folder .gpu/, which holds all that a bare GPU host needs, and says the one command to run there.
 *
 *     npm run bench:gpu                         the folder; then, on the host: bash .gpu/run.sh
 *     npm run bench:gpu -- --here [--small]     no folder: measures on this machine, with `--small` in a minute on a software driver
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { buildOurs, chooseDriver } from '../lib/setup.mjs';

const gpu = fileURLToPath(new URL('.', import.meta.url)), root = join(gpu, '..', '..');

const bundle = (outfile) =>
  build({
    entryPoints: [join(gpu, 'measure.mjs')], outfile, bundle: true, platform: 'node', format: 'esm', target: 'es2022', logLevel: 'warning', external: ['webgpu', '@sparticuz/chromium'],
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" }, // for what is CommonJS inside
  });

const run = (command, args, env = {}) => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
};

const packHere = async (folder) => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await bundle(join(folder, 'bench.mjs'));
  for (const name of ['run.sh', 'setup.sh', 'torch_gpu.py']) copyFileSync(join(gpu, name), join(folder, name));
  copyFileSync(join(gpu, '..', 'torch', 'model.py'), join(folder, 'model.py'));
  chmodSync(join(folder, 'run.sh'), 0o755);
  run('bash', [join(gpu, 'pack.sh'), folder]);
  run('du', ['-sh', folder]);
  console.log('packed: take the folder .gpu/ to the GPU host and run there, with 10 minutes:\n\n    bash .gpu/run.sh\n\nresults: gpu-results/gpu.md and gpu.json (or in $OUT)');
};

const measureHere = async (flags) => {
  const folder = join(root, '.cache', 'bench', 'gpu'), modules = join(folder, 'node_modules');
  mkdirSync(folder, { recursive: true });
  await bundle(join(folder, 'bench.mjs'));
  if (!existsSync(modules)) symlinkSync(join(root, 'node_modules'), modules, 'dir');
  run(process.execPath, [join(folder, 'bench.mjs'), '--out', join(folder, 'results'), ...flags]);
};

const { values } = parseArgs({ options: { here: { type: 'boolean', default: false }, small: { type: 'boolean', default: false }, driver: { type: 'string' }, runs: { type: 'string' }, variants: { type: 'string' } } });
buildOurs();
if (values.here || values.small) {
  chooseDriver(values.driver);
  await measureHere([...(values.small ? ['--small'] : []), ...['runs', 'variants'].flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]]))]);
} else await packHere(join(root, '.gpu'));
