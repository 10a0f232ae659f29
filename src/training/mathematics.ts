/** The mathematics of a run out of its configuration: the loss as a graph, the optimiser, the learning rate, what is drawn, the first weights. */
import * as E from 'fp-ts/Either';
import { makeGraph } from '../../dsl/graph/graph.ts';
import * as L from '../../dsl/index.ts';
import { philox4x32 } from '../../dsl/scalar/philox.ts';
import { parameterShapes } from '../../models/pixnerd/graph.ts';
import { pixnerd } from '../../models/pixnerd/pixnerd.ts';
import { sizesOf } from '../../models/pixnerd/config.ts';
import { recipeTensor } from '../../models/recipe.ts';
import type { Inputs } from '../backend/backend.ts';
import type { Graph, Sizes } from '../../dsl/graph/graph.ts';
import { imageSizeOf, type RunConfig } from './config.ts';
import type { FlatOptimizer } from './trainer.ts';
import type { NamedArrays, TrainingBatch } from './trainer-types.ts';

export interface RunMathematics {
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly optimizer: FlatOptimizer;
  readonly learningRate: (step: number) => number;
  /** The micro-batches of a step (counted from 1) with everything that is drawn for it. */
  readonly batches: (step: number, x: Float32Array<ArrayBuffer>, labels: Int32Array<ArrayBuffer>) => readonly TrainingBatch[];
  readonly inputs: (batch: TrainingBatch) => Inputs;
  readonly initial: () => NamedArrays;
}

export const mathematicsOf = (config: RunConfig): RunMathematics => {
  const { model, batch, accumulate } = config, size = imageSizeOf(config), micro = batch / accumulate;
  const sized = sizesOf(model, { batch: micro, ...size });
  if (E.isLeft(sized)) throw new Error(`invariant: ${sized.left.join('; ')}`);
  const x = L.input('x', ['B', 'C', 'P*h', 'Q*w']), t = L.input('t', ['B']), y = L.input('y', ['B'], 'i32'), keys = L.input('keys', ['B', 2], 'u32');
  const noise = L.normal(keys, ['B', 'C', 'P*h', 'Q*w']);
  const at = L.reshape(t, ['B', 1, 1, 1]);
  const xt = L.add(L.mul(x, at), L.mul(noise, L.sub(1, at)));
  const v = L.bind(pixnerd(model))(xt as never, t, y);
  const mean0 = L.mean as never as (a: unknown, b: number) => unknown;
  const loss = mean0(mean0(mean0(mean0(L.square(L.sub(v, L.sub(x, noise)) as never), 0), 0), 0), 0);
  const graph = makeGraph({ loss: loss as never }, [x, t, y, keys] as never);
  const shapes = parameterShapes(model);
  const learningRate = (step: number): number => {
    const { learningRate: most } = config.optimizer, { warmup, floor, kind } = config.schedule;
    if (step <= warmup) return (most * step) / warmup;
    if (kind === 'constant') return most;
    const share = (step - warmup) / (config.steps - warmup);
    return most * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * share)));
  };
  const optimizer: FlatOptimizer = (() => {
    const [param, grad, m, vv, ema] = [L.input('param', ['n']), L.input('grad', ['n']), L.input('m', ['n']), L.input('v', ['n']), L.input('ema', ['n'])];
    const hyper = L.input('hyper', [8]), norm = L.input('norm', [1]);
    const h = (i: number) => L.index(hyper, 0, i as 0);
    const clip = L.minimum(L.div(h(0), L.add(L.reshape(norm, []), 1e-6)), 1);
    const g = L.mul(grad, clip);
    const m1 = L.add(L.mul(m, h(1)), L.mul(g, L.sub(1, h(1)))), v1 = L.add(L.mul(vv, h(2)), L.mul(L.square(g), L.sub(1, h(2))));
    const moved = L.sub(L.mul(param, h(3)), L.div(L.mul(m1, h(4)), L.add(L.mul(L.sqrt(v1), h(5)), h(6))));
    return {
      graph: makeGraph({ m: m1, v: v1, param: moved, ema: L.add(L.mul(ema, h(7)), L.mul(moved, L.sub(1, h(7)))) }, [param, grad, m, vv, ema, hyper, norm]),
      states: ['m', 'v'], ema: true,
      hyper: (step) => {
        const lr = learningRate(step), { beta1, beta2, epsilon, weightDecay } = config.optimizer;
        return Float32Array.of(config.clip ?? 3e38, beta1, beta2, 1 - lr * weightDecay, lr / (1 - beta1 ** step), 1 / Math.sqrt(1 - beta2 ** step), epsilon, config.ema);
      },
    };
  })();
  return {
    graph, sizes: sized.right, shapes, optimizer, learningRate,
    batches: (step, images, labels) => {
      const per = images.length / batch;
      const draws = Array.from({ length: batch }, (_, i) => philox4x32([i, step, 0, 77], [config.seed, 1]));
      const unit = (word: number): number => (word + 0.5) * 2 ** -32;
      return Array.from({ length: accumulate }, (_, k) => {
        const own = draws.slice(k * micro, (k + 1) * micro);
        return {
          x: images.slice(k * micro * per, (k + 1) * micro * per),
          y: Int32Array.from(own, ([, , , word], i) => (unit(word) < config.loss.labelDrop ? model.num_classes : labels[k * micro + i]!)),
          t: Float32Array.from(own, ([a, b]) => 1 / (1 + Math.exp(-Math.sqrt(-2 * Math.log(unit(a))) * Math.cos(2 * Math.PI * unit(b))))),
          keys: Uint32Array.from(Array.from({ length: micro }, (_key, i) => { const [p, q] = philox4x32([k * micro + i, step, 0, 78], [config.seed, 1]); return [p, q]; }).flat()),
        };
      });
    },
    inputs: ({ x: images, y: labels, t: times, keys: own }) => ({ x: images, y: labels, t: times, keys: own }) as Inputs,
    initial: () => Object.fromEntries(Object.entries(shapes).map(([name, shape]) => {
      const zero = name.includes('adaLN_modulation') || name.startsWith('final_layer.linear') || (name.endsWith('.bias'));
      return [name, zero ? new Float32Array(shape.reduce((p, q) => p * q, 1)) : recipeTensor(name, shape)];
    })),
  };
};
