import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { explain } from '../../compiler/compile.ts';
import { inputName, makeGraph } from '../../dsl/graph/graph.ts';
import { add, input, mul, reshape } from '../../dsl/index.ts';
import { PRESETS, sizesOf } from '../../models/pixnerd/config.ts';
import { parameterShapes, velocityGraph } from '../../models/pixnerd/graph.ts';
import { reads, runGraphs } from './run-graphs.ts';
import { planned } from './test-model.ts';

const PLAN = planned({ sampler: 'adams', steps: 25, guidance: 3.5, interval: [0.1, 1] });

const megabytes = (bytes: number): number => bytes / 1e6;

describe('the graphs of a run of XL/16 at 256, batch 1 with guidance', () => {
  const config = PRESETS['c2i-XL'];
  const sizes = sizesOf(config, { batch: 2, height: 256, width: 256 });
  if (E.isLeft(sizes)) throw new Error(sizes.left.join());
  const graphs = runGraphs(velocityGraph(config), sizes.right, PLAN);

  test('steps read no time, no class and none of the weights behind them', () => {
    const { step, ahead } = graphs;
    expect([reads(step, 't'), reads(step, 'y')]).toEqual([false, false]);
    expect(step.inputs.map(inputName).filter((name) => !ahead!.values.some((value) => value.name === name)).sort()).toEqual(['coefficients', 'scale', 'x', 'x2']);
    const [own, before] = [step.parameters.map(inputName), ahead!.graph.parameters.map(inputName)];
    expect([...own, ...before].sort()).toEqual(Object.keys(parameterShapes(config)).sort()); // each weight is in one of the two
    expect(before).toHaveLength(5 + 2 * config.num_cond_blocks);
  });

  test('what is kept stays small, and slices are even', () => {
    const { ahead, times, rows } = graphs;
    expect([rows, times.length, ahead!.times, ahead!.sizes['B']]).toEqual([2, 25, 4, 8]);
    const made = explain(ahead!.graph, { sizes: ahead!.sizes });
    if (E.isLeft(made)) throw new Error('the graph does not compile');
    const { buffers } = made.right.program;
    const own = buffers.filter(({ kind }) => kind !== 'parameter');
    expect(megabytes(own.reduce((sum, { bytes }) => sum + bytes, 0))).toBeLessThan(20);
  });
});

test('every time counts once, though Heun asks for most of them twice', () => {
  const sizes = sizesOf(PRESETS.fashion, { batch: 1, height: 32, width: 32 });
  if (E.isLeft(sizes)) throw new Error(sizes.left.join());
  const { times } = runGraphs(velocityGraph(PRESETS.fashion), sizes.right, planned({ sampler: 'heun', steps: 5, exact: true, guidance: 1 }));
  expect(times).toHaveLength(5);
});

test('a network whose rows need nothing from before has a step alone', () => {
  const x = input('x', ['B', 1, 2, 2]), t = input('t', ['B']);
  const network = makeGraph({ v: mul(add(x, reshape(t, ['B', 1, 1, 1])), 2) }, [x, t]);
  const { ahead, step } = runGraphs(network, { B: 2 }, planned({ sampler: 'euler', steps: 2, guidance: 2 }));
  expect(ahead).toBeUndefined();
  expect(step.inputs.map(inputName).sort()).toEqual(['coefficients', 'scale', 't', 'x']);
  expect(step.inputs.find((node) => inputName(node) === 'x')!.shape).toEqual([1, 1, 2, 2]);
});
