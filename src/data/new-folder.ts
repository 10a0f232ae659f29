/** Folders appear whole or not at all: files are written beside the place, and the folder is renamed when the last one is on disk. */
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fail, FileFault } from '../files/errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';

const isMissing = (thrown: unknown): boolean => thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';

const entriesOf = async (path: string): Promise<readonly string[] | undefined> => {
  try {
    return await readdir(path);
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
};

/** Tells before long work whether `path` can become a folder of ours. Fault: not-writable. */
export const checkNewFolder = async (path: string): Promise<void> => {
  const entries = await entriesOf(path);
  if (entries !== undefined && entries.length > 0) fail('not-writable', path, `the folder is not empty (${entries[0]} is in it); name a new one`);
  await mkdir(dirname(resolve(path)), { recursive: true });
};

/** Writes a folder of files. */
export const writeNewFolder = async (path: string, files: Readonly<Record<string, Uint8Array | string>>, signal?: AbortSignal): Promise<void> => {
  await checkNewFolder(path);
  const whole = resolve(path), beside = join(dirname(whole), `.${process.pid}-${Date.now()}.pixnerd.tmp`);
  await mkdir(beside);
  try {
    for (const [name, content] of Object.entries(files)) {
      const written = await writeFileAtomic(join(beside, name), typeof content === 'string' ? new TextEncoder().encode(content) : content, signal === undefined ? {} : { signal })();
      if (written._tag === 'Left') throw new FileFault({ ...written.left, path, message: written.left.message.replace(join(beside, name), join(path, name)) });
    }
    if ((await entriesOf(whole)) !== undefined) await rmdir(whole); // empty: checked above, and by the system again
    await rename(beside, whole);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
};
