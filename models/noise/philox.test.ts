import { expect, test } from 'vitest';
import { philox4x32 } from '../../dsl/scalar/philox.ts';
import { philoxNormals } from './philox.ts';

const ones = 0xffffffff;

test('the known answers of Random123', () => {
  expect(philox4x32([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  expect(philox4x32([ones, ones, ones, ones], [ones, ones])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  expect(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ]);
});

test('the normals have the moments of a standard normal', () => {
  const values = philoxNormals(1, 2, 3, 40000);
  const moment = (power: number): number => values.reduce((sum, x) => sum + x ** power, 0) / values.length;
  expect(Math.abs(moment(1))).toBeLessThan(0.02);
  expect(Math.abs(moment(2) - 1)).toBeLessThan(0.03);
  expect(Math.abs(moment(3))).toBeLessThan(0.06);
  expect(Math.abs(moment(4) - 3)).toBeLessThan(0.15);
});

test('a draw depends on seed, image and draw, each of them, and on nothing else', () => {
  const first = philoxNormals(5, 0, 0, 9);
  expect(philoxNormals(5, 0, 0, 12).slice(0, 9)).toEqual(first);
  const others = [philoxNormals(6, 0, 0, 9), philoxNormals(5, 1, 0, 9), philoxNormals(5, 0, 1, 9), philoxNormals(5n + 2n ** 40n, 0, 0, 9)];
  for (const other of others) expect(other).not.toEqual(first);
});
