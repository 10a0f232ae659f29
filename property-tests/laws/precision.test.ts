/**
 * The laws of precision: under every policy a program stays within the bound of the reference that rounds where the program stores,
 * and no policy changes the types of what crosses its border.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Compilation } from '../../compiler/compile.ts';
import { type Numbers, PRECISIONS, WEIGHT_FORMATS } from '../../compiler/precision/policy.ts';
import { DEFAULT_LIMITS, type Profile, PROFILES } from '../../compiler/profile.ts';
import { makeGraph } from '../../dsl/graph/graph.ts';
import { input, linear, parameter } from '../../dsl/index.ts';
import { elementsOf } from '../generators/elements.ts';
import { type Network, networks } from '../generators/networks.ts';
import { programs } from '../generators/programs.ts';
import { schedules } from '../generators/schedules.ts';
import { boundedAsStored, dataAsStored } from '../harness/as-stored.ts';
import { describeSharpness, expectWithinBound, newSharpness } from '../harness/compare.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data, runProgram } from '../harness/run-program.ts';
import { parameters, runs } from '../harness/settings.ts';

const WITH_HALF: Profile = { ...PROFILES.cpu, features: ['shader-f16'] };

const numbers: fc.Arbitrary<Numbers> = fc.record({ precision: fc.constantFrom(...PRECISIONS), weights: fc.constantFrom(...WEIGHT_FORMATS), packFrom: fc.constant(1) });

/** How many tensors lie in each type, over all programs of a law: a law over f32 alone would say nothing. */
type Counts = Map<string, number>;
const count = (counts: Counts, { kernels }: Compilation): void => {
  for (const { dtype } of kernels.tensors.values()) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
};

/** Programs over all ops, in which weights are rare, and networks, which are made of them. */
const subjects: fc.Arbitrary<Network> = fc.oneof(programs(), networks);

const expectSameBorder = ({ graph }: Network, { program }: Compilation): void => {
  expect(program.inputs.map(({ name, dtype }) => [name, dtype])).toEqual(graph.inputs.map((node) => [node.attributes['name'], node.dtype]));
  expect(program.outputs.map(({ dtype }) => dtype)).toEqual(graph.outputs.map(({ node }) => node.dtype));
};

test('programs under random policies stay within the bound, as loops in JavaScript', () => {
  const sharpness = newSharpness(), counts: Counts = new Map();
  fc.assert(
    fc.property(subjects, numbers, schedules, fc.boolean(), (program, chosen, schedule, fusion) => {
      const made = compiled(program.graph, { ...chosen, profile: WITH_HALF, schedule, fusion }), data = dataAsStored(made, program.data);
      count(counts, made);
      expectSameBorder(program, made);
      expectWithinBound({ graph: program.graph, want: boundedAsStored(made, data) }, interpret(made, data), sharpness);
    }),
    parameters('policies, loops = reference', runs(2)),
  );
  console.log(describeSharpness('policies, loops', sharpness), Object.fromEntries(counts));
  expect(counts.get('f16')).toBeGreaterThan(0);
  expect(counts.get('i8')).toBeGreaterThan(0);
});

test('a weight that is larger than a binding is bound in parts, whatever its type', () => {
  const graph = makeGraph({ y: linear(input('x', [3, 64]), parameter('w', [200, 64])) });
  const data: Data = { x: elementsOf(1, 3 * 64, 'f32', 'plain'), w: elementsOf(2, 200 * 64, 'f32', 'plain') };
  for (const weights of WEIGHT_FORMATS) {
    const limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 4096 };
    const made = compiled(graph, { weights, packFrom: 1, profile: { ...WITH_HALF, limits } }), stored = dataAsStored(made, data);
    expect(made.program.dispatches.length).toBeGreaterThan(1);
    for (const { bindings } of made.program.dispatches) for (const { bytes, offset } of bindings) expect([bytes <= 4096, offset % 256]).toEqual([true, 0]);
    expectWithinBound({ graph, want: boundedAsStored(made, stored) }, interpret(made, stored));
  }
});

describe('on the device', () => {
  let target: TestDevice;
  beforeAll(async () => {
    target = await testDevice();
    console.log(target.notice);
  });

  const check = async (chosen: fc.Arbitrary<Numbers>, law: string): Promise<void> => {
    const sharpness = newSharpness(), counts: Counts = new Map();
    await fc.assert(
      fc.asyncProperty(subjects, chosen, fc.oneof(fc.constant(undefined), schedules), async (program, own, schedule) => {
        const made = compiled(program.graph, { ...own, profile: target.profile, ...(schedule && { schedule }) });
        count(counts, made);
        const want = boundedAsStored(made, dataAsStored(made, program.data));
        expectWithinBound({ graph: program.graph, want }, await runProgram(target, made.program, program.data), sharpness);
      }),
      parameters(law, runs(0.25)),
    );
    console.log(describeSharpness(law, sharpness), Object.fromEntries(counts));
  };

  test('programs under random policies stay within the bound, where the adapter has f16', async ({ skip }) => {
    if (!target.profile.features.includes('shader-f16')) skip('the adapter lacks shader-f16');
    await check(numbers, 'policies, WGSL = reference');
  });

  test('int8 weights need no feature', async () => {
    await check(fc.constant({ weights: 'int8', packFrom: 1 }), 'int8 weights, WGSL = reference');
  });
});
