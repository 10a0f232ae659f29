/**
 * The directory of a zip file, zip64 included, read by random access: only the directory's bytes are loaded, entries are read by range.
 *
 * Invariant: an entry that was returned lies wholly inside the file, is stored (not compressed) and not encrypted. PyTorch stores everything, so
 * a compressed entry is foreign, and refusing it leaves no way for a small file to unfold into a huge one (a zip bomb).
 */
import { fail } from './errors.ts';
import type { RandomAccess } from './random-access.ts';

/** A stored entry; its data starts after a local header whose length only the file knows, see `entryDataStart`. */
export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  readonly headerOffset: number;
}

/** Sizes and positions of the directory. */
interface DirectoryPlace {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

const endSignature = 0x06054b50;
const end64LocatorSignature = 0x07064b50;
const end64Signature = 0x06064b50;
const entrySignature = 0x02014b50;
const localSignature = 0x04034b50;
const endLength = 22;
const locatorLength = 20;
const end64Length = 56;
const entryLength = 46;
const localLength = 30;
// XL's checkpoint has some thousand entries of about 100 bytes
const largestDirectory = 64 * 2 ** 20;

/** Reads the directory. Faults: truncated (no end record), corrupt, unsafe (a compressed entry). */
export const readZipDirectory = async (file: RandomAccess): Promise<ReadonlyMap<string, ZipEntry>> => {
  const place = await findDirectory(file);
  if (place.size > largestDirectory) fail('corrupt', file.name, `a zip directory of ${place.size} bytes is not believable`);
  if (place.offset + place.size > file.size) fail('corrupt', file.name, 'the zip directory does not lie inside the file');
  const bytes = view(await file.read(place.offset, place.size));
  return parseEntries(bytes, place, file);
};

/** The position of an entry's first data byte; checks that its local header agrees with the directory. */
export const entryDataStart = async (file: RandomAccess, entry: ZipEntry): Promise<number> => {
  const header = view(await file.read(entry.headerOffset, localLength));
  if (header.getUint32(0, true) !== localSignature) return fail('corrupt', file.name, `entry ${entry.name} is not where the zip directory says`);
  const nameLength = header.getUint16(26, true);
  const start = entry.headerOffset + localLength + nameLength + header.getUint16(28, true);
  const name = new TextDecoder().decode(await file.read(entry.headerOffset + localLength, nameLength));
  if (name !== entry.name) fail('corrupt', file.name, `entry ${entry.name} is called ${name} in its own header`);
  if (start + entry.size > file.size) fail('truncated', file.name, `entry ${entry.name} ends after the end of the file`);
  return start;
};

/** A whole entry's data. */
export const readZipEntry = async (file: RandomAccess, entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> =>
  file.read(await entryDataStart(file, entry), entry.size);

const view = (bytes: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

const findDirectory = async (file: RandomAccess): Promise<DirectoryPlace> => {
  // the end record is followed by a comment of at most 65,535 bytes
  const tailLength = Math.min(file.size, endLength + 65535 + locatorLength);
  const tailStart = file.size - tailLength;
  const tail = view(await file.read(tailStart, tailLength));
  const end = lastEndRecord(tail);
  if (end === undefined) return fail('truncated', file.name, 'the zip directory at the end of the file is missing; is the download complete?');
  const place = { count: tail.getUint16(end + 10, true), size: tail.getUint32(end + 12, true), offset: tail.getUint32(end + 16, true) };
  const locator = end - locatorLength;
  if (locator < 0 || tail.getUint32(locator, true) !== end64LocatorSignature) return place;
  return readEnd64(file, uint64(tail, locator + 8));
};

/** Searches backwards for an end record whose comment ends with the file. */
const lastEndRecord = (tail: DataView): number | undefined => {
  for (let at = tail.byteLength - endLength; at >= 0; at--) {
    const found = tail.getUint32(at, true) === endSignature && at + endLength + tail.getUint16(at + 20, true) === tail.byteLength;
    if (found) return at;
  }
  return undefined;
};

const readEnd64 = async (file: RandomAccess, offset: number): Promise<DirectoryPlace> => {
  if (offset + end64Length > file.size) fail('corrupt', file.name, 'the zip64 end record does not lie inside the file');
  const end = view(await file.read(offset, end64Length));
  if (end.getUint32(0, true) !== end64Signature) fail('corrupt', file.name, 'the zip64 end record is not where its locator says');
  return { count: uint64(end, 32), size: uint64(end, 40), offset: uint64(end, 48) };
};

// beyond 2^53 the value is rounded, and then fails the comparison with the file's size
const uint64 = (bytes: DataView, at: number): number => Number(bytes.getBigUint64(at, true));

const parseEntries = (bytes: DataView<ArrayBuffer>, place: DirectoryPlace, file: RandomAccess): ReadonlyMap<string, ZipEntry> => {
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < place.count; i++) {
    const { entry, next } = parseEntry(bytes, at, file);
    if (entries.has(entry.name)) fail('corrupt', file.name, `the zip directory lists ${entry.name} twice`);
    entries.set(entry.name, entry);
    at = next;
  }
  return entries;
};

const parseEntry = (bytes: DataView<ArrayBuffer>, at: number, file: RandomAccess): { readonly entry: ZipEntry; readonly next: number } => {
  const cut = (): never => fail('corrupt', file.name, 'the zip directory ends in the middle of an entry');
  if (at + entryLength > bytes.byteLength) cut();
  if (bytes.getUint32(at, true) !== entrySignature) fail('corrupt', file.name, `the zip directory has no entry at its byte ${at}`);
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => bytes.getUint16(at + field, true)) as [number, number, number];
  const extraStart = at + entryLength + nameLength;
  const next = extraStart + extraLength + commentLength;
  if (next > bytes.byteLength) cut();
  const name = new TextDecoder().decode(new Uint8Array(bytes.buffer, bytes.byteOffset + at + entryLength, nameLength));
  const sizes = entrySizes(bytes, at, extraStart, extraLength, name, file.name);
  checkStored(bytes.getUint16(at + 8, true), bytes.getUint16(at + 10, true), sizes, name, file.name);
  if (sizes.headerOffset + localLength + sizes.packed > file.size) fail('truncated', file.name, `entry ${name} ends after the end of the file`);
  return { entry: { name, size: sizes.unpacked, headerOffset: sizes.headerOffset }, next };
};

interface EntrySizes {
  readonly unpacked: number;
  readonly packed: number;
  readonly headerOffset: number;
}

/** The three 32-bit fields, each replaced by the next 64-bit one of the zip64 extra field where it is all ones. */
const entrySizes = (bytes: DataView, at: number, extraStart: number, extraLength: number, name: string, path: string): EntrySizes => {
  const wide = zip64Field(bytes, extraStart, extraStart + extraLength);
  let used = 0;
  const field = (offset: number): number => {
    const narrow = bytes.getUint32(at + offset, true);
    if (narrow !== 0xffffffff) return narrow;
    if (wide === undefined || used + 8 > wide.length) return fail('corrupt', path, `entry ${name} lacks its 64-bit sizes`);
    used += 8;
    return uint64(bytes, wide.start + used - 8);
  };
  const unpacked = field(24);
  const packed = field(20);
  return { unpacked, packed, headerOffset: field(42) };
};

const zip64Field = (bytes: DataView, start: number, end: number): { readonly start: number; readonly length: number } | undefined => {
  for (let at = start; at + 4 <= end;) {
    const length = Math.min(bytes.getUint16(at + 2, true), end - at - 4);
    if (bytes.getUint16(at, true) === 1) return { start: at + 4, length };
    at += 4 + length;
  }
  return undefined;
};

const checkStored = (flags: number, method: number, { packed, unpacked }: EntrySizes, name: string, path: string): void => {
  if (flags & 1) fail('unsupported', path, `entry ${name} is encrypted`);
  if (method !== 0) {
    const ratio = packed > 0 && unpacked / packed >= 2 ? `${Math.round(unpacked / packed)}:1 ` : '';
    fail('unsafe', path, `entry ${name} is compressed ${ratio}(PyTorch never does that; it may be a zip bomb); repack with "zip -0" if you trust it`);
  }
  if (packed !== unpacked) fail('corrupt', path, `entry ${name} is stored, but its two sizes differ (${packed} and ${unpacked})`);
};
