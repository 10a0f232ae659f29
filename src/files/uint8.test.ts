import { expect, test } from 'vitest';
import { openTensorFile } from './open.ts';
import { readFloat32 } from './tensor-file.ts';
import { opened } from './test-folder.ts';
import { fromUint8, toUint8 } from './uint8.ts';

const golden = 'property-tests/goldens/blocks/uint8.safetensors';

test('both directions are exactly the authors’', async () => {
  const file = opened(await openTensorFile(golden)());
  expect([...toUint8(await readFloat32(file, 'in.x'))]).toEqual([...(await file.readBytes('out.u8'))]);
  expect([...fromUint8(await file.readBytes('in.u8'))]).toEqual([...(await readFloat32(file, 'out.x'))]);
  await file.close();
});

test('every byte survives the way there and back', () => {
  const all = Uint8Array.from({ length: 256 }, (_, value) => value);
  expect(toUint8(fromUint8(all))).toEqual(all);
});

test('values outside [-1, 1] are clipped, NaN is 0', () => {
  expect([...toUint8(Float32Array.of(-3, 7, NaN, -Infinity, Infinity))]).toEqual([0, 255, 0, 0, 255]);
});
