/** The reference at some elements agrees with the reference of the whole tensor, for all ops and whatever lies in between. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { demandOf, evaluateDemand, type Stored } from '../../compiler/reference/sample.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { literalAttribute } from '../../dsl/ops/attributes.ts';
import { type OpName, OPS } from '../../dsl/ops/table.ts';
import type { Mode } from '../generators/workshop.ts';
import { programs, programsOf, type RandomProgram } from '../generators/programs.ts';
import { parameters, runs, SEED } from '../harness/settings.ts';

const storedIn =
  ({ graph, data }: RandomProgram): Stored =>
  (node: Node) =>
    node.op === 'input'
      ? evaluateBounded({ ...graph, outputs: [{ name: 'x', node }] }, data)['x']!.value // rounded as uploading does
      : node.op === 'literal'
        ? literalAttribute(node.attributes).data
        : undefined;

const computedOutputs = ({ graph }: RandomProgram) => graph.outputs.filter(({ node }) => node.op !== 'input');

/** Places of a tensor, some twice and in any order. */
const placesIn = (count: number, choices: readonly number[]): Int32Array => Int32Array.from(count === 0 ? [] : choices, (choice) => choice % count);

/** Compares some elements of every output with the whole; says how many had a bound. */
const expectPart = (program: RandomProgram, choices: readonly number[]): number => {
  const stored = storedIn(program);
  let compared = 0;
  for (const { name, node } of computedOutputs(program)) {
    const whole = program.want[name]!,
      places = placesIn(whole.value.length, choices);
    const some = evaluateDemand(demandOf(node, places, stored), stored);
    places.forEach((place, i) => {
      expect(some.value[i]).toBe(whole.value[place]);
      // an index that is not certain makes an infinite bound here; the whole looks at the candidates
      if (some.error[i] === Infinity) return;
      expect(some.magnitude[i]).toBe(whole.magnitude[place]);
      expect(some.error[i]).toBe(whole.error[place]);
      compared++;
    });
  }
  return compared;
};
const someChoices = fc.array(fc.nat(), { minLength: 1, maxLength: 12 });

describe('some elements', () => {
  test.each(Object.keys(OPS).filter((op) => op !== 'input') as OpName[])('of %s are those of the whole', (op) => { // keys of the table
    const mode = fc.constantFrom<Mode>('general', 'half');
    fc.assert(
      fc.property(mode.chain((chosen) => programsOf(op, chosen)), someChoices, (program, choices) => void expectPart(program, choices)),
      { seed: SEED, numRuns: runs(0.03, 10) },
    );
  });

  test.each<Mode>(['general', 'half', 'exact'])('are those of the whole: %s', (mode) => {
    let compared = 0;
    fc.assert(
      fc.property(programs(mode), someChoices, (program, choices) => {
        compared += expectPart(program, choices);
      }),
      parameters(`some elements = the whole, ${mode}`, runs(0.5)),
    );
    expect(compared).toBeGreaterThan(100);
  });

  test('what several ask for is computed once', () => {
    fc.assert(
      fc.property(programs(), fc.nat(), (program, choice) => {
        const stored = storedIn(program);
        for (const { name, node } of computedOutputs(program)) {
          const count = program.want[name]!.value.length;
          if (count === 0) continue;
          const { needed } = demandOf(node, placesIn(count, [choice]), stored);
          for (const [inner, { places }] of needed) {
            expect(places.length).toBeLessThanOrEqual(inner.shape.reduce<number>((n, dim) => n * Number(dim), 1));
          }
        }
      }),
      parameters('each element once', runs(0.1)),
    );
  });
});
