/**
 * Builds what is published into dist/: cli.js (the command `pixnerd`), index.js (the library), data-worker.js (its threads), runtime.js (saved programs in a
 * browser, without compiler), and their types. `--no-types` leaves the types out, for quick turns.
 *
 * fp-ts is bundled: its import paths without extension are not found by plain Node. Other packages stay outside.
 */
import { spawn } from 'node:child_process';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const { dependencies, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
const external = Object.keys(dependencies)
  .filter((name) => name !== 'fp-ts')
  .concat('@sparticuz/chromium');

const common = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  outdir: dist,
  logLevel: 'warning',
  mainFields: ['module', 'main'],
  define: { PIXNERD_VERSION: JSON.stringify(version) },
  sourcemap: true,
  legalComments: 'none',
};

const bundles = () =>
  Promise.all([
    // `explain` finds the lines of the built-in models, and their text, in the source map
    build({ ...common, platform: 'node', external, entryPoints: { cli: 'src/cli/main.ts' }, banner: { js: '#!/usr/bin/env node' } }),
    build({ ...common, platform: 'node', external, entryPoints: { index: 'src/index.ts' } }),
    // threads that decode images, found beside cli.js and index.js
    build({ ...common, platform: 'node', external, entryPoints: { 'data-worker': 'src/data/decode-worker.ts' } }),
    build({ ...common, platform: 'browser', minify: true, entryPoints: { runtime: 'src/runtime/browser.ts', 'runtime-wasm': 'src/runtime/wasm/browser.ts' } }),
  ]);

const run = (command, args) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${command} ${args.join(' ')} ended with ${code}`))));
  });

const types = () => run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.types.json']);

await mkdir(dist, { recursive: true });
await Promise.all([bundles(), process.argv.includes('--no-types') ? undefined : types()]);
await chmod(join(dist, 'cli.js'), 0o755);
