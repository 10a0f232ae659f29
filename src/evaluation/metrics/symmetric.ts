/**
 * Eigenvalues of symmetric matrices by Jacobi's rotations: short, and accurate to rounding for the hundred or so features that are used here.
 *
 * Invariant: matrices are row-major [n, n]; arguments are never changed.
 */

export interface Eigen {
  /** In no particular order. */
  readonly values: Float64Array;
  /** Column j belongs to value j; columns are orthonormal. */
  readonly vectors: Float64Array;
}

/** Rounds over all pairs; ten are usual. */
const MOST_ROUNDS = 60;

/** Rotates the plane of axes p and q of an array of vectors with the given distance between elements and between vectors. */
const rotate = (a: Float64Array, n: number, p: number, q: number, along: number, across: number, cosine: number, sine: number): void => {
  for (let k = 0; k < n; k++) {
    const [i, j] = [k * along + p * across, k * along + q * across], x = a[i]!, y = a[j]!;
    a[i] = cosine * x - sine * y;
    a[j] = sine * x + cosine * y;
  }
};

/** Values and vectors of a symmetric matrix. */
export const eigenOf = (matrix: Float64Array, n: number): Eigen => {
  const a = Float64Array.from(matrix), vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  const size = a.reduce((sum, x) => sum + x * x, 0);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    let outside = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) outside += a[p * n + q]! ** 2;
    if (outside <= 1e-30 * size) break;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const apq = a[p * n + q]!;
        if (apq === 0) continue;
        // the smaller of the two angles that make this element vanish
        const ratio = (a[q * n + q]! - a[p * n + p]!) / (2 * apq), tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(ratio, 1));
        const cosine = 1 / Math.hypot(tangent, 1), sine = tangent * cosine;
        rotate(a, n, p, q, n, 1, cosine, sine); // columns, then rows
        rotate(a, n, p, q, 1, n, cosine, sine);
        rotate(vectors, n, p, q, n, 1, cosine, sine);
      }
    }
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * n + i]!), vectors };
};

/** The product of two matrices [n, n]. */
export const product = (a: Float64Array, b: Float64Array, n: number): Float64Array => {
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k < n; k++) {
      const factor = a[i * n + k]!;
      for (let j = 0; j < n; j++) result[i * n + j]! += factor * b[k * n + j]!;
    }
  return result;
};

/** The symmetric square root of a positive semidefinite matrix; eigenvalues that rounding made negative count as 0. */
export const squareRoot = (matrix: Float64Array, n: number): Float64Array => {
  const { values, vectors } = eigenOf(matrix, n), scaled = new Float64Array(n * n), transposed = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      scaled[i * n + j] = vectors[i * n + j]! * Math.sqrt(Math.max(0, values[j]!));
      transposed[j * n + i] = vectors[i * n + j]!;
    }
  return product(scaled, transposed, n);
};
