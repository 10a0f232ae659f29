/**
 * Threads that run programs together. They wait for messages, so an idle pool costs nothing.
 *
 * Invariant: one run at a time; a run ends when every thread has done its share.
 */
import { fail } from '../errors.ts';
import { CONTROL_HEAD, type Answer, type Order, shareOf, type Share, type Task, workerText } from './share.ts';

/** A worker of Node or of a browser. */
export interface ThreadHandle {
  readonly post: (order: Order) => void;
  /** Whether the process has to wait for it: during runs. */
  readonly keep: (alive: boolean) => void;
  readonly stop: () => void;
}

/** How a realm starts a worker: the rest of its program, behind `serve` and `shareOf`, and who hears its answers. */
export type StartThread = (text: typeof workerText, hear: (answer: Answer) => void, broken: (why: string) => void) => ThreadHandle;

/** A program on the threads. */
export interface Loaded {
  /** Runs it with its buffers at these addresses. */
  readonly run: (addresses: readonly number[], signal?: AbortSignal) => Promise<void>;
  readonly unload: () => void;
}

export interface Threads {
  readonly count: number;
  readonly load: (module: WebAssembly.Module, memory: WebAssembly.Memory, tasks: readonly Task[], scratch: (thread: number) => number) => Promise<Loaded>;
  readonly stop: () => void;
}

const aborted = (): Error => fail({ _tag: 'Aborted', message: 'aborted' });
const failed = (why: string): Error => fail({ _tag: 'Lost', message: `a kernel of the WebAssembly backend failed: ${why}`, reason: 'thread' });

/** Lets other work of this thread have its turn. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 0);
  });

/** Milliseconds after which a run on the calling thread lets others have a turn. */
const PATIENCE = 50;

/** The calling thread alone. */
export const oneThread = (): Threads => ({
  count: 1,
  load: async (module, memory, tasks, scratch) => {
    const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
    const control = new Int32Array(CONTROL_HEAD + 2 * tasks.length);
    const share: Share = { kernels: exports as unknown as Share['kernels'], tasks, scratch: scratch(0), threads: 1, control };
    return {
      run: async (addresses, signal) => {
        control.fill(0);
        let began = performance.now();
        for (let t = 0; t < tasks.length; t++) {
          if (signal !== undefined && performance.now() - began > PATIENCE) {
            await breathe();
            began = performance.now();
          }
          if (signal?.aborted) throw aborted();
          try {
            shareOf(share, addresses, t, t + 1);
          } catch (thrown) {
            throw failed(thrown instanceof Error ? thrown.message : String(thrown));
          }
        }
      },
      unload: () => undefined,
    };
  },
  stop: () => undefined,
});

/** A pool of workers. They start with the first program. */
export const manyThreads = (count: number, start: StartThread): Threads => {
  interface Waiting {
    readonly resolve: () => void;
    readonly reject: (why: Error) => void;
  }
  const waiting = new Map<number, Waiting>();
  let handles: readonly ThreadHandle[] = [], nextId = 0, nextRun = 0, broken: string | undefined;
  const problems = new Map<number, string>();
  const settle = ({ run, problem: own, isOver }: Answer): void => {
    if (own !== undefined) problems.set(run, own);
    if (!isOver) return;
    const found = waiting.get(run), problem = problems.get(run);
    problems.delete(run);
    waiting.delete(run);
    if (waiting.size === 0) handles.forEach((handle) => handle.keep(false));
    if (problem === undefined) found?.resolve();
    else found?.reject(failed(problem));
  };
  const breakAll = (why: string): void => {
    broken ??= why;
    for (const [run] of waiting) settle({ run, problem: why, isOver: true });
  };
  const post = (order: Order): void => handles.forEach((handle) => handle.post(order));
  return {
    count,
    load: async (module, memory, tasks, scratch) => {
      if (handles.length === 0) handles = Array.from({ length: count }, () => start(workerText, settle, breakAll));
      const id = nextId++, control = new Int32Array(new SharedArrayBuffer(4 * (CONTROL_HEAD + 2 * tasks.length)));
      handles.forEach((handle, thread) => handle.post({ kind: 'load', id, module, memory, tasks, scratch: scratch(thread), threads: count, control }));
      return {
        run: (addresses, signal) =>
          new Promise((resolve, reject) => {
            if (broken !== undefined) { reject(failed(broken)); return; }
            control.fill(0);
            const run = nextRun++;
            const abort = (): void => void Atomics.store(control, 0, 1);
            const over = (settled: () => void) => () => {
              signal?.removeEventListener('abort', abort);
              settled();
            };
            signal?.addEventListener('abort', abort);
            waiting.set(run, {
              resolve: over(() => (signal?.aborted ? reject(aborted()) : resolve())),
              reject: (why) => over(() => reject(why))(),
            });
            handles.forEach((handle) => handle.keep(true));
            post({ kind: 'run', id, run, addresses });
          }),
        unload: () => post({ kind: 'unload', id }),
      };
    },
    stop: () => handles.forEach((handle) => handle.stop()),
  };
};
