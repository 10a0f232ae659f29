/**
 * A pack: images of one size with labels, second labels and captions in one file that is small enough to travel and that nothing but Node opens.
 *
 *     "PIXPACK1" | length of the header, u32 | header (JSON, brotli) | block | block | ...
 *
 * A block is up to 256 images, pixel by pixel, filtered (as PNG does, but whole blocks in one way: the smallest) and compressed by brotli. Lossless: emoji
 * take about as much room as in lossless WebP. Invariant: a pack that opens is whole; every block has its CRC, and lengths are checked before they are used.
 */
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress, constants } from 'node:zlib';
import { crc32 } from '../files/crc32.ts';
import { fail } from '../files/errors.ts';
import { type Dataset, type DataOptions, extentOf, type Item } from './dataset.ts';
import { checkNames } from './folders.ts';
import type { ImageShape } from './decode.ts';
import { centreCrop, planar, type Raster } from './resample.ts';

export interface PackItem extends Item {
  /** Not for training: kept to see whether a model can do what it has not seen. */
  readonly heldOut?: boolean;
}

export interface PackContent extends ImageShape {
  readonly classes: readonly string[];
  readonly attributes?: readonly string[];
  readonly items: readonly PackItem[];
}

const MAGIC = 'PIXPACK1';
const PREFIX = MAGIC.length + 4;
export const PACK_FILE = /\.pack$/i;

const BLOCK = 256;
const MOST_HEADER = 2 ** 26;
const MOST_SIDE = 4096;
const USUAL_MEMORY = 2 ** 30;

// --- filters: on interleaved pixels, undone exactly

/** Red and blue as differences from green, with 128 for none. */
const subtractGreen = (data: Uint8Array, sign: 1 | -1): void => {
  for (let i = 0; i + 2 < data.length; i += 3) {
    const shift = sign * (data[i + 1]! - 128); // i + 2 is inside
    data[i] = data[i]! - shift;
    data[i + 2] = data[i + 2]! - shift;
  }
};

/** LOCO-I's guess of a pixel from those at the left, above, and above left. */
const guess = (left: number, above: number, corner: number): number => {
  const low = Math.min(left, above), high = Math.max(left, above);
  return corner >= high ? low : corner <= low ? high : left + above - corner;
};

/** The guess at place i of an image; rows are `row` bytes long. What lies outside is what lies beside it, and black before the first pixel. */
const guessAt = (data: Uint8Array, start: number, i: number, row: number, channels: number): number => {
  const at = start + i, hasLeft = i % row >= channels, hasAbove = i >= row;
  if (hasLeft && hasAbove) return guess(data[at - channels]!, data[at - row]!, data[at - row - channels]!); // inside the image
  return hasLeft ? data[at - channels]! : hasAbove ? data[at - row]! : 0; // as above
};

const predict = (data: Uint8Array, { channels, height, width }: ImageShape): void => {
  const row = width * channels, image = row * height;
  for (let start = 0; start < data.length; start += image)
    for (let i = image - 1; i >= 0; i--) data[start + i] = data[start + i]! - guessAt(data, start, i, row, channels); // backwards: guesses are from the originals
};

const unpredict = (data: Uint8Array, { channels, height, width }: ImageShape): void => {
  const row = width * channels, image = row * height;
  for (let start = 0; start < data.length; start += image)
    for (let i = 0; i < image; i++) data[start + i] = data[start + i]! + guessAt(data, start, i, row, channels);
};

const FILTERS = ['plain', 'green', 'guess', 'green guess'] as const;
type Filter = (typeof FILTERS)[number];

const filtered = (data: Uint8Array, filter: Filter, shape: ImageShape): Uint8Array => {
  const target = data.slice();
  if (filter.startsWith('green')) subtractGreen(target, 1);
  if (filter.endsWith('guess')) predict(target, shape);
  return target;
};

const unfilter = (data: Uint8Array, filter: Filter, shape: ImageShape): void => {
  if (filter.endsWith('guess')) unpredict(data, shape);
  if (filter.startsWith('green')) subtractGreen(data, -1);
};

// --- writing

interface BlockHeader {
  readonly count: number;
  readonly bytes: number;
  readonly filter: Filter;
  readonly crc: number;
}

interface Header extends ImageShape {
  readonly classes: readonly string[];
  readonly attributes?: readonly string[];
  readonly labels: readonly number[];
  readonly attribute?: readonly number[];
  readonly captions?: readonly string[];
  /** Places of the items that are held out. */
  readonly heldOut?: readonly number[];
  readonly blocks: readonly BlockHeader[];
}

const compress = (data: Uint8Array, quality: number): Promise<Uint8Array> =>
  promisify(brotliCompress)(data, {
    params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS, [constants.BROTLI_PARAM_SIZE_HINT]: data.length },
  });

const interleaved = (pixels: Uint8Array, { channels, height, width }: ImageShape): Uint8Array => {
  const plane = height * width, target = new Uint8Array(pixels.length);
  for (let c = 0; c < channels; c++) for (let i = 0; i < plane; i++) target[i * channels + c] = pixels[c * plane + i]!;
  return target;
};

/** Images by which a filter is chosen, and the quality at which it is. */
const TRIED = 32;
const TRIAL_QUALITY = 9;
const BEST_QUALITY = 11;

const bestFilter = async (data: Uint8Array, shape: ImageShape): Promise<Filter> => {
  const part = data.subarray(0, TRIED * shape.channels * shape.height * shape.width);
  const possible = FILTERS.filter((filter) => shape.channels === 3 || !filter.startsWith('green'));
  const sizes = await Promise.all(possible.map(async (filter) => (await compress(filtered(part, filter, shape), TRIAL_QUALITY)).length));
  return possible[sizes.indexOf(Math.min(...sizes))]!; // one of them is the least
};

interface Block {
  readonly header: BlockHeader;
  readonly data: Uint8Array;
}

const encodeBlock = async (items: readonly PackItem[], shape: ImageShape): Promise<Block> => {
  const length = shape.channels * shape.height * shape.width, data = new Uint8Array(items.length * length);
  for (const [i, { pixels }] of items.entries()) data.set(interleaved(pixels, shape), i * length);
  const filter = await bestFilter(data, shape), packed = await compress(filtered(data, filter, shape), BEST_QUALITY);
  return { header: { count: items.length, bytes: packed.length, filter, crc: crc32(packed) }, data: packed };
};

/** Blocks at once: brotli runs on the threads of libuv. */
const LANES = 4;

const encodeBlocks = async (content: PackContent, onProgress: (done: number, all: number) => void, signal: AbortSignal | undefined): Promise<readonly Block[]> => {
  const starts = Array.from({ length: Math.ceil(content.items.length / BLOCK) }, (_, i) => i * BLOCK), blocks: Block[] = [];
  let next = 0, done = 0;
  const lane = async (): Promise<void> => {
    for (let i = next++; i < starts.length; i = next++) {
      if (signal?.aborted) fail('aborted', 'pack', 'stopped while images were packed; nothing was written');
      blocks[i] = await encodeBlock(content.items.slice(starts[i], starts[i]! + BLOCK), content); // i is below the length
      onProgress(++done, starts.length);
    }
  };
  onProgress(0, starts.length);
  await Promise.all(Array.from({ length: LANES }, lane));
  return blocks;
};

export interface PackProgress {
  readonly onProgress?: (done: number, all: number) => void;
  readonly signal?: AbortSignal;
}

/** The bytes of a pack. Items that are alike should be neighbours. */
export const encodePack = async (content: PackContent, { onProgress = () => undefined, signal }: PackProgress = {}): Promise<Uint8Array> => {
  const { channels, height, width, classes, attributes, items } = content, blocks = await encodeBlocks(content, onProgress, signal);
  const held = items.flatMap(({ heldOut }, i) => (heldOut === true ? [i] : []));
  const header: Header = {
    channels, height, width, classes,
    ...(attributes !== undefined && { attributes, attribute: items.map(({ attribute = 0 }) => attribute) }),
    labels: items.map(({ label }) => label),
    ...(items.some(({ caption }) => caption !== undefined) && { captions: items.map(({ caption = '' }) => caption) }),
    ...(held.length > 0 && { heldOut: held }),
    blocks: blocks.map((block) => block.header),
  };
  const described = await compress(new TextEncoder().encode(JSON.stringify(header)), BEST_QUALITY);
  const prefix = new Uint8Array(PREFIX);
  prefix.set(new TextEncoder().encode(MAGIC));
  new DataView(prefix.buffer).setUint32(MAGIC.length, described.length, true);
  return Buffer.concat([prefix, described, ...blocks.map(({ data }) => data)]);
};

// --- reading

const unpack = async (path: string, what: string, data: Uint8Array, most: number): Promise<Uint8Array<ArrayBuffer>> => {
  try {
    const { buffer, byteOffset, length } = await promisify(brotliDecompress)(data, { maxOutputLength: most });
    return new Uint8Array(buffer, byteOffset, length);
  } catch {
    return fail('corrupt', path, `${what} cannot be unpacked`);
  }
};

const isCount = (value: unknown, most: number): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most; // an integer is a number
const areCounts = (value: unknown, length: number, below: number): boolean => Array.isArray(value) && value.length === length && value.every((one) => isCount(one, below - 1));
const areTexts = (value: unknown, length?: number): value is readonly string[] =>
  Array.isArray(value) && (length === undefined || value.length === length) && value.every((one) => typeof one === 'string');

const isBlock = (value: unknown): value is BlockHeader => {
  if (typeof value !== 'object' || value === null) return false;
  const { count, bytes, filter, crc } = value as Readonly<Record<string, unknown>>; // an object has such a view
  return isCount(count, BLOCK) && count > 0 && isCount(bytes, 2 ** 32) && FILTERS.some((known) => known === filter) && isCount(crc, 2 ** 32 - 1);
};

/** What is wrong with a header, or nothing. */
const headerMistake = (header: Readonly<Record<string, unknown>>): string | undefined => {
  const { channels, height, width, classes, attributes, labels, attribute, captions, heldOut, blocks } = header;
  if (channels !== 1 && channels !== 3) return 'channels';
  if (!isCount(height, MOST_SIDE) || !isCount(width, MOST_SIDE) || height < 1 || width < 1) return 'size';
  if (!areTexts(classes) || classes.length === 0) return 'classes';
  if (!Array.isArray(labels) || labels.length === 0 || !areCounts(labels, labels.length, classes.length)) return 'labels';
  if (attributes !== undefined && !(areTexts(attributes) && areCounts(attribute, labels.length, attributes.length))) return 'attributes';
  if (captions !== undefined && !areTexts(captions, labels.length)) return 'captions';
  if (heldOut !== undefined && !(Array.isArray(heldOut) && areCounts(heldOut, heldOut.length, labels.length))) return 'held-out items';
  if (!Array.isArray(blocks) || !blocks.every(isBlock)) return 'blocks';
  return blocks.reduce((sum, { count }) => sum + count, 0) === labels.length ? undefined : 'blocks, which do not hold as many images as there are labels';
};

const headerOf = async (path: string, file: Uint8Array): Promise<{ readonly header: Header; readonly start: number }> => {
  if (file.length < PREFIX || new TextDecoder('latin1').decode(file.subarray(0, MAGIC.length)) !== MAGIC) return fail('corrupt', path, `this is no pack: it does not begin with ${MAGIC}`);
  const start = PREFIX + new DataView(file.buffer, file.byteOffset, file.length).getUint32(MAGIC.length, true);
  if (start > file.length) return fail('truncated', path, 'it ends within its header; is the download complete?');
  const text = new TextDecoder().decode(await unpack(path, 'the header', file.subarray(PREFIX, start), MOST_HEADER));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail('corrupt', path, 'its header is no JSON');
  }
  if (typeof value !== 'object' || value === null) return fail('corrupt', path, 'its header is no object');
  const mistake = headerMistake(value as Readonly<Record<string, unknown>>); // as above
  if (mistake !== undefined) return fail('corrupt', path, `its header has wrong ${mistake}`);
  return { header: value as Header, start }; // checked field by field
};

/** All items, held-out ones too. Faults: corrupt, truncated, unsupported (more than `memory`). */
export const parsePack = async (path: string, file: Uint8Array, memory = USUAL_MEMORY): Promise<PackContent> => {
  const { header, start } = await headerOf(path, file);
  const { channels, height, width, classes, attributes, labels, attribute, captions, blocks } = header, length = channels * height * width;
  const needed = labels.length * length, there = file.length - start, announced = blocks.reduce((sum, { bytes }) => sum + bytes, 0);
  if (needed > memory) return fail('unsupported', path, `its ${labels.length} images take ${needed} bytes; ${memory} are allowed`);
  if (announced !== there) return fail(announced > there ? 'truncated' : 'corrupt', path, `its blocks have ${announced} bytes, but ${there} are there; is the download complete?`);
  const held = new Set(header.heldOut), items: PackItem[] = [];
  let at = start;
  for (const { count, bytes, filter, crc } of blocks) {
    const packed = file.subarray(at, at + bytes), what = `the block of images ${items.length} to ${items.length + count - 1}`;
    at += bytes;
    if (crc32(packed) !== crc) return fail('corrupt', path, `${what} is damaged (its CRC differs)`);
    const data = await unpack(path, what, packed, count * length);
    if (data.length !== count * length) return fail('corrupt', path, `${what} has ${data.length} bytes, not ${count * length}`);
    unfilter(data, filter, header);
    for (let k = 0; k < count; k++) {
      const i = items.length;
      items.push({
        pixels: planar({ width, height, channels, data: data.subarray(k * length, (k + 1) * length) }),
        label: labels[i]!, // as many as there are images
        ...(attribute !== undefined && { attribute: attribute[i]! }), // as above
        ...(captions !== undefined && { caption: captions[i]! }), // as above
        ...(held.has(i) && { heldOut: true }),
      });
    }
  }
  return { channels, height, width, classes, ...(attributes !== undefined && { attributes }), items };
};

/** Which labels count, and what they are called. */
const labelled = (path: string, { classes, attributes = [] }: PackContent, label: NonNullable<DataOptions['label']>) => {
  if (label !== 'class' && attributes.length === 0) fail('invalid-input', path, `its items have no second label, so label: "${label}" has no meaning`);
  const names = label === 'class' ? classes : label === 'attribute' ? attributes : classes.flatMap((name) => attributes.map((attribute) => `${name}, ${attribute}`));
  const of = ({ label: first, attribute = 0 }: Item): number => (label === 'class' ? first : label === 'attribute' ? attribute : first * attributes.length + attribute);
  return { names, of };
};

/** Opens a pack as a data set; another size is cropped and scaled as images are. */
export const packDataset = async (path: string, options: DataOptions): Promise<Dataset> => {
  const { size: bytes } = await stat(path), memory = options.memory ?? USUAL_MEMORY;
  if (bytes > memory) return fail('unsupported', path, `a pack of ${bytes} bytes is too large; ${memory} are allowed`);
  const content = await parsePack(path, await readFile(path), memory), { channels, height, width } = content;
  if (options.channels !== undefined && options.channels !== channels) return fail('mismatch', path, `its images have ${channels} channels, not ${options.channels}`);
  const { names, of } = labelled(path, content, options.label ?? 'class'), heldOut = options.heldOut ?? 'without';
  checkNames(path, names, options.classes);
  const items = content.items.filter((item) => heldOut === 'with' || (item.heldOut === true) === (heldOut === 'only'));
  if (items.length === 0) return fail('empty', path, `no image is left ${heldOut} those that are held out`);
  const to = extentOf(options.size ?? { height, width }), isSame = to.height === height && to.width === width;
  const scaled = (pixels: Uint8Array): Uint8Array => {
    if (isSame) return pixels;
    const raster: Raster = { width, height, channels, data: interleaved(pixels, content) };
    return planar(centreCrop(raster, to));
  };
  const away = content.items.length - items.length;
  return {
    size: items.length, classes: names, channels, ...to,
    ...(content.attributes !== undefined && { attributes: content.attributes }),
    notes: away > 0 && heldOut === 'without' ? [`${path}: ${away} images are held out`] : [],
    item: async (i) => {
      const { pixels, caption, attribute } = items[i]!; // callers stay below `size`
      return { pixels: scaled(pixels), label: of(items[i]!), ...(caption !== undefined && { caption }), ...(attribute !== undefined && { attribute }) };
    },
    close: async () => undefined,
  };
};
