/**
 * Weights on their way into narrow storage: rows of int8 with a scale each, and whether f16 can hold them.
 *
 * Invariant: `|w - scale · q|` is at most half a scale (and its rounding), and -w becomes -q.
 */
import type { NumberArray } from './elements.ts';

/** Bytes of the whole numbers, padded to words of four, and the scale of each row. */
export interface PackedRows {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly scales: Float32Array<ArrayBuffer>;
}

/** The largest number of an i8 tensor; -128 is not used, so that the numbers are symmetric. */
const MOST = 127;
/** Scales below the smallest normal f32 may count as zero on a GPU; rows that small are zeros. */
const SMALLEST_SCALE = 2 ** -126;

const largestIn = (data: NumberArray, start: number, end: number): number => {
  let most = 0;
  for (let i = start; i < end; i++) {
    const size = Math.abs(data[i]!); // i < length, here and below
    if (!(size <= most)) most = size; // a NaN stays
    if (Number.isNaN(most)) return NaN;
  }
  return most;
};

/** The nearest whole number; ties away from zero. */
const nearest = (x: number): number => Math.sign(x) * Math.min(MOST, Math.floor(Math.abs(x) + 0.5));

/** `data` as `rows` rows of whole numbers, each with the scale that makes its largest element 127; or what is wrong with it. */
export const quantiseRows = (data: NumberArray, rows: number): PackedRows | string => {
  const length = data.length / rows;
  const bytes = new Uint8Array(Math.ceil(data.length / 4) * 4), numbers = new Int8Array(bytes.buffer), scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const start = row * length, most = largestIn(data, start, start + length), scale = Math.fround(most / MOST);
    if (!Number.isFinite(scale)) return `row ${row} has an element that is ${most}, which int8 cannot hold`;
    if (scale < SMALLEST_SCALE) continue;
    scales[row] = scale;
    for (let i = start; i < start + length; i++) numbers[i] = nearest(data[i]! / scale);
  }
  return { bytes, scales };
};

/** From here on a number rounds to infinity as f16. */
const BEYOND_HALF = 65520;

/** What is wrong with floats that shall become f16: those that are too large. */
export const halfProblem = (data: NumberArray): string | undefined => {
  let first = -1, count = 0;
  for (let i = 0; i < data.length; i++) {
    if (Math.abs(data[i]!) < BEYOND_HALF || Number.isNaN(data[i]!)) continue;
    if (count++ === 0) first = i;
  }
  return count === 0 ? undefined
    : `${count} of ${data.length} elements are beyond 65504, the largest f16 (the first: element ${first} is ${data[first]}); compile with f32 weights`;
};
