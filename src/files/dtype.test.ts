import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesOf } from './checkpoint-fixture.ts';
import { byteWidth, fileDTypes, isFileDType, toFloat32, toFloat64 } from './dtype.ts';
import type { FileDType } from './dtype.ts';

const bytes = (view: ArrayBufferView): Uint8Array<ArrayBuffer> => new Uint8Array(bytesOf(view));
const read = (dtype: FileDType, view: ArrayBufferView): number[] => [...toFloat32(bytes(view), dtype)];

test('half precision: numbers, subnormals, infinities, NaN', () => {
  const codes = Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x8000, 0x7c00, 0xfc00, 0x7e01);
  const values = [1, -2, 0.333251953125, 65504, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, -0, Infinity, -Infinity, NaN];
  expect(read('F16', codes)).toEqual(values);
});

test('bfloat16 is the upper half of f32', () => {
  expect(read('BF16', Uint16Array.of(0x3f80, 0xc049, 0x0001, 0x8000, 0x7f80, 0x7fc0))).toEqual([1, -3.140625, 2 ** -133, -0, Infinity, NaN]);
});

test('the two formats of 8 bits', () => {
  expect(read('F8_E4M3', Uint8Array.of(0x38, 0x7e, 0x7f, 0xff, 0x08, 0x01, 0xc0))).toEqual([1, 448, NaN, NaN, 2 ** -6, 2 ** -9, -2]);
  expect(read('F8_E5M2', Uint8Array.of(0x3c, 0x7b, 0x7c, 0xfc, 0x7e, 0x01))).toEqual([1, 57344, Infinity, -Infinity, NaN, 2 ** -16]);
});

test('integers and truth values', () => {
  expect(read('I64', BigInt64Array.of(-1n, 2n ** 40n))).toEqual([-1, 2 ** 40]);
  expect(read('U64', BigUint64Array.of(2n ** 63n))).toEqual([2 ** 63]);
  expect(read('I32', Int32Array.of(-5))).toEqual([-5]);
  expect(read('U32', Uint32Array.of(2 ** 32 - 256))).toEqual([2 ** 32 - 256]);
  expect(read('I16', Int16Array.of(-300))).toEqual([-300]);
  expect(read('U16', Uint16Array.of(65535))).toEqual([65535]);
  expect(read('I8', Int8Array.of(-128))).toEqual([-128]);
  expect(read('U8', Uint8Array.of(200))).toEqual([200]);
  expect(read('BOOL', Uint8Array.of(0, 1, 255))).toEqual([0, 1, 1]);
});

test('f64 keeps its digits where asked, and is rounded once to f32', () => {
  expect([...toFloat64(bytes(Float64Array.of(Math.PI)), 'F64')]).toEqual([Math.PI]);
  expect(read('F64', Float64Array.of(Math.PI, 1e300))).toEqual([Math.fround(Math.PI), Infinity]);
});

test('data that starts at an odd byte is read all the same', () => {
  const odd = new Uint8Array(9);
  odd.set(bytes(Float32Array.of(1.5, -2)), 1);
  expect([...toFloat32(odd.subarray(1), 'F32')]).toEqual([1.5, -2]);
});

test('f32 passes every bit through, NaN payloads aside', () => {
  fc.assert(
    fc.property(fc.float32Array({ noNaN: true }), (values) => {
      expect(read('F32', values)).toEqual([...values]);
    }),
  );
});

test('every format has a width and converts whole elements', () => {
  for (const dtype of fileDTypes.filter(isFileDType)) expect(toFloat64(new Uint8Array(byteWidth(dtype) * 3), dtype)).toEqual(new Float64Array(3));
});
