/** The laws of compiled programs, on WebAssembly: every op by itself and random programs, against the reference; exact data to the last bit. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import wabt from 'wabt';
import { PRECISIONS, type Numbers, WEIGHT_FORMATS } from '../../compiler/precision/policy.ts';
import type { WasmProgram } from '../../compiler/program.ts';
import { type Graph, makeGraph } from '../../dsl/graph/graph.ts';
import { compile, type Verifiable } from '../../compiler/compile.ts';
import { showCompileError } from '../../compiler/errors.ts';
import { add, exp, input } from '../../dsl/index.ts';
import { type OpName, OPS, type OpTable } from '../../dsl/ops/table.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import { describeProblems } from '../../src/verification/report.ts';
import { verifyWasmProgram } from '../../src/verification/verify.ts';
import { networks } from '../generators/networks.ts';
import { boundedAsStored, dataAsStored } from '../harness/as-stored.ts';
import { HINTS } from '../generators/hints.ts';
import { programs, programsOf } from '../generators/programs.ts';
import { describeSharpness, expectExact, expectWithinBound, newSharpness } from '../harness/compare.ts';
import { settled } from '../harness/run-program.ts';
import { compiledAsWrittenForWasm, compiledForWasm, runWasm, wasmDevice } from '../harness/run-wasm.ts';
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

  test('are exact on whole numbers', async () => {
    await fc.assert(
      fc.asyncProperty(programs('exact'), async (program) => expectExact(program, await runWasm(compiledForWasm(program.graph).program, program.data))),
      parameters('WebAssembly, exact', runs(0.25)),
    );
  });

  test('with float16 tensors are their reference within the bound', async () => {
    await fc.assert(
      fc.asyncProperty(programs('half'), fc.boolean(), async (program, fusion) => {
        expectWithinBound(program, await runWasm(compiledForWasm(program.graph, { fusion }).program, program.data));
      }),
      parameters('WebAssembly, f16', runs(0.5)),
    );
  });

  test('and networks, under every policy of precision, round where the program stores', async () => {
    const numbers: fc.Arbitrary<Numbers> = fc.record({ precision: fc.constantFrom(...PRECISIONS), weights: fc.constantFrom(...WEIGHT_FORMATS), packFrom: fc.constant(1) });
    await fc.assert(
      fc.asyncProperty(fc.oneof(programs(), networks), numbers, async ({ graph, data }, policy) => {
        const made = compiledForWasm(graph, policy), stored = dataAsStored(made, data);
        expectWithinBound({ graph, want: boundedAsStored(made, stored) }, await runWasm(made.program, data));
      }),
      parameters('WebAssembly, precision', runs(0.5)),
    );
  });

  test('are modules that another tool finds valid, and that need nothing but SIMD128 and a shared memory', async () => {
    const tool = await wabt();
    const check = ({ module }: WasmProgram): void => {
      const features = { simd: true, threads: true, relaxed_simd: false, reference_types: false, bulk_memory: false, multi_value: false, sat_float_to_int: true };
      const read = tool.readWasm(Uint8Array.from(Buffer.from(module, 'base64')), features);
      // its types say that it takes nothing, its code that it takes the features
      (read.validate as (features: unknown) => void).call(read, features);
      read.destroy();
    };
    fc.assert(fc.property(fc.oneof(programs(), programs('half'), networks), ({ graph }) => check(compiledForWasm(graph).program)), parameters('valid modules', runs(0.5)));
  });
});

test('exp is within two units in the last place, and silent at both ends', async () => {
  const x = input('x', ['n']), inputs = Float32Array.from({ length: 100_000 }, (_, i) => -104 + i * (193 / 100_000));
  const { y } = await runWasm(compiledForWasm(makeGraph({ y: exp(x) }, [x]), { sizes: { n: inputs.length } }).program, { x: inputs });
  const worst = Array.from(inputs, (value, i) => {
    const want = Math.exp(value), unit = Math.max(2 ** (Math.floor(Math.log2(want)) - 23), 2 ** -149);
    return want > 3.4028235e38 ? (y![i] === Infinity ? 0 : Infinity) : Math.abs(y![i]! - want) / unit;
  }).reduce((most, error) => Math.max(most, error), 0);
  expect(worst).toBeLessThanOrEqual(2);
  const { y: ends } = await runWasm(compiledForWasm(makeGraph({ y: exp(x) }, [x]), { sizes: { n: 3 } }).program, { x: Float32Array.of(-1e30, 0, 1e30) });
  expect(Array.from(ends!)).toEqual([0, 1, Infinity]);
});

describe('verification', () => {
  const checked = (graph: Graph, table: OpTable = OPS): Verifiable<WasmProgram> => {
    const made = compile(graph, { target: 'wasm', verify: true, table });
    if (made._tag === 'Left') throw new Error(made.left.map(showCompileError).join('\n'));
    return made.right;
  };
  test('finds every kernel of random programs right', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(programs(), networks), async ({ graph, data }) => {
        const found = await settled(verifyWasmProgram(await wasmDevice(2), checked(graph), data, { sample: 1 }));
        expect(describeProblems(found)).toEqual([]);
      }),
      parameters('WebAssembly, verified', runs(0.1)),
    );
  });

  test('names kernel and op where an op is wrong', async () => {
    const x = input('x', [4, 8]), graph = makeGraph({ y: add(exp(x), x) }, [x]);
    const wrong: OpTable = { ...OPS, exp: { ...OPS.exp, lower: (request) => S.mul(OPS.exp.lower(request), S.constant(1.5, 'f32')) } };
    const found = await settled(verifyWasmProgram(await wasmDevice(2), checked(graph, wrong), { x: Float32Array.from({ length: 32 }, (_, i) => i / 8) }, { sample: 1 }));
    expect(found.failure?.culprit).toMatchObject({ kind: 'op', report: { op: 'exp' } });
  });
});
