import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { describe, expect, test } from 'vitest';
import { optionsOfCase } from './case.ts';
import { execute, type Machine } from './execute.ts';
import type { SamplerOptions } from './options.ts';
import { networkTimes, type SamplerPlan } from './plan.ts';
import { plan } from './sampler.ts';

const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(String(either.left));
  return either.right;
};
const refusal = (options: unknown): readonly string[] =>
  E.match(
    (messages: readonly string[]) => messages,
    () => [],
  )(plan(options as SamplerOptions)); // wrong options on purpose
const scales = (made: SamplerPlan): readonly number[] =>
  made.instructions.flatMap((instruction) => (instruction.kind === 'evaluate' ? [instruction.guidance] : []));

describe('refused options', () => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ sampler: 'euler', steps: 0 }, /steps is 0: use a whole number of at least 1/],
    [{ sampler: 'euler', steps: -3 }, /steps is -3/],
    [{ sampler: 'adams', steps: 1e8 }, /steps is 100000000: use at most 10000/],
    [{ sampler: 'heun', steps: 2.5 }, /steps is 2.5/],
    [{ sampler: 'euler', steps: NaN }, /steps is NaN/],
    [{ sampler: 'adams', steps: 5, order: 5 }, /order is 5: use 1, 2, 3 or 4/],
    [{ sampler: 'adams', steps: 5, order: 0 }, /order is 0/],
    [{ sampler: 'adams', steps: 5, order: 1.5 }, /order is 1.5/],
    [{ sampler: 'euler', steps: 5, interval: [0.9, 0.1] }, /interval 0.9,0.1 is reversed: use 0.1,0.9/],
    [{ sampler: 'euler', steps: 5, timeshift: 0 }, /timeshift is 0: use a number above 0/],
    [{ sampler: 'euler', steps: 5, timeshift: -1 }, /timeshift is -1/],
    [{ sampler: 'euler', steps: 5, lastStep: 0 }, /last step is 0/],
    [{ sampler: 'euler', steps: 5, lastStep: 1 }, /last step is 1/],
    [{ sampler: 'euler', steps: 5, guidance: Infinity }, /guidance is Infinity/],
    [{ sampler: 'leapfrog', steps: 5 }, /unknown sampler 'leapfrog': use euler, heun or adams/],
    [{ sampler: 'euler', steps: 5, step: 'jump' }, /unknown step function 'jump': use one of ode, sde_mean, sde, sde_preserve/],
    [{ sampler: 'euler', steps: 5, scheduler: 'toString' }, /unknown scheduler 'toString'/],
    [{ sampler: 'euler', steps: 5, step: 'sde' }, /the step sde needs a noise scheduler: use one of linear, gvp, const/],
    [{ sampler: 'adams', steps: 5, transform: 'log' }, /unknown time transform 'log'/],
    [{ sampler: 'euler', steps: 5, guidanceFunction: 'c4' }, /unknown guidance function 'c4'/],
    [{ sampler: 'euler', steps: 5, scheduler: 'gvp', noiseScheduler: 'gvp', step: 'sde' }, /after t = 0 has no finite coefficients/],
  ];
  for (const [options, message] of cases) {
    test(JSON.stringify(options), () => expect(refusal(options)).toEqual([expect.stringMatching(message)]));
  }
  test('every mistake is reported, not the first', () => {
    expect(refusal({ sampler: 'adams', steps: 0, order: 9, timeshift: 0, interval: [1, 0] })).toHaveLength(4);
  });
});

describe('plans', () => {
  test('guidance applies strictly inside the interval; Heun guides everywhere', () => {
    const inside = right(plan({ sampler: 'euler', steps: 4, guidance: 3, interval: [0.25, 1] }));
    expect(scales(inside)).toEqual([1, 1, 3, 3]);
    expect(scales(right(plan({ sampler: 'adams', steps: 4, guidance: 3 })))).toEqual([1, 3, 3, 3]);
    expect(scales(right(plan({ sampler: 'heun', steps: 2, guidance: 3 })))).toEqual([3, 3]);
  });

  test('Heun calls the network twice per step when exact, but for the last', () => {
    expect(networkTimes(right(plan({ sampler: 'heun', steps: 3, exact: true, lastStep: 0.2 })))).toEqual([0, 0.4, 0.4, 0.8, 0.8]);
    expect(networkTimes(right(plan({ sampler: 'heun', steps: 3, lastStep: 0.2 })))).toEqual([0, 0.4, 0.8]);
  });

  test('Adams integrates a cubic velocity exactly with order 4, once it has four of them', () => {
    const { weights, timesteps } = right(plan({ sampler: 'adams', steps: 8, order: 4, timeshift: 2 }));
    const velocity = (t: number): number => 4 * t ** 3 - 3 * t ** 2 + 2 * t - 1;
    const position = (t: number): number => t ** 4 - t ** 3 + t ** 2 - t;
    for (let i = 3; i < 8; i++) {
      const step = weights[i]!.reduce((sum, weight, j) => sum + weight * velocity(timesteps[i - 3 + j]!), 0) * (timesteps[i + 1]! - timesteps[i]!);
      expect(step).toBeCloseTo(position(timesteps[i + 1]!) - position(timesteps[i]!), 12);
    }
  });

  test('one step is the whole way', () => {
    for (const sampler of ['euler', 'heun', 'adams'] as const) {
      expect(right(plan({ sampler, steps: 1, lastStep: 0.3 })).timesteps).toEqual([0, 1]);
    }
  });

  test('fast Heun with an SDE step uses the score at the last predicted point', () => {
    const { instructions } = right(plan({ sampler: 'heun', steps: 3, step: 'sde_mean', noiseScheduler: 'linear' }));
    const slots = instructions.flatMap((instruction) => (instruction.kind === 'combine' ? [instruction.terms.map(({ slot }) => slot)] : []));
    expect(slots[2]).toContain(3);
  });
});

describe('cases of golden files', () => {
  test("the authors' names", () => {
    expect(
      right(
        optionsOfCase({
          name: 'a',
          sampler: 'euler',
          num_steps: 3,
          step_fn: 'src.diffusion.flow_matching.sampling.sde_step_fn',
          w_scheduler: 'ConstScheduler',
          last_step: null,
        }),
      ),
    ).toEqual({ sampler: 'euler', steps: 3, step: 'sde', noiseScheduler: 'const', interval: [0, 1] });
  });
  test('fields without effect are dropped', () => {
    expect(
      right(optionsOfCase({ name: 'a', sampler: 'adamlm', num_steps: 3, order: 1, step_fn: 'sde_step_fn' }, { scheduler: 'LinearScheduler' })),
    ).toEqual({ sampler: 'adams', steps: 3, order: 1, interval: [0, 1] });
    expect(right(optionsOfCase({ name: 'a', sampler: 'heun', num_steps: 3, guidance_interval_min: 0.2 }))).toEqual({ sampler: 'heun', steps: 3 });
  });
  test('fields that are not understood', () => {
    expect(optionsOfCase({ name: 'a', sampler: 'euler', num_steps: 3, churn: 1 })).toEqual(
      E.left(expect.stringContaining('case a: unknown sampler option churn')),
    );
    expect(optionsOfCase({ name: 'a', sampler: 'euler', num_steps: '3' })).toEqual(E.left('case a: num_steps cannot be "3"'));
    expect(optionsOfCase({ name: 'a', sampler: 'ddim' })).toEqual(E.left(expect.stringContaining('unknown sampler "ddim"')));
  });
});

describe('execution', () => {
  const counting = (fail: (call: number) => boolean) => {
    const living = new Set<object>();
    let calls = 0;
    const make = (): TE.TaskEither<string, object> => {
      if (fail(calls++)) return TE.left('device lost');
      const tensor = {};
      living.add(tensor);
      return TE.right(tensor);
    };
    const machine: Machine<string, object> = {
      velocity: make,
      combine: make,
      release: (tensor) => {
        expect(living.delete(tensor)).toBe(true);
      },
    };
    return { machine, living };
  };
  const start = {};

  for (const options of [
    { sampler: 'euler', steps: 4 },
    { sampler: 'heun', steps: 4 },
    { sampler: 'adams', steps: 6, order: 3 },
  ] as const) {
    test(`${options.sampler} releases all but its result`, async () => {
      const { machine, living } = counting(() => false);
      const result = right(await execute(right(plan(options)), start, machine, { v: () => TE.right(undefined) })());
      expect([...living]).toEqual([result]);
    });
    test(`${options.sampler} stops at the first failure and releases everything`, async () => {
      const { machine, living } = counting((call) => call === 5);
      expect(await execute(right(plan(options)), start, machine)()).toEqual(E.left('device lost'));
      expect(living.size).toBe(0);
    });
  }
});
