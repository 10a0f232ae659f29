/**
 * Reading any part of a file without holding the rest: the one interface that every parser of this folder works on.
 *
 * Invariant: `read` returns exactly `length` bytes in a fresh array that starts at byte 0 of its own buffer (so typed views of it are aligned),
 * or ends with a 'truncated' fault. This file is free of Node; the Node implementation is in node-file.ts.
 */
import { fail } from './errors.ts';

/** A file whose bytes can be read by range; `name` is what error messages call it. */
export interface RandomAccess {
  readonly name: string;
  readonly size: number;
  readonly read: (offset: number, length: number) => Promise<Uint8Array<ArrayBuffer>>;
  readonly close: () => Promise<void>;
}

/** Random access to bytes in memory. */
export const memoryAccess = (bytes: Uint8Array, name = 'memory'): RandomAccess => ({
  name,
  size: bytes.length,
  // the copy keeps the promise of a fresh, aligned array
  read: async (offset, length) => {
    checkRange(name, bytes.length, offset, length);
    return new Uint8Array(bytes.subarray(offset, offset + length));
  },
  close: async () => {},
});

/** Random access to a browser's File or Blob (in Node its sizes are wrong above 4 GiB: use openFile there). */
export const blobAccess = (blob: Blob, name: string): RandomAccess => ({
  name,
  size: blob.size,
  read: async (offset, length) => {
    checkRange(name, blob.size, offset, length);
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  },
  close: async () => {},
});

/** Ends with 'truncated' unless [offset, offset + length) lies in a file of that size. */
export const checkRange = (name: string, size: number, offset: number, length: number): void => {
  const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!valid || offset + length > size)
    fail('truncated', name, `the file has ${size} bytes, but ${length} bytes at offset ${offset} are needed; is the download complete?`);
};
