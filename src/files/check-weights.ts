/** Compares the tensors of a file with those that a model needs and reports all differences in one error. */
import * as E from 'fp-ts/Either';
import type { FileError, Mismatch } from './errors.ts';
import { showShape } from './tensor-file.ts';
import type { Weights } from './weights.ts';

type Shape = readonly number[];

// enough to see the pattern; the error carries the full lists
const shown = 12;

/** The weights where names, shapes and formats fit; else one 'mismatch' error that lists what is missing, extra, of another shape or no float. */
export const checkWeights = (weights: Weights, expected: ReadonlyMap<string, Shape>): E.Either<FileError, Weights> => {
  const mismatch = mismatchOf(weights, expected);
  const message = describeMismatch(mismatch);
  return message === '' ? E.right(weights) : E.left({ kind: 'mismatch', path: weights.path, message: `${headline(weights)}${message}`, mismatch });
};

const mismatchOf = (weights: Weights, expected: ReadonlyMap<string, Shape>): Mismatch => {
  const wrongShape: Mismatch['wrongShape'][number][] = [];
  const wrongDType: Mismatch['wrongDType'][number][] = [];
  for (const [name, want] of expected) {
    const info = weights.info(name);
    if (info === undefined) continue;
    if (!sameShape(info.shape, want)) wrongShape.push({ name, got: info.shape, want });
    if (!isFloat(info.dtype)) wrongDType.push({ name, got: info.dtype });
  }
  const missing = [...expected.keys()].filter((name) => weights.info(name) === undefined);
  return { missing, extra: weights.names().filter((name) => !expected.has(name)), wrongShape, wrongDType };
};

const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, axis) => size === b[axis]);

const isFloat = (dtype: string): boolean => /^B?F\d/.test(dtype);

const headline = ({ path, prefix }: Weights): string =>
  `${path}: the tensors do not fit the model${prefix === '' ? '' : ` (names after the prefix ${prefix})`}`;

const describeMismatch = ({ missing, extra, wrongShape, wrongDType }: Mismatch): string =>
  [
    listing('missing', missing),
    listing('not of this model', extra),
    listing('of another shape', wrongShape.map(({ name, got, want }) => `${name} is ${showShape(got)}, the model needs ${showShape(want)}`)),
    listing('not floating-point', wrongDType.map(({ name, got }) => `${name} is ${got}`)),
  ].join(''); // prettier-ignore

const listing = (title: string, lines: readonly string[]): string => {
  if (lines.length === 0) return '';
  const more = lines.length > shown ? [`... and ${lines.length - shown} more`] : [];
  return `\n  ${title} (${lines.length}):${[...lines.slice(0, shown), ...more].map((line) => `\n    ${line}`).join('')}`;
};
