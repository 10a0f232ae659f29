/** Worker threads of Node. They keep the process alive while they compute, and only then. */
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
  return {
    post: (order) => worker.postMessage(order, []),
    keep: (alive) => (alive ? worker.ref() : worker.unref()),
    stop: () => void worker.terminate(),
  };
};

/** As many threads as the machine runs at once, or as many as asked for. */
export const nodeThreads = (count: number = availableParallelism()): Threads => (count <= 1 ? oneThread() : manyThreads(count, start));
