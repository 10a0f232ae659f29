/**
 * The laws of large fused kernels: attention and its variations, decoders and gated layers stay within the bound at random sizes and on
 * random schedules. Run in JavaScript, which also refuses races between the threads of a workgroup and accesses outside of arrays; drivers
 * would take seconds to compile each of them.
 */
import * as E from 'fp-ts/Either';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { explain } from '../../compiler/compile.ts';
import { PROFILES } from '../../compiler/profile.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { bindSizes, type Graph, inputName, makeGraph, type Sizes } from '../../dsl/graph/graph.ts';
import { add, attention, gradients, input, iota, lt, mul, sum, unsqueeze } from '../../dsl/index.ts';
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

/** The gradients of an attention with respect to queries, keys and values. */
const backward = (options: { readonly causal?: boolean; readonly shared?: boolean; readonly masked?: boolean }): Graph => {
  const heads = options.shared === true ? 1 : 'H'; // 1 broadcasts like H
  const [q, k, v] = [input('q', ['B', 'H', 'N', 'D']), input('k', ['B', heads as 'H', 'M', 'D']), input('v', ['B', heads as 'H', 'M', 'O'])];
  const allowed = options.masked === true ? lt(iota('M'), unsqueeze(add(iota('N'), 1), 1)) : undefined;
  const y = attention(q, k, v, { causal: options.causal ?? false, ...(allowed && { mask: allowed }) }), given = input('given', ['B', 'H', 'N', 'O']);
  const loss = sum(sum(sum(sum(mul(y, given), 0), 0), 0), 0), slopes = gradients(loss, [q, k, v]);
  return makeGraph({ q: slopes[0]!, k: slopes[1]!, v: slopes[2]! }, [q, k, v, given]);
};
const BACKWARD = { plain: backward({}), causal: backward({ causal: true }), masked: backward({ masked: true }), 'with shared keys': backward({ shared: true }) };

describe.each(Object.keys(BACKWARD) as (keyof typeof BACKWARD)[])('the backward pass of attention, %s', (name) => {
  test('is its reference within the bound at any size, on every legal schedule', () => {
    fc.assert(
      fc.property(sizes, fc.oneof(fc.constant(SCHEDULES.gpu), schedules), (chosen, schedule) => {
        const graph = bindSizes(BACKWARD[name], chosen), data = dataFor(graph);
        expectWithinBound({ graph, want: evaluateBounded(graph, data) }, interpret(compiled(graph, { schedule, profile: WITH_SUBGROUPS }), data));
      }),
      parameters(`backward attention: ${name}`, runs(0.15)),
    );
  });
  test('has no scores in memory on GPUs', () => {
    const chosen = { B: 2, H: 3, N: 96, M: 96, D: 16, O: 16 }, made = explain(bindSizes(BACKWARD[name], chosen), { profile: PROFILES.gpu });
    if (E.isLeft(made)) throw new Error(made.left[0].message);
    const { program, kernels } = made.right;
    expect([...kernels.fusion.notStreamed.values()]).toEqual([]);
    expect(Math.max(...program.buffers.map(({ bytes }) => bytes))).toBeLessThanOrEqual(4 * 2 * 3 * 96 * 16);
  });
});

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
