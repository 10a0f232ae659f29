/** Random access to a file on disk through a FileHandle (fs.openAsBlob is wrong above 4 GiB in Node 20). */
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { fail } from './errors.ts';
import { checkRange } from './random-access.ts';
import type { RandomAccess } from './random-access.ts';

// one read call takes at most 2^31 - 1 bytes
const largestRead = 2 ** 30;

/** Opens a regular file for reading; throws a fault or a system error, for `attempt` to catch. */
export const openFile = async (path: string): Promise<RandomAccess> => {
  // asked before opening, since opening a pipe waits for its writer
  if (!(await stat(path)).isFile()) fail('not-readable', path, 'this is not a file that can be read; give the path of a regular file');
  const handle = await open(path, 'r');
  try {
    return fileAccess(handle, path, (await handle.stat()).size);
  } catch (thrown) {
    await handle.close();
    throw thrown;
  }
};

const fileAccess = (handle: FileHandle, name: string, size: number): RandomAccess => ({
  name,
  size,
  read: async (offset, length) => {
    checkRange(name, size, offset, length);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) done += await readSome(handle, bytes, done, offset + done, name);
    return bytes;
  },
  close: () => handle.close(),
});

const readSome = async (handle: FileHandle, into: Uint8Array, at: number, position: number, name: string): Promise<number> => {
  const { bytesRead } = await handle.read(into, at, Math.min(largestRead, into.length - at), position);
  if (bytesRead === 0) fail('truncated', name, `the file became shorter while it was read (at byte ${position})`);
  return bytesRead;
};
