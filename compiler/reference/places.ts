/**
 * Which elements of a tensor are looked at: corners first, since wrong tails show there, then one from each of equal parts.
 *
 * Invariant: the choice depends on the shape, the share, the stream and the seed alone, so that a finding can be repeated.
 */
import type { Places } from '../../dsl/ops/definition.ts';
import { philox4x32 } from '../../dsl/scalar/philox.ts';

export interface Sampling {
  /** Part of all elements, from 0 to 1. */
  readonly share: number;
  readonly seed: number;
  /** The most elements that may be looked at, whatever the share. */
  readonly most: number;
}

/** Fewer say too little, however large the share. */
const LEAST = 16;
const MOST_CORNERS = 64;

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** First and last along every axis; the very first and the very last one come first. */
const cornersOf = (shape: readonly number[]): readonly number[] => {
  const corners = shape.reduce<readonly number[]>((places, size) => [...new Set(places.flatMap((place) => [place * size, place * size + size - 1]))].slice(0, MOST_CORNERS), [0]);
  const last = product(shape) - 1;
  return [...new Set([0, last, ...corners])];
};

/** A fraction in [0, 1) for each i; `stream` tells tensors apart. */
const fraction = (i: number, stream: number, seed: number): number => philox4x32([i, stream, 0, 0], [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0])[0] / 2 ** 32;

/** Places of the elements to look at, ascending. */
export const samplePlaces = (shape: readonly number[], stream: number, { share, seed, most }: Sampling): Places => {
  const all = product(shape), count = Math.min(all, Math.max(1, Math.floor(most)), Math.max(LEAST, Math.ceil(share * all)));
  if (all === 0) return new Int32Array(0);
  if (count === all) return Int32Array.from({ length: all }, (_, i) => i);
  const corners = cornersOf(shape).slice(0, Math.ceil(count / 2)), drawn = count - corners.length;
  const places = Array.from({ length: drawn }, (_, i) => Math.floor(((i + fraction(i, stream, seed)) * all) / drawn));
  return Int32Array.from(new Set([...corners, ...places])).sort();
};
