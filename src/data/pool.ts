/**
 * Decoding on several threads. Jobs wait in one queue; each thread has one at a time.
 *
 * Where the threads' file is not beside this one (the project run from its sources), the same function runs in this thread, with the same results.
 * Invariant: every job is answered, also when its thread dies (by its memory, by a bug of a decoder); threads never keep the process alive.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { fileError } from '../files/errors.ts';
import { type Decoded, type DecodeJob, decodeImage } from './decode.ts';

export interface DecodePool {
  readonly decode: (job: DecodeJob) => Promise<Decoded>;
  /** Threads in use; 0 where images are decoded in this one. */
  readonly threads: number;
  /** Ends the threads; jobs that are not done are answered with an error. */
  readonly close: () => Promise<void>;
}

export interface PoolOptions {
  /** How many images are decoded at once. */
  readonly workers?: number;
  /** The threads' program. */
  readonly program?: URL;
}

const MOST_USUAL = 8;
const PROGRAM = new URL('./data-worker.js', import.meta.url);

/** Something that does one job at a time. */
interface Seat {
  readonly run: (job: DecodeJob) => Promise<Decoded>;
  readonly close: () => Promise<unknown>;
}

const ended = ({ path }: DecodeJob, why: string): Decoded => ({ error: fileError('not-readable', path, `the thread that decoded it ended (${why})`) });

/** A thread, started with its first job and again after it died. */
const threadSeat = (program: URL): Seat => {
  let worker: Worker | undefined;
  const start = (): Worker => {
    const thread = new Worker(program), forget = (): void => {
      if (worker === thread) worker = undefined; // what follows the end of one thread must not end another
    };
    thread.unref();
    thread.on('error', forget).on('exit', forget);
    worker = thread;
    return thread;
  };
  const run = (job: DecodeJob): Promise<Decoded> => {
    const thread = worker ?? start();
    return new Promise((resolve) => {
      const settle = (decoded: Decoded): void => {
        thread.off('message', settle).off('error', onError).off('exit', onExit);
        thread.unref();
        resolve(decoded);
      };
      const onError = (error: Error): void => settle(ended(job, error.message)), onExit = (code: number): void => settle(ended(job, `code ${code}`));
      thread.on('message', settle).on('error', onError).on('exit', onExit);
      thread.ref();
      thread.postMessage(job, []); // nothing is moved: the job's bytes may be another's
    });
  };
  return { run, close: async () => worker?.terminate() };
};

const ownSeat: Seat = { run: decodeImage, close: async () => undefined };

/** Threads as many as are asked for, or as the machine has, eight at most. */
export const openPool = ({ workers, program = PROGRAM }: PoolOptions = {}): DecodePool => {
  const count = Math.max(1, workers ?? Math.min(MOST_USUAL, availableParallelism())), threaded = existsSync(program);
  const seats = Array.from({ length: count }, () => (threaded ? threadSeat(program) : ownSeat)), free = [...seats];
  const waiting: { readonly job: DecodeJob; readonly resolve: (decoded: Decoded) => void }[] = [];
  let closed = false;
  const serve = (): void => {
    while (waiting.length > 0 && free.length > 0) {
      const { job, resolve } = waiting.shift()!, seat = free.pop()!; // there is one of both
      void seat.run(job).then((decoded) => {
        free.push(seat);
        resolve(decoded);
        serve();
      });
    }
  };
  const refuse = (job: DecodeJob): Decoded => ended(job, 'the data set was closed');
  return {
    threads: threaded ? count : 0,
    decode: (job) =>
      new Promise((resolve) => {
        if (closed) return resolve(refuse(job));
        waiting.push({ job, resolve });
        serve();
      }),
    close: async () => {
      closed = true;
      for (const { job, resolve } of waiting.splice(0)) resolve(refuse(job));
      await Promise.all(seats.map((seat) => seat.close()));
    },
  };
};

/** Does work with something that must be closed, whatever happens. */
export const closing = async <A>({ close }: { readonly close: () => Promise<void> }, work: () => Promise<A>): Promise<A> => {
  try {
    return await work();
  } finally {
    await close();
  }
};
