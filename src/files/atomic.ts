/**
 * Files appear whole or not at all: bytes go to a temporary name in the same folder, which is renamed when everything is on disk and removed on
 * an error, an abort or an interrupt of the process. What is no regular file (/dev/stdout, a pipe) is written to directly.
 */
import { open, realpath, rename, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { TaskEither } from 'fp-ts/TaskEither';
import * as TE from 'fp-ts/TaskEither';
import { FileFault, fail, faultOf } from './errors.ts';
import type { FileError } from './errors.ts';
import { guardTemporary, releaseTemporary } from './temporary-files.ts';

/** What a file is made of: bytes at once, or pieces as they come. */
export type Content = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Options of everything that writes: `signal` stops the work and removes the temporary file. */
export interface WriteOptions {
  readonly signal?: AbortSignal;
}

/**
 * Writes a file whole or not at all and returns its size. Errors: not-writable, aborted, and FileFaults that the content throws; anything else
 * that it throws rejects the promise, after the temporary file is gone.
 */
export const writeFileAtomic = (path: string, content: Content, options: WriteOptions = {}): TaskEither<FileError, number> =>
  writing(path, async () => writePieces(await targetOf(path), path, content, options.signal));

/** Tells before long work whether `path` could be written, by making and removing a temporary file beside it. Error: not-writable. */
export const checkWritable = (path: string): TaskEither<FileError, void> =>
  writing(path, async () => {
    const target = await targetOf(path);
    if (!target.direct) await discard(await openTemporary(target.path));
  });

const writing =
  <A>(path: string, work: () => Promise<A>): TaskEither<FileError, A> =>
  () =>
    work().then(
      (value) => TE.right<FileError, A>(value)(),
      (thrown: unknown) => TE.left<FileError, A>(faultOf(path, thrown, true))(),
    );

interface Target {
  readonly path: string;
  readonly direct: boolean;
}

/** Follows links, so that a link is kept and its target replaced; refuses folders. */
const targetOf = async (path: string): Promise<Target> => {
  if (path === '') fail('not-writable', '(empty path)', 'an output file needs a name');
  const existing = await stat(path).catch(missing);
  if (existing === undefined) return { path, direct: false };
  if (existing.isDirectory()) fail('not-writable', path, 'this is a folder; give a file name in it');
  return { path: await realpath(path), direct: !existing.isFile() };
};

const missing = (thrown: unknown): undefined => {
  if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined;
  throw thrown;
};

interface Temporary {
  readonly path: string;
  readonly handle: FileHandle;
}

/** A new file beside the target: hidden, and named so that two processes or two writes never meet. */
const openTemporary = async (target: string): Promise<Temporary> => {
  // the name is cut, because a long one that is allowed must not become too long
  const name = `.${basename(target).slice(0, 100)}.${process.pid}-${nextNumber()}.tmp`;
  const path = join(dirname(target), name);
  guardTemporary(path);
  try {
    return { path, handle: await open(path, 'wx') };
  } catch (thrown) {
    releaseTemporary(path);
    throw thrown;
  }
};

let written = 0;
const nextNumber = (): string => `${++written}-${Math.random().toString(36).slice(2, 8)}`;

const discard = async ({ path, handle }: Temporary): Promise<void> => {
  await handle.close().catch(() => {}); // closing again after a failed close is harmless
  await unlink(path).catch(missing);
  releaseTemporary(path);
};

const writePieces = async (target: Target, path: string, content: Content, signal: AbortSignal | undefined): Promise<number> => {
  stopIfAborted(path, signal);
  if (target.direct) return writeDirectly(target.path, path, content, signal);
  const temporary = await openTemporary(target.path);
  try {
    const size = await pour(temporary.handle, path, content, signal);
    await temporary.handle.sync();
    await temporary.handle.close();
    await rename(temporary.path, target.path);
    releaseTemporary(temporary.path);
    return size;
  } catch (thrown) {
    await discard(temporary);
    throw thrown;
  }
};

const writeDirectly = async (target: string, path: string, content: Content, signal: AbortSignal | undefined): Promise<number> => {
  const handle = await open(target, 'w');
  try {
    return await pour(handle, path, content, signal);
  } finally {
    await handle.close();
  }
};

const pour = async (handle: FileHandle, path: string, content: Content, signal: AbortSignal | undefined): Promise<number> => {
  let size = 0;
  for await (const piece of content instanceof Uint8Array ? [content] : content) {
    stopIfAborted(path, signal);
    await writeAll(handle, piece);
    size += piece.length;
  }
  stopIfAborted(path, signal);
  return size;
};

// one write call takes at most 2^31 - 1 bytes, and may take fewer than offered
const writeAll = async (handle: FileHandle, piece: Uint8Array): Promise<void> => {
  for (let done = 0; done < piece.length;) done += (await handle.write(piece, done, Math.min(2 ** 30, piece.length - done), null)).bytesWritten;
};

const stopIfAborted = (path: string, signal: AbortSignal | undefined): void => {
  if (signal?.aborted) throw new FileFault({ kind: 'aborted', path, message: `${path}: stopped before it was complete; nothing was written` });
};
