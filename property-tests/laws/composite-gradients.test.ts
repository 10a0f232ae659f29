/**
 * Gradients of composites against finite differences in f64: those with a rule of their own (softmax, attention, sigmoid) and those derived
 * from their ops; second derivatives; what is computed again instead of kept; functions with gradients of their own.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../../compiler/compile.ts';
import { PROFILES } from '../../compiler/profile.ts';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, makeGraph, nodesOf } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { verify } from '../../dsl/graph/verify.ts';
import * as L from '../../dsl/index.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import { sizesOf } from '../../models/pixnerd/config.ts';
import { trainingGraph } from '../../models/training/loss.ts';
import { elementsOf, randomNumbers } from '../generators/elements.ts';
import { SEED } from '../harness/settings.ts';

type Values = Readonly<Record<string, ArrayLike<number>>>;
const at = (node: Node, values: Values): Float64Array => evaluate(makeGraph({ y: node }), values)['y']!.data;
const count = (node: Node): number => (node.shape as readonly number[]).reduce((a, b) => a * b, 1);
const nameOf = (node: Node): string => node.attributes['name'] as string;

/** The gradient of a loss by central differences, at some elements of each input. */
const expectSlopes = (loss: Node, gradient: readonly Node[], inputs: readonly Node[], values: Values): void => {
  const random = randomNumbers(count(loss) + inputs.length);
  inputs.forEach((input, k) => {
    const slopes = at(gradient[k]!, values), name = nameOf(input);
    expect([gradient[k]!.dtype, gradient[k]!.shape]).toEqual([input.dtype, input.shape]);
    for (let n = 0; n < 5; n++) {
      const i = Math.floor(random() * slopes.length), step = 2 ** -12;
      const moved = (by: number) => at(loss, { ...values, [name]: Float64Array.from(values[name]!, (x, j) => (j === i ? x + by : x)) })[0]!;
      const difference = (moved(step) - moved(-step)) / (2 * step);
      expect(Math.abs(difference - slopes[i]!), `d/d${name}[${i}]: ${slopes[i]}, the difference quotient is ${difference}`)
        .toBeLessThan(2e-5 * Math.max(1, Math.abs(difference)));
    }
  });
};
/** A scalar of every element, each with a weight of its own. */
const weightedSum = (y: Node): Tensor<[], 'f32'> => {
  const weights = L.literal(y.shape as [7], elementsOf(3, count(y), 'f32', 'plain')) as unknown as Tensor<['n'], 'f32'>; // any shape
  return y.shape.reduce<Tensor<['n'], 'f32'>>((sum) => L.sum(sum, 0) as unknown as Tensor<['n'], 'f32'>, L.mul(y as Tensor<['n'], 'f32'>, weights)) as unknown as Tensor<[], 'f32'>;
};
const inputs = (...shapes: readonly (readonly number[])[]): readonly Tensor<['a', 'b', 'c'], 'f32'>[] =>
  shapes.map((shape, i) => L.input(`x${i}`, shape as [7]) as unknown as Tensor<['a', 'b', 'c'], 'f32'>); // shapes are drawn
const valuesFor = (nodes: readonly Node[], seed: number): Values =>
  Object.fromEntries(nodes.map((node, i) => [nameOf(node), elementsOf(seed + i, count(node), 'f32', 'plain')]));

type Case = readonly [name: string, shapes: readonly (readonly number[])[], f: (...x: Tensor<['a', 'b', 'c'], 'f32'>[]) => Node];
const CASES: readonly Case[] = [
  ['softmax', [[2, 3, 5]], (x) => L.softmax(x, -1)],
  ['softmax of an inner axis', [[2, 3, 5]], (x) => L.softmax(x, 1)],
  ['logSumExp', [[2, 3, 5]], (x) => L.logSumExp(x, -1)],
  ['l2Normalize', [[2, 3, 5]], (x) => L.l2Normalize(x, 1)],
  ['sigmoid', [[2, 3, 5]], (x) => L.sigmoid(x)],
  ['silu', [[2, 3, 5]], (x) => L.silu(x)],
  ['tanh', [[2, 3, 5]], (x) => L.tanh(x)],
  ['gelu', [[2, 3, 5]], (x) => L.gelu(x)],
  ['rmsNorm', [[2, 3, 5], [5]], (x, w) => L.rmsNorm(x, w as unknown as Tensor<['c'], 'f32'>)],
  ['layerNorm', [[2, 3, 5], [5], [5]], (x, w, b) => L.layerNorm(x, w as unknown as Tensor<['c'], 'f32'>, b as unknown as Tensor<['c'], 'f32'>)],
  ['attention', [[2, 3, 4], [2, 6, 4], [2, 6, 5]], (q, k, v) => L.attention(q as never, k as never, v as never)],
  ['causal attention', [[2, 4, 4], [2, 4, 4], [2, 4, 3]], (q, k, v) => L.attention(q as never, k as never, v as never, { causal: true })],
  ['attention with shared keys', [[3, 2, 4], [1, 5, 4], [1, 5, 2]], (q, k, v) => L.attention(q as never, k as never, v as never, { scale: 0.7 })],
  ['rope', [[2, 3, 6], [3, 3], [3, 3]], (x, c, s) => L.rope(x as never, c as never, s as never)],
  ['a checkpoint', [[2, 3, 5], [2, 3, 5]], (x, y) => L.checkpoint((a: typeof x, b: typeof x) => L.mul(L.softmax(a, -1), L.silu(b)))(x, y)],
];

describe('the gradient of', () => {
  test.each(CASES)('%s is its difference quotient', (_name, shapes, f) =>
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
      const xs = inputs(...shapes), loss = weightedSum(f(...xs)), gradient = L.gradients(loss, xs);
      expect(verify(makeGraph(Object.fromEntries(gradient.map((node, i) => [`g${i}`, node]))))).toEqual([]);
      expectSlopes(loss, gradient, xs, valuesFor(xs, seed));
    }), { seed: SEED, numRuns: 4 }));

  test.each(CASES)('%s has a gradient again', (_name, shapes, f) => {
    const xs = inputs(...shapes), first = L.gradients(weightedSum(f(...xs)), xs);
    const loss = first.map(weightedSum).reduce((a, b) => L.add(a, b));
    expectSlopes(loss, L.gradients(loss, xs), xs, valuesFor(xs, 11));
  });
});

test('gradients on symbols, bound later, are those at the sizes', () => {
  const x = L.input('x', ['B', '2*h', 4]);
  const loss = L.mean(L.mean(L.mean(L.mul(L.slice(x, 1, 0, 'h', 2), L.slice(x, 1, 1, 'h', 2)), 0), 0), 0);
  const [gradient] = L.gradients(loss, [x]);
  const values = { x: elementsOf(5, 48, 'f32', 'plain') };
  const bound = bindSizes(makeGraph({ gradient: gradient! }), { B: 2, h: 3 });
  const got = evaluate(bound, values)['gradient']!.data;
  got.forEach((slope, i) => expect(slope).toBeCloseTo(values.x[Math.floor(i / 4) % 2 === 0 ? i + 4 : i - 4]! / 24, 12));
});

describe('recomputation', () => {
  const layer = (x: Tensor<['n', 4], 'f32'>, i: number) => L.silu(L.linear(x, L.parameter(`w${i}`, [4, 4])));
  const deep = (wrap: (f: typeof layer, i: number) => (x: Tensor<['n', 4], 'f32'>) => Tensor<['n', 4], 'f32'>) => {
    const x = L.input('x', ['n', 4]);
    const y = [0, 1, 2].reduce((z, i) => wrap(layer, i)(z), x);
    const loss = L.mean(L.mean(L.square(y), 0), 0), weights = [0, 1, 2].map((i) => L.parameter(`w${i}`, [4, 4]));
    return bindSizes(makeGraph({ loss, ...Object.fromEntries(L.gradients(loss, weights).map((g, i) => [`g${i}`, g])) }), { n: 5 });
  };
  const kept = deep((f, i) => (x) => f(x, i)), again = deep((f, i) => L.checkpoint((x) => f(x, i)));
  test('gives the same numbers', () => {
    const values = { x: elementsOf(1, 20, 'f32', 'plain'), w0: elementsOf(2, 16, 'f32', 'plain'), w1: elementsOf(3, 16, 'f32', 'plain'), w2: elementsOf(4, 16, 'f32', 'plain') };
    const [a, b] = [evaluate(kept, values), evaluate(again, values)];
    expect(Object.keys(b)).toEqual(['loss', 'g0', 'g1', 'g2']);
    for (const name of Object.keys(a)) expect([...b[name]!.data]).toEqual([...a[name]!.data]);
  });
  test('computes the inside twice, and only that', () => {
    const exps = (graph: typeof kept) => nodesOf(graph).filter(({ op }) => op === 'exp').length;
    expect([exps(kept), exps(again)]).toEqual([3, 6]);
    expect(verify(again)).toEqual([]);
  });
});

test('gradients come in an order in which less has to be kept', () => {
  const config = { in_channels: 1, patch_size: 4, num_groups: 2, hidden_size: 32, hidden_size_x: 8, num_blocks: 6, num_cond_blocks: 4, nerf_mlpratio: 2, num_classes: 3 };
  const sizes = sizesOf(config, { batch: 8, height: 16, width: 16 }), backward = L.withGradients(trainingGraph(config)), [loss, ...slopes] = backward.outputs;
  if (sizes._tag === 'Left') throw new Error(sizes.left[0]);
  const scratch = (outputs: typeof backward.outputs): number => {
    const made = compile({ ...backward, outputs }, { sizes: sizes.right, profile: PROFILES.cpu });
    if (made._tag === 'Left') throw new Error(made.left[0].message);
    return made.right.buffers.filter(({ kind }) => kind === 'scratch').reduce((sum, { bytes }) => sum + bytes, 0);
  };
  expect(scratch(backward.outputs)).toBeLessThan(0.97 * scratch([loss!, ...slopes.toReversed()]));
});

test('a function with its own gradient uses it, the identity too', () => {
  const x = L.input('x', [3]);
  const reversed = L.customGradient((a: Tensor<[3], 'f32'>) => a, (cotangent) => [L.neg(cotangent)]);
  const tripled = L.customGradient((a: Tensor<[3], 'f32'>) => L.mul(a, 3), (cotangent, result) => [L.mul(cotangent, result)]);
  const values = { x: [1, 2, 4] };
  const slope = (y: Tensor<[3], 'f32'>) => [...at(L.gradients(L.sum(y, 0), [x])[0]!, values)];
  expect(slope(reversed(x))).toEqual([-1, -1, -1]);
  expect(slope(tripled(x))).toEqual([3, 6, 12]);
  expect(slope(L.mul(L.stopGradient(x), x))).toEqual([1, 2, 4]);
});

test('a wrong loss is said at build time', () => {
  const x = L.input('x', ['B', 3]), label = L.input('y', ['B'], 'i32');
  expect(L.gradients(L.sum(x, 0), [x])[0]!.attributes['message']).toBe('gradients: the loss must be one float of shape [], got f32[3]; take its mean or sum');
  expect(L.gradients(L.sum(L.sum(x, 0), 0), [label])[0]!.attributes['message']).toBe('gradients: a tensor of i32 has no gradient, only floats do');
});

test('trees keep their form, and a module is a function of its tree', () => {
  const model = L.module({ first: L.layers.linear(4, 3), rest: L.repeat(2, L.layers.linearNoBias(3, 3)) }, (p) => (x: Tensor<['B', 4], 'f32'>) =>
    p.rest.reduce((y, f) => L.silu(f(y)), p.first(x)));
  const x = L.input('x', ['B', 4]), parameters = L.parametersOf(model);
  const loss = (p: typeof parameters, given: typeof x) => L.mean(L.mean(L.square(L.applied(model, p)(given)), 0), 0);
  const { value, gradient } = L.valueAndGrad(loss)(parameters, x);
  expect(value).toBe(loss(parameters, x));
  expect([gradient.first.weight.shape, gradient.first.bias.shape, gradient.rest.map(({ weight }) => weight.shape)]).toEqual([[3, 4], [3], [[3, 3], [3, 3]]]);
  expect(L.bind(model)(x)).toBe(L.applied(model, parameters)(x));
  expect(L.grad(loss)(parameters, x)).toEqual(gradient);
  const { value: y, pullback } = L.vjp((p: typeof parameters) => L.applied(model, p)(x), parameters);
  expect(pullback(y).first.weight.shape).toEqual([3, 4]);
});
