/** Locks: one process at a time, dead ones taken over, nothing left behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import { lockFolder } from './lock.ts';

/** The number of a process that is dead. */
const deadProcess = async (): Promise<number> => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid!;
};

const lockOf = (pid: number, more: object = {}): string => JSON.stringify({ pid, host: hostname(), began: '', since: '2026-01-01', ...more });

test('the second one is told who has it; after a release it gets it', () =>
  inFolder(async (folder) => {
    const first = opened(await lockFolder(folder)());
    expect(refused(await lockFolder(folder)()).message).toMatch(new RegExp(`another run uses this folder: process ${process.pid}, since .*choose another output`));
    await first.release();
    await opened(await lockFolder(folder)()).release();
    expect(await readdir(folder)).toEqual([]);
  }));

test('a lock of a dead process is taken over', () =>
  inFolder(async (folder) => {
    const pid = await deadProcess();
    await writeFile(join(folder, 'run.lock'), lockOf(pid));
    const lock = opened(await lockFolder(folder)());
    expect(lock.tookOver).toBe(pid);
    expect(JSON.parse(await readFile(join(folder, 'run.lock'), 'utf8'))).toMatchObject({ pid: process.pid });
    await lock.release();
    expect(await readdir(folder)).toEqual([]);
  }));

test('a number that another process has now is no reason to wait', () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'run.lock'), lockOf(process.pid, { began: '1' }));
    await opened(await lockFolder(folder)()).release();
  }));

test('of many that find a dead lock, one gets it', () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'run.lock'), lockOf(await deadProcess()));
    const all = await Promise.all(Array.from({ length: 20 }, () => lockFolder(folder)()));
    expect(all.filter(({ _tag }) => _tag === 'Right')).toHaveLength(1);
    expect(await readdir(folder)).toEqual(['run.lock']);
    for (const lock of all) if (lock._tag === 'Right') await lock.right.release();
  }));

test('another machine’s lock and one that cannot be read are left alone', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'run.lock');
    await writeFile(path, lockOf(1, { host: 'elsewhere' }));
    expect(refused(await lockFolder(folder)()).message).toContain(`process 1 on elsewhere, since 2026-01-01. If it is dead, remove ${path}`);
    await writeFile(path, '');
    expect(refused(await lockFolder(folder)()).message).toContain('this lock cannot be read; if no run is using the folder, remove the file');
  }));
