/**
 * The kernel distance of Bińkowski et al. 2018 ("Demystifying MMD GANs", there on Inception's features: KID): the squared maximum mean discrepancy
 * under the kernel (x.y / d + 1)^3, without bias, so that it is 0 in the mean for sets of one distribution, however small, and may be negative.
 *
 * The standard error is the jackknife's: how much the distance moves when each image of either set is left out.
 */
import { dot, type Features } from './features.ts';

/** A set with the sums over its pairs, which are the same whatever it is compared with. */
export interface KernelSet {
  readonly points: Features;
  /** Of each point with all others. */
  readonly sums: Float64Array;
}

export interface KernelDistance {
  readonly distance: number;
  readonly standardError: number;
}

const kernel = (product: number, dimensions: number): number => (product / dimensions + 1) ** 3;
const total = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);

/** The sums over the pairs of a set. */
export const kernelSetOf = (points: Features): KernelSet => {
  const sums = new Float64Array(points.count);
  for (let i = 0; i < points.count; i++) {
    for (let j = 0; j < i; j++) {
      const value = kernel(dot(points, i, points, j), points.dimensions);
      sums[i]! += value;
      sums[j]! += value;
    }
  }
  return { points, sums };
};

/** (count - 1) / count times the squares of how far the parts are from their mean. */
const jackknife = (leftOut: Float64Array): number => {
  const n = leftOut.length, mean = total(leftOut) / n;
  return ((n - 1) / n) * leftOut.reduce((sum, value) => sum + (value - mean) ** 2, 0);
};

/** The distance of two sets of three points at least. */
export const kernelDistance = (a: KernelSet, b: KernelSet): KernelDistance => {
  const [n, m] = [a.points.count, b.points.count];
  if (n < 3 || m < 3) throw new Error(`invariant: sets of ${n} and ${m} points are too small for a kernel distance`);
  const [fromA, fromB] = [new Float64Array(n), new Float64Array(m)];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      const value = kernel(dot(a.points, i, b.points, j), a.points.dimensions);
      fromA[i]! += value;
      fromB[j]! += value;
    }
  }
  const [inA, inB, between] = [total(a.sums), total(b.sums), total(fromA)];
  const discrepancy = (sumA: number, countA: number, sumB: number, countB: number, across: number): number =>
    sumA / (countA * (countA - 1)) + sumB / (countB * (countB - 1)) - (2 * across) / (countA * countB);
  const withoutA = a.sums.map((sum, i) => discrepancy(inA - 2 * sum, n - 1, inB, m, between - fromA[i]!));
  const withoutB = b.sums.map((sum, j) => discrepancy(inA, n, inB - 2 * sum, m - 1, between - fromB[j]!));
  return { distance: discrepancy(inA, n, inB, m, between), standardError: Math.sqrt(jackknife(withoutA) + jackknife(withoutB)) };
};
