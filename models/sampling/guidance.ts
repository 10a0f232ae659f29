/**
 * Where guidance applies. The authors compare float32 times with the interval's bounds, also rounded to float32; a point
 * of the grid may fall on a bound, so the same is done here.
 */
import type { SettledCommon } from './options.ts';

const { fround } = Math;

/** The effective scale at the float32 time t: the guidance strictly inside the interval, 1 elsewhere. */
export const scaleAt = ({ guidance, interval: [min, max] }: SettledCommon, t: number): number =>
  t > fround(min) && t < fround(max) ? guidance : 1;
