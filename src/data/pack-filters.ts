/** Filters of packs, on interleaved pixels: what makes bytes easier to compress, and is undone exactly. */
import type { ImageShape } from './decode.ts';

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

/** Their names, as packs have them. */
export const FILTERS = ['plain', 'green', 'guess', 'green guess'] as const;
export type Filter = (typeof FILTERS)[number];

/** A filtered copy. */
export const filtered = (data: Uint8Array, filter: Filter, shape: ImageShape): Uint8Array => {
  const target = data.slice();
  if (filter.startsWith('green')) subtractGreen(target, 1);
  if (filter.endsWith('guess')) predict(target, shape);
  return target;
};

/** Undoes a filter, in place. */
export const unfilter = (data: Uint8Array, filter: Filter, shape: ImageShape): void => {
  if (filter.endsWith('guess')) unpredict(data, shape);
  if (filter.startsWith('green')) subtractGreen(data, -1);
};
