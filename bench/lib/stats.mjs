/** The few statistics of the bench. */

export const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(q * values.length))];

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2; // NaN of nothing
};

/** Largest absolute difference, and that difference relative to the largest reference value. */
export const compare = (got, want) => {
  if (!got || got.length !== want.length) return { abs: Infinity, rel: Infinity };
  let abs = 0, scale = 0;
  for (let i = 0; i < want.length; i++) {
    const difference = Math.abs(got[i] - want[i]);
    if (!(difference <= abs)) abs = Number.isNaN(difference) ? Infinity : difference;
    scale = Math.max(scale, Math.abs(want[i]));
  }
  return { abs, rel: abs / (scale || 1) };
};
