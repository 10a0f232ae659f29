/** A folder of its own for a test, removed afterwards whatever happens. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import type { FileError } from './errors.ts';

/** Runs `work` with the path of an empty folder. */
export const inFolder = async <A>(work: (folder: string) => Promise<A>): Promise<A> => {
  const folder = await mkdtemp(join(tmpdir(), 'pixnerd-test-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** The value of a right, or a failed test. */
export const opened = <A>(result: E.Either<FileError, A>): A => {
  if (E.isLeft(result)) throw new Error(`${result.left.kind}: ${result.left.message}`);
  return result.right;
};

/** The error of a left, or a failed test. */
export const refused = <A>(result: E.Either<FileError, A>): FileError => {
  if (E.isRight(result)) throw new Error('this should have been refused');
  return result.left;
};
