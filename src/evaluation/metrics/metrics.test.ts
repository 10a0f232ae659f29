/** The metrics against values that are known in closed form, and against how they must behave. */
import { describe, expect, test } from 'vitest';
import { philoxNormals } from '../../../models/noise/philox.ts';
import type { Features } from './features.ts';
import { frechetDistance, momentsOf } from './frechet.ts';
import { kernelDistance, kernelSetOf } from './kernel-distance.ts';
import { coverage, manifoldOf, precisionRecall } from './manifolds.ts';
import { seamScore } from './seams.ts';
import { radialSpectrum, spectrumError } from './spectrum.ts';
import { quantile, spreadOf } from './spread.ts';
import { eigenOf, product, squareRoot } from './symmetric.ts';

const points = (...rows: readonly (readonly number[])[]): Features => ({ count: rows.length, dimensions: rows[0]!.length, features: Float64Array.from(rows.flat()) });
const normals = (count: number, dimensions: number, seed: number, shift = 0): Features => ({
  count, dimensions, features: Float64Array.from(philoxNormals(BigInt(seed), 0, 0, count * dimensions), (x) => x + shift),
});
const images = (height: number, width: number, ...pixels: readonly (readonly number[])[]) => ({ count: pixels.length, channels: 1, height, width, pixels: Uint8Array.from(pixels.flat()) });

describe('symmetric matrices', () => {
  test('eigenvalues of a matrix that has known ones', () => {
    const { values } = eigenOf(Float64Array.of(2, 1, 0, 1, 2, 0, 0, 0, 5), 3);
    expect([...values].toSorted((a, b) => a - b).map((x) => x.toFixed(12))).toEqual(['1.000000000000', '3.000000000000', '5.000000000000']);
  });
  test('the square of the root is the matrix, also of a singular one of 40 dimensions', () => {
    const n = 40, { covariance } = momentsOf(normals(20, n, 3)), root = squareRoot(covariance, n), back = product(root, root, n);
    covariance.forEach((x, i) => expect(Math.abs(back[i]! - x)).toBeLessThan(1e-12));
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) expect(Math.abs(root[i * n + j]! - root[j * n + i]!)).toBeLessThan(1e-12);
  });
});

describe('the Fréchet distance', () => {
  const gaussian = (mean: readonly number[], covariance: readonly number[]) => ({ dimensions: mean.length, mean: Float64Array.from(mean), covariance: Float64Array.from(covariance) });
  test('of normal distributions with commuting covariances is that of their means and deviations', () => {
    expect(frechetDistance(gaussian([1, 2], [4, 0, 0, 9]), gaussian([4, -2], [1, 0, 0, 25]))).toBeCloseTo(9 + 16 + (2 - 1) ** 2 + (3 - 5) ** 2, 12);
  });
  test('of covariances that do not commute, by the closed form for two dimensions', () => {
    // tr sqrt(AB) = sqrt(tr AB + 2 sqrt(det AB)) for 2 x 2
    const [a, b] = [[2, 1, 1, 3], [1, -0.5, -0.5, 2]] as const;
    const traceOfProduct = 2 * 1 + 1 * -0.5 + 1 * -0.5 + 3 * 2, determinants = (6 - 1) * (2 - 0.25);
    expect(frechetDistance(gaussian([0, 0], a), gaussian([0, 0], b))).toBeCloseTo(5 + 3 - 2 * Math.sqrt(traceOfProduct + 2 * Math.sqrt(determinants)), 12);
  });
  test('moments are the unbiased ones, and a set has no distance from itself', () => {
    const { mean, covariance } = momentsOf(points([1, 0], [3, 4], [5, 2]));
    expect([[...mean], [...covariance]]).toEqual([[3, 2], [4, 2, 2, 4]]);
    const set = momentsOf(normals(300, 16, 5));
    expect(frechetDistance(set, set)).toBeLessThan(1e-10);
  });
});

describe('the kernel distance', () => {
  test('is what the definition gives for a few points', () => {
    const [a, b] = [[[1, 0], [0, 2], [1, 1]], [[2, 1], [0, 0], [-1, 1]]] as const;
    const k = (x: readonly number[], y: readonly number[]) => ((x[0]! * y[0]! + x[1]! * y[1]!) / 2 + 1) ** 3;
    const pairs = (set: readonly (readonly number[])[]) => set.flatMap((x, i) => set.filter((_, j) => j !== i).map((y) => k(x, y))).reduce((p, q) => p + q) / 6;
    const across = a.flatMap((x) => b.map((y) => k(x, y))).reduce((p, q) => p + q) / 9;
    expect(kernelDistance(kernelSetOf(points(...a)), kernelSetOf(points(...b))).distance).toBeCloseTo(pairs(a) + pairs(b) - 2 * across, 12);
  });
  test('has no bias: sets of one distribution differ by no more than the standard error says', () => {
    const found = Array.from({ length: 40 }, (_, i) => kernelDistance(kernelSetOf(normals(40, 8, 2 * i)), kernelSetOf(normals(60, 8, 2 * i + 1))));
    const { mean, deviation } = spreadOf(found.map(({ distance }) => distance));
    expect(Math.abs(mean)).toBeLessThan((3 * deviation) / Math.sqrt(40));
    expect(found.some(({ distance }) => distance < 0)).toBe(true);
  });
  test('its standard error is the spread of repetitions', () => {
    const found = Array.from({ length: 60 }, (_, i) => kernelDistance(kernelSetOf(normals(50, 8, 100 + i, 0.5)), kernelSetOf(normals(50, 8, 200 + i))));
    const { deviation } = spreadOf(found.map(({ distance }) => distance)), { mean } = spreadOf(found.map(({ standardError }) => standardError));
    expect(mean / deviation).toBeGreaterThan(0.75);
    expect(mean / deviation).toBeLessThan(1.35);
  });
});

describe('precision and recall', () => {
  // on a line: every point's first neighbour is 1 away
  const line = (...places: readonly number[]) => points(...places.map((x) => [x]));
  test('count points in the balls of the other set', () => {
    const real = manifoldOf(line(0, 1, 2, 3), 1), generated = manifoldOf(line(2.5, 3.5, 10, 11), 1);
    expect(precisionRecall(generated, real)).toEqual({ precision: 0.5, recall: 0.5 });
    expect(coverage(line(-1, -1.01, 4, 4.01), real)).toBe(0.5);
  });
  test('one mode of two is precise, and recalls half', () => {
    const [left, right] = [normals(100, 4, 1), normals(100, 4, 2, 20)];
    const both = { ...left, count: 200, features: Float64Array.of(...left.features, ...right.features) };
    const { precision, recall } = precisionRecall(manifoldOf(normals(200, 4, 3)), manifoldOf(both));
    expect(precision).toBeGreaterThan(0.85);
    expect(recall).toBeGreaterThan(0.4);
    expect(recall).toBeLessThanOrEqual(0.5);
  });
});

describe('patch seams', () => {
  test('are the steps across borders, in steps elsewhere', () => {
    // steps along a row: 1 1 1 | 5 | 1 1 1, none down
    expect(seamScore(images(1, 8, [0, 1, 2, 3, 8, 9, 10, 11]), 4)).toBe(5);
    const column = images(8, 1, [0, 1, 2, 3, 8, 9, 10, 11]);
    expect(seamScore(column, 4)).toBe(5);
    expect(seamScore(column, 8)).toBeUndefined();
    expect(seamScore(images(2, 2, [7, 7, 7, 7]), 1)).toBeUndefined();
  });
  test('are 1 for noise', () => {
    const noise = philoxNormals(1n, 0, 0, 64 * 64).map((x) => 128 + 40 * x);
    expect(seamScore(images(64, 64, [...noise]), 8)).toBeCloseTo(1, 1);
  });
});

describe('the radial spectrum', () => {
  const wave = (n: number, cycles: number, byte: (cosine: number) => number) => images(n, n, Array.from({ length: n * n }, (_, i) => byte(Math.cos((2 * Math.PI * cycles * (i % n)) / n))));
  test.each([16, 12, 15])('has the power of a wave where the wave is, for %i pixels', (n) => {
    const spectrum = radialSpectrum(wave(n, 3, (x) => 127.5 + 100 * x));
    expect(spectrum.indexOf(Math.max(...spectrum.subarray(1)))).toBe(3);
    expect(spectrum[0]!).toBeCloseTo(n * n * 0.25, -1);
  });
  test('keeps the energy (Parseval), corners aside', () => {
    const flat = images(8, 8, Array.from({ length: 64 }, () => 255));
    expect(radialSpectrum(flat)[0]).toBeCloseTo(64, 10);
  });
  test('half the contrast is 6 dB less at every frequency', () => {
    const noise = [...philoxNormals(2n, 0, 0, 32 * 32)].map((x) => 20 * Math.round(x));
    const [whole, half] = [images(32, 32, noise.map((x) => 128 + x)), images(32, 32, noise.map((x) => 128 + x / 2))];
    expect(spectrumError(radialSpectrum(whole), radialSpectrum(half))).toBeCloseTo(20 * Math.log10(2), 3);
    expect(spectrumError(radialSpectrum(whole), radialSpectrum(whole))).toBe(0);
  });
});

test('spreads and quantiles', () => {
  expect(spreadOf([1, 2, 3])).toEqual({ mean: 2, deviation: 1 });
  expect(spreadOf([4])).toEqual({ mean: 4, deviation: 0 });
  expect([quantile([3, 1, 2], 0.5), quantile([0, 10], 0.25), quantile([5], 0.01)]).toEqual([2, 2.5, 5]);
});
