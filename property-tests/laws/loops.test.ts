/**
 * The laws of kernels without a device: the loop form of many more programs, run in JavaScript. It also refuses what a driver
 * would hide: accesses outside a tensor, unaligned vectors, barriers that not all threads reach, dispatches that are too small.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PROFILES } from '../../compiler/profile.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { withTaps } from '../../dsl/graph/graph.ts';
import { programs, type RandomProgram } from '../generators/programs.ts';
import { schedules } from '../generators/schedules.ts';
import { describeSharpness, expectExact, expectSame, expectWithinBound, medianOf, newSharpness } from '../harness/compare.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled } from '../harness/run-program.ts';
import { parameters, runs } from '../harness/settings.ts';

/** The program with every tap as an output too. */
const tapped = ({ graph, data }: RandomProgram): Pick<RandomProgram, 'graph' | 'want'> => {
  const taps = withTaps(graph);
  return { graph: taps, want: evaluateBounded(taps, data) };
};

/** The loop form has subgroups. */
const WITH_SUBGROUPS = { ...PROFILES.gpu, features: ['subgroups'] };

describe('the loop form in JavaScript', () => {
  test('random programs stay within the bound on every legal schedule, fused or not', () => {
    const sharpness = newSharpness();
    fc.assert(
      fc.property(programs(), schedules, (program, schedule) => {
        const fused = interpret(compiled(program.graph, { schedule, profile: WITH_SUBGROUPS }), program.data);
        const unfused = interpret(compiled(program.graph, { schedule, profile: WITH_SUBGROUPS, fusion: false }), program.data);
        expectWithinBound(program, fused, sharpness);
        expectWithinBound(program, unfused);
        expectSame(program, fused, unfused);
      }),
      parameters('loops = reference', runs(2)),
    );
    console.log(describeSharpness('loops = reference', sharpness));
    expect(medianOf(sharpness.ratios), 'the bounds have gone slack').toBeGreaterThan(1e-4);
  });

  test('taps show what passes by', () => {
    const withOne = programs().filter(({ graph }) => withTaps(graph).outputs.length > graph.outputs.length);
    fc.assert(
      fc.property(withOne, (program) => {
        expectWithinBound(tapped(program), interpret(compiled(program.graph, { taps: true }), program.data));
      }),
      parameters('taps', runs(0.1)),
    );
  });

  test('whole numbers come out exactly', () => {
    fc.assert(
      fc.property(programs('exact'), schedules, fc.boolean(), (program, schedule, fusion) => {
        expectExact(program, interpret(compiled(program.graph, { schedule, profile: WITH_SUBGROUPS, fusion }), program.data));
      }),
      parameters('exact integer data, loops', runs(2)),
    );
  });
});
