import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { bindSizes, type Graph, makeGraph } from '../../dsl/graph/graph.ts';
import { add, exp, input, matmul, parameter, rmsNorm, softmax } from '../../dsl/index.ts';
import { type Compilation, compile, type CompileOptions, explain } from '../compile.ts';
import { printKernels } from '../kernels/print.ts';
import { DEFAULT_LIMITS, PROFILES } from '../profile.ts';
import { type MatmulSchedule, SCHEDULES } from '../schedule.ts';
import { bucket, familyOf } from './key.ts';
import { candidatesFor, FAMILIES, type KernelSchedule, whyIllegal } from './schedules.ts';
import { EMPTY_TABLE, parseTable, printTable, readTable, schedulesFor, type TuningEntry, type TuningTable, type TunedSchedules, withEntries } from './table.ts';

const { broadcast: shared, ...TILE } = SCHEDULES.cpu.matmul;
const entry = (schedule: TuningEntry['schedule']): TuningEntry => ({ schedule, microseconds: 80, heuristicMicroseconds: 100, date: '2026-11-25', checked: 'exact' });
const KEY = 'matmul 64x48x40 f32';
const tableOf = (key: string, schedule: unknown, adapter = 'here'): unknown => ({ ...EMPTY_TABLE, adapters: { [adapter]: { [key]: entry(schedule as TuningEntry['schedule']) } } });
const problemsOf = (value: unknown): readonly string[] => {
  const read = readTable(value);
  return E.isLeft(read) ? read.left : [];
};
const read = (value: unknown): TuningTable => {
  const result = readTable(value);
  if (E.isLeft(result)) throw new Error(result.left.join('\n'));
  return result.right;
};

const explained = (graph: Graph, options: CompileOptions = {}): Compilation => {
  const made = explain(graph, { profile: PROFILES.cpu, ...options });
  if (E.isLeft(made)) throw new Error(JSON.stringify(made.left));
  return made.right;
};
const keysOf = (...args: Parameters<typeof explained>): readonly (string | undefined)[] => explained(...args).kernels.kernels.map(({ choice }) => choice?.key);
const product = (rows: number): Graph => {
  const x = input('x', ['m', 40]), w = parameter('w', [40, 48]);
  return bindSizes(makeGraph({ y: add(matmul(x, w), 1) }, [x, w]), { m: rows });
};

describe('keys', () => {
  test('sizes that come with the batch are rounded up to a power of two, those of the weights count exactly', () => {
    expect([1, 2, 3, 64, 65].map(bucket)).toEqual([1, 2, 4, 64, 128]);
    expect([33, 50, 64].flatMap((rows) => keysOf(product(rows)))).toEqual([KEY, KEY, KEY]);
    expect(keysOf(product(65))).toEqual(['matmul 128x48x40 f32']);
  });

  test('name family, sizes and storage', () => {
    const x = input('x', [20, 40]), q = input('q', [6, 10, 16]), k = input('k', [6, 16, 12]);
    expect(keysOf(makeGraph({ y: rmsNorm(x, parameter('g', [40]), 1e-6) }, [x]))).toEqual(['row 32x40 f32']);
    expect(keysOf(makeGraph({ y: exp(x) }, [x]))).toEqual(['elementwise 1024 f32']);
    expect(keysOf(makeGraph({ y: softmax(x, -1) }, [x]))).toEqual(['row 32x40 f32']);
    expect(keysOf(makeGraph({ y: matmul(q, k) }, [q]))).toEqual(['matmul 8*16x12x16 f32']);
    const halves = { profile: { ...PROFILES.cpu, features: ['shader-f16'] }, weights: 'f16' } as const;
    expect(keysOf(product(64), halves)).toEqual(['matmul 64x48x40 f32*f16']);
    expect([KEY, 'row 1x2 f32', 'matmulx 3'].map(familyOf)).toEqual(['matmul', 'row', undefined]);
  });
});

const differing = (a: object, b: object): number => Object.entries(a).filter(([field, value]) => JSON.stringify(value) !== JSON.stringify((b as Record<string, unknown>)[field])).length;

describe('candidates', () => {
  const heuristics: readonly KernelSchedule[] = [
    { family: 'matmul', schedule: TILE }, { family: 'row', schedule: SCHEDULES.gpu.row }, { family: 'elementwise', schedule: { workgroup: 64 } }, { family: 'stream', schedule: SCHEDULES.gpu.stream! },
  ];
  test.each(heuristics)('of $family are legal, different, in a fixed order, near ones first', (heuristic) => {
    const all = candidatesFor(heuristic, PROFILES.gpu), far = all.map(({ schedule }) => differing(schedule, heuristic.schedule));
    expect(far).toEqual([...far].sort((a, b) => a - b));
    expect(all.every((candidate) => whyIllegal(candidate, PROFILES.gpu) === undefined)).toBe(true);
    expect(new Set([heuristic, ...all].map(({ schedule }) => JSON.stringify(schedule))).size).toBe(all.length + 1);
    expect(candidatesFor(heuristic, PROFILES.gpu)).toEqual(all);
    expect(all.length).toBeLessThanOrEqual(60);
  });
  test('of matmuls and streams are 20 to 60, and fewer where workgroups must be small', () => {
    for (const profile of [PROFILES.gpu, PROFILES.cpu]) for (const heuristic of [heuristics[0]!, heuristics[3]!]) expect(candidatesFor(heuristic, profile).length).toBeGreaterThanOrEqual(20);
    const small = candidatesFor(heuristics[0]!, { class: 'cpu', features: [], limits: { ...DEFAULT_LIMITS, maxComputeInvocationsPerWorkgroup: 16 } });
    expect(small.map(({ schedule }) => (schedule as typeof TILE).workgroup)).toEqual(small.map(() => [4, 4]));
  });
  test('rows are shared in subgroups where there are some', () => {
    const withSubgroups = { ...PROFILES.cpu, features: ['subgroups'] }, own: KernelSchedule = { family: 'matmul', schedule: { ...TILE, broadcast: shared } };
    const sharing = (profile: typeof withSubgroups): number => candidatesFor(own, profile).filter(({ schedule }) => (schedule as MatmulSchedule).broadcast !== undefined).length;
    expect(sharing(withSubgroups)).toBeGreaterThan(5);
    expect(sharing({ ...withSubgroups, features: [] })).toBe(0);
    expect(whyIllegal(own, withSubgroups)).toBeUndefined();
    expect(whyIllegal(own, PROFILES.cpu)).toContain("the adapter lacks the feature 'subgroups'");
    expect(problemsOf(tableOf(KEY, own.schedule))).toEqual([]);
    expect(problemsOf(tableOf(KEY, { ...TILE, broadcast: { rows: 8, columns: 4 } })).join()).toContain("the field 'threads' is missing");
  });
  test('every family has candidates', () => expect(heuristics.map(({ family }) => family)).toEqual(FAMILIES));
});

describe('tables', () => {
  test('come back from their text', () => {
    const table = withEntries(withEntries(EMPTY_TABLE, 'here', { [KEY]: entry(TILE) }), 'there', { 'row 4x8 f32': entry({ by: 'thread', workgroup: 64 }), [KEY]: entry(TILE) });
    expect(parseTable(printTable(table))).toEqual(E.right(table));
    expect(parseTable(printTable(EMPTY_TABLE))).toEqual(E.right(EMPTY_TABLE));
  });

  test.each<readonly [string, unknown, string]>([
    ['no table', [], 'its "format" must be "pixnerd-tuning"'],
    ['a later version', { ...EMPTY_TABLE, version: 2 }, 'version 2 of the format is not known here'],
    ['an unknown field', { ...EMPTY_TABLE, note: '' }, "unknown field 'note'"],
    ['no adapters', { ...EMPTY_TABLE, adapters: 3 }, "'adapters' must be a record"],
    ['an unknown family', tableOf('convolution 3x3 f32', TILE), "no kernel has the key 'convolution 3x3 f32'"],
    ['a field too many', tableOf(KEY, { ...TILE, unroll: 4 }), "unknown field 'unroll'"],
    ['a field too few', tableOf(KEY, { rows: 4 }), "the field 'columns' is missing"],
    ['another type', tableOf(KEY, { ...TILE, rows: '8' }), `'rows' is "8"; it must be a number`],
    ['a workgroup of three sides', tableOf(KEY, { ...TILE, workgroup: [8, 8, 1] }), 'it must be a list of 2 numbers'],
    ['the schedule of another family', tableOf(KEY, { by: 'thread', workgroup: 64 }), "unknown field 'by'"],
    ['no measurement', { ...EMPTY_TABLE, adapters: { here: { [KEY]: { ...entry(TILE), microseconds: 0 } } } }, "'microseconds' must be a time above 0"],
    ['an unchecked entry', { ...EMPTY_TABLE, adapters: { here: { [KEY]: { ...entry(TILE), checked: 'no' } } } }, "'checked' must be \"exact\""],
  ])('%s is refused', (_, value, problem) => expect(problemsOf(value).join('\n')).toContain(problem));

  test('text that is no JSON is refused', () => expect(parseTable('{"format":')).toMatchObject({ left: [expect.stringContaining('this is no JSON')] }));

  test('the first table that has the key is asked; other adapters are not; what cannot run here is left out, and said', () => {
    const shipped = read(tableOf(KEY, { ...TILE, rows: 2 })), own = read({ ...EMPTY_TABLE, adapters: { here: { [KEY]: entry({ ...TILE, rows: 4 }), 'matmul 8x8x8 f32': entry({ ...TILE, workgroup: [64, 64] }) } } });
    const tables = [{ by: 'shipped', table: shipped }, { by: 'cache', table: own }] as const;
    const { tuned, refused } = schedulesFor(tables, 'here', PROFILES.cpu);
    expect([...tuned]).toEqual([[KEY, { family: 'matmul', schedule: { ...TILE, rows: 2 }, by: 'shipped' }]]);
    expect(refused).toEqual(["the cached schedule of 'matmul 8x8x8 f32' is not used: a workgroup has 4096 threads, but the adapter allows 1 to 256"]);
    expect(schedulesFor(tables.slice(1), 'here', PROFILES.cpu).tuned.get(KEY)).toMatchObject({ by: 'cache', schedule: { rows: 4 } });
    expect(schedulesFor(tables, 'elsewhere', PROFILES.cpu)).toEqual({ tuned: new Map(), refused: [] });
    expect(schedulesFor(tables, 'toString', PROFILES.cpu).tuned.size).toBe(0);
  });
});

describe('compiling with a table', () => {
  const narrow: TunedSchedules = new Map([[KEY, { family: 'matmul', schedule: { ...TILE, rows: 2, workgroup: [4, 4] }, by: 'given' }]]);
  const wgslOf = (options: CompileOptions): string => explained(product(64), options).program.kernels[0]!.wgsl;

  test('changes the kernel of that key, however often and in which order one compiles', () => {
    const [before, tuned, after, again] = [wgslOf({}), wgslOf({ tuned: narrow }), wgslOf({}), wgslOf({ tuned: new Map(narrow) })];
    expect(tuned).not.toBe(before);
    expect([after, again]).toEqual([before, tuned]);
    expect(explained(product(128), { tuned: narrow }).program.kernels[0]!.wgsl).toBe(explained(product(128)).program.kernels[0]!.wgsl);
  });

  test('the plan says which schedule was taken and who chose it', () => {
    expect(printKernels(explained(product(64), { tuned: narrow }).kernels)).toContain('schedule: tile 2x4, depth 4, workgroup 4x4  # matmul 64x48x40 f32, given');
    expect(printKernels(explained(product(64)).kernels)).toContain('# matmul 64x48x40 f32, heuristic');
  });

  test('a schedule that the adapter cannot run is an error of the compilation', () => {
    const wide: TunedSchedules = new Map([[KEY, { family: 'matmul', schedule: { ...TILE, workgroup: [64, 64] }, by: 'given' }]]);
    expect(compile(product(64), { tuned: wide })).toMatchObject({ left: [{ kind: 'limit', message: expect.stringContaining("the tuned schedule of 'matmul 64x48x40 f32' does not fit the adapter") }] });
  });
});
