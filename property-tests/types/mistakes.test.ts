/** The real model, with one mistake at a time: tsc must refuse each changed file with the message, and every unchanged one not at all. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorsByLine, runTsc } from './checker.ts';
import { MISTAKES } from './mistakes.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MODEL = join(ROOT, 'models/pixnerd');
const CACHE = join(ROOT, '.cache', `mistakes-${process.pid}`);
const CONFIG = { extends: '../../tsconfig.json', include: ['*.ts'], exclude: [] };

const original = (file: string): string => readFileSync(join(MODEL, file), 'utf8');

/** Writes the text of a model file two folders below the root; what it imports stays where it is. */
const place = (name: string, text: string): void => {
  const turned = text.replace(
    /from '(\.{1,2}\/(?:\.\.\/)?)/g,
    (_, up: string) => `from '../../${up === './' ? 'models/pixnerd/' : up === '../' ? 'models/' : ''}`,
  );
  writeFileSync(join(CACHE, name), turned);
};

let output = '';
beforeAll(() => {
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(join(CACHE, 'tsconfig.json'), JSON.stringify(CONFIG));
  for (const file of new Set(MISTAKES.map((mistake) => mistake.file))) place(`right-${file}`, original(file));
  for (const [i, { file, find, replace }] of MISTAKES.entries())
    place(
      `wrong-${i}.ts`,
      original(file).replace(find, () => replace),
    );
  output = runTsc(CACHE);
}, 60_000);
afterAll(() => rmSync(CACHE, { recursive: true, force: true }));

test('there are twenty mistakes at least, and without them nothing is refused', () => {
  expect(MISTAKES.length).toBeGreaterThanOrEqual(20);
  expect(output.split('\n').filter((line) => line.includes(': error ') && !line.includes('wrong-'))).toEqual([]);
});

test.each(MISTAKES.map((mistake, i) => ({ ...mistake, i })))('$name', ({ file, find, error, i }) => {
  expect(original(file).split(find).length - 1, `"${find}" must stand once in ${file}`).toBe(1);
  expect([...errorsByLine(output, `wrong-${i}.ts`).values()].join('\n')).toContain(error);
});
