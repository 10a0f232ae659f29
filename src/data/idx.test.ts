/** IDX files, the true ones and hostile ones. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { attempt } from '../files/errors.ts';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import type { DataOptions } from './dataset.ts';
import { FASHION_CLASSES } from './fashion.ts';
import { encodeIdx, parseIdx } from './idx.ts';
import { openDataset } from './open.ts';
import { FASHION_FIXTURE, writeFiles } from './test-images.ts';

const header = (type: number, ...shape: readonly number[]): Uint8Array => {
  const bytes = new Uint8Array(4 + 4 * shape.length), view = new DataView(bytes.buffer);
  bytes.set([0, 0, type, shape.length]);
  for (const [i, length] of shape.entries()) view.setUint32(4 + 4 * i, length);
  return bytes;
};
const joined = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);
const parse = (bytes: Uint8Array, axes: number) => attempt('f', () => parseIdx('f', bytes, axes))();

describe('hostile and damaged files', () => {
  const body = new Uint8Array(12);
  test.each([
    ['too short for anything', new Uint8Array(3), 3, 'truncated', '3 bytes are no IDX file'],
    ['another format', joined(new Uint8Array([0x50, 0x4b, 3, 4]), body), 3, 'corrupt', 'does not begin with two zero bytes'],
    ['floats', joined(header(0x0d, 3), body), 1, 'unsupported', 'float32'],
    ['an unknown type', joined(header(0x77, 12), body), 1, 'unsupported', '0x77'],
    ['labels for images', joined(header(8, 12), body), 3, 'mismatch', '1 axes, not 3: images are needed here; are images and labels exchanged?'],
    ['255 axes', joined(Uint8Array.of(0, 0, 8, 255), body), 3, 'mismatch', '255 axes'],
    ['an end within the header', header(8, 3, 2, 2).subarray(0, 12), 3, 'truncated', 'within its header'],
    ['more announced than there', joined(header(8, 4, 2, 2), body), 3, 'truncated', '4 x 2 x 2 = 16 bytes, but only 12 are there'],
    ['2^96 bytes announced', joined(header(8, 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1), body), 3, 'truncated', 'but only 12'],
    ['less announced than there', joined(header(8, 2, 2, 2), body), 3, 'corrupt', '8 bytes, but 12'],
    ['half a gzip', gzipSync(joined(header(8, 3, 2, 2), body)).subarray(0, 20), 3, 'truncated', 'ends too early'],
    ['a damaged gzip', joined(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3), new Uint8Array(30).fill(0xff)), 3, 'corrupt', 'gzip data is damaged'],
  ])('%s', async (_, bytes, axes, kind, message) => {
    const error = refused(await parse(bytes, axes));
    expect([error.kind, error.path]).toEqual([kind, 'f']);
    expect(error.message).toContain(message);
  });

  test('what is written is read again, packed and plain', async () => {
    const array = { shape: [3, 2, 2], data: Uint8Array.from({ length: 12 }, (_, i) => i * 20) }, packed = encodeIdx(array);
    for (const bytes of [packed, gunzipSync(packed)]) {
      const { shape, data } = opened(await parse(bytes, 3));
      expect([shape, [...data]]).toEqual([array.shape, [...array.data]]);
    }
  });
});

const images = (count: number, side = 2): Uint8Array => encodeIdx({ shape: [count, side, side], data: Uint8Array.from({ length: count * side * side }, (_, i) => i + 1) });
const labels = (...values: readonly number[]): Uint8Array => encodeIdx({ shape: [values.length], data: Uint8Array.from(values) });
const half = (count: number, ...values: readonly number[]) => ({ 'train-images-idx3-ubyte.gz': images(count), 'train-labels-idx1-ubyte.gz': labels(...values) });

const open = (path: string, options: Partial<DataOptions> = {}) => openDataset({ path, ...options })();

describe('folders of them', () => {
  test('Fashion-MNIST: both halves, and the names of the classes', async () => {
    const [train, test_] = [opened(await open(FASHION_FIXTURE)), opened(await open(FASHION_FIXTURE, { split: 't10k' }))];
    expect(train).toMatchObject({ size: 200, classes: FASHION_CLASSES, channels: 1, height: 28, width: 28, notes: [] });
    expect(test_.size).toBe(50);
    const whole = gunzipSync(await readFile(join(FASHION_FIXTURE, 'train-images-idx3-ubyte.gz')));
    expect([...(await train.item(199)).pixels]).toEqual([...whole.subarray(-784)]);
    expect((await train.item(0)).label).toBe(9); // the first of the official training images is an ankle boot
  });

  test('padding puts the image in the middle of black, in as many channels as are wanted', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, half(2, 0, 1));
      const { item } = opened(await open(folder, { size: 4, channels: 3 }));
      const plane = [0, 0, 0, 0, 0, 5, 6, 0, 0, 7, 8, 0, 0, 0, 0, 0];
      expect([...(await item(1)).pixels]).toEqual([...plane, ...plane, ...plane]);
      expect([...(await opened(await open(folder, { size: { height: 3, width: 2 } })).item(0)).pixels]).toEqual([1, 2, 3, 4, 0, 0]);
    }));

  test('plain files, and names with dots', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'train-images.idx3-ubyte': gunzipSync(images(2)), 'train-labels.idx1-ubyte': gunzipSync(labels(1, 0)) });
      const dataset = opened(await open(folder, { kind: 'idx' }));
      expect(dataset.classes).toEqual(['0', '1']);
    }));

  const cases: readonly (readonly [string, Readonly<Record<string, Uint8Array | string>>, Partial<DataOptions>, string, string])[] = [
    ['more labels than images', half(2, 0, 1, 1), {}, 'mismatch', '3 labels do not match the 2 images of train-images-idx3-ubyte.gz'],
    ['fewer labels', half(3, 0, 1), {}, 'mismatch', '2 labels do not match the 3 images'],
    ['no labels', { 'train-images-idx3-ubyte.gz': images(2) }, {}, 'not-found', 'has no labels: train-labels-idx1-ubyte(.gz) is missing'],
    ['the other half only', half(2, 0, 1), { split: 't10k' }, 'not-found', 'there is no t10k-images-idx3-ubyte(.gz) in it'],
    ['a label beyond the classes', { ...half(3, 0, 5, 1), 'classes.json': '["a", "b"]' }, {}, 'mismatch', 'label 1 is 5, but there are 2 classes, 0 to 1'],
    ['a class with no image', half(3, 0, 2, 2), {}, 'empty', 'the class 1 has no image'],
    ['no images at all', half(0), {}, 'empty', 'it holds no images'],
    ['names that are none', { ...half(2, 0, 1), 'classes.json': '{"a": 1}' }, {}, 'corrupt', 'expected is a JSON list'],
    ['other classes than wanted', half(2, 0, 1), { classes: ['a', 'b'] }, '', ''],
    ['names other than wanted', { ...half(2, 0, 1), 'classes.json': '["a", "b"]' }, { classes: ['a', 'c'] }, 'mismatch', 'c missing; b unknown'],
    ['a smaller size', half(2, 0, 1), { size: 1 }, 'invalid-input', 'they are padded, never scaled, so the size cannot be 1 x 1'],
    ['images and labels exchanged', { 'train-images-idx3-ubyte.gz': labels(1, 0), 'train-labels-idx1-ubyte.gz': images(2) }, {}, 'mismatch', 'are images and labels exchanged?'],
  ];
  test.each(cases)('%s', (_, files, options, kind, message) =>
    inFolder(async (folder) => {
      await writeFiles(folder, files);
      const result = await open(folder, options);
      if (kind === '') return expect(opened(result).classes).toEqual(options.classes); // names for files that have none
      expect(refused(result).kind).toBe(kind);
      expect(refused(result).message).toContain(message);
    }));
});
