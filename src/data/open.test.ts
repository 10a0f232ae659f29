/** Data sets as people have them, and every way in which they are wrong. */
import { readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import type { DataOptions, Dataset } from './dataset.ts';
import { openDataset } from './open.ts';
import { image, twoClasses, writeFiles } from './test-images.ts';

const open = async (path: string, options: Partial<DataOptions> = {}): Promise<Dataset> => opened(await openDataset({ path, size: 8, ...options })());
const wrong = async (path: string, options: Partial<DataOptions> = {}) => refused(await openDataset({ path, size: 8, ...options })());
const png = (number = 0): Promise<Buffer> => image(12, 10, 3, number).png().toBuffer();
const truncated = async (): Promise<Uint8Array> => {
  const whole = await image(64, 64).jpeg().toBuffer();
  return whole.subarray(0, whole.length / 2);
};

describe('a folder for each class', () => {
  test('labels are places among the sorted names; nested and odd files are where they should be', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'b/1.png': await png(1), 'b/deep/er/0.PNG': await png(2), 'B/1.jpg': await image().jpeg().toBuffer(), 'a/x.webp': await image().webp().toBuffer(), 'a/.hidden.png': 'x', 'a/notes.md': 'x', '.git/1.png': 'x' });
      const dataset = await open(folder);
      expect(dataset).toMatchObject({ size: 4, classes: ['B', 'a', 'b'], channels: 3, height: 8, width: 8, notes: [] });
      const items = await Promise.all([0, 1, 2, 3].map(dataset.item));
      expect(items.map(({ label }) => label)).toEqual([0, 1, 2, 2]);
      expect(items.every(({ pixels }) => pixels.length === 3 * 64)).toBe(true);
      expect(await open(folder, { channels: 1, size: { height: 4, width: 6 } })).toMatchObject({ channels: 1, height: 4, width: 6 });
    }));

  test('kept in memory or decoded again: the same images', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      const [kept, streamed] = [await open(folder), await open(folder, { memory: 0 })];
      for (let i = 0; i < 6; i++) expect(await streamed.item(i)).toEqual(await kept.item(i));
      await streamed.close();
    }));

  test('no such path, a file, an empty folder, only files', () =>
    inFolder(async (folder) => {
      expect(await wrong(join(folder, 'nowhere'))).toMatchObject({ kind: 'not-found', path: join(folder, 'nowhere') });
      expect((await wrong('')).message).toContain('needs a path');
      expect(await wrong(folder)).toMatchObject({ kind: 'empty' });
      expect((await wrong(folder)).message).toBe(`${folder}: the folder is empty; expected is one folder for each class, with its images (PNG, JPEG, WebP, GIF) in it`);
      await writeFiles(folder, { 'a.zip': 'x' });
      expect((await wrong(folder)).message).toContain('there is no class in it, only files such as a.zip');
      expect((await wrong(join(folder, 'a.zip'))).message).toContain('this is a file; expected is a folder');
      await writeFiles(folder, { '1.png': await png() });
      expect((await wrong(folder)).message).toContain('1 images lie directly in it, without classes');
    }));

  test('a class without an image, and one whose images are of another kind', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'a/1.png': await png(), 'b/readme.txt': 'x', 'c/1.bmp': 'x' });
      expect(await wrong(folder)).toMatchObject({ kind: 'empty' });
      expect((await wrong(folder)).message).toContain('the classes b, c have no image; add some, or remove the folders');
      await writeFiles(folder, { 'b/1.png': await png(), 'c/2.png': await png() });
      expect((await open(folder)).notes).toEqual([`${join(folder, 'c')}: 1 images of other kinds are not read (.bmp); convert them to PNG, JPEG, WebP or GIF`]);
      expect((await wrong(folder, { strict: true })).message).toContain('1 images of other kinds');
    }));

  test('classes that do not match those that are wanted', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      expect((await open(folder, { classes: ['cats', 'dogs'] })).size).toBe(6);
      expect((await wrong(folder, { classes: ['cats', 'birds', 'dogs'] })).message).toContain('do not match the 3 that were asked for: birds missing');
      expect((await wrong(folder, { classes: ['cats'] })).message).toContain('dogs unknown');
      expect((await wrong(folder, { classes: ['dogs', 'cats'] })).message).toContain('another order');
    }));

  test('a truncated JPEG is named and left out; with strict it stops', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      const clean = await open(folder);
      await writeFiles(folder, { 'cats/1b.jpg': await truncated() });
      const dataset = await open(folder), path = join(folder, 'cats', '1b.jpg');
      expect(dataset.size).toBe(6);
      expect(dataset.notes).toHaveLength(1);
      expect(dataset.notes[0]).toMatch(new RegExp(`^skipped: ${path}: the image is damaged or cut short`));
      for (let i = 0; i < 6; i++) expect(await dataset.item(i)).toEqual(await clean.item(i));
      expect(await wrong(folder, { strict: true })).toMatchObject({ kind: 'corrupt', path });
    }));

  test('decoded later, a damaged image is named once and the next one stands in; with strict it stops', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      await writeFiles(folder, { 'cats/2.png': await truncated() });
      const heard: string[] = [], dataset = await open(folder, { memory: 0, onNote: (line) => heard.push(line) });
      expect(dataset.size).toBe(6);
      for (let again = 0; again < 2; again++) expect(await dataset.item(2)).toEqual(await dataset.item(3));
      expect(heard).toHaveLength(1);
      expect(heard[0]).toContain(join(folder, 'cats', '2.png'));
      const strict = await open(folder, { memory: 0, strict: true });
      await expect(strict.item(2)).rejects.toMatchObject({ error: { kind: 'corrupt', path: join(folder, 'cats', '2.png') } });
      await Promise.all([dataset.close(), strict.close()]);
    }));

  test('a file of another kind under the name of an image is left out; one that may not be read, or is not there, stops', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      await writeFiles(folder, { 'cats/3.png': await image().tiff().toBuffer() });
      expect((await open(folder)).notes[0]).toContain('it is tiff inside, whatever its name');
      await symlink(join(folder, 'nowhere'), join(folder, 'cats', '4.png'));
      for (const memory of [undefined, 0]) {
        const result = await openDataset({ path: folder, size: 8, ...(memory !== undefined && { memory }) })();
        if (memory === undefined) expect(refused(result).kind).toBe('not-found');
        else await expect(opened(result).item(4)).rejects.toMatchObject({ error: { kind: 'not-found', path: join(folder, 'cats', '4.png') } });
      }
    }));

  test('a class of which nothing is left is an error', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'a/1.png': await png(), 'b/1.jpg': await truncated() });
      const error = await wrong(folder);
      expect(error.kind).toBe('empty');
      expect(error.message).toContain('every image of b is damaged, such as');
    }));

  test('a circle of links ends', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'a/1.png': await png() });
      await symlink(join(folder, 'a'), join(folder, 'a', 'again'));
      expect((await wrong(folder)).message).toContain('is a link going in a circle?');
    }));

  test('an abort ends the decoding', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      expect((await wrong(folder, { signal: AbortSignal.abort() })).kind).toBe('aborted');
    }));

  test('options that make no sense', () =>
    inFolder(async (folder) => {
      await twoClasses(folder);
      const noSize = refused(await openDataset({ path: folder })());
      expect(noSize.message).toContain('the size that its images become is missing');
      for (const options of [{ size: 0 }, { size: 1.5 }, { workers: 0 }, { memory: -1 }, { split: 't10k' as const }, { label: 'both' as const }]) expect((await wrong(folder, options)).kind).toBe('invalid-input');
    }));
});

describe('images with captions', () => {
  test('from texts of the same name', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'a.png': await png(1), 'a.txt': ' a red shoe\n', 'b.jpg': await image().jpeg().toBuffer(), 'b.txt': 'eine Jacke, grün' });
      const dataset = await open(folder);
      expect(dataset).toMatchObject({ size: 2, classes: ['all'] });
      expect((await Promise.all([0, 1].map(dataset.item))).map(({ caption, label }) => [caption, label])).toEqual([['a red shoe', 0], ['eine Jacke, grün', 0]]);
      await writeFiles(folder, { 'c.png': await png() });
      expect(await wrong(folder)).toMatchObject({ kind: 'mismatch' });
      expect((await wrong(folder)).message).toContain('1 of 3 images have no caption: c.txt missing');
    }));

  test('from metadata.jsonl, in its order', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, {
        'x/a.png': await png(1), 'b.png': await png(2), 'c.png': await png(3),
        'metadata.jsonl': '{"file_name": "b.png", "text": "first"}\n\n{"file_name": "x/a.png", "caption": "second", "more": 1}\n',
      });
      const dataset = await open(folder);
      expect((await Promise.all([0, 1].map(dataset.item))).map(({ caption }) => caption)).toEqual(['first', 'second']);
      expect(dataset.notes).toEqual([`${folder}: 1 of 3 images are not in metadata.jsonl and are left out`]);
    }));

  test.each([
    ['{"file_name": "a.png", "text": "x"', 'corrupt', 'line 1 is no JSON'],
    ['{"text": "x"}', 'corrupt', 'line 1 has no "file_name"'],
    ['{"file_name": "a.png"}', 'corrupt', 'line 1 has no "text"'],
    ['[1]', 'corrupt', 'line 1 has no "file_name"'],
    ['{"file_name": "a.png", "text": "x"}\n{"file_name": "q.png", "text": "x"}', 'mismatch', 'line 2 names q.png, but there is no such image'],
    ['{"file_name": "a.png", "text": "x"}\n{"file_name": "./a.png", "text": "x"}', 'mismatch', 'line 2 names ./a.png a second time'],
    ['{"file_name": "../../etc/passwd", "text": "x"}', 'unsafe', 'not inside the folder'],
    ['{"file_name": "/etc/passwd", "text": "x"}', 'unsafe', 'not inside the folder'],
    ['\n', 'empty', 'it names no image'],
  ])('a wrong list: %s', (list, kind, message) =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'a.png': await png(), 'metadata.jsonl': list });
      const error = await wrong(folder);
      expect(error.kind).toBe(kind);
      expect(error.message).toContain(message);
      expect(error.path).toBe(join(folder, 'metadata.jsonl'));
    }));

  test('no image at all', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'metadata.jsonl': '' });
      expect(await wrong(folder)).toMatchObject({ kind: 'empty' });
    }));
});

test('whatever bytes a file has, an image folder opens or says why', () =>
  inFolder(async (folder) => {
    const whole = new Uint8Array(await readFile(await png().then(async (bytes) => { await writeFiles(folder, { 'a/0.png': bytes }); return join(folder, 'a', '0.png'); })));
    for (let i = 0; i < 40; i++) {
      const damaged = whole.slice();
      damaged[(i * 97) % damaged.length] = (damaged[(i * 97) % damaged.length]! + 1 + i) % 256;
      await writeFiles(folder, { [`a/${i + 1}.png`]: damaged });
    }
    const result = await openDataset({ path: folder, size: 8 })();
    expect(E.isRight(result)).toBe(true);
  }));
