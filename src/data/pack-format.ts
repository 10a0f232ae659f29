/**
 * A pack: images of one size with labels, second labels and captions in one file, small enough to travel; to open it needs nothing but Node.
 *
 *     "PIXPACK1" | length of the header, u32 | header (JSON, brotli) | block | block | ...
 *
 * A block is up to 256 images, pixel by pixel, filtered (as PNG does, but whole blocks in one way: the smallest) and compressed by brotli. Lossless: emoji
 * take about as much room as in lossless WebP. Invariant: a pack that opens is whole; every block has its CRC, and lengths are checked before they are used.
 */
import type { Item } from './dataset.ts';
import type { ImageShape } from './decode.ts';
import type { Filter } from './pack-filters.ts';

export interface PackItem extends Item {
  /** Not for training: kept to see whether a model can do what it has not seen. */
  readonly heldOut?: boolean;
}

export interface PackContent extends ImageShape {
  readonly classes: readonly string[];
  readonly attributes?: readonly string[];
  readonly items: readonly PackItem[];
}

export const MAGIC = 'PIXPACK1';
/** Bytes before the header: the magic word and a length. */
export const PREFIX = MAGIC.length + 4;
/** Images of a block, at most. */
export const BLOCK = 256;

/** What a block is. */
export interface BlockHeader {
  readonly count: number;
  readonly bytes: number;
  readonly filter: Filter;
  readonly crc: number;
}

/** What stands at the beginning, as JSON. */
export interface Header extends ImageShape {
  readonly classes: readonly string[];
  readonly attributes?: readonly string[];
  readonly labels: readonly number[];
  readonly attribute?: readonly number[];
  readonly captions?: readonly string[];
  /** Places of the items that are held out. */
  readonly heldOut?: readonly number[];
  readonly blocks: readonly BlockHeader[];
}

/** Pixel after pixel, from channel after channel. */
export const interleaved = (pixels: Uint8Array, { channels, height, width }: ImageShape): Uint8Array => {
  const plane = height * width, target = new Uint8Array(pixels.length);
  for (let c = 0; c < channels; c++) for (let i = 0; i < plane; i++) target[i * channels + c] = pixels[c * plane + i]!;
  return target;
};
