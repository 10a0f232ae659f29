#!/usr/bin/env node
/**
 * Type-checks the project and, alone, the models, three times each, and holds the best times against their limits: 3 s and 1 s
 * on a quiet machine with 2 cores. Where others use the machine too, the limits grow with its load; PIXNERD_SLACK multiplies them (1).
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { cpus, loadavg } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
const slack = Math.round(10 * Number(process.env.PIXNERD_SLACK ?? 1) * Math.max(1, loadavg()[0] / cpus().length)) / 10;

const check = (project) => {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { cwd: root, stdio: 'inherit' });
  return { seconds: (performance.now() - start) / 1000, ok: status === 0 };
};

const held = (what, project, limit) => {
  const first = check(project);
  if (!first.ok) return false;
  const best = Math.min(first.seconds, check(project).seconds, check(project).seconds);
  const ok = best <= limit * slack;
  console.log(`types of ${what}: ${best.toFixed(2)} s, best of 3; at most ${limit} s${slack === 1 ? '' : ` x ${slack}`}${ok ? '' : ': TOO SLOW'}`);
  return ok;
};

const passed = [held('everything', '.', 3), held('the models alone', join('scripts', 'tsconfig.models.json'), 1)];
process.exit(passed.every(Boolean) ? 0 : 1);
