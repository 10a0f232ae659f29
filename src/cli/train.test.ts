/** `pixnerd train` as users meet it: every bad input, and a small run on the adapter that is interrupted, killed and resumed. */
import { spawn } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTensorFile, openWeights } from '../files/open.ts';
import { encodePng } from '../files/png.ts';
import { inFolder, opened } from '../files/test-folder.ts';
import { parameterShapes } from '../../models/pixnerd/graph.ts';
import { checkpointStore } from '../training/checkpoint.ts';
import { nodeDisk } from '../training/disk.ts';
import { smallRun } from '../training/test-run.ts';
import { firstState } from '../training/test-trainer.ts';
import type { TrainingState } from '../training/trainer-types.ts';
import { TINY } from '../sampling/test-model.ts';
import { buildCli, type Cli, type Ended } from './test-cli.ts';

let cli: Cli;
beforeAll(async () => {
  cli = await buildCli();
});

const refusal = ({ code, err, out }: Ended): string => {
  expect(err).not.toContain('internal error');
  expect(err).not.toMatch(/\n\s+at .*:\d+:\d+/);
  expect([code, out]).toEqual([2, '']);
  return err;
};

/** Three classes of four images of 8 x 8. */
const writeImages = async (folder: string): Promise<string> => {
  for (const [label, name] of ['bars', 'dots', 'rings'].entries()) {
    await mkdir(join(folder, 'images', name), { recursive: true });
    for (let i = 0; i < 4; i++) {
      const data = Uint8Array.from({ length: 64 }, (_, pixel) => ((pixel * (label + 2) + 37 * i) * 29) % 256);
      await writeFile(join(folder, 'images', name, `${i}.png`), encodePng({ width: 8, height: 8, channels: 1, data }));
    }
  }
  return join(folder, 'images');
};

const writeConfig = async (folder: string, change: object = {}): Promise<string> => {
  const file = join(folder, 'run.json');
  const config = { output: join(folder, 'run'), steps: 8, batch: 4, model: { ...TINY }, data: { path: join(folder, 'images'), height: 8, width: 8 }, intervals: { checkpoint: 3, sample: null, log: 2 }, ...change };
  await writeFile(file, `// a small run\n${JSON.stringify(config)}`);
  return file;
};

describe('what is refused before anything is opened', () => {
  test('no run, options that contradict each other, a missing file', async () => {
    expect(refusal(await cli.run(['train']))).toContain('which run? Give a configuration (`pixnerd train --init fashion` writes one)');
    expect(refusal(await cli.run(['train', '--init', 'fashoin']))).toContain('--init fashoin: unknown; did you mean fashion?');
    expect(refusal(await cli.run(['train', '--init', 'fashion', '--set', 'steps=3', '--resume', 'x']))).toMatch(/--resume has no meaning for --init.*\n.*--set has no meaning/);
    expect(refusal(await cli.run(['train', '--resume', 'a', '--from', 'b']))).toContain('give one of them');
    expect(refusal(await cli.run(['train', 'no-such.json']))).toContain('no-such.json: there is no such file; `pixnerd train --init fashion` writes one to start from');
    expect(refusal(await cli.run(['train', '--resume', 'no-such']))).toContain('no-such: there is no checkpoint in this folder');
  });

  test('a configuration, with all that is wrong', () =>
    inFolder(async (folder) => {
      const file = await writeConfig(folder, { model: { ...TINY, patch_size: 4, hiden_size: 3 }, optimizer: { learningRate: -1 } });
      const err = refusal(await cli.run(['train', file, '--set', 'stpes=3']));
      expect(err).toContain('--set stpes: unknown key; did you mean steps?');
      expect(err).toContain(`${file}: model.hiden_size: unknown key; did you mean model.hidden_size?`);
      expect(err).toContain(`${file}: optimizer.learningRate: -1 is negative; use a number above 0`);
      const patch = await writeConfig(folder, { model: { ...TINY, patch_size: 3 } });
      expect(refusal(await cli.run(['train', patch]))).toContain('height 8 is not divisible by the patch size 3: try 9');
      await writeFile(file, '{ "output": 1, }}');
      expect(refusal(await cli.run(['train', file]))).toContain(`${file}: this is no JSON`);
    }));

  test('a folder that another run uses; a dead run’s lock is none', () =>
    inFolder(async (folder) => {
      const file = await writeConfig(folder), run = join(folder, 'run');
      await mkdir(run);
      const other = spawn('sleep', ['60']);
      await writeFile(join(run, 'run.lock'), JSON.stringify({ pid: other.pid, host: hostname(), began: '', since: 'today' }));
      expect(refusal(await cli.run(['train', file]))).toContain(`${run}: another run uses this folder: process ${other.pid}, since today. Wait for it, stop it, or choose another output`);
      other.kill('SIGKILL');
      await new Promise((resolve) => other.on('exit', resolve));
      const after = refusal(await cli.run(['train', file])); // there are no images
      expect(after).toContain(`process ${other.pid}, which used ${run}, is dead; its lock is taken over`);
      expect(await readdir(run)).toEqual([]);
    }));

  test('a run on top of another, resuming with another configuration, resuming what is finished', () =>
    inFolder(async (folder) => {
      const run = join(folder, 'run'), config = smallRun(run), file = join(folder, 'other.json');
      await mkdir(run);
      opened(await checkpointStore(run, nodeDisk, 3, { shapes: {}, metadata: {} }).save({ state: { ...firstState(), step: 30 }, history: [], config, seconds: 0 })());
      await writeFile(file, JSON.stringify({ ...config, seed: 7, optimizer: { ...config.optimizer, learningRate: 5 }, steps: 99 }));
      expect(refusal(await cli.run(['train', file]))).toContain(`${run} holds a run, at step-000030: go on with it by --resume ${run}`);
      const err = refusal(await cli.run(['train', file, '--resume', run]));
      expect(err).toContain('was trained with another configuration');
      expect(err).toContain('seed: was 0, is now 7\n  optimizer.learningRate: was 0.001, is now 5\n');
      expect(err).not.toContain('steps: was');
      expect(refusal(await cli.run(['train', '--resume', run]))).toContain('is finished: 30 of 30 steps are done; --set steps=60 goes on');
      expect(refusal(await cli.run(['train', '--resume', run, '--set', 'model.patch_size=8']))).toContain('model.patch_size: was 4, is now 8');
    }));

  test('data that contradict the configuration', () =>
    inFolder(async (folder) => {
      await writeImages(folder);
      const err = refusal(await cli.run(['train', await writeConfig(folder, { model: { ...TINY, num_classes: 5 }, batch: 64 })]));
      expect(err).toContain(`model.num_classes: 5, but ${join(folder, 'images')} has 3 classes (bars, dots, rings); set it to 3`);
      expect(err).toContain('batch: 64, but');
    }));
});

test('--init writes a configuration that says what comes next, and never over another', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'mine.json');
    expect(await cli.run(['train', '--init', 'fashion', '--out', file])).toMatchObject({ code: 0, out: `npx pixnerd data fashion data/fashion && npx pixnerd train ${file}\n` });
    expect(await readFile(file, 'utf8')).toContain('// the largest learning rate; the schedule scales it');
    expect(refusal(await cli.run(['train', '--init', 'fashion', '--out', file]))).toContain(`${file} is there already`);
  }));

describe('a run on the adapter', () => {
  let folder = '';
  let release: () => void = () => undefined;
  let done: Promise<void>;
  beforeAll(async () => {
    await new Promise<void>((ready) => {
      done = inFolder((made) => {
        folder = made;
        ready();
        return new Promise<void>((resolve) => (release = resolve));
      });
    });
    await writeImages(folder);
    await writeConfig(folder);
  });
  afterAll(async () => {
    release();
    await done;
  });

  const stateIn = async (run: string): Promise<TrainingState> => {
    const found = await checkpointStore(run, nodeDisk, 3, { shapes: {}, metadata: {} }).latest()();
    if (E.isLeft(found)) throw new Error(found.left.message);
    return found.right.state;
  };
  const train = (name: string, ...more: readonly string[]): readonly string[] => ['train', join(folder, 'run.json'), '--set', `output=${join(folder, name)}`, ...more];

  test('to the end: checkpoints, metrics, report; the models load, and the loss is that of every step', async () => {
    const ended = await cli.run(train('whole', '--set', 'intervals.sample=8', '--set', 'samples.steps=2', '--export', 'official'));
    const whole = join(folder, 'whole');
    expect(ended).toMatchObject({ code: 0, out: `${join(whole, 'step-000008')}\n${join(whole, 'official.safetensors')}\n` });
    expect(await readdir(whole)).toEqual(['config.json', 'loss.svg', 'metrics.jsonl', 'model-card.md', 'official.safetensors', 'report.html', 'samples', 'step-000003', 'step-000006', 'step-000008']);
    expect((await readFile(join(whole, 'metrics.jsonl'), 'utf8')).trim().split('\n')).toHaveLength(8);
    const official = opened(await openTensorFile(join(whole, 'official.safetensors'))());
    const names = Object.keys(parameterShapes(TINY));
    expect([...official.tensors.keys()].sort()).toEqual(names.flatMap((name) => [`denoiser.${name}`, `ema_denoiser.${name}`]).sort());
    await official.close();
    const ema = opened(await openWeights(join(whole, 'step-000008', 'ema.safetensors'))());
    expect(ema.metadata).toMatchObject({ step: '8', image: '[1,8,8]', classes: '["bars","dots","rings"]' });
    await ema.close();
    expect(await cli.run(['sample', '--checkpoint', join(whole, 'step-000008', 'ema.safetensors'), '--steps', '2', '--out', join(folder, 'x.png')])).toMatchObject({ code: 0 });
  });

  /** Starts a run without end and sends it a signal when it has a checkpoint. */
  const stopped = (name: string, signal: NodeJS.Signals): Promise<Ended> => {
    let isWatched = false;
    return cli.start(train(name, '--set', 'steps=1000000', '--set', 'intervals.keep=2'), (_, child) => {
      if (isWatched) return;
      isWatched = true;
      const timer = setInterval(() => {
        void nodeDisk.list(join(folder, name)).then((names) => {
          if (!names.some((each) => each.startsWith('step-')) || child.killed) return;
          clearInterval(timer); // a second Ctrl-C would end it at once
          child.kill(signal);
        });
      }, 20);
      child.on('exit', () => clearInterval(timer));
    });
  };

  /** Goes on for three steps, and compares with a run that nothing happened to. */
  const expectSameBits = async (name: string): Promise<Ended> => {
    const run = join(folder, name), at = (await stateIn(run)).step, steps = `steps=${at + 3}`;
    const resumed = await cli.run(['train', '--resume', run, '--set', steps]);
    expect(resumed.code).toBe(0);
    expect(await cli.run(train(`${name}-whole`, '--set', steps))).toMatchObject({ code: 0 });
    expect(await stateIn(run)).toEqual(await stateIn(join(folder, `${name}-whole`)));
    const metrics = (of: string): Promise<string> => readFile(join(folder, of, 'metrics.jsonl'), 'utf8');
    expect(await metrics(name)).toBe(await metrics(`${name}-whole`));
    return resumed;
  };

  test('export writes the same, of a run and of a checkpoint, and prints the call of torch', async () => {
    const whole = join(folder, 'whole'), wanted = await readFile(join(whole, 'official.safetensors'));
    for (const from of [whole, join(whole, 'step-000008')]) {
      const to = join(folder, 'exported.safetensors'), ended = await cli.run(['export', from, '--official', '--out', to]);
      expect(ended).toMatchObject({ code: 0, out: `${to}\n` });
      expect(ended.err).toContain('"global_step": 8, "pytorch-lightning_version": "2.5.0"}');
      expect((await readFile(to)).equals(wanted)).toBe(true);
    }
    expect(refusal(await cli.run(['export', whole]))).toContain('which form? --official is the one there is');
    expect(refusal(await cli.run(['export', join(folder, 'images'), '--official']))).toContain('there is no checkpoint in this folder');
  });

  test('Ctrl-C saves and says how to go on; the resumed run has the same bits', async () => {
    const run = join(folder, 'stopped'), ended = await stopped('stopped', 'SIGINT');
    const { step } = await stateIn(run);
    expect(ended.err).toContain(`interrupted after step ${step}, which is saved. To go on:\n  pixnerd train --resume ${run}`);
    expect(ended.code).toBe(130);
    expect(await readdir(run)).not.toContain('run.lock');
    await expectSameBits('stopped');
  });

  test('kill -9 costs the steps since the last checkpoint, and the resumed run has the same bits', async () => {
    const run = join(folder, 'killed');
    expect((await stopped('killed', 'SIGKILL')).code).toBe(null);
    expect(await readdir(run)).toContain('run.lock');
    expect((await expectSameBits('killed')).err).toMatch(/process \d+, which used .* is dead; its lock is taken over/);
  });

  test('a loss that is no number stops with the step, the last good checkpoint and the op', async () => {
    const run = join(folder, 'wild');
    const ended = await cli.run(train('wild', '--set', 'optimizer.learningRate=1e20', '--set', 'clip=null', '--set', 'intervals.checkpoint=1', '--set', 'intervals.log=1'));
    expect(refusal(ended)).toMatch(new RegExp(`the loss of step \\d is (NaN|-?Infinity); the first bad value is element \\d+ of \\w+ \\[.*\n  The last good checkpoint is ${run}/step-00000\\d\\.`));
    expect((await stateIn(run)).step).toBeGreaterThan(0);
  });

  test('a folder that was moved goes on where it is now', async () => {
    await cp(join(folder, 'whole'), join(folder, 'moved'), { recursive: true });
    await rm(join(folder, 'whole', 'step-000008'), { recursive: true });
    expect(await cli.run(['train', '--resume', join(folder, 'moved'), '--set', 'steps=9'])).toMatchObject({ code: 0, out: `${join(folder, 'moved', 'step-000009')}\n` });
  });

  test('--from begins with the weights of a checkpoint, with other classes too', async () => {
    await rm(join(folder, 'images', 'rings'), { recursive: true });
    const from = join(folder, 'moved', 'step-000008', 'ema.safetensors');
    const ended = await cli.run(train('tuned', '--from', from, '--set', 'steps=1', '--set', 'optimizer.learningRate=1e-12', '--set', 'model.num_classes=2'));
    expect(ended.err).toContain('knows 3 classes, this model 2: what it knew of classes starts anew');
    expect(ended.code).toBe(0);
    const [tuned, first] = [(await stateIn(join(folder, 'tuned'))).parameters, opened(await openWeights(from)())];
    for (const name of first.names().filter((each) => !each.startsWith('y_embedder')))
      opened(await first.read(name)()).forEach((value, i) => expect(Math.abs(tuned[name]![i]! - value)).toBeLessThan(1e-9));
    await first.close();
    expect(refusal(await cli.run(train('bad', '--from', from, '--set', 'model.hidden_size=32', '--set', 'model.num_classes=2')))).toMatch(/does not fit the model of the configuration \(model\.\*\):\n.* is \[.*\], this model has \[/);
  });
});
