/** What several seeds give: their mean, and how far they are spread. */

export interface Spread {
  readonly mean: number;
  /** The standard deviation of the sample; 0 for one value. */
  readonly deviation: number;
}

export const spreadOf = (values: readonly number[]): Spread => {
  const n = values.length, mean = values.reduce((a, b) => a + b, 0) / n;
  return { mean, deviation: n < 2 ? 0 : Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)) };
};

/** The value below which the given share of the values lies, by linear interpolation. */
export const quantile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b), at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low]! + (at - low) * ((sorted[low + 1] ?? sorted[low]!) - sorted[low]!);
};
