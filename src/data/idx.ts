/**
 * IDX files, as MNIST and Fashion-MNIST come: two zero bytes, a type, the number of axes, their lengths, the numbers. Plain or gzipped.
 *
 * Invariant: no header makes more memory be taken than the file (or what it unpacks to, which is limited) really fills.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzipSync } from 'node:zlib';
import { fail } from '../files/errors.ts';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import { checkNames, listingOf } from './folders.ts';
import { type Dataset, type DataOptions, extentOf, type Split } from './dataset.ts';

/** An array of bytes. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const BYTES = 0x08;
const OTHER_TYPES: Readonly<Record<number, string>> = { 0x09: 'int8', 0x0b: 'int16', 0x0c: 'int32', 0x0d: 'float32', 0x0e: 'float64' };
/** 2 GiB: MNIST unpacks to 47 MB. */
const MOST_BYTES = 2 ** 31;
const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

const unpacked = async (path: string, bytes: Uint8Array): Promise<Uint8Array> => {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: MOST_BYTES });
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
    if (code === 'ERR_BUFFER_TOO_LARGE') return fail('unsafe', path, `it unpacks to more than ${MOST_BYTES} bytes`);
    if (code === 'Z_BUF_ERROR') return fail('truncated', path, 'the gzip data ends too early; is the download complete?');
    return fail('corrupt', path, `the gzip data is damaged (${String(code)})`);
  }
};

/** Reads the bytes of an IDX file; `axes` is how many it must have. */
export const parseIdx = async (path: string, packed: Uint8Array, axes: number): Promise<IdxArray> => {
  const bytes = isGzip(packed) ? await unpacked(path, packed) : packed, start = 4 + 4 * axes;
  if (bytes.length < 4) return fail('truncated', path, `${bytes.length} bytes are no IDX file`);
  if (bytes[0] !== 0 || bytes[1] !== 0) return fail('corrupt', path, 'this is no IDX file: it does not begin with two zero bytes');
  const [type, rank] = [bytes[2]!, bytes[3]!]; // four are there
  if (type !== BYTES) return fail('unsupported', path, `it holds numbers of the type ${OTHER_TYPES[type] ?? `0x${type.toString(16)}`}; bytes (0x08) are read`);
  if (rank !== axes) return fail('mismatch', path, `it has ${rank} axes, not ${axes}: ${axes === 1 ? 'labels' : 'images'} are needed here${rank === 1 || rank === 3 ? '; are images and labels exchanged?' : ''}`);
  if (bytes.length < start) return fail('truncated', path, 'it ends within its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length), shape = Array.from({ length: axes }, (_, i) => view.getUint32(4 + 4 * i));
  const announced = shape.reduce((a, b) => a * b, 1), there = bytes.length - start;
  if (announced > there) return fail('truncated', path, `its header announces ${shape.join(' x ')} = ${announced} bytes, but only ${there} are there; is the download complete?`);
  if (announced < there) return fail('corrupt', path, `its header announces ${shape.join(' x ')} = ${announced} bytes, but ${there} are there`);
  return { shape, data: bytes.subarray(start) };
};

/** The bytes of an IDX file, gzipped; the same bytes for the same array. */
export const encodeIdx = ({ shape, data }: IdxArray): Uint8Array => {
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length), view = new DataView(bytes.buffer);
  bytes.set([0, 0, BYTES, shape.length]);
  for (const [i, length] of shape.entries()) view.setUint32(4 + 4 * i, length);
  bytes.set(data, 4 + 4 * shape.length);
  return gzipSync(bytes);
};

const IMAGES = (split: Split): RegExp => new RegExp(`^${split}-images[-.]idx3-ubyte(\\.gz)?$`);
const LABELS = (split: Split): RegExp => new RegExp(`^${split}-labels[-.]idx1-ubyte(\\.gz)?$`);
/** Names of the classes, where they lie beside the files: a JSON list. */
export const CLASS_NAMES = 'classes.json';

/** Whether a folder with these files holds IDX files. */
export const looksLikeIdx = (files: readonly string[]): boolean => files.some((file) => /-idx[13]-ubyte(\.gz)?$/.test(file));

const readIdx = async (path: string, axes: number): Promise<IdxArray> => {
  const { size } = await stat(path);
  return size > MOST_BYTES ? fail('unsupported', path, `${size} bytes are too many`) : parseIdx(path, await readFile(path), axes);
};

const named = async (path: string, files: readonly string[]): Promise<readonly string[] | undefined> => {
  if (!files.includes(CLASS_NAMES)) return undefined;
  const file = join(path, CLASS_NAMES), text = await readFile(file, 'utf8');
  const wrong = (): never => fail('corrupt', file, 'expected is a JSON list of the names of the classes');
  let names: unknown;
  try {
    names = JSON.parse(text);
  } catch {
    return wrong();
  }
  return Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string') ? names : wrong();
};

const checkLabels = (path: string, labels: Uint8Array, classes: readonly string[]): void => {
  const counts = new Uint32Array(256);
  for (const label of labels) counts[label]!++;
  const beyond = labels.findIndex((label) => label >= classes.length);
  if (beyond >= 0) fail('mismatch', path, `label ${beyond} is ${labels[beyond]}, but there are ${classes.length} classes, 0 to ${classes.length - 1}`);
  const empty = classes.filter((_, label) => counts[label] === 0);
  if (empty.length > 0) fail('empty', path, `${empty.length === 1 ? 'the class' : 'the classes'} ${empty.join(', ')} ${empty.length === 1 ? 'has' : 'have'} no image`);
};

/** The image in the middle of a larger black one (an odd rest goes right and down), as many times as there are channels. */
const padded = (image: Uint8Array, [height, width]: readonly [number, number], to: ImageSize, channels: number): Uint8Array => {
  const target = new Uint8Array(to.height * to.width * channels), top = Math.floor((to.height - height) / 2), left = Math.floor((to.width - width) / 2);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++) target.set(image.subarray(y * width, (y + 1) * width), (c * to.height + top + y) * to.width + left);
  return target;
};

/** Opens one half of a folder of IDX files; `size` pads with black, 28 to 32 say. */
export const idxDataset = async (options: DataOptions): Promise<Dataset> => {
  const { path, split = 'train', channels = 1 } = options, { files } = await listingOf(path);
  const [imageFile, labelFile] = [IMAGES(split), LABELS(split)].map((pattern) => files.find((file) => pattern.test(file)));
  if (imageFile === undefined) return fail('not-found', path, `there is no ${split}-images-idx3-ubyte(.gz) in it`);
  if (labelFile === undefined) return fail('not-found', path, `${imageFile} has no labels: ${split}-labels-idx1-ubyte(.gz) is missing`);
  const images = await readIdx(join(path, imageFile), 3), labels = await readIdx(join(path, labelFile), 1);
  const [count, height, width] = images.shape as readonly [number, number, number]; // three axes were asked for
  if (labels.data.length !== count) return fail('mismatch', join(path, labelFile), `${labels.data.length} labels do not match the ${count} images of ${imageFile}`);
  if (count === 0 || height === 0 || width === 0) return fail('empty', join(path, imageFile), 'it holds no images');
  const highest = labels.data.reduce((a, b) => Math.max(a, b), 0);
  const classes = (await named(path, files)) ?? options.classes ?? Array.from({ length: highest + 1 }, (_, label) => String(label));
  checkNames(path, classes, options.classes);
  checkLabels(join(path, labelFile), labels.data, classes);
  const to = extentOf(options.size ?? { height, width });
  if (to.height < height || to.width < width) return fail('invalid-input', path, `its images are ${height} x ${width}; they are padded, never scaled, so the size cannot be ${to.height} x ${to.width}`);
  const pixels = (i: number): Uint8Array => images.data.subarray(i * height * width, (i + 1) * height * width);
  return {
    size: count, classes, channels, ...to, notes: [],
    item: async (i) => ({ pixels: padded(pixels(i), [height, width], to, channels), label: labels.data[i]! }), // callers stay below `size`
    close: async () => undefined,
  };
};
