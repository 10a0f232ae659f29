/** Composites against their formulas on plain numbers, and small composites of what comes next. */
import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, makeGraph, nodesOf } from '../graph/graph.ts';
import { scoped } from '../graph/node.ts';
import type { Node } from '../graph/node.ts';
import { verify } from '../graph/verify.ts';
import * as L from '../index.ts';
import type { T, Tensor } from '../index.ts';

type Feeds = Readonly<Record<string, readonly number[]>>;
const run = (node: Node, feeds: Feeds, sizes: Readonly<Record<string, number>> = {}): number[] => {
  const graph = bindSizes(makeGraph({ y: node }), sizes);
  expect(verify(graph)).toEqual([]);
  return [...evaluate(graph, feeds)['y']!.data];
};
const close = (got: readonly number[], want: readonly number[], tolerance = 1e-12): void => {
  expect(got.length).toBe(want.length);
  for (const [i, value] of want.entries()) expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(value)));
};
const numbers = (count: number, limit = 4) =>
  fc.array(fc.double({ min: -limit, max: limit, noNaN: true }).map(Math.fround), { minLength: count, maxLength: count });
const rowsOf = (data: readonly number[], width: number): number[][] =>
  Array.from({ length: data.length / width }, (_, i) => data.slice(i * width, (i + 1) * width));
const total = (row: readonly number[]): number => row.reduce((a, b) => a + b, 0);
const softmaxOf = (row: readonly number[]): number[] => {
  const weights = row.map((v) => Math.exp(v - Math.max(...row)));
  return weights.map((w) => w / total(weights));
};
const lengthOf = (row: readonly number[]): number => Math.sqrt(total(row.map((v) => v * v)));

const x = L.input('x', ['B', 3]);
const SIZES = { B: 2 };

describe('activations', () => {
  const one = L.input('x', [1]);
  const at = (f: (x: Tensor<[1], 'f32'>) => Node, v: number): number => run(f(one), { x: [v] })[0]!;
  test('values', () =>
    fc.assert(
      fc.property(fc.double({ min: -30, max: 30, noNaN: true }).map(Math.fround), (v) => {
        close([at(L.sigmoid, v), at(L.silu, v)], [1 / (1 + Math.exp(-v)), v / (1 + Math.exp(-v))]);
        close([at(L.tanh, v)], [Math.tanh(v)], 1e-8);
        close([at(L.gelu, v)], [0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))], 1e-7);
      }),
      { numRuns: 25 },
    ));
  test('extremes neither overflow nor become NaN', () => {
    for (const v of [-3e38, -1000, -0, 0, 1000, 3e38]) {
      for (const f of [L.sigmoid, L.silu, L.tanh, L.gelu, L.geluErf, L.erf]) expect(Number.isFinite(at(f, v))).toBe(true);
    }
    expect([at(L.sigmoid, -1000), at(L.sigmoid, 1000), at(L.tanh, 1000), at(L.silu, -1000) + 0, at(L.gelu, -50) + 0]).toEqual([0, 1, 1, 0, 0]);
  });
  test('erf at known points', () => {
    close([at(L.erf, 0.5), at(L.erf, 1), at(L.erf, -2), at(L.geluErf, 1)], [0.5204998778, 0.8427007929, -0.995322265, 0.8413447461], 2e-7);
  });
  test('tanh keeps its digits near 0', () => expect(Math.abs(at(L.tanh, 1e-4) / Math.tanh(Math.fround(1e-4)) - 1)).toBeLessThan(1e-9));
});

describe('normalisations', () => {
  test('softmax and logSumExp', () =>
    fc.assert(
      fc.property(numbers(6, 300), (data) => {
        close(run(L.softmax(x, -1), { x: data }, SIZES), rowsOf(data, 3).flatMap(softmaxOf));
        const largest = (row: readonly number[]) => Math.max(...row);
        close(
          run(L.logSumExp(x, 1), { x: data }, SIZES),
          rowsOf(data, 3).map((row) => largest(row) + Math.log(total(row.map((v) => Math.exp(v - largest(row)))))),
        );
      }),
      { numRuns: 40 },
    ));
  test('along the first axis', () => {
    expect(run(L.softmax(x, 0), { x: [1, 2, 3, 1, 2, 3] }, SIZES)).toEqual([0.5, 0.5, 0.5, 0.5, 0.5, 0.5]);
    expectTypeOf(L.logSumExp(x, 0, true)).toEqualTypeOf<Tensor<[1, 3], 'f32'>>();
  });
  test('rmsNorm, layerNorm, l2Normalize', () =>
    fc.assert(
      fc.property(numbers(6), numbers(3), numbers(3), (data, w, b) => {
        const [weight, bias] = [L.input('w', [3]), L.input('b', [3])];
        const rows = rowsOf(data, 3);
        const rms = (row: readonly number[]) => row.map((v, i) => (v / Math.sqrt(total(row.map((u) => u * u)) / 3 + 1e-6)) * w[i]!);
        const layer = (row: readonly number[]) => {
          const mean = total(row) / 3;
          const variance = total(row.map((v) => (v - mean) ** 2)) / 3;
          return row.map((v, i) => ((v - mean) / Math.sqrt(variance + 1e-5)) * w[i]! + b[i]!);
        };
        close(run(L.rmsNorm(x, weight), { x: data, w }, SIZES), rows.flatMap(rms), 1e-9);
        close(run(L.layerNorm(x, weight, bias), { x: data, w, b }, SIZES), rows.flatMap(layer), 1e-9);
        close(
          run(L.l2Normalize(x, -1), { x: data }, SIZES),
          rows.flatMap((row) => row.map((v) => v / Math.max(lengthOf(row), 1e-12))),
        );
      }),
      { numRuns: 40 },
    ));
  test('a zero row stays zero', () => expect(run(L.l2Normalize(x, -1), { x: [0, 0, 0, 3, 0, 4] }, SIZES)).toEqual([0, 0, 0, 0.6, 0, 0.8]));
  test('float16 goes through float32', () => {
    const half = L.softmax(L.input('x', ['B', 3], 'f16'), -1);
    expectTypeOf(half).toEqualTypeOf<Tensor<['B', 3], 'f16'>>();
    expect([half.dtype, half.inputs[0]!.dtype]).toEqual(['f16', 'f32']);
  });
});

/** Attention on plain numbers: rows of queries, keys, values; `allowed(i, j)`. */
const attend = (
  q: number[][],
  k: number[][],
  v: number[][],
  allowed = (_i: number, _j: number) => true,
  scale = 1 / Math.sqrt(q[0]!.length),
): number[] =>
  q.flatMap((query, i) => {
    const weights = softmaxOf(k.map((key, j) => (allowed(i, j) ? scale * total(query.map((value, d) => value * key[d]!)) : -1e30)));
    return v[0]!.map((_, d) => total(weights.map((weight, j) => weight * v[j]![d]!)));
  });

describe('attention', () => {
  const [q, k, v] = [L.input('q', ['m', 'D']), L.input('k', [4, 'D']), L.input('v', [4, 3])];
  const sizes = { m: 3, D: 2 };
  const data = fc.tuple(numbers(6), numbers(8), numbers(12));
  const plain = ([qs, ks, vs]: readonly [number[], number[], number[]]) => [rowsOf(qs, 2), rowsOf(ks, 2), rowsOf(vs, 3)] as const;
  const feed = ([qs, ks, vs]: readonly [number[], number[], number[]]): Feeds => ({ q: qs, k: ks, v: vs });

  test('plain, scaled, causal, masked', () =>
    fc.assert(
      fc.property(data, (given) => {
        const [qs, ks, vs] = plain(given);
        close(run(L.attention(q, k, v), feed(given), sizes), attend(qs, ks, vs), 1e-9);
        close(run(L.attention(q, k, v, { scale: 0.3 }), feed(given), sizes), attend(qs, ks, vs, undefined, 0.3), 1e-9);
        close(
          run(L.attention(q, k, v, { causal: true }), feed(given), sizes),
          attend(qs, ks, vs, (i, j) => j <= i),
          1e-9,
        );
        const mask = L.lt(L.iota(4), L.unsqueeze(L.add(L.iota('m'), 2), 1)); // key j < query i + 2
        expectTypeOf(mask).toEqualTypeOf<Tensor<['m', 4], 'bool'>>();
        close(
          run(L.attention(q, k, v, { mask }), feed(given), sizes),
          attend(qs, ks, vs, (i, j) => j < i + 2),
          1e-9,
        );
      }),
      { numRuns: 25 },
    ));

  test('a query that may look nowhere gets the mean of the values', () => {
    const nowhere = L.expand(L.lt(L.scalar(1), 0), ['m', 4]);
    const values = Array.from({ length: 12 }, (_, i) => i);
    close(
      run(L.attention(q, k, v, { mask: nowhere }), { q: [1, 2, 3, 4, 5, 6], k: Array(8).fill(1) as number[], v: values }, sizes),
      [4.5, 5.5, 6.5, 4.5, 5.5, 6.5, 4.5, 5.5, 6.5],
    );
  });

  /** Grouped queries: 'G' groups of 2 query heads share a key and a value head. */
  const grouped = (qs: T<['B', '2*G', 'm', 'D']>, ks: T<['B', 'G', 'n', 'D']>, vs: T<['B', 'G', 'n', 'D']>): T<['B', '2*G', 'm', 'D']> => {
    const heads = L.rearrange(qs, 'b (g r) m d -> b g r m d', { g: 'G' });
    return L.rearrange(L.attention(heads, L.unsqueeze(ks, 2), L.unsqueeze(vs, 2), { causal: true }), 'b g r m d -> b (g r) m d');
  };
  test('grouped-query attention is a composite', () =>
    fc.assert(
      fc.property(numbers(24), numbers(12), numbers(12), (qs, ks, vs) => {
        const node = grouped(L.input('q', ['B', '2*G', 'm', 'D']), L.input('k', ['B', 'G', 'n', 'D']), L.input('v', ['B', 'G', 'n', 'D']));
        const heads = rowsOf(qs, 6); // 4 query heads of 3 x 2, 2 key heads
        const want = heads.flatMap((head, h) => {
          const shared = h >> 1;
          return attend(rowsOf(head, 2), rowsOf(rowsOf(ks, 6)[shared]!, 2), rowsOf(rowsOf(vs, 6)[shared]!, 2), (i, j) => j <= i);
        });
        close(run(node, { q: qs, k: ks, v: vs }, { B: 1, G: 2, m: 3, n: 3, D: 2 }), want, 1e-9);
      }),
      { numRuns: 25 },
    ));

  test('stays recognisable by its scope', () => {
    const node = scoped('block', () => L.attention(L.input('q', ['m', 7]), L.input('k', ['n', 7]), L.input('v', ['n', 7])));
    expect(new Set(nodesOf(makeGraph({ y: node })).map((n) => n.scope))).toEqual(new Set(['block', 'block/attention', 'block/attention/softmax']));
  });
});

test('rope turns adjacent pairs', () =>
  fc.assert(
    fc.property(numbers(12), numbers(6, 3), (data, angles) => {
      const node = L.rope(L.input('x', [1, 3, '2*j']), L.cos(L.input('a', [3, 'j'])), L.sin(L.input('a', [3, 'j'])));
      expectTypeOf(node).toEqualTypeOf<Tensor<[1, 3, '2*j'], 'f32'>>();
      const want = angles.flatMap((angle, i) => {
        const [a, b] = [data[2 * i]!, data[2 * i + 1]!];
        return [a * Math.cos(angle) - b * Math.sin(angle), a * Math.sin(angle) + b * Math.cos(angle)];
      });
      close(run(node, { x: data, a: angles }, { j: 2 }), want, 1e-9);
    }),
    { numRuns: 30 },
  ));

/** Convolution with a 3 x 3 kernel, stride 1, zeros around: one slice and one product per place of the kernel. */
const convolution = (image: T<['B', 'C', 'h', 'w']>, kernel: T<['O', 'C', 3, 3]>): T<['B', 'O', 'h', 'w']> => {
  const padded = L.pad(L.pad(image, 2, 1, 1), 3, 1, 1);
  const places = [0, 1, 2].flatMap((i) => [0, 1, 2].map((j) => [i, j] as const));
  const terms = places.map(([i, j]) => {
    const shifted = L.slice(L.slice(padded, 2, i as 0, 'h'), 3, j as 0, 'w');
    return L.einsum('b c h w, o c -> b o h w', shifted, L.index(L.index(kernel, 3, j as 0), 2, i as 0));
  });
  return terms.slice(1).reduce((sum, term) => L.add(sum, term), terms[0]!);
};
test('a convolution is a composite', () =>
  fc.assert(
    fc.property(numbers(24), numbers(36), (image, kernel) => {
      const got = run(
        convolution(L.input('x', ['B', 'C', 'h', 'w']), L.input('k', ['O', 'C', 3, 3])),
        { x: image, k: kernel },
        { B: 1, C: 2, h: 3, w: 4, O: 2 },
      );
      const want: number[] = [];
      for (let o = 0; o < 2; o++)
        for (let y = 0; y < 3; y++)
          for (let column = 0; column < 4; column++) {
            let sum = 0;
            for (let c = 0; c < 2; c++)
              for (let i = 0; i < 3; i++)
                for (let j = 0; j < 3; j++) {
                  const [from, at] = [y + i - 1, column + j - 1];
                  if (from >= 0 && from < 3 && at >= 0 && at < 4) sum += image[(c * 3 + from) * 4 + at]! * kernel[((o * 2 + c) * 3 + i) * 3 + j]!;
                }
            want.push(sum);
          }
      close(got, want, 1e-9);
    }),
    { numRuns: 20 },
  ));
