/**
 * Tunes the workloads on this adapter, into a table: by default the user's own, which the bench then uses as every other program does.
 *
 *     node bench/tune.mjs --workloads W1-512,W3,W5-64 --seconds 300 [--out src/tuning/database.json]
 */
import { parseArgs } from 'node:util';
import { cachePath, entriesOf, FAMILIES, fingerprintOf, readTableFile, showSchedule, targetsOf, tune, withEntries, writeTableFile } from '../dist/index.js';
import { generate, WORKLOADS } from './lib/workloads.mjs';
import { compileWorkload, openDevice, orThrow } from './ours/session.mjs';

const { values } = parseArgs({ options: { workloads: { type: 'string', default: 'W1-512,W2,W3,W4,W5-32' }, seconds: { type: 'string', default: '120' }, out: { type: 'string', default: cachePath() } } });
const names = values.workloads.split(','), unknown = names.filter((name) => !Object.hasOwn(WORKLOADS, name)), budget = 1000 * Number(values.seconds);
if (unknown.length > 0 || !(budget > 0)) {
  console.error(unknown.length > 0 ? `there is no workload ${unknown.join(', ')}; there are ${Object.keys(WORKLOADS).join(', ')}` : `--seconds ${values.seconds}: use a number above 0`);
  process.exit(2);
}

const { device, profile, adapter } = await openDevice(), plans = names.map((name) => compileWorkload(WORKLOADS[name], generate(WORKLOADS[name]), profile, name, { verify: true }).compilation.checks);
const controller = new AbortController();
process.once('SIGINT', () => controller.abort());
console.log(`${adapter}: ${names.join(', ')}, ${values.seconds} s`);
const milliseconds = (microseconds) => (microseconds / 1000).toPrecision(3);
const onFinding = ({ key, better, heuristic, tried, candidates, skipped }) => console.log(`${key}: ${better === undefined ? (skipped ?? `the heuristic stays, ${milliseconds(heuristic)} ms`)
  : `${milliseconds(better.heuristic)} -> ${milliseconds(better.microseconds)} ms: ${showSchedule(better.schedule)}`}${skipped === undefined ? ` (${tried} of ${candidates} tried)` : ''}`);
const before = await orThrow(readTableFile(values.out)), fingerprint = fingerprintOf(device.profile), known = before.adapters[fingerprint] ?? {};
const findings = await orThrow(tune(device, targetsOf(plans, FAMILIES, (key) => Object.hasOwn(known, key)), { budget, signal: controller.signal, onFinding }));
await orThrow(writeTableFile(values.out, withEntries(before, fingerprint, entriesOf(findings, new Date()))));
console.log(`written to ${values.out}`);
process.exit(0);
