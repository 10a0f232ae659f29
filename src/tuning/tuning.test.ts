/** The tuner on a real device: what it asks of a candidate, what it finds, and where it keeps that. */
import * as E from 'fp-ts/Either';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Checks } from '../../compiler/checks.ts';
import { compile } from '../../compiler/compile.ts';
import { type Profile, profileOf } from '../../compiler/profile.ts';
import { type Alone, aloneWith, type Subject, subjectOf, withGraph } from '../../compiler/tuning/alone.ts';
import { SCHEDULES, withinLimits } from '../../compiler/schedule.ts';
import { candidatesFor, FAMILIES, whyIllegal } from '../../compiler/tuning/schedules.ts';
import { EMPTY_TABLE, readTable, type TuningTable, withEntries } from '../../compiler/tuning/table.ts';
import { type Graph, makeGraph } from '../../dsl/graph/graph.ts';
import { attention, input, literal, matmul, mul, parameter, rmsNorm, silu, softmax } from '../../dsl/index.ts';
import { OPS, type OpTable } from '../../dsl/ops/table.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import { inFolder } from '../files/test-folder.ts';
import type { Device } from '../runtime/device.ts';
import { openNodeDevice } from '../runtime/node.ts';
import { load } from '../runtime/session.ts';
import { cachePath, readTableFile, writeTableFile } from './cache.ts';
import { fingerprintOf } from './fingerprint.ts';
import { SHIPPED, tuningFor } from './tables.ts';
import { type Feeds, feedsFor, isTelling, mistakeIn, mistakeOf, resultOf, type Truth, truthOf } from './trial.ts';
import { entriesOf, type Finding, targetsOf, tune } from './tune.ts';
import { wholeForm } from './whole.ts';

const right = <A>(either: E.Either<{ readonly message: string } | readonly unknown[], A>): A => {
  if (E.isLeft(either)) throw new Error(JSON.stringify(either.left));
  return either.right;
};

let device: Device, profile: Profile;
beforeAll(async () => {
  ({ device } = right(await openNodeDevice('software')()));
  profile = profileOf(device.profile.class, device.profile.limits, device.profile.features);
});
afterAll(() => device.destroy());

const x = input('x', [20, 24]), w = parameter('w', [24, 12]), g = parameter('g', [24]);
/** A norm in front of a product, a gate behind it; sizes that fill no tile. */
const graph = makeGraph({ y: silu(matmul(rmsNorm(x, g, 1e-6), w)), z: softmax(mul(x, literal([20, 24], Array.from({ length: 480 }, (_, i) => i / 100))), -1) }, [x, w, g]);
const checksOf = (of: Graph = graph, table: OpTable = OPS): Checks => right(compile(of, { profile, verify: true, table })).checks;

const subjectFor = (family: string, checks: Checks = checksOf()): Subject => {
  const kernel = checks.plan.kernels.find(({ choice }) => choice?.family === family)!, subject = subjectOf(checks, kernel);
  if (typeof subject === 'string') throw new Error(subject);
  return subject;
};
const programOf = (...args: Parameters<typeof aloneWith>): Alone => {
  const made = aloneWith(...args);
  if (typeof made === 'string') throw new Error(made);
  return made;
};

const runOf = async (alone: Alone, feeds: Feeds): Promise<ArrayLike<number>> => {
  const session = right(await load(device, alone.step.program)());
  try {
    return await resultOf(session, alone, feeds);
  } finally {
    session.dispose();
  }
};

describe('the exact test', () => {
  const wholeOf = (subject: Subject): Subject => withGraph(subject, wholeForm(subject.graph).graph);
  const truthFor = async (alone: Alone): Promise<Truth> => truthOf(alone, await feedsFor(device, alone, 'sums'), 'sums');

  test('has the kernel of the same key, with its prologue and epilogue, and accepts every candidate', async () => {
    for (const family of ['matmul', 'row']) {
      const whole = wholeOf(subjectFor(family)), alone = programOf(whole), truth = await truthFor(alone);
      expect(alone.kernels.map(({ choice }) => choice?.key)).toEqual([whole.key]);
      const candidates = candidatesFor(alone.kernels[0]!.choice!, profile);
      for (const candidate of [candidates[0]!, candidates.at(-1)!]) expect(await mistakeOf(device, programOf(whole, candidate), truth)).toBeUndefined();
    }
  });

  test('shows something: a result that is nearly always the same would hide mistakes', async () => {
    const dull = makeGraph({ y: matmul(mul(x, 0), w) }, [x, w]), kernel = checksOf(dull).plan.kernels.at(-1)!;
    const findings = right(await tune(device, targetsOf([checksOf(dull)], [kernel.choice!.family], () => false), { budget: 5000 })());
    expect(findings.at(-1)?.skipped).toContain('there is no exact test for it: on whole numbers');
    for (const family of ['matmul', 'row']) expect(isTelling(await truthFor(programOf(wholeOf(subjectFor(family)))))).toBe(true);
  });

  test('refuses a kernel that is wrong in its sums, and one that is wrong in a single element', async () => {
    const whole = wholeOf(subjectFor('matmul')), truth = await truthFor(programOf(whole));
    const einsum: OpTable['einsum'] = { ...OPS.einsum, lower: (site) => S.add(OPS.einsum.lower(site), S.constant(1, 'f32')) };
    const wrong = programOf({ ...whole, options: { ...whole.options, table: { ...OPS, einsum } } });
    expect(await mistakeOf(device, wrong, truth)).toMatch(/^element \d+ is -?\d+, the reference says -?\d+$/);
    const all = Float32Array.from({ length: 240 }, () => 0);
    expect(await mistakeOf(device, programOf(whole), { ...truth, places: new Int32Array(0), all })).toMatch(/^element \d+ is -?\d+, by the heuristic's kernel 0$/);
  });
});

describe('streamed attention', () => {
  const [q, k, v] = [input('q', [2, 40, 16]), input('k', [2, 24, 16]), input('v', [2, 24, 16])];
  const masked = makeGraph({ y: attention(q, k, v, { causal: true }) }, [q, k, v]);
  const subject = (): Subject => subjectFor('stream', right(compile(masked, { profile, schedule: withinLimits(SCHEDULES.gpu, profile.limits), verify: true })).checks);

  test('has an exact test as well: weights are 0 or 1, before one quotient', async () => {
    const own = subject(), whole = withGraph(own, wholeForm(own.graph, 'softmax').graph), alone = programOf(whole), feeds = await feedsFor(device, alone, 'softmax');
    expect(alone.kernels.map(({ choice }) => choice?.key)).toEqual(['stream 2*64x32x16x16 f32']);
    const truth = truthOf(alone, feeds, 'softmax'), got = await runOf(alone, feeds);
    expect([isTelling(truth), mistakeIn(got, truth)]).toEqual([true, undefined]);
    for (const candidate of candidatesFor(alone.kernels[0]!.choice!, profile).slice(0, 4)) {
      const other = programOf(whole, candidate);
      expect(await mistakeOf(device, other, { ...truth, all: got })).toBeUndefined();
    }
    const sum: OpTable['sum'] = { ...OPS.sum, lower: (site) => S.add(OPS.sum.lower(site), S.constant(1, 'f32')) };
    expect(await mistakeOf(device, programOf({ ...whole, options: { ...whole.options, table: { ...OPS, sum } } }), truth)).toContain('the reference says');
  });
});

describe('the tuner', () => {
  const run = async (budget: number, more: { readonly signal?: AbortSignal; readonly checks?: Checks } = {}): Promise<readonly Finding[]> => {
    const checks = more.checks ?? checksOf();
    return right(await tune(device, targetsOf([checks], FAMILIES, () => false), { budget, ...(more.signal && { signal: more.signal }) })());
  };

  test('lists each kind of kernel once, the most work first, without those that are known or of another family', () => {
    const checks = checksOf(), all = targetsOf([checks], FAMILIES, () => false);
    expect(new Set(all.map(({ key }) => key)).size).toBe(all.length);
    expect(all.map(({ work }) => work)).toEqual(all.map(({ work }) => work).sort((a, b) => b - a));
    expect(all.reduce((sum, { uses }) => sum + uses, 0)).toBe(checks.plan.kernels.length);
    expect(targetsOf([checks], ['matmul'], () => false).map(({ key }) => key)).toEqual(['matmul 32x12x24 f32']);
    expect(targetsOf([checks, checks], FAMILIES, () => false).map(({ key, uses, work }) => [key, uses / 2, work / 2])).toEqual(all.map(({ key, uses, work }) => [key, uses, work]));
    expect(targetsOf([checks], FAMILIES, (key) => key.startsWith('row')).every(({ family }) => family !== 'row')).toBe(true);
  });

  test('tries legal candidates that pass, and keeps only what is faster', async () => {
    const findings = await run(6000);
    expect(findings.some(({ tried }) => tried > 0)).toBe(true);
    for (const { better, heuristic, refused, skipped } of findings) {
      expect(refused).toEqual([]);
      if (skipped === undefined) expect(heuristic).toBeGreaterThan(0);
      if (better === undefined) continue;
      expect(whyIllegal(better.schedule, profile)).toBeUndefined();
      expect(better.microseconds).toBeLessThanOrEqual(0.95 * better.heuristic);
    }
    // what it found can be read back, and compiles
    const table = withEntries(EMPTY_TABLE, fingerprintOf(device.profile), entriesOf(findings, new Date()));
    expect(readTable(JSON.parse(JSON.stringify(table)))).toEqual(E.right(table));
    right(compile(graph, { profile, tuned: tuningFor(device.profile, table, EMPTY_TABLE).tuned }));
  });

  test('an aborted or spent budget leaves what was found, and says what was not tried', async () => {
    const reasons = (findings: readonly Finding[]): ReadonlySet<string | undefined> => new Set(findings.map(({ skipped }) => skipped));
    expect(reasons(await run(1e-3))).toEqual(new Set(['the budget was spent before its turn']));
    expect(reasons(await run(60_000, { signal: AbortSignal.abort() }))).toEqual(new Set(['it was ended before its turn']));
  });

  test('a kernel that the heuristic gets wrong is not tuned', async () => {
    const einsum: OpTable['einsum'] = { ...OPS.einsum, lower: (site) => S.add(OPS.einsum.lower(site), S.constant(1, 'f32')) };
    const findings = await run(20_000, { checks: checksOf(makeGraph({ y: matmul(x, w) }, [x, w]), { ...OPS, einsum }) });
    expect(findings).toMatchObject([{ tried: 0, better: undefined, skipped: expect.stringContaining("the heuristic's own kernel is wrong here: element") }]);
  });
});

describe("the user's table", () => {
  const entries = { 'row 32x24 f32': { schedule: { by: 'thread' as const, workgroup: 128 }, microseconds: 8, heuristicMicroseconds: 10, date: '2026-11-25', checked: 'exact' as const } };

  test('lies in the cache folder of the user; relative ones are ignored, as the standard asks', () => {
    expect(cachePath({ XDG_CACHE_HOME: '/var/caches' })).toBe('/var/caches/pixnerd/tuning.json');
    for (const environment of [{}, { XDG_CACHE_HOME: 'caches' }]) expect(cachePath(environment)).toMatch(/^\/.*\/\.cache\/pixnerd\/tuning\.json$/);
  });

  test('is written with its folders, and read back; no file is an empty table', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'a', 'b', 'tuning.json'), table = withEntries(EMPTY_TABLE, 'here', entries);
      expect(await readTableFile(path)()).toEqual(E.right(EMPTY_TABLE));
      right(await writeTableFile(path, table)());
      expect(await readTableFile(path)()).toEqual(E.right(table));
      expect((await readFile(path, 'utf8')).split('\n').filter((line) => line.includes('row 32x24'))).toHaveLength(1);
    }));

  test('is refused with all that is wrong when it is damaged', () =>
    inFolder(async (folder) => {
      await mkdir(join(folder, 'as-folder'));
      await writeFile(join(folder, 'cut.json'), '{"format": "pixnerd-tuning", ');
      await writeFile(join(folder, 'wrong.json'), JSON.stringify({ ...EMPTY_TABLE, adapters: { here: { 'row 3x4 f32': { ...entries['row 32x24 f32'], schedule: { workgroup: 4 } } } } }));
      for (const [name, words] of [['as-folder', 'cannot be read'], ['cut.json', 'this is no JSON'], ['wrong.json', "the field 'by' is missing"]] as const) {
        const found = await readTableFile(join(folder, name))();
        expect(found).toMatchObject({ left: { message: expect.stringContaining(words) } });
      }
    }));

  test('counts where the shipped table has no answer, on the adapter that it was measured on', () => {
    const own: TuningTable = withEntries(EMPTY_TABLE, fingerprintOf(device.profile), entries), row = 'row 32x24 f32';
    expect(tuningFor(device.profile, own, EMPTY_TABLE).tuned.get(row)).toMatchObject({ by: 'cache', schedule: { workgroup: 128 } });
    const shipped = withEntries(EMPTY_TABLE, fingerprintOf(device.profile), { [row]: { ...entries[row], schedule: { by: 'thread', workgroup: 8 } } });
    expect(tuningFor(device.profile, own, shipped).tuned.get(row)).toMatchObject({ by: 'shipped', schedule: { workgroup: 8 } });
    expect(tuningFor({ ...device.profile, description: 'another driver' }, own, shipped).tuned.size).toBe(0);
  });

  test('adapters differ by what makes kernels fast, and by nothing else', () => {
    const { profile: here } = device, name = fingerprintOf(here);
    expect(fingerprintOf({ ...here, features: [...here.features, 'texture-compression-bc'] })).toBe(name);
    for (const other of [{ ...here, vendor: 'other' }, { ...here, description: `${here.description} 2` }, { ...here, limits: { ...here.limits, maxComputeWorkgroupStorageSize: 1 } }]) expect(fingerprintOf(other)).not.toBe(name);
    expect(name.split('|')).toHaveLength(8);
  });

  test('the shipped table has no schedule that the heuristic beats', () => {
    for (const [adapter, found] of Object.entries(SHIPPED.adapters)) {
      expect(adapter.split('|')).toHaveLength(8);
      for (const { microseconds, heuristicMicroseconds } of Object.values(found)) expect(microseconds).toBeLessThan(heuristicMicroseconds);
    }
  });
});
