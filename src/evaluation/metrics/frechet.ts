/**
 * The Fréchet distance of two sets of features, taken for normal distributions (Dowson and Landau 1982).
 *
 * |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1^1/2 C2 C1^1/2)^1/2). With the features of the Inception network this is the FID; with ours it is not, and
 * is never called so: only numbers by the same classifier, the same reference and the same count of images compare.
 */
import type { Features } from './features.ts';
import { eigenOf, product, squareRoot } from './symmetric.ts';

export interface Moments {
  readonly dimensions: number;
  readonly mean: Float64Array;
  /** [dimensions, dimensions], unbiased. */
  readonly covariance: Float64Array;
}

/** Mean and covariance; of two points at least. */
export const momentsOf = ({ count, dimensions: d, features }: Features): Moments => {
  if (count < 2) throw new Error(`invariant: ${count} points have no covariance`);
  const mean = new Float64Array(d), covariance = new Float64Array(d * d), centred = new Float64Array(d);
  for (let i = 0; i < count; i++) for (let k = 0; k < d; k++) mean[k]! += features[i * d + k]! / count;
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < d; k++) centred[k] = features[i * d + k]! - mean[k]!;
    for (let k = 0; k < d; k++) for (let l = k; l < d; l++) covariance[k * d + l]! += (centred[k]! * centred[l]!) / (count - 1);
  }
  for (let k = 0; k < d; k++) for (let l = 0; l < k; l++) covariance[k * d + l] = covariance[l * d + k]!;
  return { dimensions: d, mean, covariance };
};

const trace = (matrix: Float64Array, n: number): number => Array.from({ length: n }, (_, i) => matrix[i * n + i]!).reduce((a, b) => a + b, 0);

/** The distance of two normal distributions; 0 for equal ones, up to rounding. */
export const frechetDistance = (a: Moments, b: Moments): number => {
  const n = a.dimensions, root = squareRoot(a.covariance, n);
  const between = eigenOf(product(product(root, b.covariance, n), root, n), n).values;
  const shared = between.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
  const apart = a.mean.reduce((sum, x, i) => sum + (x - b.mean[i]!) ** 2, 0);
  return Math.max(0, apart + trace(a.covariance, n) + trace(b.covariance, n) - 2 * shared);
};
