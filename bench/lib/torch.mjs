/** Where PyTorch is, if anywhere: python3 or /usr/bin/python3, whichever imports it first; BENCH_PYTHON names another, or none. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const torchScript = fileURLToPath(new URL('../torch/run.py', import.meta.url));

const chosen = process.env.BENCH_PYTHON ?? process.env.PEERS_PYTHON;
const candidates = () => (chosen === undefined ? ['python3', '/usr/bin/python3'] : [chosen]);
const hasTorch = (python) => spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0;

let found;
/** The Python with PyTorch, or undefined. Asked once per process. */
export const pythonWithTorch = () => {
  found ??= { python: candidates().find(hasTorch) };
  return found.python;
};

/** Runs torch/run.py. Throws with the end of its complaints. */
export const runTorch = (args) => {
  const python = pythonWithTorch(), { status, stderr, error } = spawnSync(python, [torchScript, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${python} ${args.join(' ')}: ${(stderr || String(error)).slice(-2000)}`);
};
