/** The files that a run leaves beside its checkpoints: metrics, loss plot, sheets of samples, report, model card. */
import { join } from 'node:path';
import type { Disk } from './disk.ts';
import type { RunFacts } from './facts.ts';
import { lossPlot } from './loss-plot.ts';
import { modelCard, modelCardBlanks } from './model-card.ts';
import { chosenSheets, runPage, type Sheet } from './report.ts';
import type { RunNow, RunOutputs } from './run.ts';
import type { StepReport } from './trainer-types.ts';

const SAMPLES = 'samples';
const CARD = 'model-card.md';
const METRICS = 'metrics.jsonl';

const sheetName = (step: number): string => `step-${String(step).padStart(6, '0')}.png`;
const stepOf = (name: string): number | undefined => {
  const [, digits] = /^step-(\d{6,})\.png$/.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The lines of steps up to `step`; a last line that a kill cut off is none. */
export const metricsUpTo = (text: string, step: number): string =>
  text.split('\n').filter((line) => {
    const [, found] = /^\{"step":(\d+),.*\}$/.exec(line) ?? [];
    return found !== undefined && Number(found) <= step;
  }).map((line) => `${line}\n`).join('');

const metricLine = ({ step, loss, gradientNorm, learningRate }: StepReport): string => `${JSON.stringify({ step, loss, gradientNorm, learningRate })}\n`;

const readText = async (disk: Disk, folder: string, name: string): Promise<string> =>
  (await disk.list(folder)).includes(name) ? new TextDecoder().decode(await disk.read(join(folder, name))) : '';

/** Sheets on the disk, by step. */
const sheetsIn = async (disk: Disk, folder: string): Promise<readonly Sheet[]> => {
  const steps = (await disk.list(folder)).flatMap((name) => stepOf(name) ?? []).sort((a, b) => a - b);
  return Promise.all(chosenSheets(steps).map(async (step) => ({ step, png: await disk.read(join(folder, sheetName(step))) })));
};

/** A card in which somebody has begun to write is theirs. */
const isOurs = (card: string): boolean => card === '' || card.split('TO FILL:').length === modelCardBlanks + 1;

/** Writes into a run's folder. */
export const folderOutputs = (folder: string, disk: Disk, facts: () => RunFacts): RunOutputs => {
  const samples = join(folder, SAMPLES);
  return {
    restart: async (step) => {
      await disk.makeFolder(folder);
      const text = await readText(disk, folder, METRICS), kept = metricsUpTo(text, step);
      if (kept !== text) await disk.write(join(folder, METRICS), [bytes(kept)]);
      for (const name of await disk.list(samples)) if ((stepOf(name) ?? 0) > step) await disk.remove(join(samples, name));
    },
    metrics: async (reports) => {
      if (reports.length > 0) await disk.append(join(folder, METRICS), reports.map(metricLine).join(''));
    },
    show: async ({ step, seconds, history, checkpoint, sheet }: RunNow) => {
      if (sheet !== undefined) {
        await disk.makeFolder(samples);
        await disk.write(join(samples, sheetName(step)), [sheet]);
      }
      const about = { facts: facts(), step, seconds, history, checkpoint };
      await disk.write(join(folder, 'loss.svg'), [bytes(lossPlot(history, about.facts.config.steps).html)]);
      await disk.write(join(folder, 'report.html'), [bytes(runPage({ ...about, sheets: await sheetsIn(disk, samples) }))]);
      if (isOurs(await readText(disk, folder, CARD))) await disk.write(join(folder, CARD), [bytes(modelCard(about))]);
    },
  };
};
