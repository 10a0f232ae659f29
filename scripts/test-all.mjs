#!/usr/bin/env node
/**
 * `npm run test:all`: thousands of random programs, lavapipe with f16, and the full-size check. An hour or two on 2 cores.
 * PIXNERD_RUNS sets the number of random programs (3000). The last line is the count of all tests.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lavapipe } from './lavapipe.mjs';
import { conclude, runTests } from './vitest.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PIXNERD_RUNS = process.env.PIXNERD_RUNS ?? '3000', PIXNERD_SEED = process.env.PIXNERD_SEED ?? 'fresh';

const title = (text) => console.log(`\n== ${text} ==`);

/** One call of the command line counts as one test. */
const pixnerd = (env, ...args) => {
  const { status } = spawnSync(process.execPath, [join(root, 'dist', 'cli.js'), ...args], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } });
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
};
const goldens = join('property-tests', 'goldens');
const goldensIn = (folder) => readdirSync(join(root, folder)).filter((name) => name.endsWith('.safetensors')).map((name) => join(folder, name));
const all = [goldens, join(goldens, 'blocks'), join(goldens, 'ckpt')].flatMap(goldensIn);

const results = [];
title(`all tests, SwiftShader, PIXNERD_RUNS=${PIXNERD_RUNS}`);
results.push(await runTests({ name: 'swiftshader', env: { PIXNERD_RUNS, PIXNERD_SEED } }));

title('every golden on the reference interpreter, but the full-size model');
results.push(pixnerd({}, 'parity', '--backend', 'reference', ...all.filter((file) => !file.includes('fullsize_'))));

const driver = lavapipe();
if (driver !== undefined) {
  title(`property tests, lavapipe with f16, PIXNERD_RUNS=${PIXNERD_RUNS}`);
  results.push(await runTests({ name: 'lavapipe', args: ['property-tests'], env: { ...driver, PIXNERD_RUNS, PIXNERD_SEED } }));
  title('every kernel against the reference, lavapipe: all elements of the small model, a part of the large one');
  results.push(pixnerd(driver, 'verify', 'fashion', '--sample', '1'), pixnerd(driver, 'verify', 'c2i-L', '--size', '64', '--batch', '2'));
  title('every golden on lavapipe, the full-size model included');
  results.push(pixnerd(driver, 'parity', ...all));
}
console.log();
conclude(results);
