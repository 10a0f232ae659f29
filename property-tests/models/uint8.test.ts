import { expect, test } from 'vitest';
import { fromBytes, toBytes } from '../../models/pixels/uint8.ts';
import { disagreement, readGolden, tensorOf } from './golden.ts';

const golden = readGolden('blocks/uint8');

test('to bytes and back, bit for bit', () => {
  expect(disagreement(golden, 'out.u8', toBytes(tensorOf(golden, 'in.x').data))).toBeUndefined();
  expect(disagreement(golden, 'out.x', fromBytes(tensorOf(golden, 'in.u8').data))).toBeUndefined();
});

test('every byte survives the round trip, and what is out of range is clipped', () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  expect([...toBytes(fromBytes(bytes))]).toEqual(bytes);
  expect([...toBytes([-7, 7, -Infinity, Infinity, NaN])]).toEqual([0, 255, 0, 255, 0]);
});
