/**
 * Runs vitest and counts. vitest's own reports go to the terminal as they come; the counts come from its JSON report.
 *
 * Invariant: a test file that cannot be loaded, and a run that ends without a report, count as failures.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');

const ended = (child) => new Promise((resolve) => { child.on('exit', (code) => resolve(code ?? 1)); });

const readReport = (path) => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
};

/** Files that failed without a failed test: they could not be loaded, or a hook failed. */
const brokenFiles = (report) => report.testResults.filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')).length;

const inFiles = (report, pattern) => report.testResults.filter((file) => pattern.test(file.name)).flatMap((file) => file.assertionResults);

/** Runs vitest with more arguments and environment. Gives the counts, and a look at the tests of the files whose names match. */
export const runTests = async ({ name, args = [], env = {} }) => {
  const folder = join(root, '.cache', 'tests');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  rmSync(path, { force: true });
  const flags = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${path}`, ...args];
  const code = await ended(spawn(process.execPath, [vitest, ...flags], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } }));
  const report = readReport(path);
  if (report === undefined) return { passed: 0, failed: 1, testsOf: () => [] };
  const failed = report.numFailedTests + brokenFiles(report);
  return { passed: report.numPassedTests, failed: code !== 0 && failed === 0 ? 1 : failed, testsOf: (pattern) => inFiles(report, pattern) };
};

/** The counts as a line, and the exit code. Skipped tests are neither. */
export const conclude = (results) => {
  const sum = (pick) => results.map(pick).reduce((a, b) => a + b, 0);
  const failed = sum((result) => result.failed);
  console.log(`${sum((result) => result.passed)} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
};
