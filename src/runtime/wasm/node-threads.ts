/** Worker threads of Node. They do not keep the process alive. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Answer } from './share.ts';
import { manyThreads, oneThread, type StartThread, type Threads } from './threads.ts';

const WIRE = `const { parentPort } = require('node:worker_threads');
parentPort.on('message', serve(shareOf, (answer) => parentPort.postMessage(answer)));`;

const start: StartThread = (text, hear, broken) => {
  const worker = new Worker(text(WIRE), { eval: true, name: 'pixnerd' });
  worker.unref();
  worker.on('message', (answer: Answer) => hear(answer));
  worker.on('error', (error: Error) => broken(error.message));
  // a worker that is waited for keeps the process alive, as the work on a GPU does
  return { post: (order) => worker.postMessage(order), stop: () => void worker.terminate() };
};

/** As many threads as the machine runs at once, or as many as asked for. */
export const nodeThreads = (count: number = availableParallelism()): Threads => (count <= 1 ? oneThread() : manyThreads(count, start));
