/** The order of epochs and the flips: every image once, by chance alone, the same everywhere. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isFlipped, permutation } from './order.ts';

test('an epoch has every image once', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(2 ** 40), fc.integer({ min: 1, max: 300 }), (seed, epoch, size) => {
      expect([...permutation(seed, epoch, size)].sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, i) => i));
    }),
    { numRuns: 50 },
  );
});

test('pinned: a run that was begun with another version goes on with the same images', () => {
  expect([...permutation(0, 0, 10)]).toEqual([4, 6, 5, 0, 3, 7, 8, 1, 2, 9]);
  expect([...permutation(7n, 3, 10)]).toEqual([1, 6, 5, 8, 4, 9, 0, 7, 2, 3]);
  expect(Array.from({ length: 12 }, (_, i) => Number(isFlipped(7, 5, i))).join('')).toBe('100111011100');
});

test('seeds and epochs give other orders, at 64 bits of seed and beyond 32 of epoch', () => {
  const orders = [permutation(0, 0, 50), permutation(1, 0, 50), permutation(0, 1, 50), permutation(2n ** 32n, 0, 50), permutation(0, 2 ** 32, 50)].map((order) => order.join());
  expect(new Set(orders).size).toBe(5);
});

test('every image comes first equally often', () => {
  const counts = new Uint32Array(5), runs = 5000;
  for (let epoch = 0; epoch < runs; epoch++) counts[permutation(3, epoch, 5)[0]!]!++;
  const chi2 = counts.reduce((sum, count) => sum + (count - runs / 5) ** 2 / (runs / 5), 0);
  expect(chi2).toBeLessThan(18.5); // 0.1 % of fair shuffles are above
});

test('half of all images are mirrored, whatever step and place', () => {
  let flipped = 0;
  for (let step = 0; step < 100; step++) for (let i = 0; i < 100; i++) flipped += Number(isFlipped(11, step, i));
  expect(Math.abs(flipped - 5000)).toBeLessThan(165); // 3.3 deviations
});
