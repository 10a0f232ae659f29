import { describe, expect, it } from 'vitest';
import { halfProblem, quantiseRows, type PackedRows } from './quantise.ts';

const packed = (data: Float32Array, rows: number): PackedRows => {
  const result = quantiseRows(data, rows);
  if (typeof result === 'string') throw new Error(result);
  return result;
};
const numbersOf = ({ bytes }: PackedRows, count: number): Int8Array => new Int8Array(bytes.buffer, 0, count);
/** What a kernel makes of packed rows. */
const unpacked = (rows: PackedRows, count: number): readonly number[] =>
  Array.from(numbersOf(rows, count), (q, i) => q * rows.scales[Math.floor(i / (count / rows.scales.length))]!);

const waves = (count: number, size = 1): Float32Array => Float32Array.from({ length: count }, (_, i) => size * Math.sin(i * i + 1) * Math.cos(i));

describe('rows of int8', () => {
  it('come back within half a scale, and the largest element as 127', () => {
    for (const size of [1e-20, 1, 3e4, 1e30]) {
      const data = waves(7 * 33, size), rows = packed(data, 7);
      unpacked(rows, data.length).forEach((value, i) => expect(Math.abs(value - data[i]!)).toBeLessThanOrEqual(rows.scales[Math.floor(i / 33)]! * 0.500001));
      for (let row = 0; row < 7; row++) expect(Math.max(...numbersOf(rows, data.length).subarray(row * 33, row * 33 + 33).map(Math.abs))).toBe(127);
    }
  });

  it('are exact for whole numbers up to 127', () => {
    const data = Float32Array.from({ length: 255 }, (_, i) => i - 127);
    expect(unpacked(packed(data, 1), 255)).toEqual(Array.from(data, (x) => x + 0)); // -0 is no case
  });

  it('are symmetric: -w becomes -q, and -128 does not occur', () => {
    const data = waves(64), minus = data.map((x) => -x);
    expect(Array.from(numbersOf(packed(minus, 4), 64))).toEqual(Array.from(numbersOf(packed(data, 4), 64), (q) => (q === 0 ? 0 : -q)));
    expect(Math.min(...numbersOf(packed(waves(4096), 1), 4096))).toBeGreaterThanOrEqual(-127);
  });

  it('are zeros where a row is zero, or so small that its scale would be', () => {
    const { scales, bytes } = packed(Float32Array.of(0, -0, 1e-38, -1e-40, 2, 1), 3);
    expect([scales[0], scales[1], Array.from(bytes.subarray(0, 4))]).toEqual([0, 0, [0, 0, 0, 0]]);
    expect(scales[2]).toBeCloseTo(2 / 127);
  });

  it('fill whole words', () => {
    expect(packed(waves(10), 2).bytes.length).toBe(12);
    expect(packed(new Float32Array(0), 0).bytes.length).toBe(0);
  });

  it('refuse what has no scale, naming the row', () => {
    expect(quantiseRows(Float32Array.of(1, 2, NaN, 4), 2)).toMatch(/^row 1 .*NaN/);
    expect(quantiseRows(Float32Array.of(-Infinity, 2, 3, 4), 2)).toMatch(/^row 0 .*Infinity/);
  });
});

describe('floats that shall become f16', () => {
  it('are too large from 65520 on, where rounding gives infinity', () => {
    expect(halfProblem(Float32Array.of(65504, -65519, 0, NaN))).toBeUndefined();
    expect(halfProblem(Float32Array.of(1, 65520, -7e4))).toBe('2 of 3 elements are beyond 65504, the largest f16 (the first: element 1 is 65520); compile with f32 weights');
  });
});
