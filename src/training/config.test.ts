/** Configurations: what is wrong is named with its path and what to do, overrides, comments, documentation. */
import { readFile } from 'node:fs/promises';
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { configDifferences, configHash, dataMistakes, fieldsOf, readConfig, type RunConfig, withOverrides } from './config.ts';
import { configTable, parseCommented } from './config-text.ts';
import { STARTING_POINTS, startingConfig, type StartingPointName } from './recipes.ts';
import { smallRun } from './test-run.ts';

const LEAST = { output: 'out', data: { path: 'images' } };

const problems = (given: unknown): readonly string[] => {
  const read = readConfig(given);
  return E.isLeft(read) ? read.left : [];
};
const right = <A>(result: E.Either<unknown, A>): A => {
  if (E.isLeft(result)) throw new Error(JSON.stringify(result.left));
  return result.right;
};

describe('what is wrong is named with its path', () => {
  const cases: readonly (readonly [what: string, given: object, message: string])[] = [
    ['a misspelt key', { ...LEAST, optimizer: { learningrate: 1e-3 } }, 'optimizer.learningrate: unknown key; did you mean optimizer.learningRate?'],
    ['a misspelt section', { ...LEAST, optimiser: {} }, 'optimiser: unknown key; did you mean optimizer?'],
    ['a key in the wrong place', { ...LEAST, learningRate: 1 }, 'learningRate: unknown key; did you mean optimizer.learningRate?'],
    ['a negative rate', { ...LEAST, optimizer: { learningRate: -1 } }, 'optimizer.learningRate: -1 is negative; use a number above 0'],
    ['a rate of nothing', { ...LEAST, optimizer: { learningRate: 0 } }, 'optimizer.learningRate: 0 is too small; use a number above 0'],
    ['a text for a number', { ...LEAST, optimizer: { learningRate: 'fast' } }, 'optimizer.learningRate: "fast" is no number; use a number above 0'],
    ['half a step', { ...LEAST, steps: 1.5 }, 'steps: 1.5 is not whole; use a whole number of at least 1'],
    ['a share above all', { ...LEAST, loss: { labelDrop: 2 } }, 'loss.labelDrop: 2 is too large; use a number of at least 0 and at most 1'],
    ['a word that is none', { ...LEAST, precision: 'mixd' }, 'precision: "mixd" is unknown; did you mean "mixed"?'],
    ['an amount that is none', { ...LEAST, budget: 'lots' }, 'budget: "lots" is no amount of memory; use an amount such as "4GiB", "500MB", or a number of bytes'],
    ['a section that is a number', { ...LEAST, model: 3 }, 'model: 3 is no object; use {"in_channels": ...}'],
    ['a patch that does not divide', { ...LEAST, model: { patch_size: 5 } }, 'data, model.patch_size: height 32 is not divisible by the patch size 5: try 30'],
    ['heads that do not divide', { ...LEAST, model: { num_groups: 3 } }, 'model: hidden_size 128 is not divisible by num_groups 3: change one of them'],
    ['parts that do not divide', { ...LEAST, accumulate: 10 }, 'accumulate: 10 parts do not divide a batch of 64; try 8'],
    ['no data', { output: 'out' }, 'data.path: is missing: where the images are: one folder for each class, the files of MNIST or Fashion-MNIST, or a pack'],
    ['warming up for ever', { ...LEAST, steps: 10, schedule: { warmup: 10 } }, 'schedule.warmup: 10 steps of warming up leave none of 10; use less'],
  ];
  test.each(cases)('%s', (_, given, message) => expect(problems(given)).toContain(message));

  test('all of them at once', () => expect(problems({ output: '', stpes: 3, data: { path: 'x', height: -4 }, optimizer: { beta1: 1 } })).toHaveLength(4));
  test('something that is no object', () => expect(problems([1])).toEqual(['[1] is no configuration; it is an object: {"output": ..., "data": {...}}']));
});

test('what is not given has its default', () => {
  const config = right(readConfig({ ...LEAST, budget: '1.5GiB' }));
  expect(config.optimizer).toMatchObject({ kind: 'adamw', learningRate: 1e-3 });
  expect(config.budget).toBe(1.5 * 2 ** 30);
  expect(right(readConfig(JSON.parse(JSON.stringify(config))))).toEqual(config);
});

describe('--set', () => {
  test('by path, numbers, words and texts', () => {
    const made = right(withOverrides(LEAST, ['optimizer.learningRate=3e-4', 'precision=mixed', 'clip=null', 'data.path=a=b']));
    expect(right(readConfig(made))).toMatchObject({ optimizer: { learningRate: 3e-4 }, precision: 'mixed', clip: null, data: { path: 'a=b' } });
  });
  test('what is wrong', () => {
    expect(withOverrides(LEAST, ['steps', 'optimizer.lerningRate=1', 'model=3'])).toEqual(E.left([
      '--set steps: use key=value, such as optimizer.learningRate=3e-4',
      '--set optimizer.lerningRate: unknown key; did you mean optimizer.learningRate?',
      expect.stringContaining('--set model=3: model has keys of its own; set one of them: model.in_channels,'),
    ]));
  });
});

test('data that contradict the configuration', () => {
  const config = right(readConfig(LEAST));
  const facts = { classes: ['cat', 'dog'], channels: 3, height: 32, width: 48, size: 20 };
  expect(dataMistakes(config, facts)).toEqual([
    'model.num_classes: 10, but images has 2 classes (cat, dog); set it to 2',
    'model.in_channels: 1, but the images of images have 3; set it to 3',
    'data.height, data.width: 32 x 32, but the images of images are 32 x 48',
    'batch: 64, but images has only 20 images; use 20 or less',
  ]);
});

test('differences say whether a run may go on with them, and the hash agrees', () => {
  const before = smallRun('out'), after: RunConfig = { ...before, steps: 7, seed: 5, optimizer: { ...before.optimizer, learningRate: 2 } };
  expect(configDifferences(before, after)).toEqual([
    { path: 'seed', before: '0', after: '5', isAllowed: false },
    { path: 'steps', before: String(before.steps), after: '7', isAllowed: true },
    { path: 'optimizer.learningRate', before: '0.001', after: '2', isAllowed: false },
  ]);
  expect(configHash({ ...before, steps: 7 })).toBe(configHash(before));
  expect(configHash(after)).not.toBe(configHash(before));
});

describe('JSON with comments', () => {
  test('comments and last commas', () => {
    const text = '{ // a\n "a": "http://x", /* b\n */ "b": [1, 2,], "c": "\\"// no", }';
    expect(right(parseCommented(text))).toEqual({ a: 'http://x', b: [1, 2], c: '"// no' });
  });
  test('a mistake has its place', () => expect(parseCommented('{\n  // one\n  "a" 1\n}')).toEqual(E.left(expect.stringContaining('this is no JSON: line 3, column 7:'))));
  test('a file that ends early', () => expect(parseCommented('{ "a": 1')).toEqual(E.left(expect.stringContaining('line 1, column 9'))));
  test('a key that stands twice', () => expect(parseCommented('{"a": 1, "a": 2}')).toEqual(E.left('the key "a" stands twice in one object; which one is meant?')));
});

describe.each(Object.keys(STARTING_POINTS) as StartingPointName[])('the starting point %s', (name) => {
  test('is a configuration without mistakes, with every key and what it means', () => {
    const text = startingConfig(name), value = right(parseCommented(text));
    expect(problems(value)).toEqual([]);
    for (const [path, { meaning }] of fieldsOf()) {
      expect(text).toContain(meaning);
      expect(path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], value), path).not.toBeUndefined();
    }
    for (const path of Object.keys(STARTING_POINTS[name].values)) expect(fieldsOf().map(([known]) => known)).toContain(path);
  });
});

test('docs/training.md shows the table of keys as it is', async () => {
  const file = new URL('../../docs/training.md', import.meta.url), text = await readFile(file, 'utf8');
  const made = text.replace(/(<!-- keys -->\n)[\s\S]*?(\n<!-- end of keys -->)/, (_, begin: string, end: string) => `${begin}\n${configTable()}\n${end}`);
  await expect(made).toMatchFileSnapshot('../../docs/training.md'); // `npx vitest run src/training/config.test.ts -u` renews it
});
