/** Workers of a browser; the calling thread alone where pages may not share memory. */
import type { Answer } from './share.ts';
import { manyThreads, oneThread, type StartThread, type Threads } from './threads.ts';

const WIRE = 'const receive = serve(shareOf, (answer) => postMessage(answer));\nonmessage = ({ data }) => receive(data);';

/** A worker as browsers have it. */
interface BrowserWorker {
  readonly postMessage: (message: unknown, transfer: readonly never[]) => void;
  readonly terminate: () => void;
  readonly addEventListener: (kind: 'message' | 'error', hear: (event: { readonly data: Answer; readonly message: string }) => void) => void;
}
const realm = globalThis as unknown as { readonly Worker: new (url: string) => BrowserWorker; readonly navigator: { readonly hardwareConcurrency: number } }; // a browser

const start: StartThread = (text, hear, broken) => {
  const url = URL.createObjectURL(new Blob([text(WIRE)], { type: 'text/javascript' }));
  const worker = new realm.Worker(url);
  worker.addEventListener('message', ({ data }) => hear(data));
  worker.addEventListener('error', ({ message }) => broken(message));
  return {
    post: (order) => worker.postMessage(order, []),
    keep: () => undefined,
    stop: () => {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
};

/** As many threads as the machine runs at once where memory is shared, else one. */
export const browserThreads = (isShared: boolean, count: number = realm.navigator.hardwareConcurrency): Threads =>
  (isShared && count > 1 ? manyThreads(count, start) : oneThread());
