import { describe, expect, test } from 'vitest';
import { bindSizes, explain, PROFILES } from '../dist/index.js';
import { chooseWorkloads } from './lib/choose.mjs';
import { dispatchFlops } from './lib/flops.mjs';
import { plotSvg } from './lib/plot.mjs';
import { comparisons } from './lib/report.mjs';
import { compare, median } from './lib/stats.mjs';
import { generate, makeWorkload, nameOf, WORKLOADS } from './lib/workloads.mjs';
import { float, message } from './onnx/protobuf.mjs';
import { canRun, graphOf } from './ours/graphs.mjs';
import { kernelTable } from './ours/profile.mjs';
import { referenceOutputs } from './ours/reference.mjs';

describe('workloads', () => {
  test('fields that are not given have their defaults; the rest is derived', () => {
    const { cfg, out } = makeWorkload({ kind: 'pixnerd', B: 4, img: [32, 48], patch: 4, D: 192, heads: 3 });
    expect(cfg).toMatchObject({ img: [32, 48], patch: [4, 4], grid: [8, 12], L: 96, mlp: 512, blocks: 6, classes: 1000 });
    expect(out).toEqual([4, 3, 32, 48]);
    expect(nameOf({ kind: 'pixnerd', B: 4, img: [32, 48] })).toBe('pixnerd-B4-img32x48');
  });
  test('tokens without a grid are laid out as squarely as they go', () => {
    expect(makeWorkload({ kind: 'dit', L: 96 }).cfg.grid).toEqual([8, 12]);
    expect(makeWorkload({ kind: 'dit', grid: [2, 5] }).cfg.L).toBe(10);
  });
  test('mistakes are said, all of one stage at once', () => {
    expect(() => makeWorkload({ kind: 'conv' })).toThrow('kind is "conv"; there is matmul, attention');
    expect(() => makeWorkload({ kind: 'matmul', n: 0, size: 3 })).toThrow(/n is 0: use whole numbers of at least 1[^]*there is no field 'size'; this kind has n, m, k/);
    expect(() => makeWorkload({ kind: 'pixnerd', img: [30, 32], D: 190 })).toThrow(/img 30 is not divisible by its patch size 8[^]*D 190 must be a multiple of/);
    expect(() => makeWorkload({ kind: 'pixnerd', L: 5 })).toThrow('L is 5, but the image has 4 x 4 patches');
    expect(() => chooseWorkloads('W9')).toThrow('there is no workload W9');
    expect(() => chooseWorkloads('', '{')).toThrow('--cfg is no JSON');
  });
  test('data never changes', () => {
    const { a } = generate(WORKLOADS['W1-512']);
    expect(Array.from(a.data.subarray(0, 2))).toEqual([-0.22299057245254517, 0.8337849378585815]);
    expect(generate(WORKLOADS['W5-32']).y.data).toEqual(Int32Array.of(207, 1000));
  });
});

const SMALL = {
  matmul: makeWorkload({ kind: 'matmul', m: 3, k: 5, n: 4 }),
  attention: makeWorkload({ kind: 'attention', B: 1, heads: 2, N: 3, keys: 5, hd: 8 }),
  dit: makeWorkload({ kind: 'dit', B: 2, L: 6, D: 16, heads: 2 }),
  nerf: makeWorkload({ kind: 'nerf', P: 3, pix: 4, dx: 8, ratio: 3, D: 16 }),
  pixnerd: makeWorkload({ kind: 'pixnerd', B: 3, img: [8, 12], patch: [4, 2], D: 16, heads: 2, dx: 8, ratio: 3, blocks: 2, nerfs: 2, ch: 1, classes: 4 }),
};

describe('our graphs', () => {
  test.each(Object.entries(SMALL))('%s: every input and parameter gets a tensor of its shape, the output has the shape that is asked for', (_, spec) => {
    const tensors = generate(spec), { graph, sizes, weights, inputs } = graphOf(spec, tensors), bound = bindSizes(graph, sizes);
    const elements = (nodes) => Object.fromEntries(nodes.map(({ attributes, shape }) => [attributes.name, shape.reduce((a, b) => a * b, 1)]));
    expect(Object.fromEntries(Object.entries(weights).map(([name, { length }]) => [name, length]))).toEqual(elements(bound.parameters));
    expect(Object.fromEntries(bound.inputs.map(({ attributes, shape }) => [attributes.name, shape]))).toEqual(Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape])));
    expect(bound.outputs[0].node.shape).toEqual(spec.out);
  });
  test('the reference of an attention is its formula', () => {
    const spec = SMALL.attention, { q, k, v } = generate(spec), { hd, keys, N } = spec.cfg, [head, query] = [1, 2];
    const row = ({ data }, length, at) => data.subarray((head * length + at) * hd, (head * length + at + 1) * hd);
    const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
    const scores = Array.from({ length: keys }, (_, j) => Math.exp(dot(row(q, N, query), row(k, keys, j)) / Math.sqrt(hd))), total = scores.reduce((a, b) => a + b);
    const expected = Array.from({ length: hd }, (_, i) => scores.reduce((sum, score, j) => sum + (score / total) * row(v, keys, j)[i], 0));
    expect(compare(row(referenceOutputs(spec, generate(spec)).out, N, query), expected).rel).toBeLessThan(1e-6); // the scale is a float32
  });
  test('what has no graph is refused with a reason', () => {
    expect(canRun('diffusion')).toBe('no graph for diffusion');
    expect(canRun('matmul')).toBe(true);
  });
  test('operations of a compiled matmul', () => {
    const { graph, sizes } = graphOf(SMALL.matmul, generate(SMALL.matmul)), made = explain(graph, { sizes, profile: PROFILES.cpu });
    expect(dispatchFlops(made.right)).toEqual([2 * 3 * 5 * 4]);
  });
});

test('protobuf: varints, negative numbers, floats, text and nested messages', () => {
  expect([...message([[1, 300]])]).toEqual([0x08, 0xac, 0x02]);
  expect([...message([[3, -1]])]).toEqual([0x18, ...Array(9).fill(0xff), 0x01]);
  expect([...message([[2, float(1)]])]).toEqual([0x15, 0, 0, 0x80, 0x3f]);
  expect([...message([[4, [[1, 'ab']]]])]).toEqual([0x22, 4, 0x0a, 2, 0x61, 0x62]);
});

describe('reports', () => {
  const row = (peer, medianMs, more = {}) => ({ peer, variant: 'webgpu', workload: 'W', medianMs, minMs: medianMs / 2, verified: true, ...more });
  const ratioOf = (...rows) => comparisons(rows, { W: { kind: 'matmul' } })[0];
  test('against the fastest peer on WebGPU whose numbers are right', () => {
    const rows = [row('ours', 10), row('slow', 50), row('fast', 20), row('wrong', 1, { verified: false }), row('failed', undefined, { failed: 'x' }), row('cpu', 1, { variant: 'cpu' })];
    expect(ratioOf(...rows)).toMatchObject({ ratio: 2, minRatio: 2, peer: { peer: 'fast' }, reached: true });
    expect(ratioOf(row('ours', 15), row('fast', 20)).reached).toBe(false);
  });
  test('wrong numbers of ours have no ratio', () => expect(ratioOf(row('ours', 1, { verified: false }), row('fast', 20)).ratio).toBeUndefined());
  test('differences count relative to the largest value; NaN is infinite', () => {
    expect(compare([1, 2], [1, 4])).toEqual({ abs: 2, rel: 0.5 });
    expect(compare([NaN], [1]).abs).toBe(Infinity);
    expect(compare([1], [1, 2]).rel).toBe(Infinity);
    expect(median([3, 1, 2, 10])).toBe(2.5);
  });
  test('kernels: equal ones are one row, the longest first', () => {
    const dispatch = (kernel, ms, flops) => ({ kernel, label: `of ${kernel}`, count: 1, ms, flops, workgroups: [1, 1, 1], size: [64, 1, 1] });
    const profile = { name: 'W', runMs: 10, minMs: 9, compileMs: 5, gpuMs: 8, dispatchTimes: [dispatch('a', 1, 0), dispatch('b', 3, 3e6), dispatch('b', 3, 6e6), dispatch('c', 1, 0)] };
    const rows = kernelTable(profile).split('\n').filter((line) => line.startsWith('| ')).slice(1);
    expect(rows).toHaveLength(3);
    expect(rows[0]).toBe('| b | 2 | 6.000 | 75.0 % | 1.50 | 1 x 1 x 1 of 64 x 1 x 1 | of b |');
    expect(kernelTable(profile, false).split('\n').filter((line) => line.startsWith('| '))).toHaveLength(5);
  });
  test('plots: a line for each peer in each panel, larger times higher up', () => {
    const svg = plotSvg([{ title: 'a < b', x: 'n', lines: [{ name: 'ours', points: [[1, 2], [4, 20]] }, { name: 'peer', points: [[1, 200]] }] }], 'caption');
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).toContain('a &lt; b');
    const heights = [...svg.matchAll(/cy="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(heights[0]).toBeGreaterThan(heights[1]);
    expect(heights[1]).toBeGreaterThan(heights[2]);
  });
});
