/** What a run needs before it starts: the peers' packages, dist/, and a Vulkan driver. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lavapipe } from '../../scripts/lavapipe.mjs';

const bench = fileURLToPath(new URL('..', import.meta.url)), root = join(bench, '..');

const run = (command, args, cwd) => {
  const { status, error } = spawnSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'], shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} in ${cwd} ended with ${status ?? error?.message}`);
};

/** Their install scripts only fetch CUDA files and print. Where it fails, each peer's row says that it cannot be loaded, and ours run. */
export const installPeers = () => {
  if (existsSync(join(bench, 'node_modules', '.package-lock.json'))) return;
  console.error('installing the peers into bench/node_modules (about 900 MB)');
  try {
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], bench);
  } catch (thrown) {
    console.error(`notice: the peers could not be installed (${thrown.message})`);
  }
};

export const buildOurs = () => run(process.execPath, [join(root, 'scripts', 'build.mjs'), '--no-types'], root);

/** Chooses lavapipe for this process and its children, unless a driver was chosen or `system` asks for the machine's own. */
export const chooseDriver = (driver) => {
  if (driver === 'system' || process.env.VK_DRIVER_FILES || process.env.VK_ICD_FILENAMES) return;
  Object.assign(process.env, lavapipe() ?? {});
};
