/** Readers of option values: from text to a checked value, or to what is wrong with it. */
import * as E from 'fp-ts/Either';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import type { Reader } from './arguments.ts';
import { suggestion } from './suggest.ts';

const reader = <A>(placeholder: string, expected: string, read: (text: string) => A | undefined): Reader<A> => ({
  placeholder,
  read: (text) => {
    const value = read(text.trim());
    return value === undefined ? E.left(`use ${expected}`) : E.right(value);
  },
});

const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const toNumber = (text: string): number | undefined => (decimal.test(text) ? Number(text) : undefined);
const toWhole = (text: string): number | undefined => (/^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined);

export const number: Reader<number> = reader('X', 'a number, such as 3.5', toNumber);
/** A whole number of any sign; what range makes sense is checked by who uses it. */
export const whole: Reader<number> = reader('N', 'a whole number', toWhole);
export const positive: Reader<number> = reader('N', 'a whole number of at least 1', (text) => {
  const value = toWhole(text);
  return value !== undefined && value >= 1 ? value : undefined;
});

/** A part of a whole: 0.01 for one in a hundred. */
export const share: Reader<number> = reader('S', 'a number above 0 and at most 1, such as 0.01', (text) => {
  const value = toNumber(text);
  return value !== undefined && value > 0 && value <= 1 ? value : undefined;
});

export const positiveNumber: Reader<number> = reader('X', 'a number above 0, such as 200', (text) => {
  const value = toNumber(text);
  return value !== undefined && value > 0 && Number.isFinite(value) ? value : undefined;
});

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600 };
/** A time with its unit, in milliseconds: 90s, 5min. */
export const duration: Reader<number> = reader('60s', 'a time above 0 with its unit, such as 500ms, 90s or 5min', (text) => {
  const [, count = '', unit = ''] = /^([\d.]+)\s*(ms|s|m|min|h)$/.exec(text) ?? [];
  const value = toNumber(count);
  return value !== undefined && value > 0 ? 1000 * value * SECONDS[unit]! : undefined; // the pattern has these units only
});

/** Any 64-bit seed. */
export const seed: Reader<bigint> = reader('N', 'a whole number from 0 to 18446744073709551615', (text) =>
  /^\d+$/.test(text) && BigInt(text) < 2n ** 64n ? BigInt(text) : undefined,
);

/** A text that is used as it is, such as a path. */
export const text = (placeholder: string): Reader<string> => ({
  placeholder,
  read: (value) => (value === '' ? E.left('it is empty') : E.right(value)),
});

export const choice = <A extends string>(...known: readonly A[]): Reader<A> => ({
  placeholder: known.join('|'),
  read: (value) => {
    const found = known.find((candidate) => candidate === value);
    return found === undefined ? E.left(`unknown${suggestion(value, known)}`) : E.right(found);
  },
});

/** `3,5`, also with ranges: `0-9`. */
export const labels: Reader<readonly number[]> = reader('3,5', 'class numbers, such as 3,5 or 0-9', (value) => {
  const parts = value.split(',').map((part) => {
    const [, from, to] = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part) ?? [];
    if (from === undefined) return undefined;
    const [first, last] = [Number(from), Number(to ?? from)];
    return last < first || last - first > 1e6 ? undefined : Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return parts.some((part) => part === undefined) ? undefined : parts.flatMap((part) => part ?? []);
});

/** `32`, or `48x32`: height x width. */
export const size: Reader<ImageSize> = reader('32 or 48x32', 'one number (32), or height x width (48x32)', (value) => {
  const [, height, width] = /^(\d+)(?:x(\d+))?$/i.exec(value) ?? [];
  return height === undefined ? undefined : { height: Number(height), width: Number(width ?? height) };
});

/** `0.1,1`. Whether its ends are in order is the sampler's to say. */
export const interval: Reader<readonly [number, number]> = reader('0.1,1', 'two numbers, such as 0.1,1', (value) => {
  const [min, max, ...rest] = value.split(',').map((part) => toNumber(part.trim()));
  return min === undefined || max === undefined || rest.length > 0 ? undefined : [min, max];
});

export interface Shard {
  readonly index: number;
  readonly count: number;
}
/** `k/n`: part k of n, from 1 to n. */
export const shard: Reader<Shard> = reader('k/n', 'k/n with k from 1 to n, such as 2/8', (value) => {
  const [, index, count] = /^(\d+)\/(\d+)$/.exec(value) ?? [];
  const [k, n] = [Number(index), Number(count)];
  return index === undefined || k < 1 || k > n ? undefined : { index: k, count: n };
});
