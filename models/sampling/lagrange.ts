/**
 * Weights of the Adams multistep sampler: the integral of the polynomial through past velocities over the next step.
 *
 * Invariant: the weights are exact, up to rounding, for any velocity that is a polynomial of degree < order <= 4.
 */
const product = (factors: readonly number[]): number => factors.reduce((whole, factor) => whole * factor, 1);

/** The polynomial that is 1 at times[j] and 0 at the others. */
const basis = (times: readonly number[], j: number) => (t: number): number =>
  product(times.map((other, k) => (k === j ? 1 : (t - other) / (times[j]! - other))));

/** Two-point Gauss quadrature, exact up to degree 3. */
const integrate = (f: (t: number) => number, from: number, to: number): number => {
  const middle = (from + to) / 2;
  const half = (to - from) / 2;
  return half * (f(middle - half / Math.sqrt(3)) + f(middle + half / Math.sqrt(3)));
};

/** For up to four past times the integrals of their Lagrange polynomials over [from, to]. */
export const lagrangeIntegrals = (times: readonly number[], from: number, to: number): readonly number[] =>
  times.map((_, j) => integrate(basis(times, j), from, to));

/** The integrals divided by their sum. */
export const lagrangeWeights = (times: readonly number[], from: number, to: number): readonly number[] => {
  const integrals = lagrangeIntegrals(times, from, to);
  const sum = integrals.reduce((total, integral) => total + integral, 0);
  return integrals.map((integral) => integral / sum);
};
