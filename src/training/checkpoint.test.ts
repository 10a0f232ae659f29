/** Checkpoints: whole or not at all, whatever happens to the disk or the process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as E from 'fp-ts/Either';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../files/open.ts';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import { type Checkpoint, checkpointStore, removeLeftovers } from './checkpoint.ts';
import { type Disk, nodeDisk } from './disk.ts';
import { fullAfter } from './test-disk.ts';
import { smallRun } from './test-run.ts';
import { firstState } from './test-trainer.ts';

const ABOUT = { shapes: { w: [8, 8] }, metadata: { kind: 'weights' } };
const storeIn = (folder: string, disk: Disk = nodeDisk, keep = 3) => checkpointStore(folder, disk, keep, ABOUT);

const checkpointAt = (folder: string, step: number): Checkpoint => ({
  state: { ...firstState(), step, lossScale: 1024 },
  history: [{ step, loss: 0.5, gradientNorm: 1.25, learningRate: 1e-3 }],
  config: smallRun(folder),
  seconds: 12.5,
});

test('what is saved comes back, to the last bit', () =>
  inFolder(async (folder) => {
    const store = storeIn(folder), checkpoint = checkpointAt(folder, 5);
    const path = opened(await store.save(checkpoint)());
    expect(path).toBe(join(folder, 'step-000005'));
    expect(opened(await store.latest()())).toEqual({ ...checkpoint, path, damaged: [] });
    const weights = opened(await openWeights(join(path, 'ema.safetensors'))());
    expect([weights.names(), weights.info('w')?.shape, weights.metadata]).toEqual([['w'], [8, 8], { kind: 'weights', step: '5' }]);
    await weights.close();
  }));

test('the last ones are kept', () =>
  inFolder(async (folder) => {
    for (const step of [5, 10, 15, 20]) opened(await storeIn(folder, nodeDisk, 2).save(checkpointAt(folder, step))());
    expect(await readdir(folder)).toEqual(['step-000015', 'step-000020']);
  }));

describe('a disk that fills up', () => {
  // a checkpoint has four files; the disk is full from some moment of each on
  test.each([0, 100, 400, 700, 1500])('after %d bytes', (bytes) =>
    inFolder(async (folder) => {
      const before = checkpointAt(folder, 5);
      opened(await storeIn(folder, nodeDisk, 1).save(before)());
      const fault = refused(await storeIn(folder, fullAfter(bytes), 1).save(checkpointAt(folder, 10))());
      expect(fault.kind).toBe('not-writable');
      expect(fault.message).toMatch(/step-000010\/\w+\.(safetensors|json): no space left \(ENOSPC\)$/);
      expect(await readdir(folder)).toEqual(['step-000005']);
      expect(opened(await storeIn(folder).latest()()).state).toEqual(before.state);
    }));

  test('is seen before anything is written, where the system tells', () =>
    inFolder(async (folder) => {
      const disk: Disk = { ...nodeDisk, free: async () => 500, write: () => Promise.reject(new Error('nothing should be written')) };
      expect(refused(await storeIn(folder, disk).save(checkpointAt(folder, 5))()).message).toMatch(/step-000005: no space left: a checkpoint needs 0.1 MB, 0.1 MB are free$/);
    }));
});

describe('damage', () => {
  const damages: readonly (readonly [what: string, file: string, change: (path: string) => Promise<void>, message: string])[] = [
    ['a file that was cut', 'ema.safetensors', (path) => truncate(path, 100), 'it has 100 bytes'],
    ['a bit that turned', 'model.safetensors', async (path) => {
      const bytes = await readFile(path);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(path, bytes);
    }, 'its bytes are not those that were written'],
    ['a state that is no JSON', 'state.json', (path) => writeFile(path, '{'), 'this is no JSON'],
    ['a state of another format', 'state.json', (path) => writeFile(path, '{"format": 2}'), 'its format is 2; this version reads "pixnerd-checkpoint-1"'],
  ];
  test.each(damages)('%s is named, and the checkpoint before is used', (_, file, change, message) =>
    inFolder(async (folder) => {
      const store = storeIn(folder);
      for (const step of [5, 10]) opened(await store.save(checkpointAt(folder, step))());
      await change(join(folder, 'step-000010', file));
      const found = opened(await store.latest()());
      expect(found.state.step).toBe(5);
      expect(found.damaged).toEqual([expect.stringContaining(`${join('step-000010', file)}: ${message}`)]);
      opened(await store.save(checkpointAt(folder, 10))()); // the run comes there again
      expect(opened(await store.latest()()).state.step).toBe(10);
    }));

  test('no whole one is left', () =>
    inFolder(async (folder) => {
      const store = storeIn(folder);
      expect(refused(await store.latest()())).toMatchObject({ kind: 'not-found' });
      opened(await store.save(checkpointAt(folder, 5))());
      await writeFile(join(folder, 'step-000005', 'state.json'), '');
      expect(refused(await store.latest()()).message).toMatch(/no checkpoint is whole:\n.*state\.json/);
    }));
});

test('kill -9 in the middle of writing leaves a whole checkpoint every time', () =>
  inFolder(async (folder) => {
    const root = fileURLToPath(new URL('../../', import.meta.url)), writer = join(root, '.cache', `checkpoint-writer-${process.pid}.mjs`);
    await mkdir(join(root, '.cache'), { recursive: true });
    await build({ absWorkingDir: root, entryPoints: ['src/training/test-writer.ts'], outfile: writer, bundle: true, format: 'esm', platform: 'node', mainFields: ['module', 'main'], logLevel: 'warning', external: ['fast-png', 'webgpu'] });
    let halves = 0;
    for (let round = 0; round < 12; round++) {
      const child = spawn(process.execPath, [writer, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data'); // it has begun
      await new Promise((resolve) => setTimeout(resolve, 5 + 13 * round));
      child.kill('SIGKILL');
      await once(child, 'exit');
      const found = opened(await storeIn(folder).latest()());
      expect(found.damaged).toEqual([]);
      expect(found.state.parameters['w']).toEqual(new Float32Array(1 << 18).fill(found.state.step));
      halves += opened(await removeLeftovers(folder, nodeDisk)()).length;
      expect((await readdir(folder)).filter((name) => !name.startsWith('step-'))).toEqual([]);
    }
    expect(halves).toBeGreaterThan(0); // at least one was in the middle
  }), 60_000);

test('a fault of ours is not taken for one of the disk', () =>
  inFolder(async (folder) => {
    const disk: Disk = { ...nodeDisk, rename: () => Promise.reject(new TypeError('a bug')) };
    await expect(storeIn(folder, disk).save(checkpointAt(folder, 5))()).rejects.toThrow('a bug');
    expect(E.isLeft(await storeIn(folder).latest()())).toBe(true);
  }));
