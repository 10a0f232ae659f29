/** Writing packs. Invariant: the same content gives the same bytes. */
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import { crc32 } from '../files/crc32.ts';
import { fail } from '../files/errors.ts';
import type { ImageShape } from './decode.ts';
import { type Filter, filtered, FILTERS } from './pack-filters.ts';
import { BLOCK, type BlockHeader, type Header, interleaved, MAGIC, type PackContent, type PackItem, PREFIX } from './pack-format.ts';

const compress = (data: Uint8Array, quality: number): Promise<Uint8Array> =>
  promisify(brotliCompress)(data, {
    params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS, [constants.BROTLI_PARAM_SIZE_HINT]: data.length },
  });

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
