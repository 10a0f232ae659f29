/** Plans against the samplers written out as loops over numbers, for options that no golden has. */
import * as fc from 'fast-check';
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { expect, test } from 'vitest';
import { execute, type Weighted } from '../../models/sampling/execute.ts';
import type { AdamsOptions, EulerOptions, HeunOptions, SamplerOptions } from '../../models/sampling/options.ts';
import { type Noise, stepKindOf } from '../../models/sampling/plan.ts';
import { plan } from '../../models/sampling/sampler.ts';

// the field, the draws, the schedule --------------------------------------------------------------------------------------------------

const conditional = (x: number, t: number): number => -0.7 * x + 0.9 * t + 0.4;
const unconditional = (x: number, t: number): number => 0.3 * x - 0.2 * t;
const velocity = (x: number, t: number, g: number): number => unconditional(x, t) + g * (conditional(x, t) - unconditional(x, t));
const draw = (index: number): number => Math.sin(3 * index + 1);

const gridOf = ({ steps, lastStep, timeshift = 1 }: SamplerOptions): readonly number[] => {
  const end = steps === 1 ? 0 : 1 - (lastStep ?? 1 / steps);
  const even = Array.from({ length: steps }, (_, i) => (steps === 1 ? 0 : (end * i) / (steps - 1)));
  return [...even, 1].map((t) => t / (t + (1 - t) * timeshift));
};
const guidanceAt = ({ guidance = 1, interval: [min, max] = [0, 1] }: EulerOptions | AdamsOptions, t: number): number =>
  t > min && t < max ? guidance : 1;

// loops -------------------------------------------------------------------------------------------------------------------------------

type Stepping = Pick<EulerOptions, 'step' | 'noiseScheduler'>;
const weight = ({ noiseScheduler }: Stepping, t: number): number =>
  noiseScheduler === undefined ? 0 : { linear: 1 - t, gvp: Math.sin(t) ** 2, const: 1 }[noiseScheduler];
/** Of the linear schedule. */
const score = (x: number, v: number, t: number): number => (v * t - x) / (1 - t);

const stepper = () => {
  let draws = 0;
  return (step: Stepping['step'], x: number, v: number, s: number, w: number, dt: number): number => {
    switch (step) {
      case 'sde_mean':
        return x + v * dt + s * w * dt;
      case 'sde':
        return x + v * dt + s * w * dt + Math.sqrt(2 * w * dt) * draw(draws++);
      case 'sde_preserve':
        return x + v * dt + 0.5 * s * w * dt + Math.sqrt(w * dt) * draw(draws++);
      default:
        return x + v * dt;
    }
  };
};

const eulerLoop = (options: EulerOptions, start: number): number => {
  const grid = gridOf(options);
  const follow = stepper();
  let x = start;
  for (let i = 0; i < options.steps; i++) {
    const [t, next] = [grid[i]!, grid[i + 1]!];
    const v = velocity(x, t, guidanceAt(options, t));
    const rule = i < options.steps - 1 ? options.step : options.finalStep;
    x = follow(rule, x, v, score(x, v, t), weight(options, t), next - t);
  }
  return x;
};

const heunLoop = (options: HeunOptions, start: number): number => {
  const grid = gridOf(options);
  const follow = stepper();
  const g = options.guidance ?? 1;
  let [x, hat] = [start, { v: 0, s: 0 }];
  for (let i = 0; i < options.steps; i++) {
    const [t, next] = [grid[i]!, grid[i + 1]!];
    const w = weight(options, t);
    const fresh = velocity(x, t, g);
    const { v, s } = i === 0 || options.exact === true ? { v: fresh, s: score(x, fresh, t) } : hat;
    const predicted = follow(options.step, x, v, s, w, next - t);
    if (i === options.steps - 1) return follow(options.finalStep, x, v, s, w, next - t);
    const there = velocity(predicted, next, g);
    hat = { v: there, s: score(predicted, there, next) };
    x = follow(options.step, x, (v + hat.v) / 2, (s + hat.s) / 2, w, next - t);
  }
  return x;
};

const bend = { identity: (t: number) => t, log_snr: (t: number) => Math.log(Math.max(t, 1e-3) / (1 - t + 1e-3)) };
/** The integral of a Lagrange polynomial by many midpoints. */
const integral = (times: readonly number[], j: number, from: number, to: number): number => {
  const count = 2000;
  const at = (t: number): number => times.reduce((product, other, k) => (k === j ? product : (product * (t - other)) / (times[j]! - other)), 1);
  return (
    Array.from({ length: count }, (_, i) => at(from + ((to - from) * (i + 0.5)) / count)).reduce((sum, value) => sum + value, 0) *
    ((to - from) / count)
  );
};

const adamsLoop = (options: AdamsOptions, start: number): number => {
  const grid = gridOf(options);
  const bent = grid.map(bend[options.transform as 'identity' | 'log_snr']);
  const past: number[] = [];
  let x = start;
  for (let i = 0; i < options.steps; i++) {
    past.push(velocity(x, grid[i]!, guidanceAt(options, grid[i]!)));
    const count = Math.min(options.order ?? 2, i + 1);
    const times = bent.slice(i + 1 - count, i + 1);
    const weights = times.map((_, j) => integral(times, j, bent[i]!, bent[i + 1]!));
    const sum = weights.reduce((total, one) => total + one, 0);
    const v = weights.reduce((total, one, j) => total + (one / sum) * past[i + 1 - count + j]!, 0);
    x += v * (grid[i + 1]! - grid[i]!);
  }
  return x;
};

// the law -----------------------------------------------------------------------------------------------------------------------------

const planned = async (options: SamplerOptions, start: number): Promise<number> => {
  const made = plan(options);
  if (E.isLeft(made)) throw new Error(made.left.join('; '));
  const result = await execute<never, number>(made.right, start, {
    velocity: (x, t, g) => TE.right(velocity(x, t, g)),
    combine: (terms, noise) =>
      TE.right(
        terms.reduce((sum, { tensor, coefficient }) => sum + tensor * coefficient, 0) +
          (noise === undefined ? 0 : noise.coefficient * draw(noise.draw)),
      ),
  })();
  return E.isRight(result) ? result.right : NaN;
};

const common = {
  steps: fc.integer({ min: 1, max: 9 }),
  guidance: fc.constantFrom(1, 0, 2.5),
  timeshift: fc.constantFrom(0.5, 1, 3),
  lastStep: fc.constantFrom(0.04, 0.31),
};
const interval = fc.constantFrom([0, 1], [0.137, 0.83], [0.5, 0.5], [-1, 2]) as fc.Arbitrary<[number, number]>; // pairs
const rule = fc.constantFrom('ode', 'sde_mean', 'sde', 'sde_preserve');
const noiseScheduler = fc.constantFrom('linear', 'gvp', 'const');
const euler = fc.record({
  sampler: fc.constant('euler'),
  ...common,
  interval,
  step: rule,
  finalStep: rule,
  noiseScheduler,
}) as fc.Arbitrary<EulerOptions>;
const heun = fc.record({
  sampler: fc.constant('heun'),
  ...common,
  exact: fc.boolean(),
  step: rule,
  finalStep: rule,
  noiseScheduler,
}) as fc.Arbitrary<HeunOptions>;
const adams = fc.record({
  sampler: fc.constant('adams'),
  ...common,
  interval,
  order: fc.constantFrom(1, 2, 3, 4),
  transform: fc.constantFrom('identity', 'log_snr'),
}) as fc.Arbitrary<AdamsOptions>;

const agrees = <O extends SamplerOptions>(options: fc.Arbitrary<O>, loop: (options: O, start: number) => number, digits: number) =>
  fc.assert(
    fc.asyncProperty(options, async (given) => {
      const want = loop(given, 0.8);
      expect(Math.abs((await planned(given, 0.8)) - want)).toBeLessThan(10 ** -digits * (1 + Math.abs(want)));
    }),
    { numRuns: 300 },
  );

test('Euler is its loop', async () => agrees(euler, eulerLoop, 9));
test('Heun is its loop', async () => agrees(heun, heunLoop, 9));
test('Adams is its loop', async () => agrees(adams, adamsLoop, 3));

/** Tensors of one number, told apart by who they are. */
interface Box { readonly value: number }
const sumOf = (terms: readonly Weighted<Box>[], noise: Noise | undefined): number =>
  terms.reduce((sum, { tensor, coefficient }) => sum + tensor.value * coefficient, 0) + (noise === undefined ? 0 : noise.coefficient * draw(noise.draw));

/** With calls and the sums behind them in one, as a plan's kind promises them: it keeps velocities only where they are read again. */
const fused = async (options: SamplerOptions, start: number): Promise<number> => {
  const made = plan(options);
  if (E.isLeft(made)) throw new Error(made.left.join('; '));
  const kind = stepKindOf(made.right);
  const refuse = (): never => { throw new Error('every call has a sum behind it'); };
  const result = await execute<never, Box>(made.right, { value: start }, {
    velocity: refuse,
    combine: (terms, noise) => TE.right({ value: sumOf(terms, noise) }),
    advance: (x, t, g, { coefficient, terms, noise }) => {
      expect(terms.filter(({ tensor }) => tensor !== x).length + (noise === undefined ? 0 : 1)).toBeLessThanOrEqual(kind.others);
      const v = velocity(x.value, t, g);
      return TE.right({ next: { value: coefficient * v + sumOf(terms, noise) }, velocity: kind.keepsVelocity ? { value: v } : undefined });
    },
  })();
  return E.isRight(result) ? result.right.value : NaN;
};

test('calls and the sums behind them may be taken as one', () =>
  fc.assert(
    fc.asyncProperty(fc.oneof<fc.Arbitrary<SamplerOptions>[]>(euler, heun, adams), async (options) => {
      const want = await planned(options, 0.8);
      expect(Math.abs((await fused(options, 0.8)) - want)).toBeLessThanOrEqual(1e-9 * (1 + Math.abs(want)));
    }),
    { numRuns: 300 },
  ));

test('Euler forgets its velocities, the others read them again', () => {
  const kindOf = (options: SamplerOptions) => E.map(stepKindOf)(plan(options));
  expect(kindOf({ sampler: 'euler', steps: 4 })).toEqual(E.right({ others: 0, keepsVelocity: false }));
  expect(kindOf({ sampler: 'euler', steps: 4, step: 'sde', noiseScheduler: 'linear' })).toEqual(E.right({ others: 1, keepsVelocity: false }));
  expect(kindOf({ sampler: 'adams', steps: 4, order: 1 })).toEqual(E.right({ others: 0, keepsVelocity: false }));
  expect(kindOf({ sampler: 'adams', steps: 4, order: 3 })).toEqual(E.right({ others: 2, keepsVelocity: true }));
  expect(kindOf({ sampler: 'heun', steps: 4 })).toEqual(E.right({ others: 2, keepsVelocity: true }));
});
