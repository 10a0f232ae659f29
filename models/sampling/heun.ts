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
import { drawsNoise, score, stepped } from './step.ts';
import { timeGrid } from './time-grid.ts';

interface Slope { readonly at: Slot; readonly velocity: Slot }
const PAIRS: readonly [Slope, Slope] = [{ at: 1, velocity: 2 }, { at: 3, velocity: 4 }];

const mean = (a: readonly Term[], b: readonly Term[]): readonly Term[] => scaled(summed(a, b), 0.5);

export const planHeun = (options: HeunOptions): SamplerPlan => {
  const { steps, guidance, guidanceFunction, ...grid } = settledCommon(options);
  const { step = 'ode', finalStep = 'ode', exact = false, scheduler: name = 'linear', noiseScheduler } = options;
  const scheduler = SCHEDULERS[name];
  const timesteps = timeGrid({ steps, ...grid });
  const instructions: Instruction[] = [{ kind: 'emit', list: 'x', index: 0, terms: only(X) }];
  let draws = 0;
  const draw = (): number => (drawsNoise(step) ? draws++ : draws);

  for (let i = 0; i < steps; i++) {
    const [t, next] = [timesteps[i]!, timesteps[i + 1]!];
    const dt = next - t;
    const weight = noiseScheduler === undefined ? 0 : SCHEDULERS[noiseScheduler].noiseWeight(t);
    const anew = i === 0 || exact;
    const pair = PAIRS[i % 2]!;
    const first: Slope = anew ? { at: X, velocity: pair.velocity } : pair;
    const firstScore = score(scheduler, t, first.at, first.velocity);
    if (anew) instructions.push({ kind: 'evaluate', x: X, t, guidance, into: first.velocity });
    const predicted = stepped(step, { velocity: only(first.velocity), score: firstScore, dt, weight, draw: draw() });

    if (i < steps - 1) {
      const second = PAIRS[(i + 1) % 2]!;
      const velocity = mean(only(first.velocity), only(second.velocity));
      const meanScore = mean(firstScore, score(scheduler, next, second.at, second.velocity));
      instructions.push(
        { kind: 'combine', ...predicted, into: second.at },
        { kind: 'evaluate', x: second.at, t: next, guidance, into: second.velocity },
        { kind: 'combine', ...stepped(step, { velocity, score: meanScore, dt, weight, draw: draw() }), into: X },
        { kind: 'emit', list: 'v', index: i, terms: velocity },
      );
    } else {
      // The authors predict here too, and throw the point away: its draw is spent.
      const last = stepped(finalStep, { velocity: only(first.velocity), score: firstScore, dt, weight, draw: draws });
      if (drawsNoise(finalStep)) draws++;
      instructions.push({ kind: 'combine', ...last, into: X }, { kind: 'emit', list: 'v', index: i, terms: only(first.velocity) });
    }
    instructions.push({ kind: 'emit', list: 'x', index: i + 1, terms: only(X) });
  }
  return { instructions, slots: 5, draws, timesteps, guidance: guidanceFunction, weights: [] };
};
