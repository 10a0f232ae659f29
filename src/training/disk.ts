/**
 * The few things that a run does to a disk, as one value, so that a test can let the disk fill up or the process die in the middle.
 *
 * Invariant: when `write` ends, the bytes are on the disk; it never writes over a file in place.
 */
import { createHash } from 'node:crypto';
import { appendFile, mkdir, open, readdir, readFile, rename, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { writeFileAtomic } from '../files/atomic.ts';
import { FileFault } from '../files/errors.ts';

/** What was written, so that it can be checked later. */
export interface Written {
  readonly bytes: number;
  readonly sha256: string;
}

/** All functions throw what the operating system says, or FileFaults; they are for use inside `attempt`. */
export interface Disk {
  readonly makeFolder: (path: string) => Promise<void>;
  readonly write: (path: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => Promise<Written>;
  readonly append: (path: string, text: string) => Promise<void>;
  /** Names of what a folder holds; none where it does not exist. */
  readonly list: (path: string) => Promise<readonly string[]>;
  readonly read: (path: string) => Promise<Uint8Array>;
  /** Gives a folder its name, and waits until the name is on the disk. */
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly remove: (path: string) => Promise<void>;
  /** Free bytes, where the system tells. */
  readonly free: (path: string) => Promise<number | undefined>;
}

/** Passes bytes on and counts them on the way. */
const counted = (pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => {
  const hash = createHash('sha256');
  let bytes = 0;
  async function* passing(): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      hash.update(piece);
      bytes += piece.length;
      yield piece;
    }
  }
  return { passing: passing(), result: (): Written => ({ bytes, sha256: hash.digest('hex') }) };
};

/** The names in a folder reach the disk apart from the files themselves. Not every system lets a folder be opened. */
const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => undefined);
  await folder?.close();
};

const isMissing = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';

export const nodeDisk: Disk = {
  makeFolder: async (path) => void (await mkdir(path, { recursive: true })),
  write: async (path, pieces) => {
    const { passing, result } = counted(pieces);
    const made = await writeFileAtomic(path, passing)();
    if (made._tag === 'Left') throw new FileFault(made.left);
    return result();
  },
  append: (path, text) => appendFile(path, text),
  list: (path) =>
    readdir(path).catch((thrown: unknown) => {
      if (isMissing(thrown)) return [];
      throw thrown;
    }),
  read: (path) => readFile(path),
  rename: async (from, to) => {
    await syncFolder(from);
    await rename(from, to);
    await syncFolder(dirname(to));
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
  free: (path) =>
    statfs(path).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => undefined,
    ),
};
