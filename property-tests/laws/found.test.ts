/** Counterexamples that the laws (or a reader) found, each once wrong: the smallest program that showed it, by name. */
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { explain } from '../../compiler/compile.ts';
import { DEFAULT_LIMITS } from '../../compiler/profile.ts';
import { evaluate, evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { type Schedule, SCHEDULES } from '../../compiler/schedule.ts';
import type { DType } from '../../dsl/dtype.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { literal } from '../../dsl/language/source.ts';
import { min } from '../../dsl/language/reduction.ts';
import { integer, ofVariable, remainder, times, variableSupply } from '../../dsl/scalar/index-expression.ts';
import { expectExact, expectWithinBound } from '../harness/compare.ts';
import { testDevice } from '../harness/device.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data, runProgram } from '../harness/run-program.ts';

const input = (name: string, shape: readonly number[], dtype: DType = 'f32'): Node => apply('input', [], { name, role: 'input', shape, dtype });

/** Compiles and runs on the device and in the loop form. */
const check = async (node: Node, data: Data, schedule: Schedule, hold: typeof expectExact): Promise<void> => {
  const graph = makeGraph({ y: node }),
    program = { graph, want: evaluateBounded(graph, data) },
    target = await testDevice();
  const compilation = compiled(graph, { profile: target.profile, schedule });
  hold(program, interpret(compilation, data));
  hold(program, await runProgram(target, compilation.program, data));
};
const cooperative: Schedule = { ...SCHEDULES.gpu, row: { by: 'workgroup', workgroup: 32 }, cooperativeFrom: 2 };

describe('kernels', () => {
  test('a matmul whose columns are not the last axis of the result stores them apart', () =>
    check(
      apply('einsum', [input('a', [5]), input('b', [5, 2, 4])], { pattern: 'a, a b c -> b a' }),
      { a: Float32Array.of(1, 2, 3, 4, 5), b: Float32Array.from({ length: 40 }, (_, i) => i % 7) },
      SCHEDULES.cpu,
      expectExact,
    ));

  test('a tensor that one kernel reads two and four at a time is bound by single elements', () => {
    const x = input('x', [8, 8]);
    const matmul = { ...SCHEDULES.cpu.matmul, rows: 2, columns: 4, depth: 2, workgroup: [4, 4] } as const;
    return check(
      apply('einsum', [x, x], { pattern: 'm k, k n -> m n' }),
      { x: Float32Array.from({ length: 64 }, (_, i) => i % 7) },
      { ...SCHEDULES.gpu, matmul, smallMatmul: { below: 0, matmul } },
      expectExact,
    );
  });

  test('a reduction inside a cooperative reduction is not shared: it differs from lane to lane', () =>
    check(
      apply('reduceMax', [apply('sum', [input('x', [2, 1, 2])], { axes: [0] })], { axes: [1] }),
      { x: Float32Array.of(0, 3, -2, 4) },
      cooperative,
      expectExact,
    ));

  test('shared parts of a cooperative reduction are written once', () => {
    const bits = apply('randomBits', [input('key', [2], 'u32')], { shape: [9] });
    const { program } = compiled(makeGraph({ y: apply('reduceMax', [bits], { axes: [0] }) }), { schedule: cooperative });
    expect(program.kernels[0]!.wgsl.length).toBeLessThan(20_000);
  });

  test('the negative of u32 wraps', () =>
    check(apply('neg', [input('x', [3], 'u32')], {}), { x: Uint32Array.of(0, 1, 7) }, SCHEDULES.cpu, expectExact));

  test('padding that is not a float32 is rounded as the bound says', () =>
    check(apply('pad', [input('x', [2])], { low: [1], high: [0], value: 0.1 }), { x: Float32Array.of(1, 2) }, SCHEDULES.cpu, expectWithinBound));

  test('products of large integers wrap as the machine does', () =>
    check(
      apply('einsum', [input('a', [2], 'i32'), input('b', [2], 'i32')], { pattern: 'k, k -> ' }),
      { a: Int32Array.of(2147483647, 3), b: Int32Array.of(2147483647, 2147483647) },
      SCHEDULES.cpu,
      expectExact,
    ));

  test.each([
    ['f32', 'u32', [-1, 1.5, 5e9]],
    ['f32', 'i32', [3e9, -3e9, -1.5]],
    ['u32', 'i32', [3_000_000_000, 5]],
    ['i32', 'u32', [-1, 5]],
  ] as const)('cast %s to %s at the edges', (from, dtype, values) => {
    const data = from === 'f32' ? Float32Array.from(values) : from === 'u32' ? Uint32Array.from(values) : Int32Array.from(values);
    return check(apply('cast', [input('x', [values.length], from)], { dtype }), { x: data }, SCHEDULES.cpu, expectExact);
  });
});

describe('the reference', () => {
  const evaluated = (node: Node, data: Data): readonly number[] => [...evaluate(makeGraph({ y: node }), data)['y']!.data];

  test('the smallest u32 may be 0, the smallest i32 the lowest there is', () => {
    expect(evaluated(min(literal([2], [0, 5], 'u32'), 0), {})).toEqual([0]);
    expect(evaluated(min(literal([2], [-2147483648, 5], 'i32'), 0), {})).toEqual([-2147483648]);
  });

  test('a value beyond float32 has no bound', () => {
    const x = input('x', [1]),
      { error } = evaluateBounded(makeGraph({ y: apply('exp', [x], {}) }), { x: [100] })['y']!;
    expect(error[0]).toBe(Infinity);
  });

  test('an index that may be off by one makes what is taken uncertain', () => {
    const place = apply('cast', [apply('floor', [apply('mul', [input('x', [1]), input('s', [1])], {})], {})], { dtype: 'i32' });
    const { value, error } = evaluateBounded(makeGraph({ y: apply('take', [input('table', [4]), place], { axis: 0 }) }), {
      x: [3],
      s: [1 / 3],
      table: [10, 20, 40, 80],
    })['y']!;
    expect(value[0]! - error[0]!).toBeLessThanOrEqual(10);
    expect(value[0]! + error[0]!).toBeGreaterThanOrEqual(20);
  });

  test('the primitive expand keeps the rank', () => expect(apply('expand', [input('x', [3])], { shape: [2, 3] }).op).toBe('invalid'));
});

test('two storage buffers are too few for a concat of two, and the limit is named', () => {
  const graph = makeGraph({ y: apply('concat', [input('a', [2]), input('b', [2])], { axis: 0 }) });
  const result = explain(graph, { profile: { class: 'gpu', limits: { ...DEFAULT_LIMITS, maxStorageBuffersPerShaderStage: 2 }, features: [] } });
  expect(E.isLeft(result) && result.left[0].message).toContain('maxStorageBuffersPerShaderStage');
});

test('a piece with one column stores its rows apart', () => {
  const graph = makeGraph({ y: apply('einsum', [input('x', [2, 16]), input('w', [17, 16])], { pattern: 'b k, n k -> b n' }) });
  const data = { x: Float32Array.from({ length: 32 }, (_, i) => i % 5), w: Float32Array.from({ length: 272 }, (_, i) => i % 7) };
  const limits = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 1024 };
  const compilation = compiled(graph, { schedule: SCHEDULES.cpu, profile: { class: 'cpu', limits, features: [] } });
  expectExact({ graph, want: evaluateBounded(graph, data) }, interpret(compilation, data));
});

test('the remainder of a negative index is not the constant 0', () => {
  const i = ofVariable(variableSupply()(4));
  expect(remainder(times(i, -1), 12).key).not.toBe(integer(0).key);
});
