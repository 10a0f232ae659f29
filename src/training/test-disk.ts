/** Disks for tests that run out of space. */
import { type Disk, nodeDisk } from './disk.ts';

const noSpace = (): Error => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });

/** A disk that takes so many bytes and is full from then on, until `isFull` says otherwise. */
export const fullAfter = (bytes: number, isFull: () => boolean = () => true): Disk => {
  let left = bytes;
  async function* metered(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces) {
      left -= piece.length;
      if (left < 0 && isFull()) throw noSpace();
      yield piece;
    }
  }
  return { ...nodeDisk, free: async () => undefined, write: (path, pieces) => nodeDisk.write(path, metered(pieces)) };
};
