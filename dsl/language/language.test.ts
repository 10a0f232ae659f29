/** What the builders mean, on small numbers: shapes are written as nested lists' row-major elements. */
import { pipe } from 'fp-ts/function';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, makeGraph, withTaps } from '../graph/graph.ts';
import type { Node } from '../graph/node.ts';
import { verify } from '../graph/verify.ts';
import * as L from '../index.ts';
import { bind, layers, on } from '../index.ts';
import type { Tensor } from '../index.ts';

const SIZES = { B: 2, n: 3, h: 2, w: 3 };
const ramp = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
/** Shape and elements of a graph's only output; every input counts up from 0. */
const run = (node: Node): { shape: readonly number[]; data: number[] } => {
  const graph = bindSizes(makeGraph({ y: node }), SIZES);
  expect(verify(graph)).toEqual([]);
  const feeds = Object.fromEntries(
    graph.inputs.map((input) => [input.attributes['name'], ramp((input.shape as number[]).reduce((a, b) => a * b, 1))]),
  );
  const { shape, data } = evaluate(graph, feeds)['y']!;
  return { shape, data: [...data] };
};
const messageOf = (node: Node): unknown => (node.op === 'invalid' ? node.attributes['message'] : undefined);

const x = L.input('x', ['B', 'n']); // [[0, 1, 2], [3, 4, 5]]

describe('elementwise', () => {
  test('broadcast, numbers on either side', () => {
    expect(run(L.add(x, L.input('row', ['n']))).data).toEqual([0, 2, 4, 3, 5, 7]);
    expect(run(L.sub(10, x)).data).toEqual([10, 9, 8, 7, 6, 5]);
    expect(run(L.mul(x, L.input('column', ['B', 1]))).data).toEqual([0, 0, 0, 3, 4, 5]);
    expect(run(L.add(L.scalar(1), x)).data).toEqual([1, 2, 3, 4, 5, 6]);
  });
  test('comparisons and choice', () => {
    expect(run(L.gt(x, 2)).data).toEqual([0, 0, 0, 1, 1, 1]);
    expect(run(L.ge(x, 2)).data).toEqual([0, 0, 1, 1, 1, 1]);
    expect(run(L.ne(x, 2)).data).toEqual([1, 1, 0, 1, 1, 1]);
    expect(run(L.select(L.lt(x, 2), 7, x)).data).toEqual([7, 7, 2, 3, 4, 5]);
    expect(run(L.select(L.lt(x, 2), 1, 0)).data).toEqual([1, 1, 0, 0, 0, 0]);
    expect(run(L.maximum(x, 2)).data).toEqual([2, 2, 2, 3, 4, 5]);
  });
  test('dtypes', () => {
    expectTypeOf(L.lt(x, 2)).toEqualTypeOf<Tensor<['B', 'n'], 'bool'>>();
    expectTypeOf(L.cast(x, 'i32')).toEqualTypeOf<Tensor<['B', 'n'], 'i32'>>();
    expect(run(L.cast(L.mul(x, -0.75), 'i32')).data.map((v) => v + 0)).toEqual([0, 0, -1, -2, -3, -3]);
    expect(L.add(L.cast(x, 'i32'), 0.5).inputs.map(messageOf)).toContain('add: 0.5 is no i32');
  });
});

describe('movement', () => {
  const image = L.input('image', ['B', '2*h', 'w', 2]); // 2 x 4 x 3 x 2
  test('rearrange is the loop that its pattern says', () => {
    const got = run(L.rearrange(image, 'b (h p) w c -> (w h) b (c p)', { p: 2 }));
    expect(got.shape).toEqual([6, 2, 4]);
    const want: number[] = [];
    for (let w = 0; w < 3; w++)
      for (let h = 0; h < 2; h++)
        for (let b = 0; b < 2; b++)
          for (let c = 0; c < 2; c++)
            for (let p = 0; p < 2; p++) {
              want.push(((b * 4 + h * 2 + p) * 3 + w) * 2 + c);
            }
    expect(got.data).toEqual(want);
  });
  test('rearrange undone is the same node', () => {
    const there = L.rearrange(image, 'b (h p) w c -> b h (w p c)', { p: 2 });
    expect(run(L.rearrange(there, 'b h (w p c) -> b (h p) w c', { p: 2, c: 2 })).data).toEqual(ramp(48));
  });
  test('repeat', () => {
    expect(run(L.repeatAxes(x, 'b n -> b (r n)', { r: 2 })).data).toEqual([0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
    expect(run(L.repeatAxes(x, 'b n -> (n r) b', { r: 2 })).data).toEqual([0, 3, 0, 3, 1, 4, 1, 4, 2, 5, 2, 5]);
  });
  test('axes', () => {
    expect(run(L.transpose(x, 0, -1))).toEqual({ shape: [3, 2], data: [0, 3, 1, 4, 2, 5] });
    expect(run(L.permute(L.reshape(x, ['B', 1, 'n']), [2, 0, 1]))).toEqual({ shape: [3, 2, 1], data: [0, 3, 1, 4, 2, 5] });
    expect(run(L.index(x, 0, 1))).toEqual({ shape: [3], data: [3, 4, 5] });
    expect(run(L.squeeze(L.unsqueeze(x, 1), 1)).shape).toEqual([2, 3]);
    expect(run(L.expand(L.reshape(x, [1, -1]), [2, 'B*n'])).data).toEqual([...ramp(6), ...ramp(6)]);
  });
  test('parts', () => {
    const long = L.input('long', [8]);
    expect(run(L.slice(long, 0, 1, 3, 3)).data).toEqual([1, 4, 7]);
    expect(L.split(long, [1, 3, 4], 0).map((part) => run(part).data)).toEqual([[0], [1, 2, 3], [4, 5, 6, 7]]);
    expect(L.chunk(long, 4, -1).map((part) => run(part).data)).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ]);
    expect(run(L.concat([x, L.unsqueeze(L.index(x, 0, 0), 0)], 0)).data).toEqual([0, 1, 2, 3, 4, 5, 0, 1, 2]);
    expect(run(L.stackTensors([x, L.neg(x)], -1)).data.map((v) => v + 0)).toEqual([0, 0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5]);
    expect(run(L.pad(x, -1, 1, 2, 9)).data).toEqual([9, 0, 1, 2, 9, 9, 9, 3, 4, 5, 9, 9]);
  });
  test('by index', () => {
    const places = L.literal([2, 2], [1, 0, 1, 1], 'i32');
    expect(run(L.gather(x, places, 0))).toEqual({ shape: [2, 2, 3], data: [3, 4, 5, 0, 1, 2, 3, 4, 5, 3, 4, 5] });
    expect(run(L.gather(x, L.literal([1], [2], 'u32'), -1))).toEqual({ shape: [2, 1], data: [2, 5] });
    expect(run(L.embedding(x, places)).shape).toEqual([2, 2, 3]);
    expect(run(L.resizeNearest(x, [3, 2])).data).toEqual([0, 1, 0, 1, 3, 4]);
  });
});

describe('reductions and products', () => {
  test('reductions', () => {
    expect(run(L.sum(x, -1)).data).toEqual([3, 12]);
    expect(run(L.mean(x, [0, 1]))).toEqual({ shape: [], data: [2.5] });
    expect(run(L.max(x, 0, true))).toEqual({ shape: [1, 3], data: [3, 4, 5] });
    expect(run(L.min(x, 1)).data).toEqual([0, 3]);
    expect(run(L.sum(x, [])).data).toEqual(ramp(6));
  });
  const a = L.input('a', ['B', 1, 2, 3]);
  const b = L.input('b', [2, 3, 2]);
  test('matmul broadcasts what comes before the matrices', () => {
    const got = run(L.matmul(a, b));
    expect(got.shape).toEqual([2, 2, 2, 2]);
    const want = ramp(16).map((i) => {
      const [batch, head, row, column] = [i >> 3, (i >> 2) & 1, (i >> 1) & 1, i & 1] as const;
      return [0, 1, 2].reduce((total, k) => total + (batch * 6 + row * 3 + k) * (head * 6 + k * 2 + column), 0);
    });
    expect(got.data).toEqual(want);
    expect(run(L.matmul(L.reshape(a, [1, 'B', 2, 3]), L.index(b, 0, 0))).shape).toEqual([1, 2, 2, 2]);
  });
  test('linear and einsum', () => {
    expect(run(L.linear(x, L.input('weight', [2, 'n']))).data).toEqual([5, 14, 14, 50]);
    expect(run(L.einsum('b n, b n -> b', x, x)).data).toEqual([5, 50]);
    expect(run(L.einsum('b n -> n b', x)).data).toEqual([0, 3, 1, 4, 2, 5]);
    expect(run(L.einsum('*l n -> *l', x)).data).toEqual([3, 12]);
    expect(run(L.einsum('i, j -> j i', L.input('u', [2]), L.input('v', [3]))).data).toEqual([0, 0, 0, 1, 0, 2]);
  });
  test('equal contractions are one node, whatever the names', () => {
    expect(L.einsum('i j, j k -> i k', x, L.transpose(x, 0, 1))).toBe(L.einsum('q r, r s -> q s', x, L.transpose(x, 0, 1)));
  });
});

describe('sources', () => {
  test('ramps', () => {
    expect(run(L.iota('w*h')).data).toEqual(ramp(6));
    expect(run(L.linspace(0, 'n', 'n')).data).toEqual([0, 1.5, 3]);
    expect(run(L.linspace(5, 9, 1)).data).toEqual([5]);
    expect(run(L.linspace(0, 1, 2)).data).toEqual([0, 1]);
    expect(run(L.full(['B', 2], 3, 'i32'))).toEqual({ shape: [2, 2], data: [3, 3, 3, 3] });
    expect(run(L.sizeOf('3*B*n')).data).toEqual([18]);
    expect(messageOf(L.literal([2, 2], [1, 2, 3]))).toBe('literal: 3 elements do not fill the shape [2, 2]');
  });
  test('random numbers depend on the key only and have the right moments', () => {
    const key = L.literal([2], [7, 9], 'u32');
    const draws = run(L.normal(key, [4000])).data;
    const mean = draws.reduce((s, v) => s + v) / draws.length;
    const variance = draws.reduce((s, v) => s + (v - mean) ** 2, 0) / draws.length;
    expect(Math.abs(mean)).toBeLessThan(0.06);
    expect(Math.abs(variance - 1)).toBeLessThan(0.08);
    const uniform = run(L.uniform(key, [4000])).data;
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
    expect(Math.abs(uniform.reduce((s, v) => s + v) / 4000 - 0.5)).toBeLessThan(0.02);
    expect(run(L.uniform(key, [4, 2])).data).toEqual(uniform.slice(0, 8));
    expect(run(L.uniform(L.literal([2], [7, 10], 'u32'), [8])).data).not.toEqual(uniform.slice(0, 8));
  });
});

test('a refused call is one error, where it was made', () => {
  // @ts-expect-error the message is checked below
  const wrong = L.add(x, L.input('c', [5]));
  expect(messageOf(wrong)).toBe('add: cannot broadcast [B, n] with [5]: n vs 5');
  expect((wrong as Node).attributes['at']).toContain('language.test.ts');
  expect(messageOf(L.softmax(L.matmul(wrong, x), 9))).toBe('');
});

test('taps can be read', () => {
  const graph = bindSizes(withTaps(makeGraph({ y: L.mul(L.tap(L.add(x, 1), 'middle'), 2) })), SIZES);
  expect([...evaluate(graph, { x: ramp(6) })['middle']!.data]).toEqual([1, 2, 3, 4, 5, 6]);
});

test('data-last forms do the same, in a pipe', () => {
  const dense = bind(layers.linear('n', 4));
  const piped = pipe(x, dense, L.silu, on.reshape(['B', 2, 2]), on.transpose(1, 2), on.softmax(-1), on.sum([1], true), on.mul(2), on.index(1, 0));
  const direct = L.index(L.mul(L.sum(L.softmax(L.transpose(L.reshape(L.silu(dense(x)), ['B', 2, 2]), 1, 2), -1), [1], true), 2), 1, 0);
  expect(piped).toBe(direct);
  expectTypeOf(piped).toEqualTypeOf<Tensor<['B', 2], 'f32'>>();
  const [left] = pipe(x, on.slice(1, 0, 2), on.chunk(2, 1));
  expect(left).toBe(L.chunk(L.slice(x, 1, 0, 2), 2, 1)[0]);
});
