/** Turns weights of any readable file into one safetensors file: f32 or f16, the authors' names without prefix, the configuration in the metadata. */
import * as E from 'fp-ts/Either';
import { pipe } from 'fp-ts/function';
import * as TE from 'fp-ts/TaskEither';
import type { TaskEither } from 'fp-ts/TaskEither';
import { toHalf } from '../../compiler/half.ts';
import type { WriteOptions } from './atomic.ts';
import { FileFault } from './errors.ts';
import type { FileError } from './errors.ts';
import { inferC2iConfig, shapesOf } from './infer-config.ts';
import { openWeights } from './open.ts';
import type { TensorToWrite } from './safetensors-write.ts';
import type { Weights, WeightsOptions } from './weights.ts';
import { writeSafetensors } from './write.ts';

/** Options of both files, and strings to be kept in the new one (licence, attribution). */
export interface ConvertOptions extends WeightsOptions, WriteOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** f16 takes half the bytes; values beyond its range become the largest that it has. Default: F32. */
  readonly dtype?: 'F32' | 'F16';
}

/** Converts a class-to-image PixNerd and returns the new file's size; one tensor is held at a time. Errors: of reading, inferring, writing. */
export const convertWeights = (from: string, to: string, options: ConvertOptions = {}): TaskEither<FileError, number> =>
  TE.bracket(
    openWeights(from, options),
    (weights) => writeConverted(weights, to, options),
    (weights) => TE.fromTask(() => weights.close()),
  );

const writeConverted = (weights: Weights, to: string, options: ConvertOptions): TaskEither<FileError, number> =>
  pipe(
    TE.fromEither(inferC2iConfig(shapesOf(weights), weights.path)),
    TE.chain((config) =>
      writeSafetensors(to, tensorsOf(weights, options.dtype), { format: 'pt', kind: 'weights', config: JSON.stringify(config), ...options.metadata }, options),
    ),
  );

const tensorsOf = (weights: Weights, dtype: 'F32' | 'F16' = 'F32'): readonly TensorToWrite[] =>
  weights.names().map((name) => ({
    name, dtype, shape: weights.info(name)!.shape,
    data: async () => (dtype === 'F32' ? readOrFail(weights, name) : Uint16Array.from(await readOrFail(weights, name), toHalf)),
  }));

const readOrFail = async (weights: Weights, name: string): Promise<Float32Array> => {
  const values = await weights.read(name)();
  if (E.isLeft(values)) throw new FileFault(values.left);
  return values.right;
};
