/**
 * Tuning tables: for an adapter and a kernel's key, the schedule that was measured to be faster there than the heuristic's.
 *
 * A table is plain JSON that comes from files, so it is checked completely: what is unknown is refused as a whole, and what an adapter
 * cannot run is left out with the reason. Tables are asked in order; where none has the key, the heuristic chooses.
 */
import * as E from 'fp-ts/Either';
import type { Profile } from '../profile.ts';
import { familyOf, type KernelKey } from './key.ts';
import { fieldMistakes, type KernelSchedule, whyIllegal } from './schedules.ts';

/**
 * Grows when kernels of the same schedule become other kernels: what was measured before then counts no more.
 */
export const KERNELS_VERSION = 1;

export interface TuningEntry {
  readonly schedule: KernelSchedule['schedule'];
  /** Medians of one run in which both took turns. */
  readonly microseconds: number;
  readonly heuristicMicroseconds: number;
  /** Day of the measurement: 2026-11-25. */
  readonly date: string;
  /** By which test it computes what the reference does. */
  readonly checked: 'exact';
}

export interface TuningTable {
  readonly format: 'pixnerd-tuning';
  readonly version: 1;
  /** By fingerprint of the adapter, then by key. */
  readonly adapters: Readonly<Record<string, Readonly<Record<KernelKey, TuningEntry>>>>;
}

export const EMPTY_TABLE: TuningTable = { format: 'pixnerd-tuning', version: 1, adapters: {} };

/** Which table a schedule comes from; `given` by the caller. */
export type TuningSource = 'shipped' | 'cache' | 'given';
export type Tuned = KernelSchedule & { readonly by: TuningSource };
/** For one adapter: what takes the heuristic's place. */
export type TunedSchedules = ReadonlyMap<KernelKey, Tuned>;

// ---- reading -----------------------------------------------------------------------------------------------------------------------

type Fields = Readonly<Record<string, unknown>>;
const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const unknownFields = (value: Fields, known: readonly string[]): readonly string[] =>
  Object.keys(value).filter((name) => !known.includes(name)).map((name) => `unknown field '${name}'; there are ${known.join(', ')}`);
const at = (place: string, problems: readonly string[]): readonly string[] => problems.map((problem) => `${place}: ${problem}`);

const ENTRY_FIELDS = ['schedule', 'microseconds', 'heuristicMicroseconds', 'date', 'checked'] as const satisfies readonly (keyof TuningEntry)[];
const isTime = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value > 0;

const entryMistakes = (key: string, entry: unknown): readonly string[] => {
  const family = familyOf(key);
  if (family === undefined) return [`no kernel has the key '${key}'; one begins with its family, such as 'matmul 512x3456x1152 f32'`];
  if (!isRecord(entry)) return ['an entry must be a record'];
  return [
    ...unknownFields(entry, ENTRY_FIELDS),
    ...at('schedule', fieldMistakes(family, entry['schedule'])),
    ...(['microseconds', 'heuristicMicroseconds'] as const).filter((name) => !isTime(entry[name])).map((name) => `'${name}' must be a time above 0`),
    ...(typeof entry['date'] === 'string' && /^\d{4}-\d\d-\d\d$/.test(entry['date']) ? [] : ["'date' must be a day, such as 2026-11-25"]),
    ...(entry['checked'] === 'exact' ? [] : ["'checked' must be \"exact\": only what passed the exact tests is used"]),
  ];
};

const tableMistakes = (value: unknown): readonly string[] => {
  if (!isRecord(value) || value['format'] !== 'pixnerd-tuning') return ['this is no tuning table: its "format" must be "pixnerd-tuning"'];
  if (value['version'] !== 1) return [`version ${JSON.stringify(value['version'])} of the format is not known here; 1 is`];
  const { adapters } = value;
  if (!isRecord(adapters)) return ["'adapters' must be a record of entries by adapter"];
  return [
    ...unknownFields(value, ['format', 'version', 'adapters']),
    ...Object.entries(adapters).flatMap(([adapter, entries]) => at(`adapters['${adapter}']`, !isRecord(entries) ? ['must be a record of entries by key']
      : Object.entries(entries).flatMap(([key, entry]) => at(`'${key}'`, entryMistakes(key, entry))))),
  ];
};

/** A table from its JSON value, or all that is wrong with it. */
export const readTable = (value: unknown): E.Either<readonly string[], TuningTable> => {
  const problems = tableMistakes(value);
  return problems.length > 0 ? E.left(problems) : E.right(value as TuningTable); // every field was looked at
};

/** The same from text. */
export const parseTable = (text: string): E.Either<readonly string[], TuningTable> => {
  try {
    return readTable(JSON.parse(text));
  } catch (thrown) {
    return E.left([`this is no JSON: ${thrown instanceof Error ? thrown.message : String(thrown)}`]);
  }
};

// ---- asking ------------------------------------------------------------------------------------------------------------------------

export interface AdapterTuning {
  readonly tuned: TunedSchedules;
  /** What the adapter cannot run, and why; the heuristic chooses there. */
  readonly refused: readonly string[];
}

/** What the tables have for an adapter; the first one that has a key is taken. */
export const schedulesFor = (tables: readonly { readonly by: TuningSource; readonly table: TuningTable }[], adapter: string, profile: Pick<Profile, 'limits' | 'features'>): AdapterTuning => {
  const tuned = new Map<KernelKey, Tuned>(), refused: string[] = [];
  for (const { by, table } of tables) {
    for (const [key, { schedule }] of Object.entries(Object.hasOwn(table.adapters, adapter) ? table.adapters[adapter]! : {})) {
      if (tuned.has(key)) continue;
      const found = { family: familyOf(key), schedule, by } as Tuned; // `readTable` checked key and fields
      const illegal = whyIllegal(found, profile);
      if (illegal === undefined) tuned.set(key, found);
      else refused.push(`the ${by === 'cache' ? 'cached' : by} schedule of '${key}' is not used: ${illegal}`);
    }
  }
  return { tuned, refused };
};

/** A table with more entries for an adapter, which replace those of the same key. */
export const withEntries = (table: TuningTable, adapter: string, entries: Readonly<Record<KernelKey, TuningEntry>>): TuningTable => {
  const all = { ...(Object.hasOwn(table.adapters, adapter) ? table.adapters[adapter] : {}), ...entries };
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ...table, adapters: { ...table.adapters, [adapter]: sorted } };
};

/** A table as text, an entry a line, so that differences can be read. */
export const printTable = ({ format, version, adapters }: TuningTable): string => {
  const record = (entries: readonly (readonly [string, string])[], indent: string): string =>
    entries.length === 0 ? '{}' : `{\n${entries.map(([key, value]) => `${indent}  ${JSON.stringify(key)}: ${value}`).join(',\n')}\n${indent}}`;
  const each = Object.entries(adapters).map(([adapter, entries]) =>
    [adapter, record(Object.entries(entries).map(([key, entry]) => [key, JSON.stringify(entry)] as const), '    ')] as const);
  return `${record([['format', JSON.stringify(format)], ['version', String(version)], ['adapters', record(each, '  ')]], '')}\n`;
};
