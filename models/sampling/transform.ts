/** The times in which the Adams sampler interpolates velocities. Bounds keep both ends of [0, 1] finite, as the authors have them. */
const snr = (t: number): number => Math.max(t, 1e-8) / (1 - t + 1e-8);

export const TRANSFORMS = {
  identity: (t: number): number => t,
  snr,
  inverse_snr: (t: number): number => 1 / snr(t),
  log_snr: (t: number): number => Math.log(Math.max(t, 1e-3) / (1 - t + 1e-3)),
} as const satisfies Record<string, (t: number) => number>;
export type TransformName = keyof typeof TRANSFORMS;
