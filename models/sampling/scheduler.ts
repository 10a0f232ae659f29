/**
 * Interpolation schedules: x_t = alpha(t) image + sigma(t) noise, t from 0 (noise) to 1 (image).
 *
 * The rates are the authors': those of GVP leave out the factor pi/2 of the true derivatives.
 */
export interface Scheduler {
  readonly alpha: (t: number) => number;
  readonly sigma: (t: number) => number;
  /** The rate of alpha, with which the velocity is made: v = alphaRate image + sigmaRate noise. */
  readonly alphaRate: (t: number) => number;
  readonly sigmaRate: (t: number) => number;
  /** How much noise an SDE step injects at t. */
  readonly noiseWeight: (t: number) => number;
}

const linear: Scheduler = {
  alpha: (t) => t,
  sigma: (t) => 1 - t,
  alphaRate: () => 1,
  sigmaRate: () => -1,
  noiseWeight: (t) => 1 - t,
};

/** Rounded to float32 as torch does: so alpha(1) is -4.4e-8, and alphaRate / alpha there stays finite as in the authors' code. */
const angle = (t: number): number => Math.fround((t * Math.PI) / 2);

const gvp: Scheduler = {
  alpha: (t) => Math.cos(angle(t)),
  sigma: (t) => Math.sin(angle(t)),
  alphaRate: (t) => -Math.sin(angle(t)),
  sigmaRate: (t) => Math.cos(angle(t)),
  noiseWeight: (t) => Math.sin(t) ** 2,
};

/** `linear`, `gvp` (generalised variance preserving) and `const`, which is linear with noise weight 1. */
export const SCHEDULERS = { linear, gvp, const: { ...linear, noiseWeight: () => 1 } } as const satisfies Record<string, Scheduler>;
export type SchedulerName = keyof typeof SCHEDULERS;
