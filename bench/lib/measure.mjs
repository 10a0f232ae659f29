/**
 * Runs peers on workloads, each pair in a process of its own, rounds interleaved so that a busy machine hurts everybody alike.
 *
 * Invariant: in the first round each pair has an empty Mesa shader cache, in later rounds the one that it filled itself; nothing else
 * is shared between rounds.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, quantile } from './stats.mjs';

const bench = fileURLToPath(new URL('..', import.meta.url));
const moduleOf = (peer) => new URL(peer === 'ours' ? '../ours.mjs' : `../peers/${peer}.mjs`, import.meta.url).href;

const launch = (command, args, env, limitSeconds) =>
  new Promise((resolve) => {
    const child = spawn(command, args, { cwd: bench, env: { ...process.env, ...env } });
    let stdout = '', stderr = '';
    const timer = setTimeout(() => { stderr += `\nstopped after ${limitSeconds} s`; child.kill('SIGKILL'); }, limitSeconds * 1000);
    child.stdout.on('data', (data) => { stdout += data; });
    child.stderr.on('data', (data) => { stderr = (stderr + data).slice(-8_000_000); });
    child.on('error', (error) => { stderr += `\nError: ${error.message}`; });
    child.on('close', (code) => { clearTimeout(timer); resolve({ code, stdout, stderr }); });
  });

/** Why a process ended without a result, in a line. */
const complaint = ({ code, stderr }) => (stderr.match(/^(stopped after|\w*Error: ).*$/m)?.[0] ?? `exit ${code}: ${stderr.trim().slice(-200)}`).slice(0, 400);

const cacheOf = (folder, { peer, variant }, workload) => join(folder, 'mesa-cache', `${peer}-${variant}-${workload}`);

/** One process. Throws with its complaint. */
const once = async (pair, workload, settings, extra = {}) => {
  const module = await import(moduleOf(pair.peer)), options = { ...settings, ...extra, workload };
  const env = { MESA_SHADER_CACHE_DIR: cacheOf(settings.dir, pair, workload), XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? settings.dir };
  const command = module.command?.(options);
  const childArgs = () => [...(module.nodeFlags?.[pair.variant] ?? []), 'child.mjs', JSON.stringify({ ...options, ...pair, module: moduleOf(pair.peer) })];
  const result = command ? await launch(command.cmd, command.args, { ...env, ...command.env }, settings.limitSeconds) : await launch(process.execPath, childArgs(), env, settings.limitSeconds);
  const line = result.stdout.split('\n').find((text) => text.startsWith('@@'));
  if (line === undefined) throw new Error(complaint(result));
  const record = JSON.parse(line.slice(2));
  return { ...record, note: command?.note ?? record.note, stderr: result.stderr };
};

/** Relative errors above this are wrong output. */
const TOLERANCE = 1e-3;

const rowOf = (pair, workload, record, earlier) => {
  const times = [...(earlier?.times ?? []), ...record.times], worst = Object.values(record.errors).reduce((a, b) => (b.rel > a.rel ? b : a));
  const { setupMs, perRun, pipelines, baseRssMB, gpuPeakMB, device, version, note, facts, by } = record;
  return {
    ...pair, workload, times, medianMs: median(times), minMs: Math.min(...times), p90Ms: quantile(times, 0.9), n: times.length,
    firstMs: earlier?.firstMs ?? record.firstMs, laterFirstMs: earlier === undefined ? undefined : record.firstMs, setupMs,
    dispatches: perRun?.dispatches || earlier?.dispatches, submits: perRun?.submits || undefined, passes: perRun?.passes || undefined, bufferWrites: perRun?.writes, pipelines: pipelines || undefined,
    maxAbs: Math.max(...Object.values(record.errors).map(({ abs }) => abs)), maxRel: worst.rel, verified: worst.rel < TOLERANCE, outputs: Object.keys(record.errors).length, reference: by,
    baseRssMB, peakRssMB: Math.max(record.peakRssMB, earlier?.peakRssMB ?? 0), gpuPeakMB, device, version, facts,
    note: worst.rel < TOLERANCE ? note : 'WRONG OUTPUT',
  };
};

/** The dispatches of one call, for peers whose calls cannot be wrapped but that log them. */
const dispatchesFromLog = async (pair, workload, settings, pattern) => {
  const { stderr } = await once(pair, workload, settings, { trace: true, iters: 0, minIters: 0, warmup: 1 });
  return stderr.split('##count-begin')[1]?.split('##count-end')[0].split('\n').filter((line) => pattern.test(line)).length;
};

const measureOne = async (pair, workload, settings, earlier) => {
  const module = await import(moduleOf(pair.peer)), row = rowOf(pair, workload, await once(pair, workload, settings), earlier);
  const pattern = module.countFromLog?.[pair.variant];
  const dispatches = row.dispatches ?? (pattern === undefined ? undefined : await dispatchesFromLog(pair, workload, settings, pattern));
  // the first call with a filled cache, where no second round will tell
  const again = settings.rounds === 1 && pair.peer === 'ours' ? await once(pair, workload, settings, { iters: 0, minIters: 0, warmup: 0 }) : undefined;
  return { ...row, dispatches, laterFirstMs: again?.firstMs ?? row.laterFirstMs };
};

/** True, or why a peer cannot run a workload. */
const supports = async ({ peer, variant }, spec) => {
  try {
    return (await import(moduleOf(peer))).supports?.(spec, variant) ?? true;
  } catch (thrown) {
    return `cannot be loaded (${thrown.message.split('\n')[0]})`;
  }
};

const failure = (pair, workload, text) => ({ ...pair, workload, failed: text.replaceAll('|', '/').replaceAll('\n', ' ') });

/**
 * All pairs on all workloads, `settings.rounds` times. `onRow` hears of each row as it changes. Settings: dir, rounds, iters, minIters,
 * warmup, budgetMs, limitSeconds, threads.
 */
export const measureAll = async (pairs, chosen, settings, onRow = () => {}) => {
  const rows = new Map();
  rmSync(join(settings.dir, 'mesa-cache'), { recursive: true, force: true });
  const set = (key, row) => { rows.set(key, row); onRow([...rows.values()]); };
  for (let round = 0; round < settings.rounds; round++) {
    for (const [workload, spec] of Object.entries(chosen)) {
      for (const pair of pairs) {
        const key = `${pair.peer}:${pair.variant}:${workload}`, earlier = rows.get(key), able = await supports(pair, spec);
        if (earlier?.failed !== undefined) continue;
        if (able !== true) { set(key, failure(pair, workload, `n/a: ${able}`)); continue; }
        const began = performance.now();
        try {
          const row = await measureOne(pair, workload, settings, earlier);
          set(key, row);
          const took = (performance.now() - began) / 1000;
          console.error(`[${round + 1}] ${key} median ${row.medianMs.toFixed(1)} ms, first ${row.firstMs.toFixed(0)} ms, rel err ${row.maxRel.toExponential(1)}, ${took.toFixed(0)} s, load ${loadavg()[0].toFixed(1)}`);
        } catch (thrown) {
          set(key, failure(pair, workload, thrown.message));
          console.error(`[${round + 1}] ${key} FAILED: ${thrown.message}`);
        }
      }
    }
  }
  return [...rows.values()];
};
