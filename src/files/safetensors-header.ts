/**
 * The safetensors header: 8 bytes little-endian length, JSON, then raw data. A file is believed only after every claim of its header was checked
 * against its size; as in the official reader the tensors must cover the data without overlap, gap or left-over.
 */
import { byteWidth, fileDTypes, isFileDType } from './dtype.ts';
import type { FileDType } from './dtype.ts';
import { fail } from './errors.ts';
import { repeatedKey } from './json-keys.ts';
import type { RandomAccess } from './random-access.ts';
import { elementCount, showShape } from './tensor-file.ts';
import type { TensorInfo } from './tensor-file.ts';

/** A tensor's directory entry; `begin` and `end` are positions in the file. */
export interface Placed extends TensorInfo {
  readonly begin: number;
  readonly end: number;
}

/** A checked header. */
export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, Placed>;
}

// the official reader's limit: a header is a directory, not a place for data
const largestHeader = 100_000_000;

/** Reads and checks the header of an open file. */
export const readHeader = async (file: RandomAccess): Promise<SafetensorsHeader> => {
  if (file.size < 8) fail('truncated', file.name, `${file.size} bytes are too few for a safetensors file`);
  const length = Number(new DataView((await file.read(0, 8)).buffer).getBigUint64(0, true));
  if (length > largestHeader) fail('corrupt', file.name, `this is no safetensors file: its first 8 bytes announce a header of ${length} bytes`);
  if (8 + length > file.size)
    fail('truncated', file.name, `the header should have ${length} bytes, but the file has only ${file.size}; is the download complete?`);
  return parseHeader(await file.read(8, length), 8 + length, file.size, file.name);
};

/** Checks a header's bytes; the data starts at `dataStart` and ends with the file. */
export const parseHeader = (bytes: Uint8Array, dataStart: number, fileSize: number, path: string): SafetensorsHeader => {
  const entries = Object.entries(parseObject(bytes, path));
  const metadata = entries.find(([name]) => name === '__metadata__')?.[1];
  const tensors = new Map<string, Placed>();
  for (const [name, entry] of entries) if (name !== '__metadata__') tensors.set(name, parseTensor(name, entry, dataStart, path));
  checkPlacement(tensors, dataStart, fileSize, path);
  return { metadata: parseMetadata(metadata ?? {}, path), tensors };
};

const parseObject = (bytes: Uint8Array, path: string): object => {
  const text = decodeHeader(bytes, path);
  const parsed = parseJson(text, path);
  if (!isObject(parsed)) return fail('corrupt', path, 'the header is not a JSON object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) fail('corrupt', path, `the header lists ${JSON.stringify(repeated)} twice`);
  return parsed;
};

const decodeHeader = (bytes: Uint8Array, path: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail('corrupt', path, 'the header is not UTF-8 text; this is no safetensors file');
  }
};

const parseJson = (text: string, path: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    return fail('corrupt', path, `the header is not JSON (${thrown instanceof Error ? thrown.message : 'unreadable'})`);
  }
};

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null && !Array.isArray(value);

const parseMetadata = (value: unknown, path: string): Readonly<Record<string, string>> => {
  if (!isObject(value)) return fail('corrupt', path, '__metadata__ is not an object');
  const entries = Object.entries(value).map(([key, text]): [string, string] =>
    typeof text === 'string' ? [key, text] : fail('corrupt', path, `__metadata__ entry ${key} is not a string`),
  );
  return Object.fromEntries(entries);
};

const parseTensor = (name: string, entry: unknown, dataStart: number, path: string): Placed => {
  const bad = (what: string): never => fail('corrupt', path, `tensor ${name}: ${what}`);
  if (!isObject(entry)) return bad('its entry is not an object');
  // every field is checked below
  const { dtype, shape, data_offsets: offsets } = entry as Partial<Record<string, unknown>>;
  if (typeof dtype !== 'string' || !isFileDType(dtype))
    return fail('unsupported', path, `tensor ${name}: dtype ${String(dtype)} is not known (known: ${fileDTypes.join(', ')})`);
  if (!isSizes(shape)) return bad(`shape ${JSON.stringify(shape)} is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) return bad(`data_offsets ${JSON.stringify(offsets)} is not a pair of positions`);
  return place(dtype, shape, dataStart + offsets[0]!, dataStart + offsets[1]!, bad);
};

const isSizes = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);

const place = (dtype: FileDType, shape: readonly number[], begin: number, end: number, bad: (what: string) => never): Placed => {
  const bytes = elementCount(shape) * byteWidth(dtype);
  if (!Number.isSafeInteger(bytes)) bad(`shape ${showShape(shape)} is too large`);
  if (end - begin !== bytes) bad(`shape ${showShape(shape)} of ${dtype} needs ${bytes} bytes, its offsets span ${end - begin}`);
  return { dtype, shape, begin, end };
};

const checkPlacement = (tensors: ReadonlyMap<string, Placed>, dataStart: number, fileSize: number, path: string): void => {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = dataStart;
  for (const [name, { begin, end }] of inOrder) {
    if (end > fileSize) fail('truncated', path, `tensor ${name} ends at byte ${end}, the file at byte ${fileSize}; is the download complete?`);
    if (begin < covered) fail('corrupt', path, `tensor ${name} overlaps the one before it (starts at byte ${begin}, ${covered} is taken)`);
    if (begin > covered) fail('corrupt', path, `${begin - covered} bytes before tensor ${name} belong to no tensor`);
    covered = end;
  }
  if (covered < fileSize) fail('corrupt', path, `the last ${fileSize - covered} bytes belong to no tensor`);
};
