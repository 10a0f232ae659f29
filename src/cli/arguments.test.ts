import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { flag, optional, parseArguments, repeated, required, withDefault } from './arguments.ts';
import { choice, interval, labels, number, positive, seed, shard, size, text } from './readers.ts';
import { editDistance, nearest } from './suggest.ts';

const COMMAND = {
  name: 'cut',
  summary: '',
  operands: { placeholder: 'FILE', least: 1, most: 2, help: '' },
  options: {
    steps: withDefault(positive, 25, ''),
    out: required(text('FILE'), ''),
    guidance: optional(number, ''),
    json: flag(''),
    kind: optional(choice('left', 'right'), ''),
  },
} as const;

const parsed = (...tokens: readonly string[]) => {
  const result = parseArguments(COMMAND, tokens);
  if (E.isLeft(result)) throw new Error(result.left.join('; '));
  return result.right;
};
const problems = (...tokens: readonly string[]): readonly string[] => {
  const result = parseArguments(COMMAND, tokens);
  return E.isLeft(result) ? result.left : [];
};

test('values in both spellings, flags, operands, defaults', () => {
  const { values, operands, given } = parsed('a', '--out=x=1', '--guidance', '-1.5', '--json', '--', '--b');
  expect(values).toEqual({ steps: 25, out: 'x=1', guidance: -1.5, json: true, kind: undefined });
  expect(operands).toEqual(['a', '--b']);
  expect([...given]).toEqual(['out', 'guidance', 'json']);
});

test('every mistake is named, the mistyped option with what was meant', () => {
  expect(problems('--stpes', '5', '--steps', '0', '--kind', 'lfet')).toEqual([
    'unknown option --stpes; did you mean --steps?',
    '--steps 0: use a whole number of at least 1',
    '--out is missing: it must be given',
    '--kind lfet: unknown; did you mean left?',
    'FILE is missing',
  ]);
  expect(problems('a', '--out', 'x', '--out', 'y')).toEqual(['--out is given twice']);
  expect(problems('a', '--out')).toEqual(['--out needs a value: --out FILE']);
  expect(problems('a', '--out', '--json')).toEqual(['--out needs a value: --out FILE']);
  expect(problems('a', '--out', 'x', '--json=yes')).toEqual(['--json takes no value']);
  expect(problems('a', 'b', 'c', '--out', 'x')).toEqual(['"c" is one argument too many']);
  expect(problems('a', '--out', 'x', '-o')[0]).toContain('unknown option');
});

test('suggestions', () => {
  expect(editDistance('stpes', 'steps')).toBe(1);
  expect(editDistance('', 'abc')).toBe(3);
  expect(nearest('stepps', ['steps', 'seed'])).toBe('steps');
  expect(nearest('check', ['checkpoint', 'class'])).toBe('checkpoint');
  expect(nearest('banana', ['steps', 'seed'])).toBeUndefined();
});

const read = <A>(reader: { readonly read: (value: string) => E.Either<string, A> }, value: string): A | string => {
  const result = reader.read(value);
  return E.isLeft(result) ? `refused: ${result.left}` : result.right;
};

test('readers take what they say, and nothing else', () => {
  expect(read(labels, '3,5')).toEqual([3, 5]);
  expect(read(labels, '0-2,7')).toEqual([0, 1, 2, 7]);
  expect(read(size, '32')).toEqual({ height: 32, width: 32 });
  expect(read(size, '48x32')).toEqual({ height: 48, width: 32 });
  expect(read(interval, '0.1,1')).toEqual([0.1, 1]);
  expect(read(shard, '2/8')).toEqual({ index: 2, count: 8 });
  expect(read(seed, '18446744073709551615')).toBe(2n ** 64n - 1n);
  for (const [reader, value] of [
    [labels, '3;5'],
    [labels, ''],
    [labels, '5-2'],
    [labels, '-1'],
    [size, '32x'],
    [size, '3.5'],
    [interval, '0.1'],
    [interval, '0,1,2'],
    [shard, '0/2'],
    [shard, '3/2'],
    [seed, '-1'],
    [seed, '18446744073709551616'],
    [positive, '1e3'],
    [number, 'NaN'],
    [number, ''],
    [number, '1,5'],
  ] as const)
    expect(read(reader as never, value), value).toMatch(/^refused: use /); // every reader has its own type
});

test('an option that may be given several times collects its values, each checked', () => {
  const command = { name: 'x', summary: '', options: { set: repeated(positive, ''), once: optional(positive, '') } } as const;
  expect(parseArguments(command, ['--set', '3', '--set=4'])).toMatchObject(E.right({ values: { set: [3, 4] } }));
  expect(parseArguments(command, [])).toMatchObject(E.right({ values: { set: [] } }));
  expect(parseArguments(command, ['--set', '0', '--set', '1', '--once', '1', '--once', '2'])).toEqual(E.left(['--once is given twice', '--set 0: use a whole number of at least 1']));
});
