/** Points of a feature space, as rows of one array: what distances between sets of images are measured on. */

export interface Features {
  readonly count: number;
  readonly dimensions: number;
  /** [count, dimensions] */
  readonly features: Float64Array;
}

/** The inner product of row i of `a` with row j of `b`. */
export const dot = (a: Features, i: number, b: Features, j: number): number => {
  const { dimensions } = a, x = a.features, y = b.features, [p, q] = [i * dimensions, j * dimensions];
  let sum = 0;
  for (let k = 0; k < dimensions; k++) sum += x[p + k]! * y[q + k]!;
  return sum;
};

/** The square of the distance between row i of `a` and row j of `b`. */
export const squaredDistance = (a: Features, i: number, b: Features, j: number): number => {
  const { dimensions } = a, x = a.features, y = b.features, [p, q] = [i * dimensions, j * dimensions];
  let sum = 0;
  for (let k = 0; k < dimensions; k++) sum += (x[p + k]! - y[q + k]!) ** 2;
  return sum;
};

/** The first rows. */
export const firstOf = ({ dimensions, features }: Features, count: number): Features => ({ count, dimensions, features: features.subarray(0, count * dimensions) });

/** The root mean square of all numbers. */
export const rootMeanSquare = ({ features }: Features): number => Math.sqrt(features.reduce((sum, x) => sum + x * x, 0) / features.length);

/** Every number times a factor. */
export const scaled = ({ count, dimensions, features }: Features, factor: number): Features => ({ count, dimensions, features: features.map((x) => x * factor) });
