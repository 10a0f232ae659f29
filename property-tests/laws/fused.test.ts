/**
 * The laws of large fused kernels: attention and its variations, decoders and gated layers stay within the bound at random sizes and on
 * random schedules. Run in JavaScript, which also refuses races between the threads of a workgroup and accesses outside of arrays; drivers
 * would take seconds to compile each of them.
 */
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { PROFILES } from '../../compiler/profile.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { bindSizes, type Graph, inputName, type Sizes } from '../../dsl/graph/graph.ts';
import { COMPOSITES } from '../composites/composites.ts';
import { elementsOf } from '../generators/elements.ts';
import { schedules } from '../generators/schedules.ts';
import { countOf, shapeOf } from '../generators/workshop.ts';
import { expectWithinBound } from '../harness/compare.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data } from '../harness/run-program.ts';
import { parameters, runs } from '../harness/settings.ts';

const NAMES = [
  'attention', 'causalAttention', 'maskedAttention', 'crossAttention', 'groupedAttention', 'ropeAttention', 'cappedAttention', 'windowAttention',
  'nerfDecoder', 'sineDecoder', 'gatedDecoder', 'gatedNetwork', 'modulated',
] as const satisfies readonly (keyof typeof COMPOSITES)[];

const size = (most: number): fc.Arbitrary<number> => fc.oneof(fc.integer({ min: 1, max: most }), fc.constantFrom(1, 4, 8).filter((n) => n <= most));
const sizes: fc.Arbitrary<Sizes> = fc.record({
  B: size(2), N: size(19), M: size(19), D: size(12), O: size(9), F: size(12), H: size(3), J: size(5), G: size(9), E: size(12), C: size(4), Y: size(3),
});

const dataFor = ({ inputs, parameters: weights }: Graph): Data =>
  Object.fromEntries([...inputs, ...weights].map((node, i) => [inputName(node), elementsOf(i + 1, countOf(shapeOf(node)), node.dtype, 'plain')]));

/** The loop form has subgroups. */
const WITH_SUBGROUPS = { ...PROFILES.gpu, features: ['subgroups'] };

describe.each(NAMES)('%s', (name) => {
  test('is its reference within the bound at any size, on every legal schedule', () => {
    fc.assert(
      fc.property(sizes, fc.oneof(fc.constant(SCHEDULES.gpu), schedules), (chosen, schedule) => {
        const graph = bindSizes(COMPOSITES[name], chosen), data = dataFor(graph);
        expectWithinBound({ graph, want: evaluateBounded(graph, data) }, interpret(compiled(graph, { schedule, profile: WITH_SUBGROUPS }), data));
      }),
      parameters(`fused kernels: ${name}`, runs(0.15)),
    );
  });
});
