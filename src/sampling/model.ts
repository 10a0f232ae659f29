/** A class-to-image model out of a file of weights: its configuration, its graph, its weights on demand. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Graph } from '../../dsl/graph/graph.ts';
import type { C2iConfig, ImageSize } from '../../models/pixnerd/config.ts';
import { parameterShapes, velocityGraph } from '../../models/pixnerd/graph.ts';
import type { WeightSource } from '../backend/backend.ts';
import { checkWeights } from '../files/check-weights.ts';
import type { FileError } from '../files/errors.ts';
import { inferC2iConfig, shapesOf } from '../files/infer-config.ts';
import { openWeights } from '../files/open.ts';
import type { Weights, WeightsOptions } from '../files/weights.ts';

export interface C2iModel {
  readonly config: C2iConfig;
  /** Inputs x, t, y; output v. */
  readonly graph: Graph;
  readonly weights: WeightSource;
  /** The open file behind the weights. */
  readonly file: Weights;
}

/** Readers of the named tensors; what is wrong with one is thrown, as `WeightSource` has it. */
export const weightSource = (weights: Weights, names: readonly string[] = weights.names()): WeightSource =>
  Object.fromEntries(
    names.map((name) => [
      name,
      async () => {
        const read = await weights.read(name)();
        if (E.isLeft(read)) throw new Error(read.left.message);
        return read.right;
      },
    ]),
  );

/** The model in open weights. Errors: `mismatch`, with everything that is missing, extra or of a wrong shape. */
export const modelOf = (file: Weights): E.Either<FileError, C2iModel> => {
  const config = inferC2iConfig(shapesOf(file), file.path);
  if (E.isLeft(config)) return config;
  const shapes = new Map(Object.entries(parameterShapes(config.right)));
  const checked = checkWeights(file, shapes);
  if (E.isLeft(checked)) return checked;
  return E.right({ config: config.right, graph: velocityGraph(config.right), weights: weightSource(file, [...shapes.keys()]), file });
};

/** Opens a checkpoint or safetensors file as a model. Only directories are read. Errors: those of `openWeights` and `modelOf`. */
export const openModel =
  (path: string, options: WeightsOptions = {}): TaskEither<FileError, C2iModel> =>
  async () => {
    const weights = await openWeights(path, options)();
    if (E.isLeft(weights)) return weights;
    const model = modelOf(weights.right);
    if (E.isLeft(model)) await weights.right.close();
    return model;
  };

/** The size of the images that a model was trained on, where its file says so: `image` in the metadata is [channels, height, width]. */
export const trainedSize = (metadata: Readonly<Record<string, string>>): ImageSize | undefined => {
  const [, height, width] = /^\[\d+,\s*(\d+),\s*(\d+)\]$/.exec(metadata['image'] ?? '') ?? [];
  return height === undefined ? undefined : { height: Number(height), width: Number(width) };
};
