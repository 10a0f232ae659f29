/** The losses of a run: smoothed for people, thinned for files. Pure. */
import type { StepReport } from './trainer-types.ts';

/** How much of the last value a smoothed loss keeps after a step: about the last fifty steps count. */
const DECAY = 0.98;

/** Exponential means. At the start the window grows with the steps, so that the first value is the first loss and a steep start is followed. */
export const smoothed = (losses: readonly number[], decay = DECAY): readonly number[] => {
  let mean = 0;
  return losses.map((loss, i) => {
    const kept = Math.min(decay, i / (i + 9));
    mean = kept * mean + (1 - kept) * loss;
    return mean;
  });
};

/** The smoothed loss now. */
export const currentLoss = (reports: readonly StepReport[]): number | undefined => smoothed(reports.slice(-2000).map(({ loss }) => loss)).at(-1);

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const merged = (group: readonly StepReport[]): StepReport => ({
  step: group.at(-1)!.step, // groups are not empty
  loss: mean(group.map(({ loss }) => loss)),
  gradientNorm: mean(group.map(({ gradientNorm }) => gradientNorm)),
  learningRate: group.at(-1)!.learningRate,
});

/** At most `most` reports: neighbours are averaged, as few as needed, all groups alike. */
export const thinned = (reports: readonly StepReport[], most: number): readonly StepReport[] => {
  const group = Math.ceil(reports.length / most);
  if (group <= 1) return reports;
  return Array.from({ length: Math.ceil(reports.length / group) }, (_, i) => merged(reports.slice(i * group, (i + 1) * group)));
};

/** The reports of steps up to `step`: what is left when a run goes back. */
export const upTo = (reports: readonly StepReport[], step: number): readonly StepReport[] => reports.filter((report) => report.step <= step);

/** Three digits that matter, and no more than a person reads. */
export const showLoss = (loss: number): string => (Math.abs(loss) >= 1000 || (loss !== 0 && Math.abs(loss) < 1e-3) ? loss.toExponential(2) : loss.toFixed(4));

/** `3e-4`, `1.25e-4`. */
export const showRate = (rate: number): string => Number(rate.toPrecision(3)).toExponential().replace('e+0', '').replace('e+', 'e');
