/** Scaling against Pillow 11's bytes: sha256 and first four bytes of ADM's centre crop of the same noise, computed there. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { centreCrop, planar, resizeBicubic, resizeBox } from './resample.ts';

/** Noise that Python makes in three lines as well. */
const noise = (length: number): Uint8Array => {
  let state = 12345;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state >> 16;
  });
};

test.each([
  [7, 5, 3, 4, '6bb5d4b83047edf1', [115, 25, 184, 118]],
  [33, 70, 3, 16, 'c0320aa4d2506451', [197, 156, 60, 107]],
  [64, 64, 3, 64, 'aa765352311c11eb', [220, 4, 101, 170]],
  [129, 67, 1, 16, 'ab83e930ca32c61f', [149, 127, 134, 116]],
  [10, 13, 3, 24, '95f243bc2ede1807', [39, 67, 109, 51]],
  [95, 61, 3, 30, '43cc79b58b857687', [158, 149, 157, 122]],
  [200, 151, 3, 32, '849c0d73f689ae3e', [110, 120, 143, 132]],
  [5, 9, 1, 5, 'bd5a58db38f2f0d2', [172, 27, 30, 95]],
])('%i x %i, %i channels, to %i: the bytes of Pillow', (width, height, channels, size, digest, first) => {
  const { data } = centreCrop({ width, height, channels, data: noise(width * height * channels) }, { width: size, height: size });
  expect([...data.subarray(0, 4)]).toEqual(first);
  expect(createHash('sha256').update(data).digest('hex').slice(0, 16)).toBe(digest);
});

test('a target that is not square is covered, and its middle taken', () => {
  const columns = Uint8Array.from({ length: 8 * 4 }, (_, i) => (i % 8) * 10);
  const { width, height, data } = centreCrop({ width: 8, height: 4, channels: 1, data: columns }, { width: 2, height: 4 });
  expect([width, height, [...data]]).toEqual([2, 4, [30, 40, 30, 40, 30, 40, 30, 40]]);
});

test('a box is a mean; a plain picture stays plain, at any scale', () => {
  expect([...resizeBox({ width: 4, height: 2, channels: 1, data: Uint8Array.of(0, 10, 20, 31, 0, 10, 20, 31) }, { width: 2, height: 1 }).data]).toEqual([5, 26]);
  const plain = { width: 9, height: 7, channels: 3, data: new Uint8Array(9 * 7 * 3).fill(201) };
  for (const extent of [{ width: 3, height: 20 }, { width: 30, height: 2 }]) expect(new Set(resizeBicubic(plain, extent).data)).toEqual(new Set([201]));
});

test('planes come one after the other', () => {
  expect([...planar({ width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) })]).toEqual([1, 4, 2, 5, 3, 6]);
});
