import { expect, test } from 'vitest';
import { fromUint8, toUint8 } from '../../models/pixels/uint8.ts';
import { disagreement, readGolden, tensorOf } from './golden.ts';

const golden = readGolden('blocks/uint8');

test('to bytes and back, bit for bit', () => {
  expect(disagreement(golden, 'out.u8', toUint8(tensorOf(golden, 'in.x').data))).toBeUndefined();
  expect(disagreement(golden, 'out.x', fromUint8(tensorOf(golden, 'in.u8').data))).toBeUndefined();
});

test('every byte survives the round trip, and what is out of range is clipped', () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  expect([...toUint8(fromUint8(bytes))]).toEqual(bytes);
  expect([...toUint8([-7, 7, -Infinity, Infinity, NaN])]).toEqual([0, 255, 0, 255, 0]);
});
