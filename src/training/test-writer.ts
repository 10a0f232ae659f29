/** A process that writes checkpoints one after the other until it is killed: the other side of a test. Its argument is the folder. */
import * as E from 'fp-ts/Either';
import { checkpointStore } from './checkpoint.ts';
import { nodeDisk } from './disk.ts';
import { smallRun } from './test-run.ts';

const [, , folder = ''] = process.argv;
const store = checkpointStore(folder, nodeDisk, 2, { shapes: {}, metadata: {} });
const found = await store.latest()();

for (let step = E.isRight(found) ? found.right.state.step + 1 : 1; ; step++) {
  const w = new Float32Array(1 << 18).fill(step);
  const saved = await store.save({ state: { step, parameters: { w }, ema: { w }, moments: { m: { w }, v: { w } } }, history: [], config: smallRun(folder), seconds: 0 })();
  if (E.isLeft(saved)) throw new Error(saved.left.message);
  process.stdout.write(`${step}\n`);
}
