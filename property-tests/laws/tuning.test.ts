/**
 * The laws of tuning: whatever legal schedules a table gives to single kernels, the program computes the same; and the whole form of a
 * computation, by which candidates are judged, is exact on the device.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { type AdapterClass, SCHEDULES } from '../../compiler/schedule.ts';
import { candidatesFor, whyIllegal } from '../../compiler/tuning/schedules.ts';
import type { TunedSchedules } from '../../compiler/tuning/table.ts';
import { type Graph, inputName } from '../../dsl/graph/graph.ts';
import { elementsFor, wholeForm } from '../../src/tuning/whole.ts';
import { programs } from '../generators/programs.ts';
import { expectExact, expectWithinBound } from '../harness/compare.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { compiled, compiledAsWritten, runProgram } from '../harness/run-program.ts';
import { parameters, runs } from '../harness/settings.ts';

let target: TestDevice;
beforeAll(async () => {
  target = await testDevice();
});

/** A table that has a legal schedule for every kernel of a program, the `draw`-th of its candidates, counted around. */
const tableFor = (graph: Graph, adapterClass: AdapterClass, draw: number): TunedSchedules => {
  const schedule = SCHEDULES[adapterClass], { kernels } = compiled(graph, { profile: target.profile, schedule }).kernels;
  return new Map(kernels.flatMap(({ choice }, i) => {
    const candidates = choice === undefined ? [] : candidatesFor(choice, { ...target.profile, class: adapterClass }), chosen = candidates[(draw + 7 * i) % Math.max(1, candidates.length)];
    return choice === undefined || chosen === undefined ? [] : [[choice.key, { ...chosen, by: 'given' as const }] as const];
  }));
};

describe('a tuned program', () => {
  test.each(['cpu', 'gpu'] as const)('stays within the bound of the reference: %s', async (adapterClass) => {
    const schedule = SCHEDULES[adapterClass];
    await fc.assert(
      fc.asyncProperty(programs(), fc.nat(1000), async (program, draw) => {
        const tuned = tableFor(program.graph, adapterClass, draw), made = compiled(program.graph, { profile: target.profile, schedule, tuned });
        for (const { choice } of made.kernels.kernels) {
          if (choice === undefined) continue;
          expect(whyIllegal(choice, target.profile)).toBeUndefined();
          // a kernel that was there before, and still is, runs by the table's schedule; a stream that would not fit keeps its own
          if (tuned.has(choice.key) && choice.family !== 'stream') expect(choice).toMatchObject({ by: 'given', schedule: tuned.get(choice.key)!.schedule });
        }
        expectWithinBound(program, await runProgram(target, made.program, program.data));
      }),
      parameters(`tuned programs, ${adapterClass}`, runs(0.2)),
    );
  });

  test('is exact on whole numbers', async () => {
    await fc.assert(
      fc.asyncProperty(programs('exact'), fc.nat(1000), async (program, draw) => {
        const tuned = tableFor(program.graph, 'cpu', draw);
        expectExact(program, await runProgram(target, compiled(program.graph, { profile: target.profile, schedule: SCHEDULES.cpu, tuned }).program, program.data));
      }),
      parameters('tuned programs, exact', runs(0.2)),
    );
  });
});

/** Negative zeros are zeros. */
const positive = (x: number): number => x + 0;

describe('the whole form', () => {
  test('of any program has whole values, and every kernel gives them to the last bit', async () => {
    await fc.assert(
      fc.asyncProperty(programs(), async ({ graph }) => {
        const { graph: whole, tooLarge } = wholeForm(graph);
        fc.pre(!tooLarge);
        const feeds = Object.fromEntries([...whole.inputs, ...whole.parameters].map((node, i) => [inputName(node), elementsFor(node.dtype, (node.shape as readonly number[]).reduce((a, b) => a * b, 1), i, 'sums')]));
        const want = evaluate(whole, feeds), got = await runProgram(target, compiledAsWritten(whole, { profile: target.profile }).program, feeds);
        for (const [name, { data, dtype }] of Object.entries(want)) {
          if (dtype !== 'f32') continue; // integers wrap, which is exact too
          expect(data.every(Number.isInteger), `${name} is whole`).toBe(true);
          expect(Array.from(got[name]!, positive), name).toEqual(Array.from(data, positive));
        }
      }),
      parameters('whole forms', runs(0.3)),
    );
  });
});
