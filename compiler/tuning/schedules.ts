/**
 * The schedule of one kernel: which families there are, what a legal schedule of each is, and which ones a tuner tries.
 *
 * Invariant: candidates are legal, in a fixed order, and have the fields of the family's record, so that a field that a record gains is
 * validated and carried along without a word here.
 */
import type { Profile } from '../profile.ts';
import { type BroadcastTile, LEAST_SUBGROUP, legalMatmul, MATMUL_CANDIDATES, type MatmulSchedule, type RowSchedule, type Schedule, SCHEDULES, stagedBytes, type StreamSchedule, type WorkgroupLimits } from '../schedule.ts';

export interface ElementwiseSchedule {
  /** Threads of a workgroup. */
  readonly workgroup: number;
}

/** What is chosen for a kernel, by the family of its loops. */
export interface Families {
  readonly matmul: MatmulSchedule;
  readonly row: RowSchedule;
  readonly elementwise: ElementwiseSchedule;
  readonly stream: StreamSchedule;
}
export type Family = keyof Families;
export const FAMILIES = ['matmul', 'row', 'elementwise', 'stream'] as const satisfies readonly Family[];

export type KernelSchedule = { readonly [F in Family]: { readonly family: F; readonly schedule: Families[F] } }[Family];

/** A record of each family: its fields are the fields. */
const SAMPLES: { readonly [F in Family]: Families[F] } = { matmul: SCHEDULES.cpu.matmul, row: SCHEDULES.gpu.row, elementwise: { workgroup: 64 }, stream: SCHEDULES.gpu.stream! }; // GPUs have one

type Fields = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const isWhole = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0; // isInteger is false for what is no number
const typeOf = (value: unknown): string => (Array.isArray(value) ? `a list of ${value.length} numbers` : typeof value === 'number' ? 'a number' : 'a text');
/** Fields that may be left out. */
const OPTIONAL: ReadonlySet<string> = new Set(['broadcast']);

const recordMistakes = (value: unknown, sample: Fields, what: string): readonly string[] => {
  if (!isRecord(value)) return [`${what} must be a record of ${Object.keys(sample).join(', ')}`];
  const isGiven = (name: string): boolean => Object.hasOwn(value, name) && (value[name] !== undefined || !OPTIONAL.has(name));
  return [
    ...Object.keys(value).filter((name) => !Object.hasOwn(sample, name)).map((name) => `unknown field '${name}'; ${what} has ${Object.keys(sample).join(', ')}`),
    ...Object.entries(sample).flatMap(([name, like]) => {
      const field = value[name];
      if (!isGiven(name)) return OPTIONAL.has(name) ? [] : [`the field '${name}' is missing`];
      if (isRecord(like)) return recordMistakes(field, like, `'${name}'`);
      const isRight = Array.isArray(like) ? Array.isArray(field) && field.length === like.length && field.every((item) => isWhole(item) && item > 0)
        : typeof like === 'number' ? isWhole(field) : typeof field === typeof like;
      return isRight ? [] : [`'${name}' is ${JSON.stringify(field)}; it must be ${typeOf(like)}`];
    }),
  ];
};

/** What is wrong with the fields of a record. */
export const fieldMistakes = (family: Family, value: unknown): readonly string[] => recordMistakes(value, SAMPLES[family] as unknown as Fields, `a ${family} schedule`); // records of plain data

const isPowerOfTwo = (n: number): boolean => n >= 1 && Number.isInteger(Math.log2(n));

/** Sums that a thread of a matmul keeps: more of them spill, and the code grows with them. */
const MOST_SUMS = 64;
const MOST_THREADS = 1024;

/** The condition that fails, in words; undefined where all hold. */
const firstFailing = (conditions: readonly (readonly [holds: boolean, otherwise: string])[]): string | undefined => conditions.find(([holds]) => !holds)?.[1];

const threadsFit = (threads: number, limits: WorkgroupLimits): readonly [boolean, string] => {
  const most = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX, MOST_THREADS);
  return [threads >= 1 && threads <= most, `a workgroup has ${threads} threads, but the adapter allows 1 to ${most}`];
};

/** What a schedule asks of an adapter. */
export type Adapter = Pick<Profile, 'class' | 'limits' | 'features'>;

const broadcastFails = ({ rows, columns, threads }: BroadcastTile, { limits, features }: Pick<Adapter, 'limits' | 'features'>): string | undefined => firstFailing([
  [features.includes('subgroups'), "its rows are shared in subgroups, but the adapter lacks the feature 'subgroups'"],
  [[rows, columns, threads].every(isPowerOfTwo) && rows >= LEAST_SUBGROUP && threads >= LEAST_SUBGROUP, `rows and threads that share them must be powers of two, from ${LEAST_SUBGROUP} on`],
  [rows * columns <= MOST_SUMS, `a tile of ${rows} x ${columns} needs ${rows * columns} sums a thread; ${MOST_SUMS} is the most`],
  threadsFit(threads, limits),
]);

/** Why an adapter could not run a kernel by that schedule, or why none is made by it; undefined where it is legal. */
export const whyIllegal = ({ family, schedule }: KernelSchedule, adapter: Pick<Adapter, 'limits' | 'features'>): string | undefined => {
  const { limits } = adapter;
  const [mistake] = fieldMistakes(family, schedule);
  if (mistake !== undefined) return mistake;
  switch (family) {
    case 'matmul': {
      const { rows, columns, depth, workgroup: [x, y], staging, sharedBytes } = schedule, bytes = staging === 'none' ? 0 : Math.max(sharedBytes, stagedBytes(schedule));
      return (schedule.broadcast && broadcastFails(schedule.broadcast, adapter)) ?? firstFailing([
        [[rows, columns, depth, x, y].every(isPowerOfTwo), `rows, columns, depth and workgroup must be powers of two`],
        [depth <= 4, `depth is ${depth}, but vectors have 4 elements at most`],
        [rows * columns <= MOST_SUMS, `a tile of ${rows} x ${columns} needs ${rows * columns} sums a thread; ${MOST_SUMS} is the most`],
        threadsFit(x * y, limits),
        [y <= limits.maxComputeWorkgroupSizeY, `the workgroup is ${y} high, but the adapter allows ${limits.maxComputeWorkgroupSizeY}`],
        [staging === 'none' || staging === 'workgroup', `'staging' is "${staging}"; it must be "none" or "workgroup"`],
        [bytes <= limits.maxComputeWorkgroupStorageSize, `its blocks need ${bytes} bytes of workgroup memory, but the adapter allows ${limits.maxComputeWorkgroupStorageSize}`],
        [legalMatmul(schedule, limits), 'its tile or its blocks have sizes that no kernel is made for'],
      ]);
    }
    case 'row': return firstFailing([
      [schedule.by === 'thread' || schedule.by === 'workgroup', `'by' is "${schedule.by}"; it must be "thread" or "workgroup"`],
      threadsFit(schedule.workgroup, limits),
      [schedule.by === 'thread' || (isPowerOfTwo(schedule.workgroup) && schedule.workgroup >= 2), 'the threads that share a row must be a power of two, from 2 on'],
      [schedule.by === 'thread' || 4 * schedule.workgroup <= limits.maxComputeWorkgroupStorageSize, 'the threads that share a row need more workgroup memory than there is'],
    ]);
    case 'elementwise': return firstFailing([threadsFit(schedule.workgroup, limits)]);
    case 'stream': return firstFailing([
      [schedule.staging === 'workgroup' || schedule.staging === 'none', `'staging' is "${schedule.staging}"; it must be "workgroup" or "none"`],
      threadsFit(schedule.rows, limits),
      [schedule.keys >= 1 && schedule.keys <= 64, `tiles of ${schedule.keys} keys; 1 to 64 make sense`],
      [schedule.sharedBytes <= limits.maxComputeWorkgroupStorageSize, `${schedule.sharedBytes} bytes of workgroup memory, but the adapter allows ${limits.maxComputeWorkgroupStorageSize}`],
    ]);
  }
};

type Ranges<A> = { readonly [Field in keyof A]?: readonly A[Field][] };

/** What is varied; every other field stays as the heuristic has it. Matmuls have a list of their own for each class of adapter. */
const RANGES: { readonly [F in Exclude<Family, 'matmul'>]: Ranges<Families[F]> } = {
  row: { by: ['thread', 'workgroup'], workgroup: [32, 8, 16, 64, 128, 256] },
  elementwise: { workgroup: [64, 16, 32, 128, 256] },
  stream: { staging: ['workgroup', 'none'], rows: [64, 16, 32, 128], keys: [16, 4, 8, 32] },
};

/** All combinations of the ranges over a record. */
const combinations = <A extends object>(base: A, ranges: Ranges<A>): readonly A[] =>
  (Object.entries(ranges) as readonly (readonly [string, readonly unknown[]])[]) // fields of A
    .reduce<readonly A[]>((made, [field, values]) => made.flatMap((one) => values.map((value) => ({ ...one, [field]: value }))), [base]);

const text = (value: unknown): string => JSON.stringify(value);
const differences = (a: object, b: object): number => Object.keys({ ...a, ...b }).filter((field) => text((a as Fields)[field]) !== text((b as Fields)[field])).length;

/** The most candidates of a family. */
const MOST_CANDIDATES = 60;

/** Rows that subgroups share, for software adapters: lavapipe is the one that gains by it. */
const BROADCASTS: readonly BroadcastTile[] = [16, 8, 4].flatMap((rows) => [4, 8].flatMap((columns) => [32, 16, 64].map((threads) => ({ rows, columns, threads }))));

const matmulCandidates = (heuristic: MatmulSchedule, { class: adapterClass }: Adapter): readonly MatmulSchedule[] =>
  adapterClass === 'gpu' ? MATMUL_CANDIDATES.gpu : [...BROADCASTS.map((broadcast) => ({ ...heuristic, broadcast })), ...MATMUL_CANDIDATES.cpu];

/** What a tuner tries instead of the heuristic's schedule: legal, at most 60, those that differ in the fewest fields first. */
export const candidatesFor = (heuristic: KernelSchedule, adapter: Adapter): readonly KernelSchedule[] => {
  const { family, schedule } = heuristic, all = family === 'matmul' ? matmulCandidates(schedule, adapter) : combinations<object>(schedule, RANGES[family]);
  return all.map((made) => ({ family, schedule: made }) as KernelSchedule) // the same record with other values
    .filter((candidate) => text(candidate.schedule) !== text(schedule) && whyIllegal(candidate, adapter) === undefined)
    .map((candidate, i) => ({ candidate, i, far: differences(candidate.schedule, schedule) })).sort((a, b) => a.far - b.far || a.i - b.i)
    .slice(0, MOST_CANDIDATES).map(({ candidate }) => candidate);
};

/** The schedule that a class of adapter gives to a whole program, with another one for the kernels of one family. */
export const withSchedule = (whole: Schedule, { family, schedule }: KernelSchedule): Schedule => {
  switch (family) {
    case 'matmul': return { ...whole, matmul: schedule, smallMatmul: { below: 0, matmul: schedule } };
    // who reduces a row was measured for its length
    case 'row': return { ...whole, row: schedule, cooperativeFrom: 0 };
    case 'elementwise': return { ...whole, elementwise: schedule.workgroup };
    case 'stream': return { ...whole, stream: schedule };
  }
};

/** A schedule in a few words: `8x4 tile, depth 4, workgroup 8x8`. */
export const showSchedule = ({ family, schedule }: KernelSchedule): string => {
  switch (family) {
    case 'matmul': {
      const { rows, columns, depth, workgroup, staging, blockDepth, broadcast } = schedule;
      if (broadcast !== undefined) return `tile ${broadcast.rows}x${broadcast.columns}, depth ${depth}, rows shared in subgroups, workgroup ${broadcast.threads}`;
      return [`tile ${rows}x${columns}`, `depth ${depth}`, `workgroup ${workgroup.join('x')}`, ...(staging === 'none' ? [] : [`blocks ${blockDepth} deep in workgroup memory`])].join(', ');
    }
    case 'row': return `${schedule.by === 'thread' ? 'a thread' : 'a workgroup'} for each row, workgroup ${schedule.workgroup}`;
    case 'elementwise': return `workgroup ${schedule.workgroup}`;
    case 'stream': return `${schedule.staging === 'workgroup' ? 'staged' : 'unstaged'}, ${schedule.rows} rows, ${schedule.keys} keys`;
  }
};
