/**
 * The laws of memory and limits: what a kernel reads is what was last written there, no kernel reads the buffer it writes, and
 * on adapters with tiny limits a program either fits them and is right, or is refused with a limit's name.
 */
import * as E from 'fp-ts/Either';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Compilation, explain } from '../../compiler/compile.ts';
import { DEFAULT_LIMITS, type Limits, type Profile } from '../../compiler/profile.ts';
import type { Dispatch } from '../../compiler/program.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { inputName, makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { softmax } from '../../dsl/nn/normalization.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import { elementsOf } from '../generators/elements.ts';
import { programs } from '../generators/programs.ts';
import { schedules } from '../generators/schedules.ts';
import { countOf, shapeOf } from '../generators/workshop.ts';
import { expectWithinBound } from '../harness/compare.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled } from '../harness/run-program.ts';
import { parameters, runs } from '../harness/settings.ts';

const accessOf = ({ program }: Compilation, { kernel }: Dispatch, i: number): 'read' | 'read_write' => program.kernels[kernel]!.bindings[i]!;

/** Follows the dispatches and remembers which tensor each buffer holds. */
const expectSoundMemory = (compilation: Compilation): void => {
  const { program, kernels } = compilation,
    holds = new Map<number, number>();
  for (const [k, dispatch] of program.dispatches.entries()) {
    const written = dispatch.bindings.filter((_, i) => accessOf(compilation, dispatch, i) === 'read_write').map(({ buffer }) => buffer);
    expect(written).toHaveLength(1);
    expect(
      dispatch.bindings.filter(({ buffer }) => buffer === written[0]),
      `${dispatch.label} reads the buffer that it writes`,
    ).toHaveLength(1);
    dispatch.bindings.forEach(({ buffer }, i) => {
      const { tensor } = kernels.kernels[k]!.bindings[i]!,
        { kind, label } = program.buffers[buffer]!;
      if (accessOf(compilation, dispatch, i) === 'read_write') holds.set(buffer, tensor);
      else if (kind === 'scratch' || kind === 'output')
        expect(holds.get(buffer), `${dispatch.label} reads ${label}, which holds another tensor`).toBe(tensor);
    });
  }
  program.outputs.forEach(({ buffer }, i) => {
    expect(program.buffers[buffer]!.kind).toBe('output');
    expect(holds.get(buffer)).toBe(kernels.outputs[i]);
  });
};

const expectFits = ({ program }: Compilation, limits: Limits): void => {
  for (const { bytes, label } of program.buffers) expect(bytes, label).toBeLessThanOrEqual(Math.max(16, limits.maxBufferSize));
  for (const { bindings, workgroups, label, kernel } of program.dispatches) {
    expect(bindings.length, label).toBeLessThanOrEqual(limits.maxStorageBuffersPerShaderStage);
    for (const { bytes, offset, buffer } of bindings) {
      expect(bytes, label).toBeLessThanOrEqual(limits.maxStorageBufferBindingSize);
      expect(offset % 256, label).toBe(0);
      expect(offset + bytes, label).toBeLessThanOrEqual(program.buffers[buffer]!.bytes);
    }
    expect(Math.max(...workgroups), label).toBeLessThanOrEqual(limits.maxComputeWorkgroupsPerDimension);
    expect(
      program.kernels[kernel]!.workgroupSize.reduce((a, b) => a * b, 1),
      label,
    ).toBeLessThanOrEqual(limits.maxComputeInvocationsPerWorkgroup);
  }
  for (const [name, needed] of Object.entries(program.limits)) expect(needed, name).toBeLessThanOrEqual(limits[name as keyof Limits] ?? Infinity);
};

describe('the memory plan', () => {
  test('never gives a buffer away that is still read', () => {
    fc.assert(
      fc.property(programs(), schedules, fc.boolean(), ({ graph }, schedule, fusion) => {
        const compilation = compiled(graph, { schedule, fusion });
        expectSoundMemory(compilation);
        expectFits(compilation, DEFAULT_LIMITS);
      }),
      parameters('memory plan', runs(1)),
    );
  });
});

const tinyLimits: fc.Arbitrary<Limits> = fc
  .record({
    maxStorageBufferBindingSize: fc.constantFrom(1024, 2048, 4096, 16384),
    maxStorageBuffersPerShaderStage: fc.constantFrom(3, 4, 8),
    maxComputeWorkgroupsPerDimension: fc.constantFrom(2, 8, 65535),
    maxBufferSize: fc.constantFrom(2048, 2 ** 20),
    maxComputeInvocationsPerWorkgroup: fc.constantFrom(64, 256),
  })
  .map((some) => ({ ...DEFAULT_LIMITS, ...some }));
const LIMIT_NAMES = Object.keys(DEFAULT_LIMITS);

describe('tiny limits', () => {
  test('are kept, or named in the error', () => {
    let fitted = 0,
      refused = 0;
    fc.assert(
      fc.property(programs(), tinyLimits, fc.constantFrom('cpu', 'gpu'), (program, limits, adapter) => {
        const profile: Profile = { class: adapter, limits, features: [] },
          result = explain(program.graph, { profile, schedule: SCHEDULES[adapter] });
        if (E.isLeft(result)) {
          refused++;
          for (const { kind, message } of result.left) {
            expect(kind, message).toBe('limit');
            expect(
              LIMIT_NAMES.some((name) => message.includes(name)),
              message,
            ).toBe(true);
          }
          return;
        }
        fitted++;
        expectFits(result.right, limits);
        expectSoundMemory(result.right);
        expectWithinBound(program, interpret(result.right, program.data));
      }),
      parameters('tiny limits', runs(2)),
    );
    console.log(`tiny limits: ${fitted} programs fitted, ${refused} were refused`);
    expect(fitted).toBeGreaterThan(refused);
  });
});

/** Programs with tensors several times the size of a binding. */
const large = (): Readonly<Record<string, Node>> => {
  const input = (name: string, ...shape: readonly number[]): Node => apply('input', [], { name, role: 'input', shape, dtype: 'f32' });
  const x = input('x', 100, 160),
    few = input('few', 20, 160),
    weight = input('weight', 200, 160),
    image = input('image', 3, 64, 48);
  const wide = (node: Node): Tensor<['n', 'd'], 'f32'> => node as Tensor<['n', 'd'], 'f32'>; // shapes are checked again at run time
  return {
    'a linear layer': apply('einsum', [few, weight], { pattern: 'n k, m k -> n m' }),
    'a softmax': softmax(wide(x), -1),
    'a transpose and a sum of two': apply('add', [apply('permute', [image], { axes: [0, 2, 1] }), input('other', 3, 48, 64)], {}),
    'rows one after the other': apply('concat', [x, input('more', 60, 160)], { axis: 0 }),
    'a sum over columns': apply('sum', [image], { axes: [2] }),
  };
};

test.each(Object.entries(large()))('%s is split where a binding cannot hold it', (_name, node) => {
  const graph = makeGraph({ y: node }),
    limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 16384 };
  const data = Object.fromEntries(graph.inputs.map((input, i) => [inputName(input), elementsOf(i, countOf(shapeOf(input)), 'f32', 'plain')]));
  for (const adapter of ['cpu', 'gpu'] as const) {
    const compilation = compiled(graph, { profile: { class: adapter, limits, features: [] } });
    expect(compilation.program.dispatches.length).toBeGreaterThan(1);
    expectFits(compilation, limits);
    expectSoundMemory(compilation);
    expectWithinBound({ graph, want: evaluateBounded(graph, data) }, interpret(compilation, data));
  }
});
