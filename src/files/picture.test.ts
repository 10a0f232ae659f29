import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { contactSheet, interleave, pictureOf } from './picture.ts';
import type { Picture } from './picture.ts';
import { encodePng } from './png.ts';

const grey = (value: number, width = 2, height = 1): Picture => ({ width, height, channels: 1, data: new Uint8Array(width * height).fill(value) });

test('channel planes become pixels', () => {
  expect([...interleave(Uint8Array.of(1, 2, 3, 4, 5, 6), 3, 2)]).toEqual([1, 3, 5, 2, 4, 6]);
  const picture = pictureOf(Float32Array.of(-1, 1, 0, 0, 1, -1), 3, 1, 2);
  expect([...picture.data]).toEqual([0, 128, 255, 255, 128, 0]);
});

test('a sheet puts pictures in rows with padding around them', () => {
  const sheet = contactSheet([grey(1), grey(2), grey(3)], { columns: 2, padding: 1, background: 9 });
  expect([sheet.width, sheet.height]).toEqual([7, 5]);
  expect([...sheet.data]).toEqual([
    9, 9, 9, 9, 9, 9, 9,
    9, 1, 1, 9, 2, 2, 9,
    9, 9, 9, 9, 9, 9, 9,
    9, 3, 3, 9, 9, 9, 9,
    9, 9, 9, 9, 9, 9, 9,
  ]); // prettier-ignore
});

test('a sheet of 16 is square by default, and never wider than its pictures', () => {
  const { width, height } = contactSheet(Array.from({ length: 16 }, () => grey(0, 3, 5)));
  expect([width, height]).toEqual([2 + 4 * 5, 2 + 4 * 7]);
  expect(contactSheet([grey(1)], { columns: 8, padding: 0 }).width).toBe(2);
});

test('pictures of different sizes have no common sheet', () => {
  expect(() => contactSheet([grey(1), grey(2, 3)])).toThrow('one size');
  expect(() => contactSheet([])).toThrow('at least one');
});

test.each([1, 3])('a PNG of %i channels holds exactly the pixels', (channels) => {
  const data = Uint8Array.from({ length: 7 * 5 * channels }, (_, i) => (i * 37) % 256);
  const decoded = decode(encodePng({ width: 7, height: 5, channels, data }));
  expect([decoded.width, decoded.height, decoded.channels]).toEqual([7, 5, channels]);
  expect(new Uint8Array(decoded.data)).toEqual(data);
});

test('a wrong length or number of channels is the caller’s bug', () => {
  expect(() => encodePng({ ...grey(1), data: new Uint8Array(3) })).toThrow('3 bytes are no picture of 1 x 2');
  expect(() => encodePng({ width: 1, height: 1, channels: 4, data: new Uint8Array(4) })).toThrow('1 or 3 channels');
});
