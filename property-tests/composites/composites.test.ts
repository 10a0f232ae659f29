/** Composites on the device, with small odd sizes and with rows long enough for cooperative reductions, on both schedules. */
import { beforeAll, describe, expect, test } from 'vitest';
import { compile } from '../../compiler/compile.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { bindSizes, type Graph, inputName, type Sizes } from '../../dsl/graph/graph.ts';
import { elementsOf } from '../generators/elements.ts';
import { countOf, shapeOf } from '../generators/workshop.ts';
import { expectWithinBound } from '../harness/compare.ts';
import { type TestDevice, testDevice } from '../harness/device.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data, runProgram } from '../harness/run-program.ts';
import { COMPOSITES } from './composites.ts';

const SIZES: Readonly<Record<string, Sizes>> = {
  odd: { B: 1, N: 5, M: 7, D: 11, O: 3, F: 6, H: 3, J: 2, G: 3, E: 5, C: 2, Y: 5, X: 6, U: 11, V: 4 },
  long: { B: 2, N: 9, M: 12, D: 144, O: 72, F: 80, H: 4, J: 18, G: 2, E: 36, C: 3, Y: 8, X: 8, U: 16, V: 12 },
};

const dataFor = ({ inputs, parameters }: Graph): Data =>
  Object.fromEntries([...inputs, ...parameters].map((node, i) => [inputName(node), elementsOf(i + 1, countOf(shapeOf(node)), node.dtype, 'plain')]));

let target: TestDevice;
beforeAll(async () => {
  target = await testDevice();
});

describe.each(Object.entries(COMPOSITES))('%s', (_name, symbolic) => {
  test.each(Object.entries(SIZES))('is its reference within the bound, %s sizes', async (_label, sizes) => {
    const graph = bindSizes(symbolic, sizes),
      data = dataFor(graph),
      program = { graph, data, want: evaluateBounded(graph, data) };
    for (const schedule of [SCHEDULES.cpu, SCHEDULES.gpu]) {
      const compilation = compiled(graph, { profile: target.profile, schedule });
      expectWithinBound(program, await runProgram(target, compilation.program, data));
      expectWithinBound(program, interpret(compilation, data));
    }
  });
});

test('the number of kernels of each composite', async () => {
  const lines = Object.entries(COMPOSITES).map(([name, graph]) => {
    const counts = (['cpu', 'gpu'] as const).map((adapter) => {
      const program = compile(graph, { schedule: SCHEDULES[adapter], sizes: SIZES['long']! });
      return `${adapter} ${program._tag === 'Right' ? program.right.dispatches.length : 'none'}`;
    });
    return `${name}: ${counts.join(', ')}\n`;
  });
  await expect(lines.join('')).toMatchFileSnapshot('../golden-wgsl/kernel-counts.txt');
});
