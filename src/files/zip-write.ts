/**
 * Writes a zip file of one stored entry as a stream: the checksum is known only afterwards and follows the data; sizes that do not fit into 32 bits
 * get zip64 records. The date is fixed, so the same data makes the same file.
 */
import { crc32 } from './crc32.ts';

/** An entry whose length is known before its data. */
export interface StreamedEntry {
  readonly name: string;
  readonly size: number;
  readonly data: AsyncIterable<Uint8Array>;
}

/** The pieces of the file; the data must have exactly `size` bytes. */
export async function* zipOfOne({ name, size, data }: StreamedEntry): AsyncGenerator<Uint8Array> {
  const header = localHeader(name, size);
  yield header;
  let [crc, length] = [0, 0];
  for await (const piece of data) {
    crc = crc32(piece, crc);
    length += piece.length;
    yield piece;
  }
  if (length !== size) throw new RangeError(`zip entry ${name} has ${length} bytes, ${size} were announced`);
  const descriptor = dataDescriptor(crc, size);
  yield descriptor;
  yield directory(name, crc, size, header.length + size + descriptor.length);
}

const isLarge = (size: number): boolean => size >= 0xffffffff;
const narrow = (size: number): number => (isLarge(size) ? 0xffffffff : size);

/** A number and the bytes that it takes, little-endian. */
type Field = readonly [value: number, width: 2 | 4 | 8];

const record = (...fields: readonly Field[]): Uint8Array => {
  const bytes = new Uint8Array(fields.reduce((sum, [, width]) => sum + width, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [value, width] of fields) {
    if (width === 2) view.setUint16(at, value, true);
    else if (width === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += width;
  }
  return bytes;
};

const joined = (...parts: readonly Uint8Array[]): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
};

// version 4.5 knows zip64; bit 3: the checksum follows the data; method 0: stored; 1 January 1980
const version = (size: number): Field => [isLarge(size) ? 45 : 20, 2];
const common: readonly Field[] = [[8, 2], [0, 2], [0, 2], [0x21, 2]]; // prettier-ignore

const localHeader = (name: string, size: number): Uint8Array => {
  const text = new TextEncoder().encode(name);
  const extra = isLarge(size) ? record([1, 2], [16, 2], [size, 8], [size, 8]) : record();
  const sizes: readonly Field[] = [[0, 4], [narrow(size), 4], [narrow(size), 4]]; // prettier-ignore
  return joined(record([0x04034b50, 4], version(size), ...common, ...sizes, [text.length, 2], [extra.length, 2]), text, extra);
};

const dataDescriptor = (crc: number, size: number): Uint8Array => {
  const width = isLarge(size) ? 8 : 4;
  return record([0x08074b50, 4], [crc, 4], [size, width], [size, width]);
};

/** The directory of the one entry, which begins the file, and the end records. */
const directory = (name: string, crc: number, size: number, start: number): Uint8Array => {
  const text = new TextEncoder().encode(name);
  const extra = isLarge(size) ? record([1, 2], [16, 2], [size, 8], [size, 8]) : record();
  const sizes: readonly Field[] = [[crc, 4], [narrow(size), 4], [narrow(size), 4]]; // prettier-ignore
  const lengths: readonly Field[] = [[text.length, 2], [extra.length, 2], [0, 2]]; // prettier-ignore
  const place: readonly Field[] = [[0, 2], [0, 2], [0, 4], [0, 4]]; // prettier-ignore
  const entry = joined(record([0x02014b50, 4], version(size), version(size), ...common, ...sizes, ...lengths, ...place), text, extra);
  return joined(entry, isLarge(start) ? end64(entry.length, start) : record(), end(entry.length, start));
};

const end64 = (length: number, start: number): Uint8Array =>
  joined(
    record([0x06064b50, 4], [44, 8], [45, 2], [45, 2], [0, 4], [0, 4], [1, 8], [1, 8], [length, 8], [start, 8]),
    record([0x07064b50, 4], [0, 4], [start + length, 8], [1, 4]),
  );

const end = (length: number, start: number): Uint8Array =>
  record([0x06054b50, 4], [0, 2], [0, 2], [1, 2], [1, 2], [length, 4], [narrow(start), 4], [0, 2]);
