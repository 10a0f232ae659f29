/** Euler's method, deterministic or with noise: one velocity per step. */
import { scaleAt } from './guidance.ts';
import { settledCommon, type EulerOptions } from './options.ts';
import { only, X, type Instruction, type SamplerPlan } from './plan.ts';
import { SCHEDULERS } from './scheduler.ts';
import { drawsNoise, score, stepped } from './step.ts';
import { inFloat32, timeGrid } from './time-grid.ts';

const V = 1;

export const planEuler = (options: EulerOptions): SamplerPlan => {
  const common = settledCommon(options);
  const { step = 'ode', finalStep = 'ode', scheduler = 'linear', noiseScheduler } = options;
  const timesteps = timeGrid(common);
  const rounded = timeGrid(common, inFloat32);
  const instructions: Instruction[] = [{ kind: 'emit', list: 'x', index: 0, terms: only(X) }];
  let draws = 0;
  for (let i = 0; i < common.steps; i++) {
    const t = timesteps[i]!;
    const rule = i < common.steps - 1 ? step : finalStep;
    const weight = noiseScheduler === undefined ? 0 : SCHEDULERS[noiseScheduler].noiseWeight(t);
    const next = stepped(rule, {
      velocity: only(V), score: score(SCHEDULERS[scheduler], t, X, V), dt: timesteps[i + 1]! - t, weight, draw: draws,
    });
    if (drawsNoise(rule)) draws++;
    instructions.push(
      { kind: 'evaluate', x: X, t, guidance: scaleAt(common, rounded[i]!), into: V },
      { kind: 'combine', ...next, into: X },
      { kind: 'emit', list: 'x', index: i + 1, terms: only(X) },
      { kind: 'emit', list: 'v', index: i, terms: only(V) },
    );
  }
  return { instructions, slots: 2, draws, timesteps, guidance: common.guidanceFunction, weights: [] };
};
