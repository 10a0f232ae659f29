/**
 * The WGSL of a few composites as files, so that a change of the compiler shows what it changes. `npx vitest -u` writes them
 * anew; each is a complete program, its kernels one after the other.
 */
import { describe, expect, test } from 'vitest';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { COMPOSITES } from '../composites/composites.ts';
import { compiled } from '../harness/run-program.ts';

const NAMES = ['softmax', 'linearBiasSilu', 'rmsNorm', 'attention'] as const;
const SIZES = { B: 2, N: 16, D: 128, O: 64, H: 2, E: 32 };

describe.each(['cpu', 'gpu'] as const)('on the %s schedule', (adapter) => {
  test.each(NAMES)('%s', async (name) => {
    const { kernels, dispatches } = compiled(COMPOSITES[name], { schedule: SCHEDULES[adapter], sizes: SIZES }).program;
    const text = dispatches.map(({ kernel, workgroups, label }) => `// ${label}: ${workgroups.join(' x ')} workgroups\n${kernels[kernel]!.wgsl}`);
    await expect(text.join('\n')).toMatchFileSnapshot(`${name}.${adapter}.wgsl`);
  });
});
