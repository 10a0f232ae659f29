/**
 * Heun's method: predict with the slope here, look at the slope there, step with the mean of both.
 *
 * A slope is a velocity together with the x it was predicted at, which the score needs. Slopes alternate between two
 * pairs of slots; `exact` finds the first slope of each step anew at x, otherwise it is the one found at the last step's
 * predicted point. The last step has no second slope.
 */
import { settledCommon, type HeunOptions } from './options.ts';
import { only, scaled, summed, X, type Instruction, type SamplerPlan, type Slot, type Term } from './plan.ts';
import { SCHEDULERS } from './scheduler.ts';
import { drawsNoise, score, stepped, type StepName } from './step.ts';
import { timeGrid } from './time-grid.ts';

interface Slope { readonly at: Slot; readonly velocity: Slot }
const PAIRS: readonly [Slope, Slope] = [{ at: 1, velocity: 2 }, { at: 3, velocity: 4 }];

const mean = (a: readonly Term[], b: readonly Term[]): readonly Term[] => scaled(summed(a, b), 0.5);

/** Numbers the draws of noise in the order in which steps take them. */
const drawCounter = () => {
  let count = 0;
  return { take: (step: StepName): number => (drawsNoise(step) ? count++ : count), total: (): number => count };
};

export const planHeun = (options: HeunOptions): SamplerPlan => {
  const { steps, guidance, guidanceFunction, ...grid } = settledCommon(options);
  const { step = 'ode', finalStep = 'ode', exact = false, scheduler = 'linear', noiseScheduler } = options;
  const timesteps = timeGrid({ steps, ...grid });
  const draws = drawCounter();

  const planStep = (i: number): readonly Instruction[] => {
    const [t, next] = [timesteps[i]!, timesteps[i + 1]!];
    const weight = noiseScheduler === undefined ? 0 : SCHEDULERS[noiseScheduler].noiseWeight(t);
    const anew = i === 0 || exact;
    const pair = PAIRS[i % 2]!;
    const here: Slope = anew ? { at: X, velocity: pair.velocity } : pair;
    const hereScore = score(SCHEDULERS[scheduler], t, here.at, here.velocity);
    const follow = (rule: StepName, velocity: readonly Term[], pushed: readonly Term[]) =>
      stepped(rule, { velocity, score: pushed, dt: next - t, weight, draw: draws.take(rule) });

    const look: readonly Instruction[] = anew ? [{ kind: 'evaluate', x: X, t, guidance, into: here.velocity }] : [];
    // The authors predict in the last step too, and throw the point away: its draw is spent.
    const predicted = follow(step, only(here.velocity), hereScore);
    if (i === steps - 1) {
      const last = follow(finalStep, only(here.velocity), hereScore);
      return [...look, { kind: 'combine', ...last, into: X }, { kind: 'emit', list: 'v', index: i, terms: only(here.velocity) }];
    }
    const there = PAIRS[(i + 1) % 2]!;
    const velocity = mean(only(here.velocity), only(there.velocity));
    const corrected = follow(step, velocity, mean(hereScore, score(SCHEDULERS[scheduler], next, there.at, there.velocity)));
    return [
      ...look,
      { kind: 'combine', ...predicted, into: there.at },
      { kind: 'evaluate', x: there.at, t: next, guidance, into: there.velocity },
      { kind: 'combine', ...corrected, into: X },
      { kind: 'emit', list: 'v', index: i, terms: velocity },
    ];
  };

  const instructions: Instruction[] = [{ kind: 'emit', list: 'x', index: 0, terms: only(X) }];
  for (let i = 0; i < steps; i++) instructions.push(...planStep(i), { kind: 'emit', list: 'x', index: i + 1, terms: only(X) });
  return { instructions, slots: 5, draws: draws.total(), timesteps, guidance: guidanceFunction, weights: [] };
};
