/** The losses on small numbers, against the formulas written out; and that the training graph learns from each image by itself. */
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, type Graph, inputName, makeGraph, type Sizes } from '../../dsl/graph/graph.ts';
import { add, input, mul, reshape, type T, withGradients } from '../../dsl/index.ts';
import { type C2iConfig, sizesOf } from '../pixnerd/config.ts';
import { firstWeights } from '../pixnerd/initialise.ts';
import { type SchedulerName, SCHEDULERS } from '../sampling/scheduler.ts';
import { drawBatch } from './draws.ts';
import { flowMatchingLoss, LOSS_WEIGHTS, type LossWeight, trainingGraph } from './loss.ts';
import { alignedTrainingGraph, alignmentLoss, layerMistake, withAlignment } from './repa.ts';

type Feeds = Readonly<Record<string, ArrayLike<number>>>;
const evaluated = (graph: Graph, sizes: Sizes, feeds: Feeds): Readonly<Record<string, ArrayLike<number>>> =>
  Object.fromEntries(Object.entries(evaluate(bindSizes(graph, sizes), feeds)).map(([name, { data }]) => [name, data]));
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const IMAGE = ['B', 2, 2, 2] as const, EACH = 8;
const waves = (count: number, seed: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));
const [x, noise, t, y] = [waves(24, 1), waves(24, 2), Float32Array.of(0.1, 0.5, 0.95), Int32Array.of(0, 1, 2)];

/** The names of the weights say the opposite of what they do. */
const WEIGHTS: Readonly<Record<LossWeight, (alpha: number, sigma: number) => number>> = {
  constant: () => 1, snr: (alpha, sigma) => alpha / sigma, inverse_sigma: (_, sigma) => 1 / sigma ** 2,
  minsnr: (alpha, sigma) => Math.max(alpha / sigma, 5), maxsnr: (alpha, sigma) => Math.min(alpha / sigma, 5),
};

describe('flow matching', () => {
  for (const scheduler of Object.keys(SCHEDULERS) as SchedulerName[]) for (const weight of LOSS_WEIGHTS) {
    test(`${scheduler}, ${weight}`, () => {
      const [xs, noises, ts, ys] = [input('x', IMAGE), input('noise', IMAGE), input('t', ['B']), input('y', ['B'], 'i32')];
      const network = (image: T<typeof IMAGE>, time: T<['B']>): T<typeof IMAGE> => add(mul(image, 0.5), reshape(time, ['B', 1, 1, 1]));
      const { loss, x_t: noisy } = flowMatchingLoss(network, { scheduler, weight })(xs, noises, ts, ys);
      const got = evaluated(makeGraph({ loss, x_t: noisy }, [xs, noises, ts, ys]), { B: 3 }, { x, noise, t, y });
      const { alpha, sigma, alphaRate, sigmaRate } = SCHEDULERS[scheduler], time = (i: number): number => t[Math.floor(i / EACH)]!;
      const x_t = Array.from(x, (value, i) => alpha(time(i)) * value + sigma(time(i)) * noise[i]!);
      const errors = Array.from(x, (value, i) => 0.5 * x_t[i]! + time(i) - (alphaRate(time(i)) * value + sigmaRate(time(i)) * noise[i]!));
      const want = mean(errors.map((error, i) => WEIGHTS[weight](alpha(time(i)), sigma(time(i))) * error ** 2));
      expect(Math.abs(got['loss']![0]! / want - 1)).toBeLessThan(1e-5);
      x_t.forEach((value, i) => expect(got['x_t']![i]).toBeCloseTo(value, 5));
    });
  }
});

const CONFIG: C2iConfig = { in_channels: 1, patch_size: 2, num_groups: 2, hidden_size: 8, hidden_size_x: 4, num_blocks: 3, num_cond_blocks: 2, nerf_mlpratio: 2, num_classes: 3 };
const sizesFor = (batch: number): Sizes => {
  const sizes = sizesOf(CONFIG, { batch, height: 4, width: 4 });
  if (sizes._tag === 'Left') throw new Error(sizes.left.join());
  return { ...sizes.right };
};
/** Weights none of which is zero, so that every gradient is there. */
const weightsOf = (graph: Graph, sizes: Sizes): Feeds => {
  const shapes = Object.fromEntries(bindSizes(graph, sizes).parameters.map((node) => [inputName(node), node.shape as readonly number[]]));
  return Object.fromEntries(Object.entries(firstWeights(shapes, 3)).map(([name, values], k) => [name, values.every((value) => value === 0) ? waves(values.length, k) : values]));
};
const batch = (from: number, count: number): Feeds => ({ x: waves(16 * 4, 5).subarray(16 * from, 16 * (from + count)), ...drawBatch({ seed: 2, time: 'lognormal', labelDrop: 0.5 }, 3, 9, from, [0, 1, 2, 0].slice(from, from + count)) });

test('gradients of a batch are the means of its parts: noise and times do not depend on how it is split', () => {
  const graph = withGradients(trainingGraph(CONFIG)), parameters = weightsOf(graph, sizesFor(4));
  const whole = evaluated(graph, sizesFor(4), { ...parameters, ...batch(0, 4) }), halves = [0, 2].map((from) => evaluated(graph, sizesFor(2), { ...parameters, ...batch(from, 2) }));
  expect(Object.keys(whole).length).toBe(1 + Object.keys(parameters).length);
  for (const [name, values] of Object.entries(whole)) {
    const size = Math.max(...Array.from(values, Math.abs));
    expect(size, name).toBeGreaterThan(0);
    Array.from(values).forEach((value, i) => expect(Math.abs(mean(halves.map((half) => half[name]![i]!)) - value), name).toBeLessThan(1e-4 * size));
  }
});

describe('alignment', () => {
  test('is the mean of 1 - cosine over the first tokens, as many as there are features', () => {
    const [tokens, features] = [input('tokens', ['B', 'L', 'E']), input('features', ['B', 'N', 'E'])], [a, b] = [waves(2 * 5 * 3, 1), waves(2 * 4 * 3, 2)];
    const project = () => mul(tokens, 2); // the length of a token does not count
    const got = evaluated(makeGraph({ loss: alignmentLoss(project, input('unused', ['B', 'L', 'D']), features, 'N') }, [tokens, features]), { B: 2, L: 5, N: 4, E: 3 }, { tokens: a, features: b });
    const losses = [0, 1].flatMap((image) => [0, 1, 2, 3].map((token) => {
      const [p, q] = [a.subarray(3 * (5 * image + token)).subarray(0, 3), b.subarray(3 * (4 * image + token)).subarray(0, 3)];
      return 1 - (p[0]! * q[0]! + p[1]! * q[1]! + p[2]! * q[2]!) / (Math.hypot(...p) * Math.hypot(...q));
    }));
    expect(got['loss']![0]).toBeCloseTo(mean(losses), 5);
  });

  test('adds to the flow loss with its weight, and reaches the blocks up to its layer and the projector', () => {
    const sizes = { ...sizesFor(4), N: 3, Z: 6, E: 5 }, plain = trainingGraph(CONFIG), features = waves(4 * 3 * 5, 8);
    const at = (layer: number, weight: number) => {
      const graph = withGradients(alignedTrainingGraph(CONFIG, { layer, weight }));
      return evaluated(graph, sizes, { ...weightsOf(graph, sizes), ...batch(0, 4), features });
    };
    const [first, heavy, second] = [at(1, 0.5), at(1, 2), at(2, 0.5)], parameters = weightsOf(withGradients(alignedTrainingGraph(CONFIG, { layer: 1 })), sizes);
    expect(Object.keys(parameters)).toEqual(expect.arrayContaining(['proj.0.0.weight', 'proj.0.2.bias', 'proj.0.4.weight']));
    const kept = Object.fromEntries(Object.entries(parameters).filter(([name]) => !name.startsWith('proj.'))), flow = evaluated(plain, sizesFor(4), { ...kept, ...batch(0, 4) })['loss']![0]!;
    expect(first['fm_loss']![0]).toBeCloseTo(flow, 5);
    for (const [values, weight] of [[first, 0.5], [heavy, 2], [second, 0.5]] as const) expect(values['loss']![0]).toBeCloseTo(values['fm_loss']![0]! + weight * values['cos_loss']![0]!, 5);
    const same = (name: string): boolean => Array.from(first[name]!).every((value, i) => Math.abs(value - heavy[name]![i]!) < 1e-7);
    expect(same('grad.blocks.1.mlp.w2.weight')).toBe(true); // after the layer
    for (const name of ['grad.blocks.0.mlp.w2.weight', 'grad.proj.0.0.weight']) expect(same(name), name).toBe(false);
    expect(first['cos_loss']![0]).not.toBeCloseTo(second['cos_loss']![0]!, 4);
  });

  test('a layer without tokens is named', () => {
    for (const layer of [0, 3, 1.5, -1]) expect(layerMistake(CONFIG, layer)).toMatch(new RegExp(`the align layer is ${layer}; .*the first 2 have tokens`));
    for (const layer of [1, 2]) expect(layerMistake(CONFIG, layer)).toBeUndefined();
  });

  test('the weight is a half where none is given', () => {
    const [flow, cosine] = [input('flow', []), input('cosine', [])];
    expect(evaluated(makeGraph({ loss: withAlignment(flow, cosine) }, [flow, cosine]), {}, { flow: [2], cosine: [0.5] })['loss']![0]).toBe(2.25);
  });
});
