/**
 * One run in a folder at a time: a lock file that names its process. A lock of a process that is dead (kill -9, a power cut) is taken over.
 *
 * Invariant: the file appears with its content or not at all, and of several processes that want it exactly one gets it.
 */
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { TaskEither } from 'fp-ts/TaskEither';
import { attempt, fail } from '../files/errors.ts';
import type { FileError } from '../files/errors.ts';
import { guardTemporary, releaseTemporary } from '../files/temporary-files.ts';

/** Who holds a folder. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, where the system tells; numbers of processes are used again. */
  readonly began: string;
  readonly since: string;
}

export interface Lock {
  /** A dead run whose lock was taken over. */
  readonly tookOver?: number;
  readonly release: () => Promise<void>;
}

const NAME = 'run.lock';

/** Ticks from the start of the machine to that of a process (Linux); '' where that is not known. */
const beginningOf = (pid: number): string => {
  try {
    // the name in brackets may hold spaces; the 22nd field counts from the left
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ')[19] ?? '';
  } catch {
    return '';
  }
};

const isAlive = ({ pid, began }: Holder): boolean => {
  try {
    process.kill(pid, 0);
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM')) return false; // EPERM: it lives, and is someone else's
  }
  const now = beginningOf(pid);
  return began === '' || now === '' || began === now;
};

const holderIn = (text: string): Holder | undefined => {
  try {
    const { pid, host, began, since } = (JSON.parse(text) ?? {}) as Partial<Record<keyof Holder, unknown>>; // each field is checked
    return typeof pid === 'number' && typeof host === 'string' && typeof began === 'string' && typeof since === 'string' ? { pid, host, began, since } : undefined;
  } catch {
    return undefined;
  }
};

const codeOf = (thrown: unknown): unknown => (thrown instanceof Error && 'code' in thrown ? thrown.code : undefined);

let made = 0;
const besides = (path: string): string => `${path}.${process.pid}-${++made}.tmp`;

/** Puts the content at the path if nothing is there. A hard link does that in one go; without hard links a new file nearly does. */
const place = async (path: string, content: string): Promise<boolean> => {
  const temporary = besides(path);
  await writeFile(temporary, content);
  try {
    await link(temporary, path);
    return true;
  } catch (thrown) {
    if (codeOf(thrown) === 'EEXIST') return false;
    return await writeFile(path, content, { flag: 'wx' }).then(
      () => true,
      (again: unknown) => {
        if (codeOf(again) === 'EEXIST') return false;
        throw again;
      },
    );
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
};

const current = (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').catch((thrown: unknown) => {
    if (codeOf(thrown) === 'ENOENT') return undefined;
    throw thrown;
  });

/** Takes a dead process's lock away. Who was quicker may have put a new one there meanwhile: that one is put back. */
const clear = async (path: string, stale: string): Promise<void> => {
  const aside = besides(path);
  try {
    await rename(path, aside);
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return; // somebody else cleared it
    throw thrown;
  }
  if ((await current(aside)) !== stale) await link(aside, path).catch(() => undefined);
  await unlink(aside);
};

/** Takes the folder for this process. Errors: not-writable, which names who has it; those of the file system. */
export const lockFolder = (folder: string): TaskEither<FileError, Lock> =>
  attempt(folder, async () => {
    const path = join(folder, NAME);
    const mine: Holder = { pid: process.pid, host: hostname(), began: beginningOf(process.pid), since: new Date().toISOString() };
    const content = `${JSON.stringify(mine)}\n`;
    let tookOver: number | undefined;
    for (let attempts = 0; attempts < 8; attempts++) {
      if (await place(path, content)) {
        guardTemporary(path); // an exit removes it
        return { ...(tookOver !== undefined && { tookOver }), release: () => release(path, content) };
      }
      const found = await current(path);
      if (found === undefined) continue;
      const holder = holderIn(found);
      if (holder === undefined) fail('not-writable', path, 'this lock cannot be read; if no run is using the folder, remove the file');
      else if (holder.host !== mine.host)
        fail('not-writable', folder, `another run uses this folder: process ${holder.pid} on ${holder.host}, since ${holder.since}. If it is dead, remove ${path}`);
      else if (isAlive(holder))
        fail('not-writable', folder, `another run uses this folder: process ${holder.pid}, since ${holder.since}. Wait for it, stop it, or choose another output`);
      else {
        tookOver = holder.pid;
        await clear(path, found);
      }
    }
    return fail('not-writable', folder, 'several runs want this folder at once; try again');
  });

const release = async (path: string, content: string): Promise<void> => {
  releaseTemporary(path);
  if ((await current(path)) === content) await unlink(path).catch(() => undefined);
};
