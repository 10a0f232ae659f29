/** The sampler goldens with the toy field v = a x + b t + c y, on plain arrays. */
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { describe, expect, test } from 'vitest';
import { optionsOfCase, type CaseFields } from '../../models/sampling/case.ts';
import { execute, type Machine } from '../../models/sampling/execute.ts';
import { networkTimes, type SamplerPlan } from '../../models/sampling/plan.ts';
import { plan } from '../../models/sampling/sampler.ts';
import { disagreement, readGolden, tensorOf, type Golden } from './golden.ts';

type Vector = readonly number[];

const toyMachine = (golden: Golden, draw: (index: number) => Vector): Machine<never, Vector> => {
  const { a, b, c, null_class: none } = JSON.parse(golden.metadata['config']!) as Record<'a' | 'b' | 'c' | 'null_class', number>;
  const condition = tensorOf(golden, 'in.condition').data;
  return {
    velocity: (x, t, guidance) => {
      const field = (label: number, value: number): number => a * value + b * t + c * label;
      const image = x.length / condition.length;
      return TE.right(
        x.map((value, i) => {
          const [u, v] = [field(none, value), field(condition[Math.floor(i / image)]!, value)];
          return u + guidance * (v - u);
        }),
      );
    },
    combine: (terms, noise) =>
      TE.right(
        terms[0]!.tensor.map(
          (_, i) =>
            terms.reduce((sum, { tensor, coefficient }) => sum + coefficient * tensor[i]!, 0) +
            (noise === undefined ? 0 : noise.coefficient * draw(noise.draw)[i]!),
        ),
      ),
  };
};

const run = async (golden: Golden, name: string, sampler: SamplerPlan): Promise<Record<string, Vector>> => {
  const start = [...tensorOf(golden, 'in.noise').data];
  const noises = golden.tensors.get(`in.${name}.noises`);
  expect(sampler.draws).toBe(noises?.shape[0] ?? 0);
  const draw = (index: number): Vector => Array.from(noises!.data.slice(index * start.length, (index + 1) * start.length));
  const [xs, vs]: [Vector[], Vector[]] = [[], []];
  const keep = (list: Vector[]) => (x: Vector, index: number) => {
    list[index] = x;
    return TE.right(undefined);
  };
  const last = await execute(sampler, start, toyMachine(golden, draw), { x: keep(xs), v: keep(vs) })();
  if (E.isLeft(last)) throw new Error('a toy cannot fail');
  const widest = Math.max(...sampler.weights.map((row) => row.length));
  return {
    x_trajs: xs.flat(),
    v_trajs: vs.flat(),
    x_final: last.right,
    timesteps: sampler.timesteps,
    net_t: networkTimes(sampler),
    solver_coeffs: sampler.weights.flatMap((row) => [...row, ...Array<number>(widest - row.length).fill(0)]),
  };
};

const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(String(either.left));
  return either.right;
};

for (const file of ['sampler_euler_toy', 'sampler_heun_toy', 'sampler_adamlm_toy']) {
  describe(file, () => {
    const golden = readGolden(file);
    for (const fields of JSON.parse(golden.metadata['cases']!) as CaseFields[]) {
      const name = String(fields['name']);
      test(name, async () => {
        const results = await run(golden, name, right(plan(right(optionsOfCase(fields)))));
        const names = [...golden.tensors.keys()].filter((key) => key.startsWith(`out.${name}.`) || key.startsWith(`out64.${name}.`));
        expect(names.length).toBeGreaterThanOrEqual(5);
        expect(names.flatMap((key) => disagreement(golden, key, results[key.split('.')[2]!]!) ?? [])).toEqual([]);
      });
    }
  });
}

test('coefficients computed in double agree with the double golden to 1e-9', () => {
  const golden = readGolden('sampler_adamlm_toy');
  for (const fields of JSON.parse(golden.metadata['cases']!) as CaseFields[]) {
    const { weights } = right(plan(right(optionsOfCase(fields))));
    const { data, shape } = tensorOf(golden, `out64.${String(fields['name'])}.solver_coeffs`);
    weights.forEach((row, i) => row.forEach((weight, j) => expect(weight).toBeCloseTo(data[i * shape[1]! + j]!, 9)));
  }
});
