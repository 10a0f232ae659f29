/** The cost of kernels, against what can be counted by hand: on every schedule, on sizes that no tile divides. */
import * as E from 'fp-ts/Either';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { ofVariable, plusConstant, variableSupply } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel, Statement } from '../../dsl/scalar/loop.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import { add, attention, gather, index, input, matmul, mul, permute, reshape, rmsNorm, rope, softmax, sum } from '../../dsl/index.ts';
import { type Compilation, explain } from '../compile.ts';
import { PROFILES } from '../profile.ts';
import { costsOf, type KernelCost, operationsOnce } from './cost.ts';

type Adapter = 'cpu' | 'gpu';

const made = (output: Node, adapter: Adapter, sizes: Readonly<Record<string, number>> = {}): Compilation => {
  const result = explain(makeGraph({ y: output }), { profile: PROFILES[adapter], sizes });
  if (E.isLeft(result)) throw new Error(result.left[0].message);
  return result.right;
};
const costs = (...built: Parameters<typeof made>): readonly KernelCost[] => costsOf(made(...built).kernels);
const product = matmul(input('x', ['M', 'K']), input('w', ['K', 'N']));
const size = fc.integer({ min: 2, max: 70 });

describe.each(['cpu', 'gpu'] as const)('on the %s schedule', (adapter) => {
  test('a matmul that tiles divide takes 2mkn operations, and each element crosses once', () => {
    fc.assert(fc.property(size, size, size, (a, b, c) => {
      const [M, K, N] = adapter === 'gpu' ? [128 * Math.ceil(a / 8), 16 * b, 128 * Math.ceil(c / 8)] : [32 * a, 4 * b, 32 * c];
      expect(costs(product, adapter, { M, K, N })).toMatchObject([{ flops: 2 * M * K * N, bytes: 4 * (M * K + K * N + M * N) }]);
    }), { numRuns: 20 });
  });

  test('a matmul of any size works at most a tile beyond the edge, and counts no byte twice there', () => {
    fc.assert(fc.property(size, size, size, (M, K, N) => {
      const [cost] = costs(product, adapter, { M, K, N });
      const rounded = (n: number): number => Math.ceil(n / 8) * 8;
      expect(cost!.flops).toBeGreaterThanOrEqual(2 * M * K * N);
      expect(cost!.flops).toBeLessThanOrEqual(2 * rounded(M) * rounded(K) * rounded(N));
      expect(cost!.bytes).toBe(4 * (M * K + K * N + M * N));
    }), { numRuns: 40 });
  });

  test('an epilogue adds its operations and its operands', () => {
    expect(costs(mul(add(product, input('b', ['N'])), 3), adapter, { M: 64, K: 32, N: 96 }))
      .toMatchObject([{ flops: 2 * 64 * 32 * 96 + 2 * 64 * 96, bytes: 4 * (64 * 32 + 32 * 96 + 64 * 96 + 96) }]);
  });

  test('element by element: one operation for each', () => {
    const [x, y] = [input('x', [7, 12]), input('y', [7, 12])];
    expect(costs(add(mul(x, y), x), adapter)).toMatchObject([{ flops: 2 * 84, bytes: 3 * 4 * 84 }]);
  });

  test('rows: reading twice in one kernel is one crossing', () => {
    const rows = 5, n = 256, x = input('x', [5, 256]);
    expect(costs(sum(x, 1), adapter)[0]!.bytes).toBe(4 * (rows * n + rows));
    const [soft] = costs(softmax(x, -1), adapter);
    expect(soft!.bytes).toBe(2 * 4 * rows * n);
    expect(soft!.flops).toBeGreaterThanOrEqual(4 * rows * n); // max, minus, exp, sum, times
    expect(soft!.flops).toBeLessThanOrEqual(8 * rows * n);
    expect(costs(rmsNorm(x, input('g', [256]), 1e-6), adapter)[0]!.bytes).toBe(4 * (2 * rows * n + n));
  });

  test('a view reads the part that it shows: a row of a table, a third of a projection', () => {
    const table = input('table', [1001, 64]), rows = input('rows', [3], 'i32');
    expect(costs(gather(table, rows, 0), adapter)[0]!.bytes).toBe(4 * (3 + 2 * 3 * 64));
    const heads = reshape(input('qkv', [8, 192]), [8, 3, 2, 32]), q = rope(rmsNorm(index(heads, 1, 0), input('g', [32]), 1e-6), input('cos', [2, 16]), input('sin', [2, 16]));
    expect(costs(q, adapter)[0]!.traffic).toContain(4 * 8 * 64); // read for the norm, and twice for the turn
    const qkv = reshape(input('qkv', [8, 96]), [8, 3, 32]);
    expect(costs(softmax(index(qkv, 1, 1), -1), adapter)[0]!.bytes).toBe(2 * 4 * 8 * 32);
  });
});

test('operations when everything is computed once: what a kernel takes at least, and a matmul without prologue takes', () => {
  const [kernel] = made(mul(add(product, input('b', ['N'])), 3), 'gpu', { M: 64, K: 32, N: 96 }).kernels.kernels;
  expect(operationsOnce(kernel!.nodes)).toBe(2 * 64 * 32 * 96 + 2 * 64 * 96);
});

describe('attention', () => {
  const q = input('q', [1, 2, 'N', 32]), k = input('k', [1, 2, 'N', 32]), v = input('v', [1, 2, 'N', 32]);
  const all = (output: Node, adapter: Adapter, N: number): number => costs(output, adapter, { N }).reduce((total, { flops }) => total + flops, 0);

  test.each(['cpu', 'gpu'] as const)('two products, and little more, on the %s schedule', (adapter) => {
    const products = 2 * (2 * 2 * 256 * 256 * 32);
    expect(all(attention(q, k, v), adapter, 256)).toBeGreaterThanOrEqual(products);
    expect(all(attention(q, k, v), adapter, 256)).toBeLessThan(1.6 * products);
  });

  test('queries, keys and values side by side are read whole', () => {
    const qkv = reshape(input('qkv', ['N', 192]), [1, 'N', 3, 64]), part = (i: 0 | 1 | 2) => permute(reshape(index(qkv, 2, i), [1, 'N', 2, 32]), [0, 2, 1, 3]);
    expect(costs(attention(part(0), part(1), part(2)), 'gpu', { N: 256 })).toMatchObject([{ bytes: 4 * 256 * (192 + 64) }]);
  });

  test('a loop that ends earlier for some workgroups counts as often as it runs on average', () => {
    const variable = variableSupply(), [group, tile] = [variable(32), variable(32)], one = S.constant(1, 'f32');
    const sum: Statement = { kind: 'assign', local: 0, value: S.binary('add', S.local(0, 'f32'), one) };
    const flopsOf = (loop: Extract<Statement, { kind: 'for' }>): number => {
      const kernel: LoopKernel = { tensors: [], thread: [group], lane: undefined, workgroupSize: [32, 1, 1], body: [{ kind: 'var', local: 0, value: one }, loop] };
      return costsOf({ kernels: [{ name: 'k', label: '', loop: kernel, workgroups: [1, 1, 1], bindings: [], nodes: [] }], tensors: new Map() })[0]!.flops;
    };
    const upTo = S.fromIndex(plusConstant(ofVariable(group), 1), 'i32');
    expect(flopsOf({ kind: 'for', variable: tile, body: [sum] })).toBe(32 * 32);
    expect(flopsOf({ kind: 'for', variable: tile, end: upTo, body: [sum] })).toBe((32 * 33) / 2);
    expect(flopsOf({ kind: 'for', variable: tile, start: S.fromIndex(ofVariable(group), 'i32'), end: upTo, body: [sum] })).toBe(32);
  });
});
