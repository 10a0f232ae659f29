/** Reading packs. Invariant: what opens is whole and consistent; nothing is unpacked beyond what its header announces, nor beyond the memory that is allowed. */
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { crc32 } from '../files/crc32.ts';
import { fail } from '../files/errors.ts';
import { FILTERS, unfilter } from './pack-filters.ts';
import { BLOCK, type BlockHeader, type Header, MAGIC, type PackContent, type PackItem, PREFIX } from './pack-format.ts';
import { planar } from './resample.ts';

const MOST_HEADER = 2 ** 26;
const MOST_SIDE = 4096;
/** Bytes of all images, unless the caller allows more. */
export const USUAL_MEMORY = 2 ** 30;

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
