/**
 * Precision and recall of Kynkäänniemi et al. 2019: the manifold of a set is the union of balls around its points, each up to its k-th neighbour
 * in the set. Precision: the share of generated points in the real manifold. Recall: the share of real points in the generated one.
 */
import { type Features, squaredDistance } from './features.ts';

/** The authors' choice. */
const NEIGHBOURS = 3;

/** A set of points, and the squares of the radii of their balls. */
export interface Manifold {
  readonly points: Features;
  readonly radii: Float64Array;
}

/** The balls of a set that has more than `k` points. */
export const manifoldOf = (points: Features, k = NEIGHBOURS): Manifold => {
  const { count } = points;
  if (count <= k) throw new Error(`invariant: ${count} points have no ${k}-th neighbours`);
  const distances = new Float64Array(count), radii = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) distances[j] = i === j ? Infinity : squaredDistance(points, i, points, j);
    radii[i] = distances.toSorted()[k - 1]!;
  }
  return { points, radii };
};

const isInside = (points: Features, i: number, { points: centres, radii }: Manifold): boolean => {
  for (let j = 0; j < centres.count; j++) if (squaredDistance(points, i, centres, j) <= radii[j]!) return true;
  return false;
};

/** The share of the points that lie in a manifold. */
export const coverage = (points: Features, manifold: Manifold): number => {
  let inside = 0;
  for (let i = 0; i < points.count; i++) if (isInside(points, i, manifold)) inside++;
  return inside / points.count;
};

export interface PrecisionRecall {
  readonly precision: number;
  readonly recall: number;
}

/** Of sets of the same count, since the radii depend on it. */
export const precisionRecall = (generated: Manifold, real: Manifold): PrecisionRecall => ({
  precision: coverage(generated.points, real), recall: coverage(real.points, generated),
});
