/**
 * The user's tuning table: a JSON file in the cache folder of the system's user, written whole or not at all.
 *
 * A file that is damaged is never used and never overwritten silently: who reads it gets all that is wrong.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { EMPTY_TABLE, parseTable, printTable, type TuningTable } from '../../compiler/tuning/table.ts';
import { writeFileAtomic } from '../files/atomic.ts';

/** `$XDG_CACHE_HOME/pixnerd/tuning.json`, else under `~/.cache`. */
export const cachePath = (environment: Readonly<Record<string, string | undefined>> = process.env): string => {
  const chosen = environment['XDG_CACHE_HOME'];
  // the standard asks to ignore relative ones
  return join(chosen !== undefined && isAbsolute(chosen) ? chosen : join(homedir(), '.cache'), 'pixnerd', 'tuning.json');
};

/** Something is wrong with a table's file. */
export interface TableFault {
  readonly message: string;
}

const SHOWN = 5;

/** The table in a file; empty where there is no file. */
export const readTableFile = (path: string): TaskEither<TableFault, TuningTable> => async () => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException; // what Node's file functions throw
    return code === 'ENOENT' || code === 'ENOTDIR' ? E.right(EMPTY_TABLE) : E.left({ message: `${path} cannot be read: ${message}` });
  }
  const read = parseTable(text);
  if (E.isRight(read)) return read;
  const problems = read.left, more = problems.length - SHOWN;
  return E.left({ message: [`${path} is not used; correct or remove it:`, ...problems.slice(0, SHOWN).map((problem) => `  - ${problem}`), ...(more > 0 ? [`  - and ${more} more`] : [])].join('\n') });
};

/** Writes a table, and the folders on the way. */
export const writeTableFile = (path: string, table: TuningTable): TaskEither<TableFault, number> => async () => {
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (thrown) {
    return E.left({ message: `${dirname(path)} cannot be made: ${thrown instanceof Error ? thrown.message : String(thrown)}` });
  }
  return writeFileAtomic(path, new TextEncoder().encode(printTable(table)))();
};
