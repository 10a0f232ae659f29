/** Every wrong program in `property-tests/wrong` is refused where it says, with the message that it says, and nowhere else. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { errorsByLine, runTsc } from './checker.ts';

const FOLDER = fileURLToPath(new URL('../wrong/', import.meta.url));
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.ts'));
const MARK = /^\s*\/\/ error: (.*)$/;

/** Line of the program (from 1) to the message expected there: the first line below the mark. */
const expectedIn = (file: string): ReadonlyMap<number, string> =>
  new Map(
    readFileSync(FOLDER + file, 'utf8')
      .split('\n')
      .flatMap((line, i) => {
        const message = MARK.exec(line)?.[1];
        return message === undefined ? [] : [[i + 2, message] as const];
      }),
  );

describe('wrong programs', () => {
  const output = runTsc(FOLDER);
  test.each(FILES)('%s', (file) => {
    const errors = errorsByLine(output, `/${file}`);
    const expected = expectedIn(file);
    expect(expected.size).toBeGreaterThan(0);
    expect([...errors.keys()]).toEqual([...expected.keys()]);
    for (const [line, message] of expected) expect(errors.get(line), `${file}:${line}`).toContain(message);
  });
  test('nothing else in the project is refused with them', () => {
    const files = [...output.matchAll(/^(\S+?)\(\d+,\d+\): error/gm)].map(([, path]) => path!.split('/').at(-1)!);
    expect(files.filter((file) => !FILES.includes(file))).toEqual([]);
  });
});
