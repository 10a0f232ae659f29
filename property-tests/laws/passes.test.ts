/** The laws of graph passes: each keeps the meaning of every program, is checked by the verifier, and ends. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PASSES, runPasses } from '../../compiler/passes/pipeline.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { inputName } from '../../dsl/graph/graph.ts';
import { printGraph } from '../../dsl/graph/print.ts';
import { verify } from '../../dsl/graph/verify.ts';
import { OPS } from '../../dsl/ops/table.ts';
import { programs, type RandomProgram } from '../generators/programs.ts';
import { parameters, runs } from '../harness/settings.ts';

const CONTEXT = { table: OPS, maxBindings: 8 };
/** How many tensors a kernel may bind: few make wide ops fall apart. */
const maxBindings = fc.constantFrom(4, 8, 10);

const EPSILON = 1e-11;

/** Equal in f64 up to its own rounding; whole numbers exactly. What the bound itself leaves open (a comparison of equals) may differ. */
const expectMeaning = ({ want }: RandomProgram, after: RandomProgram['want'], pass: string): void => {
  for (const [name, before] of Object.entries(want)) {
    before.value.forEach((value, i) => {
      const tolerance =
        before.dtype === 'f32' ? EPSILON * Math.max(before.magnitude[i]!, Math.abs(value)) + before.error[i]! * 1e-3 : before.error[i]!;
      if (!(Math.abs(after[name]!.value[i]! - value) <= tolerance))
        throw new Error(`${pass} changes ${name}[${i}] from ${value} to ${after[name]!.value[i]}`);
    });
  }
};

describe('each pass', () => {
  test('keeps meaning, inputs and outputs, and leaves a valid graph', () => {
    fc.assert(
      fc.property(programs(), maxBindings, (program, most) => {
        for (const { name, graph } of runPasses(program.graph, { table: OPS, maxBindings: most })) {
          expect(verify(graph)).toEqual([]);
          expect([...graph.inputs, ...graph.parameters].map(inputName)).toEqual(
            [...program.graph.inputs, ...program.graph.parameters].map(inputName),
          );
          expect(graph.outputs.map(({ name: output, node }) => [output, node.dtype, ...node.shape])).toEqual(
            program.graph.outputs.map(({ name: output, node }) => [output, node.dtype, ...node.shape]),
          );
          expectMeaning(program, evaluateBounded(graph, program.data), name);
        }
      }),
      parameters('passes keep meaning', runs(1)),
    );
  });

  test('changes nothing the second time', () => {
    fc.assert(
      fc.property(programs(), ({ graph }) => {
        const final = runPasses(graph, CONTEXT).at(-1)!.graph;
        for (const pass of PASSES) expect(printGraph(pass.run(final, CONTEXT))).toBe(printGraph(final));
      }),
      parameters('passes are idempotent', runs(0.5)),
    );
  });

  test('does not make the bound worse', () => {
    fc.assert(
      fc.property(programs(), (program) => {
        const after = evaluateBounded(runPasses(program.graph, CONTEXT).at(-1)!.graph, program.data);
        for (const [name, { error, magnitude }] of Object.entries(program.want)) {
          error.forEach((e, i) => {
            expect(after[name]!.error[i]!).toBeLessThanOrEqual(1.5 * e + 2 ** -23 * magnitude[i]!);
          });
        }
      }),
      parameters('bounds after passes', runs(0.5)),
    );
  });
});
