/**
 * The laws of verification, on the device: programs without a mistake pass it; with a mistake in one op, in one fused kernel or in the
 * memory plan it names the first thing that is wrong.
 */
import * as E from 'fp-ts/Either';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CompileOptions, Verifiable } from '../../compiler/compile.ts';
import type { Program } from '../../compiler/program.ts';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { makeGraph, type Graph } from '../../dsl/graph/graph.ts';
import { add, exp, input, matmul, mul, parameter, permute, rmsNorm, silu, softmax, sum } from '../../dsl/index.ts';
import { definitionOf, type OpName, OPS, type OpTable } from '../../dsl/ops/table.ts';
import { recipeTensor } from '../../models/recipe.ts';
import { describeProblems, passed, type Verification } from '../../src/verification/report.ts';
import { verifyProgram, type VerifyOptions } from '../../src/verification/verify.ts';
import { programs, programsOf } from '../generators/programs.ts';
import { schedules } from '../generators/schedules.ts';
import { expectWithinBound } from '../harness/compare.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { compiled, type Data, runProgram, settled } from '../harness/run-program.ts';
import { parameters, runs, SEED } from '../harness/settings.ts';
import { type Mutant, MUTANTS } from '../mutants/mutants.ts';

let target: TestDevice;
beforeAll(async () => {
  target = await testDevice();
  console.log(target.notice);
});

const verifiable = (graph: Graph, options: CompileOptions = {}): Verifiable => {
  const { program, checks } = compiled(graph, { profile: target.profile, ...options, verify: true });
  return { program, checks: checks! }; // asked for
};
const verified = (made: Verifiable, data: Data, options: VerifyOptions = {}): Promise<Verification> =>
  settled(verifyProgram(target.device, made, data, { sample: 1, ...options }));

const withMutant = (op: OpName): OpTable => {
  const mutant: Mutant = MUTANTS[op];
  return { ...OPS, [op]: mutant.change(definitionOf(op)) };
};

describe('programs without a mistake', () => {
  test.each(['general', 'half'] as const)('pass, whatever the schedule: %s', async (mode) => {
    if (mode === 'half' && !target.profile.features.includes('shader-f16')) return;
    let tensors = 0,
      worst = 0;
    await fc.assert(
      fc.asyncProperty(programs(mode), fc.oneof(fc.constant(SCHEDULES.cpu), schedules), fc.boolean(), fc.nat(), async ({ graph, data }, schedule, fusion, seed) => {
        const found = await verified(verifiable(graph, { schedule, fusion }), data, { sample: 0.25, seed });
        expect(describeProblems(found)).toEqual([]);
        tensors += found.tensors.length;
        worst = Math.max(worst, ...found.tensors.map(({ worst: { ratio } }) => ratio));
      }),
      parameters(`verified, ${mode}`, runs(0.1, 20)),
    );
    console.log(`verified, ${mode}: ${tensors} tensors, worst ratio ${worst.toPrecision(2)}`);
    expect(tensors).toBeGreaterThan(10);
  });
});

const dataFor = (shapes: Readonly<Record<string, readonly number[]>>): Data =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, recipeTensor(`verify.${name}`, shape)]));

/** Norm, product with activation, attention: kernels of many ops, on sizes that no tile divides. */
const network = (): { readonly graph: Graph; readonly data: Data } => {
  const x = input('x', [7, 12]),
    [w, g, b] = [parameter('w', [12, 12]), parameter('g', [12]), parameter('b', [7, 12])];
  const h = silu(add(matmul(rmsNorm(x, g, 1e-6), w), b));
  const scores = softmax(matmul(h, permute(mul(h, x), [1, 0])), -1);
  const graph = makeGraph({ y: matmul(scores, h), z: add(h, x) }, [x]);
  return { graph, data: dataFor({ x: [7, 12], w: [12, 12], g: [12], b: [7, 12] }) };
};

test('kernels that are cut into pieces are judged as a whole', async () => {
  const [x, w, g] = [input('x', [64, 40]), parameter('w', [40, 40]), parameter('g', [40])];
  const graph = makeGraph({ y: softmax(matmul(rmsNorm(x, g, 1e-6), w), -1) }),
    data = dataFor({ x: [64, 40], w: [40, 40], g: [40] }),
    profile = { ...target.profile, limits: { ...target.profile.limits, maxStorageBufferBindingSize: 8192 } };
  const made = verifiable(graph, { profile });
  expect(made.checks.steps.some(({ kernels }) => kernels.length > 1)).toBe(true);
  expect(describeProblems(await verified(made, data))).toEqual([]);
});

test('tensors without elements are no obstacle', async () => {
  const x = input('x', ['N', 3]),
    i = input('i', ['N', 3], 'i32');
  const graph = makeGraph({ e: exp(x), n: sum(mul(i, i), 1) });
  const found = await verified(verifiable(graph, { sizes: { N: 0 }, fusion: false }), { x: new Float32Array(0), i: new Int32Array(0) });
  expect(describeProblems(found)).toEqual([]);
});

describe('a wrong op', () => {
  test.each<OpName>(['exp', 'rsqrt', 'mul', 'add', 'sum', 'div', 'einsum', 'expand'])('is named, in a fused program: %s', async (op) => {
    const { graph, data } = network();
    const found = await verified(verifiable(graph, { table: withMutant(op) }), data);
    expect(found.failure?.culprit).toMatchObject({ kind: 'op', report: { op } });
    expect(describeProblems(found).join('\n')).toMatch(new RegExp(`the op that is wrong: .*\\b${op}\\b`));
  });

  /** Not lowered by themselves, or not lowered at all: a number inside their user's kernel, or taken out by the passes. */
  const INLINED: readonly OpName[] = ['input', 'literal', 'tap', 'constant', 'size', 'iota', 'nearestIndex'];
  const named = (Object.keys(MUTANTS) as OpName[]).filter((op) => !INLINED.includes(op)); // its keys are all ops
  test('is named wherever it shows in a result, in random programs', async () => {
    let noticed = 0;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...named).chain((op) => programsOf(op).map((program) => ({ op, program }))), async ({ op, program }) => {
        const made = verifiable(program.graph, { table: withMutant(op) });
        const got = await runProgram(target, made.program, program.data);
        const isRight = E.isRight(E.tryCatch(() => expectWithinBound(program, got), String));
        const found = await verified(made, program.data);
        if (!isRight) expect(passed(found)).toBe(false);
        if (found.failure !== undefined) {
          noticed++;
          expect(found.failure.culprit).toMatchObject({ kind: 'op', report: { op } });
        }
      }),
      parameters('wrong ops are named', runs(0.3, 60)),
    );
    expect(noticed, `PIXNERD_SEED=${SEED}`).toBeGreaterThan(5);
  });
});

/** The program with one kernel's text changed. */
const tampered = (program: Program, kernel: RegExp, change: (wgsl: string) => string): Program => ({
  ...program,
  kernels: program.kernels.map((each) => (kernel.test(each.name) ? { ...each, wgsl: change(each.wgsl) } : each)),
});

describe('other mistakes', () => {
  test('a fused kernel whose ops are right is blamed on the fusion', async () => {
    const { graph, data } = network(),
      made = verifiable(graph);
    const doubled = (wgsl: string): string => wgsl.replace(/\bexp\(/, '2.0 * exp(');
    const steps = made.checks.steps.map((step, s) => ({ ...step, program: s === 0 ? step.program : tampered(step.program, /exp/, doubled) }));
    const found = await verified({ ...made, checks: { ...made.checks, steps } }, data);
    expect(found.failure?.culprit).toEqual({ kind: 'fusion' });
    expect(describeProblems(found)[0]).toMatch(/first kernel that leaves its bound is k\d+_\w*exp/);
  });

  test('kernels behind a wrong one are not blamed', async () => {
    const { graph, data } = network(),
      made = verifiable(graph);
    const steps = made.checks.steps.map((step, s) => (s === 0 ? { ...step, program: tampered(step.program, /./, (wgsl) => wgsl.replace(/\bfma\(|inverseSqrt\(/, '1.5 * $&')) } : step));
    const { tensors } = await verified({ ...made, checks: { ...made.checks, steps } }, data);
    expect(tensors.map(({ worst: { ratio } }) => ratio > 1)).toEqual(tensors.map((_, i) => i === 0));
  });

  test('right kernels in a wrong order are blamed on the program', async () => {
    const { graph, data } = network(),
      made = verifiable(graph);
    const program = { ...made.program, dispatches: [...made.program.dispatches].reverse() };
    const found = await verified({ ...made, program }, data);
    expect(found.failure).toBeUndefined();
    expect(found.differences.length).toBeGreaterThan(0);
    expect(describeProblems(found)[0]).toContain('the memory plan, or the order of the dispatches, is wrong');
  });

  test.each([['x', 'input x is missing'], ['b', 'parameter b is missing']])('what is not given is named: %s', async (name, message) => {
    const { graph, data } = network(),
      rest = Object.fromEntries(Object.entries(data).filter(([each]) => each !== name));
    const answer = await verifyProgram(target.device, verifiable(graph), rest)();
    expect(E.isLeft(answer) && answer.left.message).toContain(message);
  });
});
