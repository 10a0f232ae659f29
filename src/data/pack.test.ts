/** Packs: what is packed comes back, and nothing that was changed on the way does. */
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attempt } from '../files/errors.ts';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import type { DataOptions } from './dataset.ts';
import { openDataset } from './open.ts';
import type { PackContent } from './pack-format.ts';
import { parsePack } from './pack-read.ts';
import { encodePack } from './pack-write.ts';
import { pattern, writeFiles } from './test-images.ts';

const SHAPE = { channels: 3, height: 4, width: 5 } as const;
const content: PackContent = {
  ...SHAPE,
  classes: ['a', 'b'],
  attributes: ['x', 'y', 'z'],
  items: Array.from({ length: 12 }, (_, i) => ({ pixels: pattern(5, 4, 3, i), label: i % 2, attribute: i % 3, caption: `number ${i}`, ...(i % 4 === 3 && { heldOut: true }) })),
};

const parse = (bytes: Uint8Array, memory?: number) => attempt('p', () => parsePack('p', bytes, memory))();
const open = (path: string, options: Partial<DataOptions> = {}) => openDataset({ path, ...options })();

test('what is packed comes back, whatever it is', async () => {
  const shapes = fc.record({ channels: fc.constantFrom<1 | 3>(1, 3), height: fc.integer({ min: 1, max: 6 }), width: fc.integer({ min: 1, max: 6 }) });
  const kinds = fc.constantFrom('noise', 'pattern', 'plain', 'grey');
  await fc.assert(
    fc.asyncProperty(shapes, kinds, fc.integer({ min: 1, max: 20 }), fc.nat(255), async (shape, kind, count, value) => {
      const length = shape.channels * shape.height * shape.width;
      const pixel = (i: number, j: number): number => (kind === 'noise' ? (i * 7919 + j * 104729 + value) >> 3 : kind === 'plain' ? value : kind === 'grey' ? (j % (shape.height * shape.width)) * 9 : i * 5 + j * 3) & 255;
      const packed: PackContent = { ...shape, classes: ['only'], items: Array.from({ length: count }, (_, i) => ({ pixels: Uint8Array.from({ length }, (__, j) => pixel(i, j)), label: 0 })) };
      expect(opened(await parse(await encodePack(packed)))).toEqual(packed);
    }),
    { numRuns: 30 },
  );
});

test('labels, captions and what is held out as well; more than one block', async () => {
  expect(opened(await parse(await encodePack(content)))).toEqual(content);
  const many = { ...content, items: Array.from({ length: 600 }, (_, i) => ({ ...content.items[i % 12]!, caption: String(i) })) };
  const heard: number[] = [], bytes = await encodePack(many, { onProgress: (done) => heard.push(done) });
  expect(heard).toEqual([0, 1, 2, 3]);
  expect(opened(await parse(bytes))).toEqual(many);
  expect(await encodePack(many)).toEqual(bytes);
});

describe('as a data set', () => {
  test('held-out items are left out, or alone; labels are classes, second labels, or both', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'emoji.pack': await encodePack(content) });
      const without = opened(await open(folder)), only = opened(await open(join(folder, 'emoji.pack'), { heldOut: 'only' })), all = opened(await open(folder, { heldOut: 'with' }));
      expect([without.size, only.size, all.size]).toEqual([9, 3, 12]);
      expect(without).toMatchObject({ classes: ['a', 'b'], attributes: ['x', 'y', 'z'], notes: [`${join(folder, 'emoji.pack')}: 3 images are held out`] });
      expect(await only.item(0)).toEqual({ pixels: content.items[3]!.pixels, label: 1, attribute: 0, caption: 'number 3' });
      const both = opened(await open(folder, { label: 'both', heldOut: 'with' }));
      expect(both.classes).toEqual(['a, x', 'a, y', 'a, z', 'b, x', 'b, y', 'b, z']);
      expect(both.classes[(await both.item(5)).label]).toBe('b, z');
      expect(opened(await open(folder, { label: 'attribute' })).classes).toEqual(['x', 'y', 'z']);
      const small = opened(await open(folder, { size: 2 }));
      expect([small.height, (await small.item(0)).pixels.length]).toEqual([2, 12]);
      expect(refused(await open(folder, { channels: 1 })).kind).toBe('mismatch');
      await writeFiles(folder, { 'more.pack': 'x' });
      expect(refused(await open(folder)).message).toContain('there are 2 packs');
    }));

  test('second labels that there are not', () =>
    inFolder(async (folder) => {
      const { attributes: _, ...plain } = content;
      await writeFiles(folder, { 'a.pack': await encodePack(plain) });
      expect(refused(await open(folder, { label: 'both' })).message).toContain('have no second label');
      expect(refused(await open(folder, { heldOut: 'with', kind: 'idx' })).kind).toBe('invalid-input');
    }));
});

describe('damage', () => {
  test('no byte can be changed, and no end cut off, without being noticed', async () => {
    const bytes = await encodePack(content);
    for (let i = 0; i < bytes.length; i += 3) {
      const damaged = Uint8Array.from(bytes);
      damaged[i] = damaged[i]! ^ 0x10;
      const result = await parse(damaged);
      // a changed header may still be one: then its text differs
      if (result._tag === 'Right') expect(result.right).not.toEqual(content);
      else expect(['corrupt', 'truncated', 'unsupported']).toContain(result.left.kind);
    }
    for (const length of [0, 7, 11, 40, bytes.length - 1]) expect(['corrupt', 'truncated']).toContain(refused(await parse(bytes.subarray(0, length))).kind);
    expect(refused(await parse(Buffer.concat([bytes, bytes]))).message).toContain('but');
  });

  test('more images than memory are refused before they are unpacked', async () => {
    expect(refused(await parse(await encodePack(content), 100))).toMatchObject({ kind: 'unsupported', message: 'p: its 12 images take 720 bytes; 100 are allowed' });
  });
});
