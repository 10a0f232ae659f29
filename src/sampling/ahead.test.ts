import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes } from '../../dsl/graph/graph.ts';
import { sizesOf } from '../../models/pixnerd/config.ts';
import { referenceBackend } from '../backend/reference.ts';
import type { Executable } from '../backend/backend.ts';
import { makeAheadRun } from './ahead.ts';
import { runGraphs } from './run-graphs.ts';
import { hashedWeights, planned, TINY, tinyModel } from './test-model.ts';

const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(JSON.stringify(either.left));
  return either.right;
};

describe('values that are computed before the steps', () => {
  const ROWS = 2;
  const sizes = right(sizesOf(TINY, { batch: ROWS, height: 8, width: 8 }));
  const graphs = runGraphs(tinyModel().graph, sizes, planned({ sampler: 'euler', steps: 5, guidance: 1 }));
  const backend = referenceBackend();

  /** A run in slices of so many times, and how often it computed one. */
  const open = async (times: number) => {
    const ahead = { ...graphs.ahead!, times, sizes: { ...sizes, B: times * ROWS } };
    const program = right(await backend.load({ graph: ahead.graph, sizes: ahead.sizes, name: 'ahead', weights: tinyModel().weights })());
    let runs = 0;
    const counted: Executable = { ...program, run: (inputs, options) => { runs++; return program.run(inputs, options); } };
    return { run: makeAheadRun(backend, graphs, ahead, counted), runs: () => runs };
  };
  const nothing = async () => E.right(undefined);

  test('are those of each time and row, whatever the slice', async () => {
    const bound = bindSizes(graphs.ahead!.graph, sizes);
    for (const times of [1, 2, 5, 7]) {
      const { run, runs } = await open(times);
      for (const t of graphs.times) {
        const want = evaluate(bound, { ...hashedWeights(TINY), t: [t, t], y: [2, 0] });
        const got = right(await run.at(t, Int32Array.of(2, 0), nothing));
        expect(Object.keys(got)).toEqual(Object.keys(want));
        for (const [name, tensor] of Object.entries(got)) {
          expect(tensor.shape).toEqual(want[name]!.shape);
          expect([...right(await tensor.read()())]).toEqual([...want[name]!.data]);
          tensor.dispose();
        }
      }
      expect(runs()).toBe(Math.ceil(graphs.times.length / times));
    }
  });

  test('serve the next batch of the same classes, and only that', async () => {
    const { run, runs } = await open(5);
    for (const classes of [[1, 2], [1, 2], [2, 1]]) right(await run.at(graphs.times[0]!, Int32Array.from(classes), nothing));
    expect(runs()).toBe(2);
  });

  test('what is recorded is submitted before its values are given up', async () => {
    const { run } = await open(2);
    const asked: number[] = [];
    for (const [i, t] of graphs.times.entries()) right(await run.at(t, Int32Array.of(0, 0), async () => { asked.push(i); return E.right(undefined); }));
    expect(asked).toEqual([0, 2, 4]);
  });
});
