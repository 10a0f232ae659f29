/** The loop, without a device: nothing is lost, and an interrupted run computes what an uninterrupted one does. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { inFolder } from '../files/test-folder.ts';
import { nodeDisk } from './disk.ts';
import type { RunParts } from './run.ts';
import { fullAfter } from './test-disk.ts';
import { partsIn, run, smallRun } from './test-run.ts';
import { firstState, type Mishaps, quadraticBatches, quadraticTrainer } from './test-trainer.ts';
import type { RunFailure, TrainingState } from './trainer-types.ts';

const LOST: RunFailure = { kind: 'lost', message: 'the GPU device was lost (unknown)' };

/** The state in the last checkpoint of a folder. */
const stateIn = async (folder: string): Promise<TrainingState> => {
  const found = await partsIn(smallRun(folder)).store.latest()();
  if (E.isLeft(found)) throw new Error(found.left.message);
  return found.right.state;
};

/** What thirty steps give when nothing happens. */
const undisturbed = async (): Promise<TrainingState> => {
  const trainer = quadraticTrainer(firstState()), batches = quadraticBatches(0);
  for (let step = 0; step < 30; step++) {
    const next = await batches.next()();
    if (E.isRight(next)) await trainer.step(next.right)();
  }
  const state = await trainer.state()();
  if (E.isLeft(state)) throw new Error(state.left.message);
  return state.right;
};

/** Aborts when a step begins. */
const interruptAt = (at: number): { readonly mishap: Mishaps; readonly signal: AbortSignal } => {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    mishap: {
      beforeStep: (step) => {
        if (step === at) controller.abort();
        return undefined;
      },
    },
  };
};

const steps = (history: readonly { readonly step: number }[]): readonly number[] => history.map(({ step }) => step);
const upToStep = (last: number): readonly number[] => Array.from({ length: last }, (_, i) => i + 1);

test('a run to the end: every loss once, checkpoints kept, the state of the plain loop', () =>
  inFolder(async (folder) => {
    const outcome = await run(smallRun(folder));
    expect(outcome).toMatchObject({ kind: 'finished', step: 30, checkpoint: join(folder, 'step-000030'), notes: [] });
    expect(steps(outcome.history)).toEqual(upToStep(30));
    expect(await readdir(folder)).toEqual(['step-000020', 'step-000025', 'step-000030']);
    expect(await stateIn(folder)).toEqual(await undisturbed());
  }));

describe('Ctrl-C', () => {
  test.each([1, 7, 10, 29, 30])('in step %d saves after it; the resumed run ends with the same bits and history', (at) =>
    inFolder(async (folder) => {
      const { mishap, signal } = interruptAt(at);
      const first = await run(smallRun(folder), { mishaps: [mishap], signal });
      expect(first).toMatchObject({ kind: at === 30 ? 'finished' : 'interrupted', step: at, checkpoint: join(folder, `step-0000${String(at).padStart(2, '0')}`) });
      expect(steps(first.history)).toEqual(upToStep(at));
      const second = await run(smallRun(folder), {}, true);
      expect(second).toMatchObject({ kind: 'finished', step: 30 });
      expect(steps(second.history)).toEqual(upToStep(30));
      expect(await stateIn(folder)).toEqual(await undisturbed());
    }));

  test('before the first step', () =>
    inFolder(async (folder) => {
      expect(await run(smallRun(folder), { signal: AbortSignal.abort() })).toMatchObject({ kind: 'interrupted', step: 0, checkpoint: join(folder, 'step-000000') });
      expect((await run(smallRun(folder), {}, true)).kind).toBe('finished');
    }));
});

test('the intervals of looking and saving change nothing', () =>
  inFolder(async (folder) => {
    await run(smallRun(folder, { intervals: { log: 1, checkpoint: 7, sample: 4, keep: 1 } }));
    expect(await stateIn(folder)).toEqual(await undisturbed());
  }));

describe('a lost device', () => {
  const loseAt = (at: number): Mishaps => ({ beforeStep: (step) => (step === at ? LOST : undefined) });

  test('is opened again, and the run goes on from memory with the same bits', () =>
    inFolder(async (folder) => {
      const outcome = await run(smallRun(folder), { mishaps: [loseAt(13), loseAt(29)] });
      expect(outcome).toMatchObject({ kind: 'finished', notes: [expect.stringContaining('after step 12 of 30 the device was lost'), expect.stringContaining('the run goes on from step 25')] });
      expect(steps(outcome.history)).toEqual(upToStep(30));
      expect(await stateIn(folder)).toEqual(await undisturbed());
    }));

  test('again and again at the same step is the end, with the checkpoint', () =>
    inFolder(async (folder) => {
      const outcome = await run(smallRun(folder), { mishaps: Array.from({ length: 10 }, () => loseAt(13)) });
      expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('was lost 4 times without a step that could be kept'), checkpoint: join(folder, 'step-000010') });
    }));

  test('while samples are drawn', () =>
    inFolder(async (folder) => {
      let sheets = 0;
      const drawSheet: RunParts['drawSheet'] = () => async () => (++sheets === 1 ? E.left(LOST) : E.right(new Uint8Array(0)));
      const outcome = await run(smallRun(folder, { intervals: { sample: 10, checkpoint: 10 } }), { parts: { drawSheet } });
      expect(outcome).toMatchObject({ kind: 'finished', notes: [expect.stringContaining('the run goes on from step 10')] });
    }));

  test('every trainer is given back', () =>
    inFolder(async (folder) => {
      let disposed = 0;
      const counting = (at: number): Mishaps => ({ ...loseAt(at), onDispose: () => void disposed++ });
      await run(smallRun(folder), { mishaps: [counting(3), counting(8), counting(-1)] });
      expect(disposed).toBe(3);
    }));
});

describe('a loss that is no number', () => {
  const badFrom = (bad: number): Mishaps => ({ loss: (step, loss) => (step >= bad ? NaN : loss) });

  test('stops with the step, the last good checkpoint and the op; nothing of it is kept', () =>
    inFolder(async (folder) => {
      let seen: readonly [number, number] | undefined;
      const firstBadOp: RunParts['firstBadOp'] = (state, [batch]) => async () => {
        seen = [state.step, batch!.keys[0]!];
        return E.right('%7 = log(%6), blocks.0');
      };
      const outcome = await run(smallRun(folder), { mishaps: [badFrom(14), badFrom(14)], parts: { firstBadOp } });
      expect(outcome).toMatchObject({ kind: 'diverged', step: 14, loss: NaN, checkpoint: join(folder, 'step-000010'), firstBad: '%7 = log(%6), blocks.0' });
      expect(seen).toEqual([13, 14]); // the state before the step, and the batch of the step
      expect(steps(outcome.history)).toEqual(upToStep(13));
      expect(await readdir(folder)).toEqual(['step-000005', 'step-000010']);
    }));

  test('in the step that a checkpoint is due', () =>
    inFolder(async (folder) => {
      expect(await run(smallRun(folder), { mishaps: [badFrom(10)] })).toMatchObject({ kind: 'diverged', step: 10, checkpoint: join(folder, 'step-000005') });
    }));

  test('in the step of an interrupt', () =>
    inFolder(async (folder) => {
      const { mishap, signal } = interruptAt(8);
      expect(await run(smallRun(folder), { mishaps: [{ ...mishap, ...badFrom(8) }], signal })).toMatchObject({ kind: 'diverged', step: 8, checkpoint: join(folder, 'step-000005') });
    }));
});

describe('a disk that fills up', () => {
  test('is told with the last good checkpoint; the run goes on, and saves when there is space again', () =>
    inFolder(async (folder) => {
      let isFull = true;
      const disk = fullAfter(7000, () => isFull);
      const view = { progress: (done: number) => void (isFull &&= done < 26) };
      const outcome = await run(smallRun(folder), { disk, view });
      expect(outcome).toMatchObject({ kind: 'finished', checkpoint: join(folder, 'step-000030') });
      expect(outcome.notes[0]).toMatch(/^step 15 could not be saved: .*step-000015.*no space left \(ENOSPC\)\. The last good checkpoint is .*step-000010\. The run goes on and tries again after 5 steps\.$/);
      expect(await stateIn(folder)).toEqual(await undisturbed());
    }));

  test('to the end fails, and the last good checkpoint is there', () =>
    inFolder(async (folder) => {
      const outcome = await run(smallRun(folder), { disk: fullAfter(7000) });
      expect(outcome).toMatchObject({ kind: 'failed', checkpoint: join(folder, 'step-000010') });
      expect((await stateIn(folder)).step).toBe(10);
      expect((await run(smallRun(folder), {}, true)).kind).toBe('finished');
      expect(await stateIn(folder)).toEqual(await undisturbed());
    }));

  test('while metrics are written is told, not the end', () =>
    inFolder(async (folder) => {
      const metrics = (): Promise<void> => nodeDisk.append(join(folder, 'missing', 'metrics'), 'x');
      const outcome = await run(smallRun(folder, { steps: 5 }), { parts: { outputs: { restart: async () => undefined, metrics, show: async () => undefined } } });
      expect(outcome.kind).toBe('finished');
      expect(outcome.notes).toEqual([expect.stringContaining('the metrics could not be written (ENOENT')]); // once
    }));
});

test('data that fail end the run with what they say', () =>
  inFolder(async (folder) => {
    const openBatches: RunParts['openBatches'] = () => async () => E.right({ next: () => async () => E.left({ kind: 'data', message: 'cats/7.png: truncated' }), close: () => undefined });
    expect(await run(smallRun(folder), { parts: { openBatches } })).toMatchObject({ kind: 'failed', message: 'cats/7.png: truncated', step: 0 });
  }));
