/**
 * Every op of the table by itself, so that none is left to chance: on the device and in the loop form. The worst use of the
 * error bound is printed op by op.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { type OpName, OPS } from '../../dsl/ops/table.ts';
import { HINTS } from '../generators/hints.ts';
import { programsOf } from '../generators/programs.ts';
import { schedules } from '../generators/schedules.ts';
import { describeSharpness, expectExact, expectWithinBound, newSharpness } from '../harness/compare.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, compiledAsWritten, runProgram } from '../harness/run-program.ts';
import { runs, SEED } from '../harness/settings.ts';

let target: TestDevice;
beforeAll(async () => {
  target = await testDevice();
  console.log(`law: each op = its reference: ${runs(0.02, 6)} runs an op on the device, ${runs(0.1)} in the loop form, PIXNERD_SEED=${SEED}`);
});
const onDevice = newSharpness(),
  inLoops = newSharpness();
afterAll(() => {
  console.log(describeSharpness('each op, device', onDevice));
  console.log(describeSharpness('each op, loops', inLoops));
});

const names = Object.keys(OPS) as OpName[];
describe.each(names)('%s', (op) => {
  const seed = SEED + names.indexOf(op);
  test('is its reference within the bound, on the device', async () => {
    await fc.assert(
      fc.asyncProperty(programsOf(op), fc.constantFrom(SCHEDULES.cpu, SCHEDULES.gpu), async (program, schedule) => {
        const { program: made } = compiled(program.graph, { profile: target.profile, schedule });
        expectWithinBound(program, await runProgram(target, made, program.data), onDevice);
      }),
      { seed, numRuns: runs(0.02, 6) },
    );
  });

  test('is its reference within the bound, in the loop form', () => {
    fc.assert(
      fc.property(programsOf(op), schedules, (program, schedule) => {
        expectWithinBound(program, interpret(compiled(program.graph, { schedule }), program.data), inLoops);
        expectWithinBound(program, interpret(compiledAsWritten(program.graph, { schedule }), program.data));
      }),
      { seed, numRuns: runs(0.1) },
    );
  });

  test.runIf(HINTS[op].exact)('is exact on whole numbers', () => {
    fc.assert(
      fc.property(programsOf(op, 'exact'), schedules, (program, schedule) => {
        expectExact(program, interpret(compiled(program.graph, { schedule }), program.data));
      }),
      { seed, numRuns: runs(0.1) },
    );
  });
});
