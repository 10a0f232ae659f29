/** The real parts of a run on the adapter: a device that is lost in the middle, and micro-batches. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import type { Backend } from '../backend/backend.ts';
import { openBackend } from '../backend/open.ts';
import { encodePng } from '../files/png.ts';
import { inFolder } from '../files/test-folder.ts';
import { TINY } from '../sampling/test-model.ts';
import type { RunConfig } from './config.ts';
import { openRun } from './parts.ts';
import { type Outcome, runTraining } from './run.ts';
import { smallRun } from './test-run.ts';
import type { TrainingState } from './trainer-types.ts';

const writeImages = async (folder: string): Promise<string> => {
  for (const [label, name] of ['a', 'b', 'c'].entries()) {
    await mkdir(join(folder, 'images', name), { recursive: true });
    for (let i = 0; i < 3; i++)
      await writeFile(join(folder, 'images', name, `${i}.png`), encodePng({ width: 8, height: 8, channels: 1, data: Uint8Array.from({ length: 64 }, (_, pixel) => (pixel * (label + 2) * 31 + 57 * i) % 256) }));
  }
  return join(folder, 'images');
};

const configIn = async (folder: string, output: string, change: object = {}): Promise<RunConfig> =>
  smallRun(join(folder, output), { steps: 9, batch: 4, model: TINY, data: { path: await writeImages(folder), height: 8, width: 8 }, intervals: { log: 1, checkpoint: 4, sample: 4 }, samples: { steps: 2, perClass: 1 }, ...change });

interface Ran {
  readonly outcome: Outcome;
  readonly state: TrainingState;
  readonly notes: readonly string[];
  readonly devices: number;
}

/** Runs to the end. Where `loseAt` is given, the device goes away when that step is shown for the first time. */
const ran = async (config: RunConfig, loseAt = Infinity): Promise<Ran> => {
  const devices: Backend[] = [], notes: string[] = [];
  const openDevice = () => async () => {
    const opened = await openBackend('wgsl')();
    if (E.isRight(opened)) devices.push(opened.right);
    return opened;
  };
  const opened = await openRun(config, { openDevice, command: 'a test', onNote: (line) => void notes.push(line) })();
  if (E.isLeft(opened)) throw new Error(opened.left.message);
  const { parts, firstState, close } = opened.right;
  try {
    const first = await firstState(undefined)();
    if (E.isLeft(first)) throw new Error(first.left.message);
    const progress = (done: number): void => {
      if (done === loseAt && devices.length === 1) devices[0]!.close();
    };
    const outcome = await runTraining({ config, parts, start: { state: first.right, history: [], config, seconds: 0 }, signal: new AbortController().signal, view: { progress, note: (line) => void notes.push(line) } });
    const saved = await parts.store.latest()();
    if (E.isLeft(saved)) throw new Error(saved.left.message);
    return { outcome, state: saved.right.state, notes, devices: devices.length };
  } finally {
    await close();
  }
};

test('a device that is lost is opened again, and the run ends with the same bits', () =>
  inFolder(async (folder) => {
    const whole = await ran(await configIn(folder, 'whole'));
    expect([whole.outcome.kind, whole.devices, whole.notes]).toEqual(['finished', 1, []]);
    const { outcome, state, notes, devices } = await ran(await configIn(folder, 'lost'), 6);
    expect([outcome.kind, devices]).toEqual(['finished', 2]);
    expect(notes).toEqual([expect.stringMatching(/^after step [67] of 9 the device was lost \(.*\); it is opened again, and the run goes on from step 4$/s)]);
    expect(state).toEqual(whole.state);
    expect(outcome.history).toEqual(whole.outcome.history);
  }));

test('micro-batches see the same images, times and noise: the losses agree to rounding', () =>
  inFolder(async (folder) => {
    const [whole, parts] = [await ran(await configIn(folder, 'whole')), await ran(await configIn(folder, 'parts', { accumulate: 2 }))];
    expect(parts.outcome.kind).toBe('finished');
    for (const [i, { loss }] of whole.outcome.history.entries()) expect(Math.abs(parts.outcome.history[i]!.loss / loss - 1)).toBeLessThan(1e-4);
  }));
