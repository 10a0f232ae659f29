/** What `pixnerd verify` says of findings that a right compiler does not have. */
import { describe, expect, test } from 'vitest';
import type { TensorReport, Verification } from '../../verification/report.ts';
import { CommandFailure, NOT_PASSED } from '../failure.ts';
import { showVerification } from './verify.ts';

const report = (ratio: number, kernel: string, op: string, scope: string): TensorReport => ({
  kernels: [kernel], label: `${scope}: ${op}`, op, scope, shape: [2, 3], dtype: 'f32', elements: 6, checked: 6, unbounded: 0, work: 12,
  worst: { ratio, index: [1, 2], got: 1.5, expected: 1, bound: 0.5 / ratio },
});
const good = report(0.25, 'k0_einsum', 'einsum', 'blocks.0'),
  bad = report(80, 'k1_sum_div_rsqrt', 'mul', 'blocks.0.norm/rmsNorm');

const shown = (found: Verification, all = false): { readonly lines: readonly string[]; readonly failure: CommandFailure | undefined } => {
  const lines: string[] = [];
  try {
    showVerification(found, all, { out: (line) => void lines.push(line) });
    return { lines, failure: undefined };
  } catch (thrown) {
    if (!(thrown instanceof CommandFailure)) throw thrown;
    return { lines, failure: thrown };
  }
};

describe('the verdict', () => {
  test('all is well', () => {
    const { lines, failure } = shown({ tensors: [good], failure: undefined, differences: [] });
    expect(failure).toBeUndefined();
    expect(lines.at(-1)).toBe('every kernel stays within its bound: 6 of 6 elements of 1 tensors were looked at');
  });

  test('the first wrong kernel and its op are named, with the factor and the next step; the worst line is on top', () => {
    const op = report(1e4, 'k0_rsqrt', 'rsqrt', 'blocks.0.norm/rmsNorm');
    const { lines, failure } = shown({ tensors: [good, bad], failure: { report: bad, culprit: { kind: 'op', report: op } }, differences: [] });
    expect(lines[1]).toMatch(/^ +8\.0e\+3 % +6 of 6 +k1_sum_div_rsqrt +blocks\.0\.norm\/rmsNorm: mul$/);
    expect(failure?.code).toBe(NOT_PASSED);
    expect(failure?.message.split('\n')).toMatchObject([
      'the first kernel that leaves its bound is k1_sum_div_rsqrt, at blocks.0.norm/rmsNorm: mul',
      'mul f32[2, 3]: element [1, 2] is 1.5, the reference says 1 ± 0.00625: over its bound by a factor 80.0',
      expect.stringMatching(/^the op that is wrong: blocks\.0\.norm\/rmsNorm: rsqrt; with a kernel of its own, .* by a factor 1\.00e\+4$/),
      expect.stringMatching(/^what to do: /),
      expect.stringContaining('CONTRIBUTING.md'),
    ]);
  });

  test('a wrong fusion and a wrong memory plan are told from a wrong op', () => {
    expect(shown({ tensors: [bad], failure: { report: bad, culprit: { kind: 'fusion' } }, differences: [] }).failure?.message).toContain('each op alone is right');
    const differences = [{ output: 'v', index: [0, 1], got: 2, expected: 3 }];
    expect(shown({ tensors: [good], failure: undefined, differences }).failure?.message).toContain('the whole program gives 2 for v [0, 1], its kernels one by one 3');
  });

  test('ten lines are enough, unless all are wanted', () => {
    const tensors = Array.from({ length: 14 }, () => good);
    expect(shown({ tensors, failure: undefined, differences: [] }).lines).toHaveLength(12);
    expect(shown({ tensors, failure: undefined, differences: [] }, true).lines).toHaveLength(16);
  });
});
