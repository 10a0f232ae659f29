import { expect, test } from 'vitest';
import { inFolder } from '../files/test-folder.ts';
import { makeClock, makeProgress } from './progress.ts';
import { enlarged } from '../files/picture.ts';
import { outputMistakes, sheetColumns } from './render.ts';

test('a sheet is nearly square and leaves few cells empty', () => {
  expect([1, 2, 4, 5, 9, 10, 16, 20, 64].map(sheetColumns)).toEqual([1, 2, 2, 3, 3, 5, 4, 5, 8]);
});

test('enlarging keeps every pixel', () => {
  const picture = { width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  expect(enlarged(picture, 1)).toBe(picture);
  expect(enlarged(picture, 2)).toEqual({
    width: 4,
    height: 2,
    channels: 3,
    data: Uint8Array.of(1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6),
  });
});

test('outputs with mistakes are refused before any work', () =>
  inFolder(async (folder) => {
    const size = { height: 256, width: 256 };
    const mistakes = (outputs: object, channels = 3, count = 4) =>
      outputMistakes({ png: undefined, gif: undefined, npz: undefined, scale: 1, ...outputs }, channels, size, count);
    expect(await mistakes({ png: `${folder}/a.png`, npz: `${folder}/a.npz` })).toEqual([]);
    expect(await mistakes({})).toEqual([expect.stringContaining('no output')]);
    expect(await mistakes({ png: `${folder}/a.png` }, 3, 50_000)).toEqual([expect.stringContaining('use --npz')]);
    expect(await mistakes({ png: `${folder}/a.png` }, 4)).toEqual([expect.stringContaining('this model has 4')]);
    expect(await mistakes({ npz: `${folder}/a.npz` }, 4, 50_000)).toEqual([]);
    expect(await mistakes({ png: `${folder}/a.png`, gif: `${folder}/./a.png` })).toEqual([
      expect.stringContaining('.gif'),
      'two outputs have the same name',
    ]);
  }));

test('the time left follows from the pace since the first call', () => {
  let now = 0;
  const clock = makeClock(() => now);
  expect(clock(10, 20)).toBe('?');
  now = 4000;
  expect(clock(12, 20)).toBe('16 s');
  now = 5000;
  expect(clock(12, 120)).toBe('4 min 30 s');
});

test('without a terminal the end is a line, and what is between comes now and then', () => {
  const notes: string[] = [];
  const { update } = makeProgress('sampling', {
    note: (line) => notes.push(line),
    out: () => undefined,
    isInteractive: false,
    signal: new AbortController().signal,
  });
  for (let done = 0; done <= 1000; done++) update(done, 1000);
  expect(notes).toEqual(['sampling 1000/1000']);
});
