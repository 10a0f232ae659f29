/**
 * The times at which a sampler stops: evenly from 0 to 1 - lastStep, then 1, all bent by the time shift.
 *
 * The grid exists twice: in double for the steps, and rounded after each operation as torch's float32 grid, by which
 * the authors decide whether t lies inside the guidance interval (a grid point may fall on its bound).
 */
export type Rounding = (value: number) => number;
/** Double precision, as JavaScript computes. */
export const exactly: Rounding = (value) => value;
export const inFloat32: Rounding = Math.fround;

/** Bends time towards the noise for shift > 1: t / (t + (1 - t) shift). */
export const timeShift = (t: number, shift: number, round: Rounding = exactly): number =>
  round(t / round(t + round(round(1 - t) * round(shift))));

const LANES = 8;

/** torch.linspace(0, end, count): counted from the nearer end, whole vectors of 8 from their first element. */
const linspace = (end: number, count: number, round: Rounding): readonly number[] => {
  if (count === 1) return [0];
  const last = round(end);
  const step = round(last / (count - 1));
  const at = (i: number): number => (i < Math.floor(count / 2) ? round(step * i) : round(last - round(step * (count - 1 - i))));
  const inVector = (i: number): boolean => i - (i % LANES) + LANES <= count;
  return Array.from({ length: count }, (_, i) => (inVector(i) ? round(at(i - (i % LANES)) + round(step * (i % LANES))) : at(i)));
};

export interface TimeGrid {
  readonly steps: number;
  readonly lastStep: number;
  readonly timeshift: number;
}

/** steps + 1 times from 0 to 1. */
export const timeGrid = ({ steps, lastStep, timeshift }: TimeGrid, round: Rounding = exactly): readonly number[] =>
  [...linspace(1 - lastStep, steps, round), 1].map((t) => timeShift(t, timeshift, round));
