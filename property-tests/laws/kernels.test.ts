/**
 * The laws of kernels, on the device: what the WGSL computes is within the bound of the reference for every schedule, fusion
 * changes nothing but rounding, and whole numbers come out exactly.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Schedule, SCHEDULES } from '../../compiler/schedule.ts';
import { programs, type RandomProgram } from '../generators/programs.ts';
import { schedules } from '../generators/schedules.ts';
import { describeSharpness, expectExact, expectSame, expectWithinBound, medianOf, newSharpness } from '../harness/compare.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { compiled, type Results, runProgram } from '../harness/run-program.ts';
import { parameters, runs } from '../harness/settings.ts';

let target: TestDevice;
beforeAll(async () => {
  target = await testDevice();
  console.log(target.notice);
});

const run = ({ graph, data }: RandomProgram, schedule: Schedule, fusion = true): Promise<Results> =>
  runProgram(target, compiled(graph, { profile: target.profile, schedule, fusion }).program, data);

describe('on the device', () => {
  test('random programs stay within the bound, on the schedule of the adapter and on another legal one', async () => {
    const sharpness = newSharpness();
    const other = fc.oneof({ weight: 1, arbitrary: fc.constant(SCHEDULES.gpu) }, { weight: 2, arbitrary: schedules });
    await fc.assert(
      fc.asyncProperty(programs(), other, async (program, schedule) => {
        expectWithinBound(program, await run(program, SCHEDULES.cpu), sharpness);
        expectWithinBound(program, await run(program, schedule), sharpness);
      }),
      parameters('WGSL = reference', runs(1)),
    );
    console.log(describeSharpness('WGSL = reference', sharpness));
    expect(medianOf(sharpness.ratios), 'the bounds have gone slack').toBeGreaterThan(1e-4);
  });

  test('fused and unfused programs agree', async () => {
    await fc.assert(
      fc.asyncProperty(programs(), fc.constantFrom(SCHEDULES.cpu, SCHEDULES.gpu), async (program, schedule) => {
        const [fused, unfused] = [await run(program, schedule), await run(program, schedule, false)];
        expectSame(program, fused, unfused);
        expectWithinBound(program, unfused);
      }),
      parameters('fused = unfused', runs(0.25)),
    );
  });

  test('programs with float16 tensors stay within the bound, where the adapter has them', async ({ skip }) => {
    if (!target.profile.features.includes('shader-f16')) skip('the adapter lacks shader-f16');
    const sharpness = newSharpness();
    await fc.assert(
      fc.asyncProperty(programs('half'), fc.oneof(fc.constant(SCHEDULES.cpu), schedules), fc.boolean(), async (program, schedule, fusion) => {
        expectWithinBound(program, await run(program, schedule, fusion), sharpness);
      }),
      parameters('WGSL = reference, f16', runs(0.5)),
    );
    console.log(describeSharpness('WGSL = reference, f16', sharpness));
  });

  test('whole numbers come out exactly', async () => {
    await fc.assert(
      fc.asyncProperty(programs('exact'), fc.oneof(fc.constant(SCHEDULES.cpu), schedules), fc.boolean(), async (program, schedule, fusion) => {
        expectExact(program, await run(program, schedule, fusion));
      }),
      parameters('exact integer data', runs(0.5)),
    );
  });
});
