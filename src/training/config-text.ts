/** Configurations as text: JSON with comments in, a commented starting point and the table of the documentation out. */
import * as E from 'fp-ts/Either';
import { repeatedKey } from '../files/json-keys.ts';
import { fieldsOf, RUN_TABLE } from './config.ts';
import { type Field, isSection, type Section } from './fields.ts';

/** Comments and commas before a closing bracket become spaces, so that places in messages stay right. */
export const withoutComments = (text: string): string => {
  const blank = (part: string): string => part.replace(/[^\n]/g, ' ');
  const bare = text.replace(/"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) => (part.startsWith('"') ? part : blank(part)));
  return bare.replace(/"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])/g, (part) => (part === ',' ? ' ' : part));
};

/** `line 3, column 7` of a position in a text. */
const placeOf = (text: string, position: number): string => {
  const before = text.slice(0, position).split('\n');
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`; // a split has one part at least
};

/** The place of a fault, from the message of JSON.parse; V8 gives it in several forms, sometimes not at all. */
const placeIn = (text: string, message: string): string | undefined => {
  const [, position] = /at position (\d+)/.exec(message) ?? [];
  if (position !== undefined) return placeOf(text, Number(position));
  return /end of JSON/.test(message) ? placeOf(text, text.length) : undefined;
};

/** The value of JSON in which `//` and block comments may stand. */
export const parseCommented = (text: string): E.Either<string, unknown> => {
  const bare = withoutComments(text);
  try {
    const value: unknown = JSON.parse(bare);
    const twice = repeatedKey(bare);
    return twice === undefined ? E.right(value) : E.left(`the key ${JSON.stringify(twice)} stands twice in one object; which one is meant?`);
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const place = placeIn(bare, message);
    return E.left(`this is no JSON${place === undefined ? '' : `: ${place}`}: ${message.replace(/ \(line \d+ column \d+\)$/, '').replace(/ in JSON at position \d+$/, '')}`);
  }
};

/** Values that a starting point gives, by path; every other key has its default. */
export type Recipe = Readonly<Record<string, unknown>>;

const WIDTH = 40;

/** What goes without saying is not said. */
const EXPECTED_ANYWAY = /^(a (whole )?number( of at least [01])?|folder|path|true or false)$/;

const aboutField = ({ meaning, unit, expected }: Field<unknown>): string =>
  `${meaning}${unit === undefined || meaning.includes(unit) ? '' : ` (${unit})`}${EXPECTED_ANYWAY.test(expected) ? '' : `. ${expected[0]!.toUpperCase()}${expected.slice(1)}`}`; // expectations are texts

const line = (indent: string, key: string, value: unknown, field: Field<unknown>, isLast: boolean): string =>
  `${`${indent}${JSON.stringify(key)}: ${JSON.stringify(value)}${isLast ? '' : ','}`.padEnd(WIDTH)} // ${aboutField(field)}`;

/** A configuration in which every key stands with what it means. */
export const commentedConfig = (recipe: Recipe, head: readonly string[]): string => {
  const valueAt = (path: string, { fallback }: Field<unknown>): unknown => (Object.hasOwn(recipe, path) ? recipe[path] : fallback?.value);
  const entries = Object.entries<Field<unknown> | Section>(RUN_TABLE);
  const blocks = entries.map(([key, entry], i) => {
    const isLast = i === entries.length - 1;
    if (!isSection(entry)) return line('  ', key, valueAt(key, entry), entry, isLast);
    const fields = Object.entries(entry.fields);
    const inner = fields.map(([name, field], j) => line('    ', name, valueAt(`${key}.${name}`, field), field, j === fields.length - 1));
    return [`\n  // ${entry.meaning}`, `  ${JSON.stringify(key)}: {`, ...inner, `  }${isLast ? '' : ','}`].join('\n');
  });
  return [...head.map((sentence) => `// ${sentence}`), '{', ...blocks, '}', ''].join('\n');
};

/** The keys as a table in Markdown: what docs/training.md shows. */
export const configTable = (): string => {
  const rows = fieldsOf().map(([path, { meaning, unit, expected, fallback, mayChange }]) =>
    `| \`${path}\` | ${meaning} | ${expected.replaceAll('"', '`')} | ${unit ?? ''} | ${fallback === undefined ? 'must be given' : `\`${JSON.stringify(fallback.value)}\``} | ${mayChange ? 'yes' : ''} |`);
  return ['| key | meaning | value | unit | default | may change on resume |', '| --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
};
