/**
 * Temporary files that must not outlive the process: while one is listed, an exit or a signal that would end the process removes it first.
 *
 * A program that handles signals itself (another listener is there) is left to do so; its process.exit still removes the files.
 */
import { unlinkSync } from 'node:fs';

const live = new Set<string>();
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Lists a path for removal at an early end of the process. */
export const guardTemporary = (path: string): void => {
  if (live.size === 0) listen();
  live.add(path);
};

/** Takes a path off the list: it was renamed or removed. */
export const releaseTemporary = (path: string): void => {
  live.delete(path);
  if (live.size === 0) unlisten();
};

const listen = (): void => {
  process.on('exit', removeAll);
  for (const signal of signals) process.on(signal, endBySignal);
};

const unlisten = (): void => {
  process.off('exit', removeAll);
  for (const signal of signals) process.off(signal, endBySignal);
};

const removeAll = (): void => {
  for (const path of live) removeQuietly(path);
};

const removeQuietly = (path: string): void => {
  try {
    unlinkSync(path);
  } catch {
    // already gone: nothing half is left, which is all that matters while the process ends
  }
};

/** Does what the signal would have done without our listener, after the files are gone. */
const endBySignal = (signal: NodeJS.Signals): void => {
  if (process.listenerCount(signal) > 1) return;
  removeAll();
  unlisten();
  process.kill(process.pid, signal);
};
