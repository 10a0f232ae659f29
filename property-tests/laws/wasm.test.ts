/** The laws of compiled programs, on WebAssembly: every op by itself and random programs, against the reference; exact data to the last bit. */
import fc from 'fast-check';
import { afterAll, describe, test } from 'vitest';
import { type OpName, OPS } from '../../dsl/ops/table.ts';
import { HINTS } from '../generators/hints.ts';
import { programs, programsOf } from '../generators/programs.ts';
import { describeSharpness, expectExact, expectWithinBound, newSharpness } from '../harness/compare.ts';
import { compiledAsWrittenForWasm, compiledForWasm, runWasm } from '../harness/run-wasm.ts';
import { parameters, runs, SEED } from '../harness/settings.ts';

const perOp = newSharpness();
afterAll(() => console.log(describeSharpness('each op, WebAssembly', perOp)));

const names = Object.keys(OPS) as OpName[];
describe.each(names)('%s', (op) => {
  const seed = SEED + names.indexOf(op);
  test('is its reference within the bound', async () => {
    await fc.assert(
      fc.asyncProperty(programsOf(op), async (program) => {
        expectWithinBound(program, await runWasm(compiledForWasm(program.graph).program, program.data), perOp);
        expectWithinBound(program, await runWasm(compiledAsWrittenForWasm(program.graph), program.data));
      }),
      { seed, numRuns: runs(0.1) },
    );
  });

  test.runIf(HINTS[op].exact)('is exact on whole numbers', async () => {
    await fc.assert(
      fc.asyncProperty(programsOf(op, 'exact'), async (program) => {
        expectExact(program, await runWasm(compiledForWasm(program.graph).program, program.data));
      }),
      { seed, numRuns: runs(0.1) },
    );
  });
});

describe('random programs', () => {
  const sharpness = newSharpness();
  afterAll(() => console.log(describeSharpness('random programs, WebAssembly', sharpness)));
  test('are their reference within the bound, fused and not, on one thread and on two', async () => {
    await fc.assert(
      fc.asyncProperty(programs(), fc.boolean(), fc.constantFrom(1, 2), async (program, fusion, threads) => {
        expectWithinBound(program, await runWasm(compiledForWasm(program.graph, { fusion }).program, program.data, threads), sharpness);
      }),
      parameters('WebAssembly = reference', runs(1)),
    );
  });
});
