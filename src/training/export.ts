/** A checkpoint of a run as the authors' code wants it: both copies of the weights in one file, under the names of their Lightning module. */
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { attempt, fail, FileFault } from '../files/errors.ts';
import type { FileError } from '../files/errors.ts';
import { openTensorFile } from '../files/open.ts';
import { readFloat32, type TensorFile } from '../files/tensor-file.ts';
import { writeSafetensors } from '../files/write.ts';

const COPIES = { 'model.safetensors': 'denoiser.', 'ema.safetensors': 'ema_denoiser.' } as const;

export interface Exported {
  readonly path: string;
  readonly bytes: number;
  /** Steps that were trained. */
  readonly step: string;
}

const need = async <A>(task: TaskEither<FileError, A>): Promise<A> => {
  const made = await task();
  if (E.isLeft(made)) throw new FileFault(made.left);
  return made.right;
};

const tensorsOf = (file: TensorFile, prefix: string) =>
  [...file.tensors].map(([name, { shape }]) => ({ name: `${prefix}${name}`, dtype: 'F32' as const, shape, data: () => readFloat32(file, name) }));

/** Writes `denoiser.*` and `ema_denoiser.*` of a checkpoint folder, one tensor at a time. Errors: of reading and writing. */
export const exportOfficial = (checkpoint: string, to: string): TaskEither<FileError, Exported> =>
  attempt(to, async () => {
    const open: { readonly file: TensorFile; readonly prefix: string }[] = [];
    try {
      for (const [name, prefix] of Object.entries(COPIES)) open.push({ file: await need(openTensorFile(join(checkpoint, name))), prefix });
      const { metadata } = open[0]!.file; // there are two
      if (open.some(({ file }) => file.tensors.size === 0)) fail('missing', checkpoint, 'it has no averaged weights');
      const bytes = await need(writeSafetensors(to, open.flatMap(({ file, prefix }) => tensorsOf(file, prefix)), { ...metadata, format: 'pt' }));
      return { path: to, bytes, step: metadata['step'] ?? '0' };
    } finally {
      for (const { file } of open) await file.close();
    }
  });
