/** The mathematics of a run out of its configuration: the loss as a graph, the optimiser, the learning rate, what is drawn, the first weights. */
import * as E from 'fp-ts/Either';
import type { Graph, Sizes } from '../../dsl/graph/graph.ts';
import { nullClass, sizesOf } from '../../models/pixnerd/config.ts';
import { parameterShapes } from '../../models/pixnerd/graph.ts';
import { initialise } from '../../models/pixnerd/initialise.ts';
import { drawBatch } from '../../models/training/draws.ts';
import { trainingGraph } from '../../models/training/loss.ts';
import { type Optimizer, optimizerOf, type OptimizerOptions } from '../../models/training/optimizer.ts';
import { learningRateOf } from '../../models/training/schedule.ts';
import { imageSizeOf, type RunConfig } from './config.ts';
import type { NamedArrays, TrainingBatch } from './trainer-types.ts';

export interface RunMathematics {
  /** Output `loss`; its inputs are the arrays of a batch, by name. */
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly optimizer: Optimizer;
  /** Of a step, counted from 1. */
  readonly learningRate: (step: number) => number;
  /** The micro-batches of a step, counted from 0, with everything that is drawn for it. */
  readonly batches: (step: number, x: Float32Array<ArrayBuffer>, labels: Int32Array<ArrayBuffer>) => readonly TrainingBatch[];
  readonly firstWeights: () => NamedArrays;
}

const optimizerOptions = ({ optimizer, clip, ema }: RunConfig): OptimizerOptions => {
  const { kind, beta1, beta2, epsilon, weightDecay, momentum, nesterov } = optimizer;
  const common = { weightDecay, ...(clip !== null && { clip }), ...(ema > 0 && { emaDecay: ema }) };
  return kind === 'adamw' ? { kind, beta1, beta2, epsilon, ...common } : { kind, momentum, nesterov, ...common };
};

/** What a configuration computes. */
export const mathematicsOf = (config: RunConfig): RunMathematics => {
  const { model, batch, accumulate, seed, schedule, steps, loss } = config, part = batch / accumulate;
  const sizes = sizesOf(model, { batch: part, ...imageSizeOf(config) });
  if (E.isLeft(sizes)) throw new Error(`invariant: a validated configuration has sizes (${sizes.left.join('; ')})`);
  const learningRate = learningRateOf({ kind: schedule.kind, peak: config.optimizer.learningRate, warmup: schedule.warmup, steps, floor: schedule.floor });
  const draws = { seed, time: loss.time, timeshift: loss.timeshift, labelDrop: loss.labelDrop };
  return {
    graph: trainingGraph(model, { scheduler: loss.scheduler, weight: loss.weight }),
    sizes: sizes.right,
    shapes: parameterShapes(model),
    optimizer: optimizerOf(optimizerOptions(config), learningRate),
    learningRate,
    batches: (step, x, labels) => {
      const perPart = x.length / accumulate;
      return Array.from({ length: accumulate }, (_, k) => ({
        x: x.subarray(k * perPart, (k + 1) * perPart),
        ...drawBatch(draws, nullClass(model), step, k * part, labels.subarray(k * part, (k + 1) * part)),
      }));
    },
    firstWeights: () => initialise(model, seed),
  };
};
