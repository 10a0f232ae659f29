/** First weights: each parameter has the distribution that torch and the authors' code give it, from its name and the seed alone. */
import { describe, expect, test } from 'vitest';
import type { C2iConfig } from './config.ts';
import { parameterShapes } from './graph.ts';
import { initialise } from './initialise.ts';

const CONFIG: C2iConfig = { in_channels: 3, patch_size: 4, num_groups: 4, hidden_size: 96, hidden_size_x: 16, num_blocks: 4, num_cond_blocks: 2, nerf_mlpratio: 2, num_classes: 400 };
const weights = initialise(CONFIG, 7), shapes = parameterShapes(CONFIG);
const of = (name: string): Float32Array => weights[name]!;
const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((a, b) => a + b, 0) / x.length;
const moment = (x: ArrayLike<number>, power: number): number => mean(Array.from(x, (v) => v ** power));

const same = (a: Float32Array, b: Float32Array): boolean => a.length === b.length && a.every((v, i) => v === b[i]);

/** Within five standard errors of what is expected, for independent numbers. */
const near = (got: number, want: number, variance: number, count: number): void => expect(Math.abs(got - want)).toBeLessThan(5 * Math.sqrt(variance / count));

const isUniform = (x: Float32Array, limit: number): void => {
  expect(Math.max(...x.map(Math.abs))).toBeLessThanOrEqual(Math.fround(limit));
  expect(Math.max(...x.map(Math.abs))).toBeGreaterThan(limit * (1 - 12 / x.length)); // misses in e^-12 of all seeds
  near(mean(x), 0, limit ** 2 / 3, x.length);
  near(moment(x, 2), limit ** 2 / 3, limit ** 4 * (1 / 5 - 1 / 9), x.length);
};
const isNormal = (x: Float32Array, deviation: number): void => {
  near(mean(x), 0, deviation ** 2, x.length);
  near(moment(x, 2), deviation ** 2, 2 * deviation ** 4, x.length);
  near(moment(x, 4), 3 * deviation ** 4, 96 * deviation ** 8, x.length);
};

test('every parameter has its numbers, in its shape', () => {
  expect(Object.keys(weights)).toEqual(Object.keys(shapes));
  for (const [name, shape] of Object.entries(shapes)) expect(of(name).length, name).toBe(shape.reduce((a, b) => a * b, 1));
});

describe('distributions', () => {
  test('Xavier for the patch embedder, whose bias is zero', () => {
    isUniform(of('s_embedder.proj.weight'), Math.sqrt(6 / (48 + 96)));
    expect(of('s_embedder.proj.bias').every((v) => v === 0)).toBe(true);
  });
  test('normals of 0.02 for class table and time', () => {
    for (const name of ['y_embedder.embedding_table.weight', 't_embedder.mlp.0.weight', 't_embedder.mlp.2.weight']) isNormal(of(name), 0.02);
  });
  test('ones for norms, zeros for the last layer', () => {
    const norms = Object.keys(shapes).filter((name) => /norm\d?\.weight$/.test(name));
    expect(norms).toEqual(expect.arrayContaining(['final_layer.norm.weight', 'blocks.0.norm1.weight', 'blocks.1.attn.q_norm.weight', 'blocks.1.attn.k_norm.weight', 'blocks.2.norm.weight']));
    for (const name of norms) expect(of(name).every((v) => v === 1), name).toBe(true);
    for (const name of ['final_layer.linear.weight', 'final_layer.linear.bias']) expect(of(name).every((v) => v === 0), name).toBe(true);
  });
  test("torch's default for all other linear layers: modulations and weight generators are no exception", () => {
    const inner: Readonly<Record<string, number>> = {
      'blocks.0.attn.qkv.weight': 96, 'blocks.0.attn.proj.weight': 96, 'blocks.1.mlp.w1.weight': 96, 'blocks.1.mlp.w2.weight': 256,
      'blocks.0.adaLN_modulation.0.weight': 96, 'blocks.0.adaLN_modulation.0.bias': 96, 'blocks.2.param_generator1.0.weight': 96, 'blocks.3.param_generator1.0.bias': 96,
      't_embedder.mlp.0.bias': 256, 'x_embedder.embedder.0.weight': 67,
    };
    for (const [name, count] of Object.entries(inner)) isUniform(of(name), 1 / Math.sqrt(count));
  });
});

describe('numbers', () => {
  test('are the same each time, and others with another seed, beyond 32 bits too', () => {
    const again = initialise(CONFIG, 7);
    expect(Object.keys(weights).filter((name) => !same(again[name]!, of(name)))).toEqual([]);
    for (const seed of [8, 7 + 2 ** 32]) expect(same(initialise(CONFIG, seed)['blocks.0.attn.qkv.weight']!, of('blocks.0.attn.qkv.weight'))).toBe(false);
  });
  test('depend on the name, not on the rest of the model', () => {
    const deeper = initialise({ ...CONFIG, num_blocks: 6, num_cond_blocks: 3, num_classes: 500 }, 7);
    for (const name of ['blocks.1.attn.qkv.weight', 't_embedder.mlp.0.weight']) expect(same(deeper[name]!, of(name)), name).toBe(true);
    expect(same(deeper['y_embedder.embedding_table.weight']!.subarray(0, 401 * 96), of('y_embedder.embedding_table.weight'))).toBe(true);
  });
  test('of equal layers have nothing to do with each other', () => {
    const [a, b] = [of('blocks.0.attn.qkv.weight'), of('blocks.1.attn.qkv.weight')], limit = 1 / Math.sqrt(96);
    near(mean(a.map((v, i) => v * b[i]!)), 0, limit ** 4 / 9, a.length);
    near(mean(a.subarray(1).map((v, i) => v * a[i]!)), 0, limit ** 4 / 9, a.length - 1); // neighbours
  });
});
