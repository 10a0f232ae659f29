/** What a run leaves to look at. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodePng } from '../files/png.ts';
import { inFolder } from '../files/test-folder.ts';
import { nodeDisk } from './disk.ts';
import { type RunFacts, showDuration } from './facts.ts';
import { currentLoss, showRate, smoothed, thinned } from './history.ts';
import { lossPlot } from './loss-plot.ts';
import { folderOutputs, metricsUpTo } from './outputs.ts';
import { chosenSheets } from './report.ts';
import { run, smallRun } from './test-run.ts';
import type { Mishaps } from './test-trainer.ts';
import type { StepReport } from './trainer-types.ts';

const factsOf = (folder: string): RunFacts => ({
  config: smallRun(folder, { steps: 30, intervals: { sample: 10, log: 3, checkpoint: 5 } }),
  parameters: 1_234_567, images: 60_000, classes: ['coat', '<b>bag</b>'], device: 'a test', command: 'pixnerd train', version: '0', node: '20',
});
const reports = (count: number): readonly StepReport[] => Array.from({ length: count }, (_, i) => ({ step: i + 1, loss: 1 / (i + 1), gradientNorm: 1, learningRate: 1e-3 }));

const interrupting = (controller: AbortController, at: number): Mishaps => ({
  beforeStep: (step) => {
    if (step === at) controller.abort();
    return undefined;
  },
});

describe('losses', () => {
  test('smoothing starts at the first one and keeps what is constant', () => {
    expect(smoothed([3])[0]).toBeCloseTo(3, 12);
    for (const value of smoothed(Array.from({ length: 200 }, () => 0.25))) expect(value).toBeCloseTo(0.25, 12);
    expect(currentLoss([])).toBeUndefined();
  });
  test('thinning keeps the mean and the last step', () => {
    const thin = thinned(reports(1000), 100);
    expect(thin).toHaveLength(100);
    expect(thin.at(-1)!.step).toBe(1000);
    expect(thin[0]!.loss).toBeCloseTo(reports(10).reduce((sum, { loss }) => sum + loss, 0) / 10, 12);
    expect(thinned(reports(7), 100)).toEqual(reports(7));
  });
  test('short texts', () => expect([showRate(3e-4), showRate(1), showDuration(59.7), showDuration(125), showDuration(7500)]).toEqual(['3e-4', '1', '1 min 00 s', '2 min 05 s', '2 h 05 min']));
});

test('metrics forget later steps and a line that a kill cut off', () =>
  expect(metricsUpTo('{"step":1,"loss":2}\n{"step":2,"loss":1}\n{"step":3,"loss":1}\n{"step":2,"lo', 2)).toBe('{"step":1,"loss":2}\n{"step":2,"loss":1}\n'));

test('of many sheets some are shown, the first and the last among them', () => {
  const chosen = chosenSheets(Array.from({ length: 500 }, (_, i) => i));
  expect([chosen.length, chosen[0], chosen.at(-1)]).toEqual([30, 0, 499]);
});

test('a plot has all its numbers in place, also of no step, of one, and of a wild start', () => {
  for (const history of [[], reports(1), reports(5000), [{ ...reports(1)[0]!, loss: 1e9 }, ...reports(300)]]) {
    const { html } = lossPlot(history, 5000);
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
    for (const [, x, y] of html.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(0);
      expect(Number(x)).toBeLessThanOrEqual(960);
      expect(Number(y)).toBeGreaterThanOrEqual(0);
      expect(Number(y)).toBeLessThanOrEqual(400);
    }
  }
});

test('the files of a run, and of a resumed one: every step once, sheets, a page with all of it', () =>
  inFolder(async (folder) => {
    const facts = factsOf(folder), outputs = folderOutputs(folder, nodeDisk, () => facts);
    const png = encodePng({ width: 4, height: 4, channels: 1, data: new Uint8Array(16) });
    const parts = { outputs, drawSheet: () => async () => ({ _tag: 'Right' as const, right: png }) };
    const controller = new AbortController();
    await run(facts.config, { parts, signal: controller.signal, mishaps: [interrupting(controller, 17)] });
    await writeFile(join(folder, 'model-card.md'), 'mine');
    await nodeDisk.append(join(folder, 'metrics.jsonl'), '{"step":18,"loss":1,"gradientNorm":1,"learningRate":1}\n{"st');
    await run(facts.config, { parts }, true);
    const steps = (await readFile(join(folder, 'metrics.jsonl'), 'utf8')).trim().split('\n').map((line) => (JSON.parse(line) as StepReport).step);
    expect(steps).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(await readdir(join(folder, 'samples'))).toEqual(['step-000010.png', 'step-000020.png', 'step-000030.png']);
    const page = await readFile(join(folder, 'report.html'), 'utf8');
    expect(page.match(/data:image\/png;base64,/g)).toHaveLength(3);
    expect(page).toContain('&lt;b&gt;bag&lt;/b&gt;');
    expect(/<b>bag|NaN|undefined|(src|href)="?https?:/.test(page.replace(/<script>.*/s, ''))).toBe(false);
    expect(await readFile(join(folder, 'model-card.md'), 'utf8')).toBe('mine'); // begun by its author
    expect(await readFile(join(folder, 'loss.svg'), 'utf8')).toMatch(/^<svg/);
  }));
