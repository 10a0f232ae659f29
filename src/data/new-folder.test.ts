/** Folders appear whole or not at all. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { attempt } from '../files/errors.ts';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import { checkNewFolder, writeNewFolder } from './new-folder.ts';

const write = (path: string, signal?: AbortSignal) => attempt(path, () => writeNewFolder(path, { a: 'text', b: Uint8Array.of(1, 2) }, signal))();

test('a folder that is new or empty, with folders above it that are missing', () =>
  inFolder(async (folder) => {
    for (const out of [join(folder, 'x', 'y'), join(folder, 'empty')]) {
      if (out.endsWith('empty')) await mkdir(out);
      opened(await write(out));
      expect((await readdir(out)).sort()).toEqual(['a', 'b']);
      expect(await readFile(join(out, 'a'), 'utf8')).toBe('text');
    }
    expect((await readdir(folder)).sort()).toEqual(['empty', 'x']);
  }));

test('what is there stays, and what was stopped leaves nothing', () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'mine'), 'x');
    expect(refused(await write(folder))).toMatchObject({ kind: 'not-writable', message: `${folder}: the folder is not empty (mine is in it); name a new one` });
    expect(refused(await attempt('p', () => checkNewFolder(join(folder, 'mine', 'out')))()).message).toContain('a part of the path is a file');
    expect(refused(await write(join(folder, 'out'), AbortSignal.abort())).kind).toBe('aborted');
    expect(await readdir(folder)).toEqual(['mine']);
  }));
