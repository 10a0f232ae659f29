import { describe, expect, test } from 'vitest';
import { samplePlaces, type Sampling } from './places.ts';

const places = (shape: readonly number[], change: Partial<Sampling> = {}, stream = 0): readonly number[] =>
  [...samplePlaces(shape, stream, { share: 0.01, seed: 0, most: Infinity, ...change })];

describe('places of a sample', () => {
  test('ascending, each once, inside, about as many as asked', () => {
    const chosen = places([100, 70]);
    expect(chosen.length).toBeGreaterThan(60);
    expect(chosen.length).toBeLessThanOrEqual(70);
    expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
    expect(chosen.every((place) => place >= 0 && place < 7000)).toBe(true);
  });

  test('all corners are among them: the tails of every axis', () => {
    expect(places([50, 40, 30])).toEqual(expect.arrayContaining([0, 29, 39 * 30, 39 * 30 + 29, 49 * 1200, 49 * 1200 + 29, 59_970, 59_999]));
  });

  test('they spread: every eighth of a tensor is looked at', () => {
    const eighths = new Set(places([80, 100], {}, 3).map((place) => Math.floor(place / 1000)));
    expect(eighths.size).toBe(8);
  });

  test('small tensors, and a share of 1, are looked at as a whole', () => {
    expect(places([3, 5])).toEqual(Array.from({ length: 15 }, (_, i) => i));
    expect(places([40, 40], { share: 1 })).toHaveLength(1600);
    expect(places([])).toEqual([0]);
    expect(places([4, 0])).toEqual([]);
  });

  test('no more than allowed, the first and the last before others', () => {
    expect(places([100, 100], { most: 3 })).toEqual(expect.arrayContaining([0, 9999]));
    expect(places([100, 100], { most: 3 })).toHaveLength(3);
    expect(places([100, 100], { most: 0.2 })).toEqual([0]);
  });

  test('another seed or tensor, other places; the same, the same', () => {
    expect(places([99, 99])).toEqual(places([99, 99]));
    expect(places([99, 99], { seed: 1 })).not.toEqual(places([99, 99]));
    expect(places([99, 99], {}, 1)).not.toEqual(places([99, 99]));
  });
});
