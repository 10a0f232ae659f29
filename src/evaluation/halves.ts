/**
 * The two parts of a data set that a model is judged with: what it was trained on, and what it never saw.
 *
 * IDX files and packs have both; other folders need a second one, or their images count as seen.
 */
import { readdir, stat } from 'node:fs/promises';
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { DataError, DataKind, DataOptions, Dataset } from '../data/dataset.ts';
import { looksLikeIdx } from '../data/idx.ts';
import { openDataset } from '../data/open.ts';
import { PACK_FILE } from '../data/pack.ts';
import { attempt } from '../files/errors.ts';

export interface Halves {
  readonly train: Dataset;
  /** Undefined: there are none, or nobody knows which. */
  readonly heldOut: Dataset | undefined;
}

/** What lies at the path, as far as it says which images are held out. */
const kindAt = (path: string): TaskEither<DataError, Extract<DataKind, 'idx' | 'pack'> | undefined> =>
  attempt(path, async () => {
    if (!(await stat(path)).isDirectory()) return PACK_FILE.test(path) ? 'pack' : undefined;
    const files = await readdir(path);
    return files.some((file) => PACK_FILE.test(file)) ? 'pack' : looksLikeIdx(files) ? 'idx' : undefined;
  });

/** Opens both parts; `heldOut` is a second folder. Errors name what is missing. */
export const openHalves = (options: DataOptions, heldOut?: string): TaskEither<DataError, Halves> => async () => {
  const kind = await kindAt(options.path)();
  if (E.isLeft(kind)) return kind;
  const train = await openDataset(options)();
  if (E.isLeft(train)) return train;
  const other = await heldOutOf(options, heldOut, kind.right, train.right);
  if (E.isRight(other)) return E.right({ train: train.right, heldOut: other.right });
  await train.right.close();
  return other;
};

const heldOutOf = async (options: DataOptions, folder: string | undefined, kind: DataKind | undefined, { classes }: Dataset): Promise<E.Either<DataError, Dataset | undefined>> => {
  if (folder !== undefined) return openDataset({ ...options, path: folder, classes })();
  if (kind === 'idx') return openDataset({ ...options, split: 't10k' })();
  if (kind !== 'pack') return E.right(undefined);
  const held = await openDataset({ ...options, heldOut: 'only' })();
  return E.isLeft(held) && held.left.kind === 'empty' ? E.right(undefined) : held; // a pack may hold out none
};
