/**
 * Keys of a configuration as data: a field says how its value is read, what it means and what stands in for it, and validation, the commented
 * starting point and the documentation all come from it.
 *
 * Invariant: a value that was read has its type, whatever the JSON held; what is wrong is a sentence that goes behind the key's path.
 */
import * as E from 'fp-ts/Either';
import { suggestion } from '../cli/suggest.ts';

export interface Field<A> {
  readonly meaning: string;
  /** What a number counts: steps, images. */
  readonly unit?: string;
  /** What is expected, for the documentation and behind `use`. */
  readonly expected: string;
  /** The value where the key is not given; absent where it must be. */
  readonly fallback?: { readonly value: A };
  /** Whether a run may be resumed with another value: it changes how the run is watched, not what it computes. */
  readonly mayChange: boolean;
  readonly read: (value: unknown) => E.Either<string, A>;
}

/** Keys that belong together, as one object of the JSON. */
export interface Section<F extends Fields = Fields> {
  readonly meaning: string;
  readonly fields: F;
}
export type Fields = Readonly<Record<string, Field<unknown>>>;
export type Table = Readonly<Record<string, Field<unknown> | Section>>;

/** The values of a table: what a validated configuration is. */
export type ValuesOf<T extends Table | Fields> = {
  readonly [K in keyof T]: T[K] extends Section<infer F> ? ValuesOf<F> : T[K] extends Field<infer A> ? A : never;
};

export const isSection = (entry: Field<unknown> | Section): entry is Section => 'fields' in entry;

export const section = <const F extends Fields>(meaning: string, fields: F): Section<F> => ({ meaning, fields });

/** What every field is made from, besides its kind. */
interface About<A> {
  readonly meaning: string;
  readonly unit?: string;
  readonly fallback?: A;
  readonly mayChange?: boolean;
}

const field = <A>({ meaning, unit, fallback, mayChange = false }: About<A>, expected: string, read: Field<A>['read']): Field<A> => ({
  meaning,
  expected,
  mayChange,
  read,
  ...(unit !== undefined && { unit }),
  ...(fallback !== undefined && { fallback: { value: fallback } }),
});

/** A value as it stood in the JSON, cut where it is long. */
export const showValue = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
};

interface Range {
  readonly least?: number;
  readonly above?: number;
  readonly most?: number;
  readonly below?: number;
}

const showRange = ({ least, above, most, below }: Range): string => {
  const low = least !== undefined ? `of at least ${least}` : above !== undefined ? `above ${above}` : undefined;
  const high = most !== undefined ? `at most ${most}` : below !== undefined ? `below ${below}` : undefined;
  return [low, high].flatMap((part) => part ?? []).map((part) => ` ${part}`).join(' and');
};

const outside = (value: number, { least = -Infinity, above = -Infinity, most = Infinity, below = Infinity }: Range): string | undefined =>
  value < least || value <= above ? (value < 0 && Math.max(least, above) >= 0 ? 'is negative' : 'is too small')
  : value > most || value >= below ? 'is too large'
  : undefined;

const readNumber = (value: unknown, range: Range, expected: string, isWhole: boolean): E.Either<string, number> => {
  if (typeof value !== 'number' || !Number.isFinite(value)) return E.left(`${showValue(value)} is no number; use ${expected}`);
  const fault = outside(value, range) ?? (isWhole && !Number.isSafeInteger(value) ? 'is not whole' : undefined);
  return fault === undefined ? E.right(value) : E.left(`${value} ${fault}; use ${expected}`);
};

export const number = (range: Range, about: About<number>): Field<number> => {
  const expected = `a number${showRange(range)}`;
  return field(about, expected, (value) => readNumber(value, range, expected, false));
};

export const whole = (range: Range, about: About<number>): Field<number> => {
  const expected = `a whole number${showRange(range)}`;
  return field(about, expected, (value) => readNumber(value, range, expected, true));
};

/** One of the words. */
export const choice = <const A extends string>(known: readonly A[], about: About<NoInfer<A>>): Field<A> =>
  field<A>(about, known.map((word) => JSON.stringify(word)).join(' or '), (value) => {
    const found = known.find((word) => word === value);
    if (found !== undefined) return E.right(found);
    return E.left(`${showValue(value)} is unknown${suggestion(typeof value === 'string' ? value : '', known, (word) => JSON.stringify(word))}`);
  });

export const truth = (about: About<boolean>): Field<boolean> =>
  field(about, 'true or false', (value) => (typeof value === 'boolean' ? E.right(value) : E.left(`${showValue(value)} is neither true nor false`)));

/** A text that is not empty: a path, a name. */
export const text = (expected: string, about: About<string>): Field<string> =>
  field(about, expected, (value) => (typeof value === 'string' && value !== '' ? E.right(value) : E.left(`${showValue(value)} is no ${expected}`)));

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };

/** `4GiB`, `500 MB`, or a number of bytes. */
export const bytes = (about: About<number>): Field<number> => {
  const expected = 'an amount such as "4GiB", "500MB", or a number of bytes';
  return field(about, expected, (value) => {
    const [, count = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b)?\s*$/i.exec(typeof value === 'number' ? String(value) : typeof value === 'string' ? value : '') ?? [];
    const factor = UNITS[unit.toUpperCase()];
    return count === '' || factor === undefined || Number(count) === 0 ? E.left(`${showValue(value)} is no amount of memory; use ${expected}`) : E.right(Math.floor(Number(count) * factor));
  });
};

/** The field, or null where there is to be none; null where it is not given. */
export const orNone = <A>(inner: Field<A>, fallback: A | null = null): Field<A | null> => ({
  ...inner,
  expected: `${inner.expected}, or null for none`,
  fallback: { value: fallback },
  read: (value) => (value === null ? E.right(null) : inner.read(value)),
});
