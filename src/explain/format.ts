/** Numbers for people: three digits and a unit. Invariant: what is not zero is never shown as zero. */

const digits = (value: number): string => (value >= 99.95 || value === 0 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2));

/** The first unit that leaves a number of at least one, else the last. */
const withUnit = (value: number, units: readonly (readonly [size: number, name: string])[]): string => {
  const [size, name] = units.find(([least]) => value >= least) ?? units.at(-1)!; // the tables are not empty
  return `${digits(value / size)} ${name}`;
};

/** `12.6 MB`; decimal, as bandwidths are. */
export const showBytes = (bytes: number): string =>
  bytes < 1000 ? `${bytes} B` : withUnit(bytes, [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']]);

/** `1.61 GFLOP`. */
export const showFlops = (flops: number): string =>
  flops < 1000 ? `${flops} FLOP` : withUnit(flops, [[1e12, 'TFLOP'], [1e9, 'GFLOP'], [1e6, 'MFLOP'], [1e3, 'kFLOP']]);

export const showMilliseconds = (milliseconds: number): string =>
  withUnit(milliseconds, [[1000, 's'], [1, 'ms'], [1e-3, 'µs'], [1e-6, 'ns']]);

/** `1,804,449`. */
export const showCount = (count: number): string => count.toLocaleString('en-US');

/** `452 million`. */
export const showLarge = (count: number): string =>
  count < 1e4 ? showCount(count) : withUnit(count, [[1e9, 'billion'], [1e6, 'million'], [1e3, 'thousand']]);

export const showShare = (share: number): string =>
  share > 0 && share < 0.001 ? '<0.1 %' : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** Operations per byte. */
export const showIntensity = (intensity: number): string => (intensity > 0 && intensity < 0.01 ? '<0.01' : digits(intensity));

/** `one kernel`, `3 kernels`. */
export const plural = (count: number, one: string, many = `${one}s`): string => `${showCount(count)} ${count === 1 ? one : many}`;
