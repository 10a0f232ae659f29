/**
 * How many steps go to the adapter at once. One step alone is submitted and waited for; once it is known how long a step takes, as many are
 * recorded together as keep the adapter busy for a moment, so that an abort, a preview or a watchdog of the driver never waits long.
 */
export interface Pace {
  /** Steps of the next submission, at least 1. */
  readonly steps: () => number;
  /** Tells that `steps` steps took that long. */
  readonly took: (steps: number, milliseconds: number) => void;
}

/** A submission should take about this long. */
const MILLISECONDS = 100;
const MOST_STEPS = 16;

export const makePace = (): Pace => {
  let most = 1;
  return {
    steps: () => most,
    took: (steps, milliseconds) => {
      most = Math.max(1, Math.min(MOST_STEPS, Math.floor((MILLISECONDS * steps) / Math.max(milliseconds, 1e-3))));
    },
  };
};
