/** Small runs of the quadratic trainer in a folder, for tests. */
import * as E from 'fp-ts/Either';
import { checkpointStore } from './checkpoint.ts';
import { readConfig, type RunConfig } from './config.ts';
import { type Disk, nodeDisk } from './disk.ts';
import type { Outcome, RunParts, RunRequest, RunView } from './run.ts';
import { runTraining } from './run.ts';
import { firstState, type Mishaps, quadraticBatches, quadraticTrainer } from './test-trainer.ts';

/** Thirty steps with a checkpoint every five. */
export const smallRun = (output: string, change: object = {}): RunConfig => {
  const read = readConfig({ output, steps: 30, batch: 4, data: { path: 'images' }, intervals: { log: 3, checkpoint: 5, sample: null, keep: 3 }, ...change });
  if (E.isLeft(read)) throw new Error(read.left.join('; '));
  return read.right;
};

export interface TestRun {
  readonly disk?: Disk;
  /** One for each trainer that is opened, in order; later ones have no mishap. */
  readonly mishaps?: readonly Mishaps[];
  readonly parts?: Partial<RunParts>;
  readonly view?: Partial<RunView>;
  readonly signal?: AbortSignal;
}

/** Everything around the loop, with nothing real but the folder. */
export const partsIn = (config: RunConfig, { disk = nodeDisk, mishaps = [], parts = {} }: TestRun = {}): RunParts => {
  let trainers = 0;
  return {
    openTrainer: (state) => async () => E.right(quadraticTrainer(state, mishaps[trainers++])),
    openBatches: (firstStep) => async () => E.right(quadraticBatches(firstStep)),
    drawSheet: () => async () => E.right(new Uint8Array(0)),
    firstBadOp: () => async () => E.right('%7 = log(%6)'),
    store: checkpointStore(config.output, disk, config.intervals.keep, { shapes: { w: [8, 8] }, metadata: {} }),
    outputs: { restart: async () => undefined, metrics: async () => undefined, show: async () => undefined },
    ...parts,
  };
};

/** Runs from the first state, or from the latest checkpoint of the folder. */
export const run = async (config: RunConfig, test: TestRun = {}, resume = false): Promise<Outcome & { readonly notes: readonly string[] }> => {
  const parts = partsIn(config, test), notes: string[] = [];
  const from = resume ? await parts.store.latest()() : undefined;
  if (from !== undefined && E.isLeft(from)) throw new Error(from.left.message);
  const request: RunRequest = {
    config,
    parts,
    view: { progress: () => undefined, note: (line) => void notes.push(line), ...test.view },
    start: from?.right ?? { state: firstState(), history: [], config, seconds: 0 },
    ...(from && { startPath: from.right.path }),
    signal: test.signal ?? new AbortController().signal,
  };
  return { ...(await runTraining(request)), notes };
};
