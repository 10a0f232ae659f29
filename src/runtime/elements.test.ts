import { expect, test } from 'vitest';
import { dataProblem, decode, encode, fromBase64, fromHalf, toHalf } from './elements.ts';

test('every half survives the way to a number and back', () => {
  for (let half = 0; half < 65536; half++) {
    const value = fromHalf(half);
    if (Number.isNaN(value)) expect(fromHalf(toHalf(value))).toBeNaN();
    else if (toHalf(value) !== half) throw new Error(`${half} became ${toHalf(value)}`);
  }
});

test('a number goes to the nearest half, ties to even', () => {
  for (let half = 0; half < 0x7bff; half++) {
    const [low, high] = [fromHalf(half), fromHalf(half + 1)];
    const middle = (low + high) / 2; // exact in f32
    const even = half % 2 === 0 ? half : half + 1;
    if (toHalf(middle) !== even || toHalf(-middle) !== (even | 0x8000)) throw new Error(`the tie above ${low}`);
    if (toHalf(low + (high - low) * 0.49) !== half || toHalf(low + (high - low) * 0.51) !== half + 1) throw new Error(`near ${middle}`);
  }
  expect(fromHalf(toHalf(65519))).toBe(65504);
  expect(fromHalf(toHalf(65520))).toBe(Infinity);
  expect(fromHalf(toHalf(1e30))).toBe(Infinity);
  expect(Object.is(fromHalf(toHalf(-1e-30)), -0)).toBe(true);
});

test('an odd number of halves is padded to words, and views keep their place', () => {
  const data = Float32Array.of(9, 1, 2, 3, 9).subarray(1, 4);
  const bytes = encode('f16', data);
  expect(bytes.length).toBe(8);
  expect(decode('f16', 3, bytes.slice().buffer)).toEqual(Float32Array.of(1, 2, 3));
  expect(encode('f32', data)).toEqual(new Uint8Array(Float32Array.of(1, 2, 3).buffer));
});

test('raw halves pass as they are', () => {
  expect(decode('f16', 2, encode('f16', Uint16Array.of(0x3c00, 0xc000)).slice().buffer)).toEqual(Float32Array.of(1, -2));
});

test('the wrong count or kind of array is told', () => {
  expect(dataProblem('f32', [2, 3], new Float32Array(6))).toBeUndefined();
  expect(dataProblem('f32', [], new Float32Array(1))).toBeUndefined();
  expect(dataProblem('f32', [2, 3], new Float32Array(5))).toBe('5 elements given, [2, 3] has 6');
  expect(dataProblem('i32', [1], new Uint32Array(1))).toBe('a i32 tensor is given as Int32Array, not as Uint32Array');
});

test('base64 is padded to words', () => {
  expect(fromBase64('AQIDBAU=')).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 0, 0, 0));
});
