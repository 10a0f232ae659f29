/**
 * How time grows with tokens, batch and resolution, for us and for peers: `npm run bench -- --scaling`, as a table and a plot. The least
 * of a few calls is shown: what else a machine does from minute to minute would bend the lines.
 */
import { prepare } from './lib/data.mjs';
import { measureAll } from './lib/measure.mjs';
import { plotSvg } from './lib/plot.mjs';
import { table } from './lib/table.mjs';
import { makeWorkload } from './lib/workloads.mjs';

const SMALL_MODEL = { kind: 'pixnerd', blocks: 3, nerfs: 1, classes: 10 };

/** Each series varies one number; `make` gives the workload. */
const SERIES = [
  { title: 'attention: tokens', x: 'tokens (1 x 4 heads of 64)', values: [64, 128, 256, 512, 1024], make: (N) => ({ kind: 'attention', B: 1, N }) },
  { title: 'model: batch', x: 'images of 32 x 32, 3 + 1 blocks', values: [1, 2, 4, 8], make: (B) => ({ ...SMALL_MODEL, B }) },
  { title: 'model: resolution', x: 'rows and columns, batch 1, patch 8', values: [16, 32, 64, 128], make: (img) => ({ ...SMALL_MODEL, B: 1, img }) },
];

const nameOf = ({ title }, value) => `scaling-${title.replace(/\W+/g, '-')}-${value}`;

/** Measures all series; gives the panels of the plot. */
const measureSeries = async (pairs, settings) => {
  const chosen = Object.fromEntries(SERIES.flatMap((series) => series.values.map((value) => [nameOf(series, value), makeWorkload(series.make(value))])));
  await prepare(settings.dir, chosen);
  const rows = await measureAll(pairs, chosen, settings);
  const panels = SERIES.map((series) => ({
    ...series,
    lines: pairs.map(({ peer, variant }) => {
      const of = (value) => rows.find((row) => row.peer === peer && row.variant === variant && row.workload === nameOf(series, value));
      return { name: peer === 'ours' ? 'ours' : `${peer}:${variant}`, points: series.values.flatMap((value) => (of(value)?.minMs === undefined ? [] : [[value, of(value).minMs]])) };
    }).filter(({ points }) => points.length > 0),
  }));
  return { rows, panels };
};

const panelTable = ({ title, x, values, lines }) => {
  const ms = (line, value) => line.points.find(([at]) => at === value)?.[1].toFixed(1);
  return `### ${title}\n\n${table([[x, (line) => line.name, '---'], ...values.map((value) => [String(value), (line) => ms(line, value)])], lines)}`;
};

/** { rows, tables, svg }; the caption says where and when. */
export const scaling = async (pairs, settings, caption) => {
  const { rows, panels } = await measureSeries(pairs, settings);
  return { rows, tables: panels.map(panelTable).join('\n\n'), svg: plotSvg(panels, caption) };
};
