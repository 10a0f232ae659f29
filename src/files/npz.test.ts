import { join } from 'node:path';
import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { crc32 } from './crc32.ts';
import { openFile } from './node-file.ts';
import { npyHeader, npzPieces } from './npz.ts';
import type { RandomAccess } from './random-access.ts';
import { inFolder, opened, refused } from './test-folder.ts';
import { writeNpz } from './write.ts';
import { entryDataStart, readZipDirectory, readZipEntry } from './zip.ts';

const image = (i: number): Uint8Array => Uint8Array.from({ length: 12 }, (_, j) => i * 12 + j);

/** The checksum that the file's directory gives for its only entry. */
const storedCrc = async (file: RandomAccess): Promise<number> => {
  const tail = await file.read(file.size - 22 - 46 - 9, 46);
  return new DataView(tail.buffer).getUint32(16, true);
};

test('the checksum is the usual one, in one piece or several', () => {
  const digits = new TextEncoder().encode('123456789');
  expect(crc32(digits)).toBe(0xcbf43926);
  expect(crc32(digits.subarray(4), crc32(digits.subarray(0, 4)))).toBe(0xcbf43926);
});

test('the header is NumPy’s, a multiple of 64 long', () => {
  for (const shape of [[1, 1, 1, 1], [50000, 256, 256, 3], [3], []]) {
    const header = npyHeader(shape);
    expect(header.length % 64).toBe(0);
    expect([...header.subarray(0, 8)]).toEqual([0x93, ...new TextEncoder().encode('NUMPY'), 1, 0]);
    expect(new DataView(header.buffer).getUint16(8, true)).toBe(header.length - 10);
    expect(new TextDecoder().decode(header.subarray(10))).toMatch(/^\{'descr': '\|u1', 'fortran_order': False, 'shape': \([\d, ]*\), \} *\n$/);
  }
  expect(new TextDecoder().decode(npyHeader([3]))).toContain(`'shape': (3,), }`);
  expect(new TextDecoder().decode(npyHeader([2, 3, 4, 1]))).toContain(`'shape': (2, 3, 4, 1), }`);
});

test('the zip holds one stored entry with header, pixels and checksum', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'x.npz');
    const shape = { count: 5, height: 2, width: 2, channels: 3 };
    // single images and several at once may be mixed
    const images = [image(0), Uint8Array.of(...image(1), ...image(2)), image(3), image(4)];
    const size = opened(await writeNpz(path, shape, images)());
    const file = await openFile(path);
    const entries = await readZipDirectory(file);
    expect([file.size, [...entries.keys()]]).toEqual([size, ['arr_0.npy']]);
    const array = await readZipEntry(file, entries.get('arr_0.npy')!);
    expect(array.subarray(0, -60)).toEqual(npyHeader([5, 2, 2, 3]));
    expect([...array.subarray(-60)]).toEqual(Array.from({ length: 60 }, (_, i) => i));
    expect(await storedCrc(file)).toBe(crc32(array));
    expect(await entryDataStart(file, entries.get('arr_0.npy')!)).toBeGreaterThan(0);
    await file.close();
  }));

test.each([
  ['too few', [image(0)], 'only 1 of 2 images came'],
  ['too many', [image(0), image(1), image(2)], 'more than the announced 2 images came'],
  ['a piece of an image', [image(0).subarray(1)], '11 bytes are no images of 12 bytes'],
])('%s images are refused and leave no file', (_, images, sentence) =>
  inFolder(async (folder) => {
    const fault = refused(await writeNpz(join(folder, 'x.npz'), { count: 2, height: 2, width: 2, channels: 3 }, images)());
    expect(fault.message).toContain(sentence);
    expect(fault.kind).toBe('invalid-input');
    expect(await readdir(folder)).toEqual([]);
  }),
);

test('an abort ends the stream of images and leaves no file', () =>
  inFolder(async (folder) => {
    const controller = new AbortController();
    let made = 0;
    let ended = false;
    async function* images(): AsyncGenerator<Uint8Array> {
      try {
        for (; ; made++) {
          if (made === 3) controller.abort();
          yield image(made);
        }
      } finally {
        ended = true;
      }
    }
    const shape = { count: 1000, height: 2, width: 2, channels: 3 };
    expect(refused(await writeNpz(join(folder, 'x.npz'), shape, images(), { signal: controller.signal })()).kind).toBe('aborted');
    expect([await readdir(folder), ended, made]).toEqual([[], true, 3]);
  }));

test('50,000 images are not held', async () => {
  const shape = { count: 50_000, height: 32, width: 32, channels: 1 };
  let ahead = 0;
  let most = 0;
  function* images(): Generator<Uint8Array> {
    for (let i = 0; i < shape.count; i++) {
      most = Math.max(most, ++ahead);
      yield new Uint8Array(1024);
    }
  }
  let size = 0;
  for await (const piece of npzPieces('x.npz', shape, images())) {
    size += piece.length;
    if (piece.length === 1024) ahead--;
  }
  expect(most).toBe(1);
  expect(size).toBeGreaterThan(51_200_000);
});
