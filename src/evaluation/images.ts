/**
 * Sets of images as bytes, the form in which real and generated ones are compared: whoever saves an image keeps no more.
 *
 * Invariant: what is taken of a data set depends on its files and a seed alone.
 */
import { philoxNormals } from '../../models/noise/philox.ts';
import { fromUint8, toUint8 } from '../../models/pixels/uint8.ts';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import type { Dataset } from '../data/dataset.ts';

export interface ImageSet extends ImageSize {
  readonly count: number;
  readonly channels: number;
  /** [count, channels, height, width] */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** The class that each is of, or was asked for. */
  readonly labels: Int32Array<ArrayBuffer>;
}

/** Bytes of one image. */
export const lengthOf = ({ channels, height, width }: Pick<ImageSet, 'channels' | 'height' | 'width'>): number => channels * height * width;

/** Images asked for at once, so that all threads decode. */
const AT_ONCE = 64;

/** The images of a data set at the given places. Rejects as `Dataset.item` does. */
export const imagesAt = async (dataset: Dataset, places: ArrayLike<number>): Promise<ImageSet> => {
  const { channels, height, width } = dataset, length = lengthOf(dataset), count = places.length;
  const pixels = new Uint8Array(count * length), labels = new Int32Array(count);
  for (let first = 0; first < count; first += AT_ONCE) {
    const items = await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, i) => dataset.item(places[first + i]!)));
    for (const [i, item] of items.entries()) {
      pixels.set(item.pixels, (first + i) * length);
      labels[first + i] = item.label;
    }
  }
  return { count, channels, height, width, pixels, labels };
};

/** Images out of values in about [-1, 1], as they come from a sampler: rounded and clipped like saved ones. */
export const imagesOf = (images: readonly { readonly label: number; readonly values: Float32Array }[], size: ImageSize, channels: number): ImageSet => {
  const pixels = new Uint8Array(images.length * lengthOf({ channels, ...size }));
  for (const [i, { values }] of images.entries()) pixels.set(toUint8(values), i * values.length);
  return { count: images.length, channels, height: size.height, width: size.width, pixels, labels: Int32Array.from(images, ({ label }) => label) };
};

/** Normal noise in place of images, with the labels of `like`: what a model gives that has learnt nothing. */
export const noiseLike = (like: ImageSet, seed: bigint): ImageSet => {
  const length = lengthOf(like), pixels = new Uint8Array(like.pixels.length);
  for (let i = 0; i < like.count; i++) pixels.set(toUint8(philoxNormals(seed, i, 0, length)), i * length);
  return { ...like, pixels };
};

/** The images from `first` up to `end`. */
export const partOf = (images: ImageSet, first: number, end: number): ImageSet => {
  const length = lengthOf(images);
  return { ...images, count: end - first, pixels: images.pixels.subarray(first * length, end * length), labels: images.labels.subarray(first, end) };
};

/** The pixels of some images in -1 ... 1, as networks take them. */
export const valuesOf = (images: ImageSet): Float32Array<ArrayBuffer> => fromUint8(images.pixels);

/** Sets of images of one size, one after the other; there is one at least. */
export const joined = (sets: readonly ImageSet[]): ImageSet => {
  const count = sets.reduce((sum, set) => sum + set.count, 0), length = lengthOf(sets[0]!);
  const pixels = new Uint8Array(count * length), labels = new Int32Array(count);
  let at = 0;
  for (const set of sets) {
    pixels.set(set.pixels, at * length);
    labels.set(set.labels, at);
    at += set.count;
  }
  return { ...sets[0]!, count, pixels, labels };
};
