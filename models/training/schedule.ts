/** Learning rates over the steps of a run, counted from 1. */

export interface ScheduleOptions {
  /** `cosine` falls from the peak to the floor along half a cosine; `linear` along a line. */
  readonly kind: 'constant' | 'cosine' | 'linear';
  readonly peak: number;
  /** Steps on which the rate rises to the peak along a line. */
  readonly warmup?: number;
  /** The whole run, for a rate that falls. */
  readonly steps?: number;
  /** Where a falling rate ends, as a part of the peak. */
  readonly floor?: number;
}

/** The learning rate of each step; after the last one it stays where it is. */
export const learningRateOf = ({ kind, peak, warmup = 0, steps = Infinity, floor = 0 }: ScheduleOptions) => (step: number): number => {
  if (step <= warmup) return (peak * step) / warmup;
  if (kind === 'constant' || !Number.isFinite(steps)) return peak;
  const done = Math.min(1, Math.max(0, (step - warmup) / Math.max(1, steps - warmup)));
  const share = kind === 'cosine' ? (1 + Math.cos(Math.PI * done)) / 2 : 1 - done;
  return peak * (floor + (1 - floor) * share);
};
