import { expect, test } from 'vitest';
import { lagrangeIntegrals, lagrangeWeights } from '../../models/sampling/lagrange.ts';
import { SCHEDULERS, type Scheduler } from '../../models/sampling/scheduler.ts';
import { inFloat32, timeGrid, timeShift } from '../../models/sampling/time-grid.ts';
import { disagreement, readGolden, tensorOf } from './golden.ts';

const golden = readGolden('blocks/scheduling_guidance');
const t = [...tensorOf(golden, 'in.t').data];

const COLUMNS: Record<string, (scheduler: Scheduler) => readonly number[]> = {
  alpha: ({ alpha }) => t.map(alpha),
  sigma: ({ sigma }) => t.map(sigma),
  dalpha: ({ alphaRate }) => t.map(alphaRate),
  dsigma: ({ sigmaRate }) => t.map(sigmaRate),
  dsigma_mul_sigma: ({ sigma, sigmaRate }) => t.map((at) => sigmaRate(at) * sigma(at)),
  dalpha_over_alpha_from1: ({ alpha, alphaRate }) => t.slice(1).map((at) => alphaRate(at) / alpha(at)),
  w: ({ noiseWeight }) => t.map(noiseWeight),
};

for (const [name, scheduler] of [
  ['LinearScheduler', SCHEDULERS.linear],
  ['GVPScheduler', SCHEDULERS.gvp],
] as const) {
  test(name, () => {
    for (const [column, values] of Object.entries(COLUMNS)) expect(disagreement(golden, `out.${name}.${column}`, values(scheduler))).toBeUndefined();
  });
}

test('time shift', () => {
  for (const shift of [1, 3, 4])
    expect(
      disagreement(
        golden,
        `out.shift_${shift}`,
        t.map((at) => timeShift(at, shift)),
      ),
    ).toBeUndefined();
});

test('Lagrange integrals and weights, against the double values', () => {
  const file = readGolden('lagrange');
  const ts = [...tensorOf(file, 'in.ts').data];
  const values = [0.5, -1.25, 2.0, 0.75, -0.3];
  for (const order of [1, 2, 3, 4]) {
    const times = ts.slice(5 - order, 5);
    const integral = lagrangeIntegrals(times, ts[4]!, ts[5]!).reduce((sum, weight, j) => sum + weight * values.slice(5 - order)[j]!, 0);
    expect(integral).toBeCloseTo(tensorOf(file, `out64.o${order}.integral`).data[0]!, 9);
    const coefficients = tensorOf(file, `out64.o${order}.coeffs`).data;
    lagrangeWeights(times, ts[4]!, ts[5]!).forEach((weight, j) => expect(weight).toBeCloseTo(coefficients[j]!, 9));
  }
});

test("the float32 grid is torch's, bit for bit", () => {
  const [euler, adams] = [readGolden('sampler_euler_toy'), readGolden('sampler_adamlm_toy')];
  const grid = (steps: number, timeshift: number, lastStep = 1 / steps): readonly number[] => timeGrid({ steps, timeshift, lastStep }, inFloat32);
  expect(grid(6, 1)).toEqual([...tensorOf(euler, 'out.ode_g.timesteps').data]);
  expect(grid(6, 3)).toEqual([...tensorOf(euler, 'out.ode_g_int_shift.timesteps').data]);
  expect(grid(6, 1, 0.04)).toEqual([...tensorOf(euler, 'out.ode_last.timesteps').data]);
  expect(grid(25, 3)).toEqual([...tensorOf(adams, 'out.o3_25.timesteps').data]);
});
