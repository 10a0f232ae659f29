/** Reads a golden file whole, and finds the checkpoint that it speaks of. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Feeds, GoldenHeader, Numbers, WeightSet } from '../../../models/goldens/index.ts';
import type { BackendError } from '../../backend/backend.ts';
import { attempt, type FileError, fileError } from '../../files/errors.ts';
import { openTensorFile, openWeights } from '../../files/open.ts';
import { inPackage } from '../package-root.ts';
import { readFloat64, type TensorFile } from '../../files/tensor-file.ts';

export interface Golden {
  readonly path: string;
  readonly header: GoldenHeader;
  /** As doubles, by full name. */
  readonly tensors: ReadonlyMap<string, Float64Array>;
}

const headerOf = ({ metadata, tensors }: TensorFile): GoldenHeader => ({ metadata, tensors: Object.fromEntries(tensors) });

/** Errors: those of opening and reading a file of tensors, and one without the metadata of a golden. */
export const readGolden =
  (path: string): TaskEither<FileError, Golden> =>
  async () => {
    const opened = await openTensorFile(path)();
    if (E.isLeft(opened)) return opened;
    const file = opened.right;
    try {
      if (file.metadata['kind'] === undefined) {
        return E.left(fileError('unsupported', path, 'this is no golden file: its metadata have no `kind` (`pixnerd inspect` shows what it is)'));
      }
      return await attempt(path, async () => {
        const tensors = new Map<string, Float64Array>();
        for (const name of file.tensors.keys()) tensors.set(name, await readFloat64(file, name));
        return { path, header: headerOf(file), tensors };
      })();
    } finally {
      await file.close();
    }
  };

/** Weights that come with the package, for goldens whose checkpoint is not beside them. */
const packaged = (name: string): string => inPackage('models', 'weights', name.replace(/\.ckpt$/, '.safetensors'));

/** The checkpoint of a golden: the one that is given, else the one that the metadata name, beside the file or in the package. */
export const checkpointOf = ({ path, header }: Golden, given: string | undefined): E.Either<FileError, string> => {
  const name = header.metadata['checkpoint'];
  const candidates = given !== undefined ? [given] : name === undefined ? [] : [join(dirname(path), name), packaged(name)];
  const found = given ?? candidates.find((candidate) => existsSync(candidate));
  return found === undefined
    ? E.left(
        fileError(
          'not-found',
          path,
          `its weights are in the checkpoint ${name ?? '(the metadata name none)'}, which is not beside it; say where: --checkpoint FILE`,
        ),
      )
    : E.right(found);
};

const PREFIX = { ema: 'ema_denoiser.', denoiser: 'denoiser.' } as const satisfies Record<WeightSet, string>;

/** All weights of a checkpoint. A file with only one set, without these prefixes, is taken for the ema weights. */
export const readWeights =
  (path: string) =>
  (set: WeightSet): TaskEither<BackendError, Feeds> =>
  async () => {
    const opened = await openWeights(path, { prefix: PREFIX[set] })();
    const weights = E.isLeft(opened) && set === 'ema' && opened.left.kind === 'missing' ? await openWeights(path)() : opened;
    if (E.isLeft(weights)) return E.left({ kind: 'input', message: weights.left.message });
    try {
      const feeds: Record<string, Numbers> = {};
      for (const name of weights.right.names()) {
        const read = await weights.right.read(name)();
        if (E.isLeft(read)) return E.left<BackendError>({ kind: 'input', message: read.left.message });
        feeds[name] = read.right;
      }
      return E.right(feeds);
    } finally {
      await weights.right.close();
    }
  };
