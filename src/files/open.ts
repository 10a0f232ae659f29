/** Opens files of tensors on disk: the way in for everything that runs in Node. Only directories are read, data when it is asked for. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskEither } from 'fp-ts/TaskEither';
import { checkpointOf } from './checkpoint.ts';
import { attempt, fail } from './errors.ts';
import type { FileError } from './errors.ts';
import { openFile } from './node-file.ts';
import type { RandomAccess } from './random-access.ts';
import { openShards } from './safetensors-shards.ts';
import { safetensorsOf } from './safetensors.ts';
import type { TensorFile } from './tensor-file.ts';
import { weightsOf } from './weights.ts';
import type { Weights, WeightsOptions } from './weights.ts';

/**
 * Opens a checkpoint, a safetensors file, the index of a sharded set or its folder; what it is is seen from its content.
 * Only directories are read. Errors: not-found, not-readable, truncated, corrupt, unsafe, unsupported, missing (no weights under the prefix).
 */
export const openWeights = (path: string, options: WeightsOptions = {}): TaskEither<FileError, Weights> =>
  attempt(path, async () => {
    const file = await openTensors(await fileIn(path));
    try {
      return weightsOf(file, options);
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  });

/** Opens any file of tensors with its names as they are: what `inspect` and goldens need. Errors as `openWeights`. */
export const openTensorFile = (path: string): TaskEither<FileError, TensorFile> => attempt(path, async () => openTensors(await fileIn(path)));

// the usual name of the index of a sharded set
const shardIndexName = 'model.safetensors.index.json';

/** A folder stands for the weights in it. */
const fileIn = async (path: string): Promise<string> => {
  if (!(await stat(path)).isDirectory()) return path;
  for (const name of [shardIndexName, 'model.safetensors']) if (await exists(join(path, name))) return join(path, name);
  return fail('not-found', path, `this folder holds neither ${shardIndexName} nor model.safetensors; give the file itself`);
};

const exists = async (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const openTensors = async (path: string): Promise<TensorFile> => {
  if (path.endsWith('.json')) return openShards(path, openFile);
  const file = await openFile(path);
  const format = await formatOf(file);
  if (format === 'zip') return checkpointOf(file);
  if (format === 'safetensors') return safetensorsOf(file);
  await file.close();
  return fail('unsupported', path, 'this is PyTorch’s format from before 1.6 (a bare pickle); load it there and save it again');
};

/** The brace of a header decides first, since the length before it may look like any format; what is unknown is left to the safetensors reader. */
const formatOf = async (file: RandomAccess): Promise<'safetensors' | 'zip' | 'pickle'> => {
  const start = String.fromCharCode(...(await file.read(0, Math.min(file.size, 9))));
  if (start[8] === '{') return 'safetensors';
  if (start.startsWith('PK')) return 'zip';
  return start[0] === '\x80' && start[1]! <= '\x05' ? 'pickle' : 'safetensors';
};
