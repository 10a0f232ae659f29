/** A model that is small enough for tests on a software adapter, with weights out of the integer hash. */
import * as E from 'fp-ts/Either';
import type { C2iConfig } from '../../models/pixnerd/config.ts';
import { parameterShapes, velocityGraph } from '../../models/pixnerd/graph.ts';
import { recipeTensor } from '../../models/recipe.ts';
import type { SamplerOptions } from '../../models/sampling/options.ts';
import type { SamplerPlan } from '../../models/sampling/plan.ts';
import { plan } from '../../models/sampling/sampler.ts';
import type { C2iModel } from './model.ts';

export const TINY: C2iConfig = {
  in_channels: 1,
  patch_size: 4,
  num_groups: 2,
  hidden_size: 16,
  hidden_size_x: 4,
  num_blocks: 2,
  num_cond_blocks: 1,
  nerf_mlpratio: 2,
  num_classes: 3,
};

/** The weights of a configuration by name. */
export const hashedWeights = (config: C2iConfig): Readonly<Record<string, Float32Array<ArrayBuffer>>> =>
  Object.fromEntries(Object.entries(parameterShapes(config)).map(([name, shape]) => [name, recipeTensor(name, shape)]));

export const tinyModel = (config: C2iConfig = TINY): Pick<C2iModel, 'config' | 'graph' | 'weights'> => ({
  config,
  graph: velocityGraph(config),
  weights: hashedWeights(config),
});

/** The plan of options that are right. */
export const planned = (options: SamplerOptions): SamplerPlan => {
  const made = plan(options);
  if (E.isLeft(made)) throw new Error(made.left.join('; '));
  return made.right;
};
