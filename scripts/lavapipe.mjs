/** lavapipe, Mesa's software Vulkan driver with f16: the variables that choose it, from lavapipe.sh; undefined where it cannot be had. */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** Unpacks the driver where it is not yet (a download of 60 MB), and says why if that fails. */
export const lavapipe = () => {
  const script = 'exports=$("$0" "$1") && eval "$exports" && env -0';
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script, join(here, 'lavapipe.sh'), join(dirname(here), '.cache', 'lavapipe')], { encoding: 'utf8' });
  if (status !== 0) {
    console.log(`notice: lavapipe cannot be had here (${stderr?.trim().split('\n').at(-1) || 'no bash'}); its part is left out`);
    return undefined;
  }
  const names = new Set(['VK_DRIVER_FILES', 'VK_ICD_FILENAMES', 'XDG_RUNTIME_DIR', 'LD_LIBRARY_PATH', 'LP_NATIVE_VECTOR_WIDTH', 'MESA_SHADER_CACHE_DIR']);
  const pairs = stdout.split('\0').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  return Object.fromEntries(pairs.filter(([name]) => names.has(name)));
};
