/** Bundles a script of this folder with what it imports and runs it: `node scripts/run-ts.mjs scripts/NAME.ts [arguments]`. */
import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url)), [, , source, ...rest] = process.argv;
if (source === undefined) {
  console.error('usage: node scripts/run-ts.mjs scripts/NAME.ts [arguments]');
  process.exit(2);
}
const outfile = join(root, '.cache', 'scripts', basename(source).replace(/\.ts$/, '.mjs'));
await build({ absWorkingDir: root, entryPoints: [source], outfile, bundle: true, platform: 'node', format: 'esm', external: ['webgpu', 'sharp'], logLevel: 'warning',
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }, // fp-ts is CommonJS
});
process.exit(spawnSync(process.execPath, [outfile, ...rest], { stdio: 'inherit', cwd: root }).status ?? 1);
