/** A thread that decodes images: the entry of dist/data-worker.js. Jobs come and results go one at a time, in order. */
import { parentPort } from 'node:worker_threads';
import { type DecodeJob, decodeImage } from './decode.ts';

parentPort?.on('message', (job: DecodeJob) => {
  void decodeImage(job).then((decoded) => {
    parentPort?.postMessage(decoded, 'pixels' in decoded ? [decoded.pixels.buffer] : []);
  });
});
