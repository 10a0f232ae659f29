/**
 * The step functions: from x, a velocity v and a score s to the next x, as linear combinations.
 *
 *     ode            x + v dt
 *     sde_mean       x + v dt + s w dt
 *     sde            x + v dt + s w dt   + sqrt(2 w dt) n
 *     sde_preserve   x + v dt + s w dt/2 + sqrt(w dt) n
 */
import type { Noise, Slot, Term } from './plan.ts';
import { only, scaled, summed, X } from './plan.ts';
import type { Scheduler } from './scheduler.ts';

/** Drift: how much of s w dt is added. Diffusion: how much of sqrt(w dt) n. */
export const STEPS = {
  ode: { drift: 0, diffusion: 0 },
  sde_mean: { drift: 1, diffusion: 0 },
  sde: { drift: 1, diffusion: Math.SQRT2 },
  sde_preserve: { drift: 0.5, diffusion: 1 },
} as const satisfies Record<string, { readonly drift: number; readonly diffusion: number }>;
export type StepName = keyof typeof STEPS;

/** Whether a step draws noise, be its weight zero or not. */
export const drawsNoise = (step: StepName): boolean => STEPS[step].diffusion !== 0;

/** Whether a step uses the score. */
export const usesScore = (step: StepName): boolean => STEPS[step].drift !== 0;

/** The score at t from the velocity in slot v, predicted at the x in slot x: (v r - x) / (sigma^2 - r sigma sigma'), r = alpha / alpha'. */
export const score = ({ alpha, alphaRate, sigma, sigmaRate }: Scheduler, t: number, x: Slot, v: Slot): readonly Term[] => {
  const ratio = alpha(t) / alphaRate(t);
  const variance = sigma(t) ** 2 - ratio * sigma(t) * sigmaRate(t);
  return [{ slot: v, coefficient: ratio / variance }, { slot: x, coefficient: -1 / variance }];
};

export interface StepInput {
  readonly velocity: readonly Term[];
  readonly score: readonly Term[];
  readonly dt: number;
  /** The noise weight w at the step's start. */
  readonly weight: number;
  /** The number of the draw that the step takes if it draws. */
  readonly draw: number;
}

/** A combination over x, velocities and noise. */
export interface NextX {
  readonly terms: readonly Term[];
  readonly noise?: Noise;
}
/** The next x. */
export const stepped = (step: StepName, { velocity, score, dt, weight, draw }: StepInput): NextX => {
  const { drift, diffusion } = STEPS[step];
  const pushed = drift === 0 ? [] : scaled(score, drift * weight * dt);
  const terms = summed(only(X), scaled(velocity, dt), pushed);
  return diffusion === 0 ? { terms } : { terms, noise: { draw, coefficient: diffusion * Math.sqrt(weight * dt) } };
};
