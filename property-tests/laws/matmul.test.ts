/**
 * Matmuls at sizes that leave tails everywhere, on staged and unstaged schedules: whole numbers come out exactly, in the loop form (which
 * watches for races and stray accesses) and on the device.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Compilation } from '../../compiler/compile.ts';
import { DEFAULT_LIMITS, type Profile, PROFILES } from '../../compiler/profile.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { legalMatmul, MATMUL_CANDIDATES, type MatmulSchedule, type Schedule, SCHEDULES, withinLimits } from '../../compiler/schedule.ts';
import { input as tensor, rmsNorm } from '../../dsl/index.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { type Graph, inputName, makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { elementsOf } from '../generators/elements.ts';
import { countOf, shapeOf } from '../generators/workshop.ts';
import { expectExact, expectWithinBound } from '../harness/compare.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data, type Results, runProgram } from '../harness/run-program.ts';

const input = (name: string, shape: readonly number[]): Node => apply('input', [], { name, role: 'input', shape, dtype: 'f32' });
const einsum = (pattern: string, a: Node, b: Node): Node => apply('einsum', [a, b], { pattern });
const repeat = (x: Node, shape: readonly number[]): Node => apply('expand', [apply('reshape', [x], { shape: [...shape.slice(0, -1), 1] })], { shape });

/** A norm would not be exact; the row's sum added to each of its elements is, and cannot be moved out of the product. */
const plusRowSum = (x: Node): Node => apply('add', [x, repeat(apply('sum', [x], { axes: [x.shape.length - 1] }), x.shape as readonly number[])], {});
const gated = (x: Node, pattern: string, w1: Node, w3: Node): Node => apply('mul', [einsum(pattern, x, w1), einsum(pattern, x, w3)], {});

const [M, N, K] = [65, 33, 17];
const CASES: Readonly<Record<string, Node>> = {
  'linear layer, odd sizes': einsum('m k, n k -> m n', input('x', [M, K]), input('w', [N, K])),
  'both transposed': einsum('k m, k n -> m n', input('x', [K, M]), input('w', [K, N])),
  'left transposed': einsum('k m, n k -> m n', input('x', [K, M]), input('w', [N, K])),
  'right transposed': einsum('m k, k n -> m n', input('x', [M, K]), input('w', [K, N])),
  'batched on both sides': einsum('b m k, b n k -> b m n', input('x', [3, M, K]), input('w', [3, N, K])),
  'batched rows share the weights': einsum('b m k, n k -> b m n', input('x', [3, 21, K]), input('w', [N, K])),
  'columns of several axes': einsum('m k, h n k -> h m n', input('x', [M, K]), input('w', [3, 5, K])),
  'vectors of four, tails of tiles': einsum('m k, n k -> m n', input('x', [68, 36]), input('w', [76, 36])),
  'vectors of four, both transposed': einsum('k m, k n -> m n', input('x', [36, 68]), input('w', [36, 76])),
  'vectors of two': einsum('m k, n k -> m n', input('x', [34, 30]), input('w', [38, 30])),
  'one row': einsum('m k, n k -> m n', input('x', [1, 40]), input('w', [70, 40])),
  'one column': einsum('m k, n k -> m n', input('x', [70, 40]), input('w', [1, 40])),
  'two contracted axes': einsum('m j k, n j k -> m n', input('x', [M, 3, 5]), input('w', [N, 3, 5])),
  'contracted axes in another order': einsum('m j k, k j n -> m n', input('x', [M, 4, 8]), input('w', [8, 4, N])),
  'gated': gated(input('x', [M, K]), 'm k, n k -> m n', input('w1', [N, K]), input('w3', [N, K])),
  'gated, vectors of four': gated(input('x', [3, 24, 32]), 'b m k, n k -> b m n', input('w1', [72, 32]), input('w3', [72, 32])),
  'sums of rows in front': einsum('b m k, n k -> b m n', plusRowSum(input('x', [3, 21, K])), input('w', [N, K])),
  'sums of rows in front, vectors of four': einsum('m k, n k -> m n', plusRowSum(input('x', [68, 36])), input('w', [N, 36])),
  'sums of rows in front of transposed rows': einsum('m k, n k -> m n', plusRowSum(apply('permute', [input('x', [36, 68])], { axes: [1, 0] })), input('w', [N, 36])),
  'rows in bands of tiles': einsum('m k, n k -> m n', input('x', [170, 9]), input('w', [18, 9])),
};
const BOUNDED: Readonly<Record<string, Node>> = {
  'normed rows': einsum('b m k, n k -> b m n', rmsNorm(tensor('x', [3, 21, 17]), tensor('scale', [17])), input('w', [N, K])),
  'normed rows, gated': gated(rmsNorm(tensor('x', [65, 36]), tensor('scale', [36])), 'm k, n k -> m n', input('w1', [N, 36]), input('w3', [N, 36])),
};

const only = (matmul: MatmulSchedule): Schedule => ({ ...SCHEDULES.gpu, matmul, smallMatmul: { below: 0, matmul } });
const { matmul: large, smallMatmul } = SCHEDULES.gpu;
const SIZES: Readonly<Record<string, MatmulSchedule>> = {
  'the GPU tile': { ...large, minWorkgroups: 0 },
  'the GPU tile, made smaller': large,
  '32 x 32': { ...large, rows: 4, columns: 4, blockDepth: 8, minWorkgroups: 0 },
  '8 x 8, scalars': { ...large, rows: 2, columns: 2, depth: 1, workgroup: [4, 4], blockDepth: 4, minWorkgroups: 0 },
  'unstaged': smallMatmul.matmul,
  'rows shared in subgroups': { ...smallMatmul.matmul, broadcast: { rows: 8, columns: 4, threads: 16 } },
  'rows shared in subgroups, single columns': { ...smallMatmul.matmul, depth: 1, broadcast: { rows: 4, columns: 1, threads: 8 } },
};

const dataFor = ({ inputs }: Graph, kind: 'plain' | 'whole'): Data =>
  Object.fromEntries(inputs.map((node, i) => [inputName(node), elementsOf(i + 1, countOf(shapeOf(node)), node.dtype, kind)]));

let target: TestDevice;
beforeAll(async () => {
  target = await testDevice();
});

interface Case { readonly graph: Graph; readonly data: Data; readonly compilation: Compilation; readonly hold: (got: Results) => void }
const caseOf = (node: Node, matmul: MatmulSchedule, kind: 'plain' | 'whole', profile = target.profile): Case => {
  const graph = makeGraph({ y: node }), data = dataFor(graph, kind), program = { graph, want: evaluateBounded(graph, data) };
  const compilation = compiled(graph, { profile, schedule: only(matmul) });
  expect(compilation.program.dispatches.length, 'everything is in one kernel').toBe(1);
  return { graph, data, compilation, hold: (got) => (kind === 'whole' ? expectExact : expectWithinBound)(program, got) };
};
const ALL = [...Object.entries(CASES).map(([name, node]) => [name, node, 'whole'] as const), ...Object.entries(BOUNDED).map(([name, node]) => [name, node, 'plain'] as const)];

/** The loop form has subgroups, whatever the device has. */
const WITH_SUBGROUPS: Profile = { ...PROFILES.gpu, features: ['subgroups'] };

describe.each(Object.entries(SIZES))('in the loop form, %s', (_name, matmul) => {
  test.each(ALL)('%s', (_case, node, kind) => {
    const { compilation, data, hold } = caseOf(node, matmul, kind, WITH_SUBGROUPS);
    hold(interpret(compilation, data));
  });
});

// one tile for all, and few with the large one: drivers on the CPU compile for seconds
const LARGE: ReadonlySet<string> = new Set(['vectors of four, tails of tiles', 'gated', 'normed rows']);
describe('on the device', () => {
  const runs = [...ALL.map((one) => ['32 x 32', ...one] as const), ...ALL.map((one) => ['rows shared in subgroups', ...one] as const), ...ALL.filter(([name]) => LARGE.has(name)).map((one) => ['the GPU tile', ...one] as const)];
  test.each(runs)('%s: %s', async (size, _case, node, kind) => {
    const { compilation, data, hold } = caseOf(node, SIZES[size]!, kind);
    hold(await runProgram(target, compilation.program, data));
  });
});

test('the candidates of tuners are legal, and few enough to try', () => {
  for (const candidates of [MATMUL_CANDIDATES.cpu, MATMUL_CANDIDATES.gpu]) { // programs of WebAssembly are not tuned
    expect(candidates.every((m) => legalMatmul(m, DEFAULT_LIMITS))).toBe(true);
    expect(new Set(candidates.map((m) => JSON.stringify(m))).size).toBe(candidates.length);
    expect(candidates.length).toBeGreaterThanOrEqual(20);
    expect(candidates.length).toBeLessThanOrEqual(60);
  }
});

test.each([
  ['less workgroup memory', { maxComputeWorkgroupStorageSize: 4096 }],
  ['almost no workgroup memory', { maxComputeWorkgroupStorageSize: 64 }],
  ['few threads', { maxComputeInvocationsPerWorkgroup: 32, maxComputeWorkgroupSizeX: 32, maxComputeWorkgroupSizeY: 4 }],
])('an adapter with %s gets a legal schedule', (_name, some) => {
  const limits = { ...DEFAULT_LIMITS, ...some };
  for (const matmul of MATMUL_CANDIDATES.gpu) expect(legalMatmul(withinLimits(only(matmul), limits).matmul, limits)).toBe(true);
});
