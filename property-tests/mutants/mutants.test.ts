/** The test of the tests: every mutant of `mutants.ts` is caught by the comparisons that the laws make. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareWithBound } from '../../compiler/reference/compare.ts';
import { evaluateBounded } from '../../compiler/reference/evaluate.ts';
import { verify } from '../../dsl/graph/verify.ts';
import { definitionOf, type OpName, OPS, type OpTable } from '../../dsl/ops/table.ts';
import { programsOf, type RandomProgram } from '../generators/programs.ts';
import { expectWithinBound } from '../harness/compare.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, compiledAsWritten } from '../harness/run-program.ts';
import { compiledAsWrittenForWasm, compiledForWasm, runWasm } from '../harness/run-wasm.ts';
import { runs, SEED } from '../harness/settings.ts';
import { type Mutant, MUTANTS } from './mutants.ts';

const withMutant = (op: OpName, { change }: Mutant): OpTable => ({ ...OPS, [op]: change(definitionOf(op)) });

/** The laws that a change of the op table can break. */
const LAWS: readonly ((program: RandomProgram, table: OpTable) => void)[] = [
  ({ graph }, table) => expect(verify(graph, table)).toEqual([]),
  ({ graph, data, want }, table) => {
    const got = evaluateBounded(graph, data, table);
    for (const [name, bounded] of Object.entries(want)) expect(compareWithBound(got[name]!.value, bounded).worst).toBeLessThanOrEqual(1);
  },
  (program, table) => expectWithinBound(program, interpret(compiled(program.graph, { table }), program.data)),
  (program, table) => expectWithinBound(program, interpret(compiledAsWritten(program.graph, { table }), program.data)),
];

const survives = (program: RandomProgram, table: OpTable): boolean => {
  try {
    for (const law of LAWS) law(program, table);
    return true;
  } catch (thrown) {
    if (thrown instanceof TypeError) throw thrown; // the mutant itself is broken
    return false;
  }
};

/** A change of what an op lowers to is noticed on WebAssembly too; other changes are none of its business. */
const survivesOnWasm = async (program: RandomProgram, table: OpTable): Promise<boolean> => {
  try {
    expectWithinBound(program, await runWasm(compiledForWasm(program.graph, { table }).program, program.data));
    expectWithinBound(program, await runWasm(compiledAsWrittenForWasm(program.graph, table), program.data));
    return true;
  } catch (thrown) {
    if (thrown instanceof TypeError) throw thrown; // the mutant itself is broken
    return false;
  }
};
const changesLowering = (op: OpName, mutant: Mutant): boolean => mutant.change(definitionOf(op)).lower !== definitionOf(op).lower;

describe.each(Object.entries(MUTANTS) as [OpName, Mutant][])('%s', (op, mutant) => {
  const numRuns = runs(0.15, 40);
  test(`is caught: ${mutant.what}`, () => {
    const table = withMutant(op, mutant);
    const result = fc.check(
      fc.property(programsOf(op), (program) => survives(program, table)),
      { seed: SEED, numRuns, endOnFailure: true },
    );
    expect(result.errorInstance, 'a mutant must be wrong, not broken').not.toBeInstanceOf(TypeError);
    expect(result.failed, `no law noticed in ${numRuns} programs, PIXNERD_SEED=${SEED}`).toBe(true);
  });

  test.runIf(changesLowering(op, mutant))('is caught on WebAssembly', async () => {
    const table = withMutant(op, mutant);
    const result = await fc.check(
      fc.asyncProperty(programsOf(op), (program) => survivesOnWasm(program, table)),
      { seed: SEED, numRuns, endOnFailure: true },
    );
    expect(result.failed, `no program noticed in ${numRuns}, PIXNERD_SEED=${SEED}`).toBe(true);
  });
});
