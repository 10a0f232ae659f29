/** `pixnerd doctor`: which adapter this machine offers, what it can do, and whether it computes right. */
import * as E from 'fp-ts/Either';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import { type Graph, inputName, makeGraph } from '../../../dsl/graph/graph.ts';
import type { Node } from '../../../dsl/graph/node.ts';
import { OPS } from '../../../dsl/ops/table.ts';
import { add, input, matmul, rmsNorm, softmax } from '../../../dsl/index.ts';
import { explain } from '../../../compiler/compile.ts';
import { showCompileError } from '../../../compiler/errors.ts';
import type { Numbers } from '../../../compiler/precision/policy.ts';
import { storageOfPlan } from '../../../compiler/precision/storage.ts';
import { profileOf } from '../../../compiler/profile.ts';
import { evaluateBounded } from '../../../compiler/reference/evaluate.ts';
import { compareWithBound } from '../../../compiler/reference/compare.ts';
import { recipeTensor } from '../../../models/recipe.ts';
import { wgslBackend } from '../../backend/wgsl.ts';
import { adapterName, type AdapterProfile } from '../../runtime/adapter-profile.ts';
import { type NodeDevice, openNodeDevice } from '../../runtime/node.ts';
import { unpackSwiftShader } from '../../runtime/swiftshader.ts';
import { flag, withDefault } from '../arguments.ts';
import { command } from '../command.ts';
import { NOT_PASSED, stop } from '../failure.ts';
import { text } from '../readers.ts';
import { VERSION } from '../version.ts';

interface SelfTest {
  readonly ok: boolean;
  /** The largest error as a part of what rounding allows. */
  readonly worst?: number;
  readonly milliseconds?: number;
  readonly problem?: string;
}

const ROWS = 33,
  WIDTH = 48;

/** A norm, a product, a softmax: every kind of kernel that the model has, on shapes that no tile divides. */
const testGraph = (): Graph => {
  const x = input('x', [ROWS, WIDTH]),
    w = input('w', [WIDTH, WIDTH]),
    g = input('g', [WIDTH]);
  return makeGraph({ y: softmax(matmul(rmsNorm(x, g, 1e-6), w), -1), z: add(x, x) }, [x, w, g]);
};

/** Runs the test with numbers kept in one way; the bound knows where the program rounds. */
const selfTest = async ({ device, notice }: NodeDevice, numbers: Numbers): Promise<SelfTest> => {
  const backend = wgslBackend(device, notice, numbers),
    graph = testGraph();
  const data = (node: Node): Float32Array => recipeTensor(`doctor.${inputName(node)}`, node.shape as number[]); // all sizes are numbers
  const feeds = Object.fromEntries(graph.inputs.map((node) => [inputName(node), data(node)]));
  const { profile } = device,
    made = explain(graph, { ...numbers, profile: profileOf(profile.class, profile.limits, profile.features) });
  if (E.isLeft(made)) return { ok: false, problem: made.left.map(showCompileError).join('; ') };
  const started = performance.now();
  const loaded = await backend.load({ graph, sizes: {}, name: 'self-test' })();
  if (E.isLeft(loaded)) return { ok: false, problem: loaded.left.message };
  const outputs = await loaded.right.run(feeds)();
  if (E.isLeft(outputs)) return { ok: false, problem: outputs.left.message };
  const expected = evaluateBounded(made.right.stages.at(-1)!.graph, feeds, OPS, storageOfPlan(made.right.kernels)); // there is always a first
  let worst = 0;
  for (const [name, tensor] of Object.entries(outputs.right)) {
    const read = await tensor.read()();
    if (E.isLeft(read)) return { ok: false, problem: read.left.message };
    worst = Math.max(worst, compareWithBound(read.right, expected[name]!).worst); // one per output
  }
  return { ok: worst <= 1, worst, milliseconds: Math.round(performance.now() - started) };
};

const packageVersion = (name: string): string => {
  try {
    const require = createRequire(import.meta.url);
    return (JSON.parse(readFileSync(require.resolve(`${name}/package.json`), 'utf8')) as { readonly version: string }).version; // npm needs it
  } catch {
    return 'not installed';
  }
};

const softwareFallback = (): string => {
  const unpacked = unpackSwiftShader();
  return typeof unpacked === 'string' ? `none: ${unpacked}` : `SwiftShader from npm (${unpacked.driver})`;
};

const driverOf = (): string => process.env['VK_DRIVER_FILES'] ?? process.env['VK_ICD_FILENAMES'] ?? 'chosen by the system';

const versions = () => ({
  pixnerd: VERSION,
  node: process.version,
  webgpu: packageVersion('webgpu'),
  platform: `${process.platform}-${process.arch}`,
  processors: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
});

const FEATURES_OF_INTEREST = ['shader-f16', 'subgroups', 'timestamp-query'];

const profileLines = (profile: AdapterProfile): readonly string[] => [
  `  vendor ${profile.vendor || '?'}, architecture ${profile.architecture || '?'}, device ${profile.device || '?'}`,
  `  scheduled as a ${profile.class === 'cpu' ? 'software adapter (cpu)' : 'GPU (gpu)'}`,
  ...FEATURES_OF_INTEREST.map((feature) => `  ${feature}: ${profile.features.includes(feature) ? 'yes' : 'no'}`),
  '  limits:',
  ...Object.entries(profile.limits).map(([name, value]) => `    ${name} ${value}`),
];

const testLine = (name: string, { ok, worst, milliseconds, problem }: SelfTest): string =>
  ok
    ? `${name}: passed in ${milliseconds} ms (largest error ${((worst ?? 0) * 100).toFixed(1)} % of what rounding allows)`
    : `${name}: FAILED: ${problem ?? `the largest error is ${worst?.toFixed(1)} times what rounding allows`}`;

export const doctor = command({
  name: 'doctor',
  summary: 'shows adapter, features, limits, driver, software fallback and versions, and runs a small self-test',
  options: {
    adapter: withDefault(text('auto|software|NAME'), 'auto', 'which adapter to look at'),
    json: flag('everything as JSON; `emit --profile` reads it'),
  },
  examples: [
    ['pixnerd doctor', 'the adapter that the other commands would use'],
    ['pixnerd doctor --adapter software --json', 'the software adapter, for `emit --profile`'],
  ],
  run: async ({ values: { adapter, json } }, { out }) => {
    const known = { versions: versions(), driver: driverOf(), softwareFallback: softwareFallback() };
    const opened = await openNodeDevice(adapter)();
    const found = E.isLeft(opened) ? undefined : opened.right;
    const profile = found?.device.profile;
    const test: SelfTest = found === undefined ? { ok: false, problem: E.isLeft(opened) ? opened.left.message : '' } : await selfTest(found, {});
    const half = found && profile?.features.includes('shader-f16') ? await selfTest(found, { precision: 'f16' }) : undefined;
    if (json)
      out(
        JSON.stringify(
          {
            ...known,
            notice: found?.notice ?? null,
            adapter: profile ? adapterName(profile) : null,
            profile: profile ?? null,
            selfTest: test,
            selfTestHalf: half ?? null,
          },
          null,
          2,
        ),
      );
    else {
      out(
        Object.entries(known.versions)
          .map(([name, value]) => `${name} ${value}`)
          .join(', '),
      );
      out(`driver: ${known.driver}`);
      out(`software fallback: ${known.softwareFallback}`);
      out(found?.notice ?? 'adapter: none');
      for (const line of profile ? profileLines(profile) : []) out(line);
      out(testLine('self-test', test));
      if (half !== undefined) out(testLine('self-test with f16 storage', half));
    }
    found?.device.destroy();
    if (!test.ok || half?.ok === false) stop(json || found !== undefined ? '' : (test.problem ?? ''), found === undefined ? undefined : NOT_PASSED);
  },
});
