#!/usr/bin/env node
/**
 * Runs the examples against the package as it is published: each is bundled on its own, and `pixnerd` in it is dist/ by the
 * package's own `exports`. Names given as arguments choose (`npm run examples -- 02`); `--build` builds dist/ first.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, '.cache', 'examples');
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

if (process.argv.includes('--build')) {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs'), '--no-types'], { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}

const all = readdirSync(join(root, 'examples')).filter((name) => /^\d\d-.*\.ts$/.test(name)).sort();
const chosen = wanted.length === 0 ? all : all.filter((name) => wanted.some((part) => name.startsWith(part)));
if (chosen.length === 0) {
  console.error(`no example begins with ${wanted.join(' or ')}; there are ${all.join(', ')}`);
  process.exit(2);
}

mkdirSync(folder, { recursive: true });
await build({
  absWorkingDir: root, entryPoints: chosen.map((name) => join('examples', name)), outdir: folder, outExtension: { '.js': '.mjs' },
  bundle: true, platform: 'node', format: 'esm', target: 'es2022', logLevel: 'warning', mainFields: ['module', 'main'],
  external: ['pixnerd', 'pixnerd/*'], sourcemap: 'inline',
});

const run = (name) => {
  console.log(`\n== examples/${name} ==`);
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', join(folder, `${basename(name, '.ts')}.mjs`)], { cwd: root, stdio: 'inherit' });
  if (status !== 0) console.log(`examples/${name} ended with ${status}`);
  return status === 0;
};
const failed = chosen.filter((name) => !run(name));
console.log(failed.length === 0 ? `\n${chosen.length} examples ran` : `\n${failed.length} of ${chosen.length} examples failed: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
