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
/** Recorded steps keep what they made until they are submitted. */
const MOST_BYTES = 2 ** 24;

const between = (least: number, value: number, most: number): number => Math.max(least, Math.min(value, most));

/** `bytes` is what a step makes. */
export const makePace = (bytes: number): Pace => {
  const most = between(1, Math.floor(MOST_BYTES / bytes), MOST_STEPS);
  let steps = 1;
  return {
    steps: () => steps,
    took: (done, milliseconds) => {
      steps = between(1, Math.floor((MILLISECONDS * done) / Math.max(milliseconds, 1e-3)), most);
    },
  };
};
