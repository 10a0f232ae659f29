/**
 * The Adams multistep sampler of orders 1 to 4: a step follows the integral of the polynomial through the last
 * velocities, of which early steps have fewer. The network's t is accumulated step by step.
 */
import { scaleAt } from './guidance.ts';
import { lagrangeWeights } from './lagrange.ts';
import { settledCommon, type AdamsOptions } from './options.ts';
import { only, scaled, summed, X, type Instruction, type SamplerPlan, type Slot } from './plan.ts';
import { TRANSFORMS } from './transform.ts';
import { exactly, inFloat32, timeGrid, type Rounding } from './time-grid.ts';

/** 0, then the sums of the steps' lengths, rounded after each addition. */
const accumulated = (times: readonly number[], round: Rounding): readonly number[] => {
  let t = 0;
  return times.slice(0, -1).map((from, i) => {
    const here = t;
    t = round(t + round(times[i + 1]! - from));
    return here;
  });
};

export const planAdams = (options: AdamsOptions): SamplerPlan => {
  const common = settledCommon(options);
  const { order = 2, transform = 'identity' } = options;
  const timesteps = timeGrid(common);
  const times = accumulated(timesteps, exactly);
  const rounded = accumulated(timeGrid(common, inFloat32), inFloat32);
  const bent = timesteps.map(TRANSFORMS[transform]);
  /** Velocities take turns in `order` slots after x. */
  const slotOf = (step: number): Slot => 1 + (step % order);

  const instructions: Instruction[] = [{ kind: 'emit', list: 'x', index: 0, terms: only(X) }];
  const weights: (readonly number[])[] = [];
  for (let i = 0; i < common.steps; i++) {
    const oldest = Math.max(0, i + 1 - order);
    const share = lagrangeWeights(bent.slice(oldest, i + 1), bent[i]!, bent[i + 1]!);
    const velocity = share.map((coefficient, j) => ({ slot: slotOf(oldest + j), coefficient }));
    weights.push(share);
    instructions.push(
      { kind: 'evaluate', x: X, t: times[i]!, guidance: scaleAt(common, rounded[i]!), into: slotOf(i) },
      { kind: 'combine', terms: summed(only(X), scaled(velocity, timesteps[i + 1]! - timesteps[i]!)), into: X },
      { kind: 'emit', list: 'x', index: i + 1, terms: only(X) },
      { kind: 'emit', list: 'v', index: i, terms: velocity },
    );
  }
  return { instructions, slots: 1 + order, draws: 0, timesteps, guidance: common.guidanceFunction, weights };
};
