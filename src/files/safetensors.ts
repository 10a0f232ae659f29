/** Opens safetensors files, single or sharded, by reading their headers only; tensor data is read by range when asked for. */
import type { TaskEither } from 'fp-ts/TaskEither';
import { attempt, fail } from './errors.ts';
import type { FileError } from './errors.ts';
import { openFile } from './node-file.ts';
import type { RandomAccess } from './random-access.ts';
import { readHeader } from './safetensors-header.ts';
import { openShards } from './safetensors-shards.ts';
import type { TensorFile } from './tensor-file.ts';

/** The usual name of the index of a sharded set. */
export const shardIndexName = 'model.safetensors.index.json';

/** Opens `path`, a `.safetensors` file or a `.safetensors.index.json`. Errors: not found, truncated, corrupt, unsupported dtype, unsafe shard name. */
export const openSafetensors = (path: string): TaskEither<FileError, TensorFile> => attempt(path, () => openSafetensorsAt(path));

/** The same for use inside this folder: throws its faults. */
export const openSafetensorsAt = async (path: string): Promise<TensorFile> =>
  path.endsWith('.json') ? openShards(path, openFile) : safetensorsOf(await openFile(path));

/** The tensors of an open file; closes it if its header is refused. */
export const safetensorsOf = async (file: RandomAccess): Promise<TensorFile> => {
  try {
    const { metadata, tensors } = await readHeader(file);
    const readBytes = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
      const { begin, end } = tensors.get(name) ?? fail('missing', file.name, `there is no tensor ${name} in the file`);
      return file.read(begin, end - begin);
    };
    return { path: file.name, format: 'safetensors', metadata, tensors, unreadable: new Map(), readBytes, close: file.close };
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
};
