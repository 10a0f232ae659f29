/** An evaluation for people and for programs: a table, and JSON that has everything the table is made of. */
import type { Evaluation, Row } from './evaluate.ts';
import { ROWS } from './evaluate.ts';
import { type Metric, METRICS, type MetricAbout } from './scores.ts';

const metrics = Object.entries(METRICS) as readonly (readonly [Metric, MetricAbout])[]; // the entries of a literal

const cell = ({ summary }: Row, metric: Metric, { digits, scale = 1 }: MetricAbout): string => {
  const found = summary[metric];
  if (found === undefined) return '-';
  return `${(scale * found.mean).toFixed(digits)} ± ${(scale * found.deviation).toFixed(digits)}`;
};

/** The metrics as rows, who made the images as columns: means ± standard deviations over the seeds. */
export const tableOf = ({ rows }: Evaluation, model: string): readonly (readonly string[])[] => [
  ['', ...rows.map(({ name }) => (name === 'model' ? model : ROWS[name]))],
  ...metrics
    .filter(([metric]) => rows.some(({ summary }) => summary[metric] !== undefined))
    .map(([metric, about]) => [about.title, ...rows.map((row) => cell(row, metric, about))]),
];

/** What the metrics are, a line each. */
export const legend = (): readonly string[] => metrics.map(([, { title, what }]) => `${title}: ${what}`);

/** What an evaluation was made with. */
export interface EvaluationContext {
  readonly command: string;
  readonly version: string;
  readonly model: Readonly<Record<string, unknown>>;
  readonly data: Readonly<Record<string, unknown>>;
  readonly classifier: Readonly<Record<string, unknown>>;
  readonly sampler: Readonly<Record<string, unknown>>;
  readonly samples: number;
  readonly seeds: readonly bigint[];
  readonly device: string;
  readonly seconds: number;
}

/** The file of an evaluation. */
export const jsonOf = (evaluation: Evaluation, { seeds, ...context }: EvaluationContext): string =>
  `${JSON.stringify({ ...context, seeds: seeds.map(String), reference: evaluation.reference, compared: evaluation.compared, metrics: METRICS, rows: evaluation.rows }, undefined, 2)}\n`;
