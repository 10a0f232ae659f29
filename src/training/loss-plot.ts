/** The loss of a run as a picture: every step in grey, the smoothed loss on top, the learning rate below. SVG that stands on its own. */
import { type Html, html, raw } from '../explain/html.ts';
import { showCount } from '../explain/format.ts';
import { showLoss, showRate, smoothed } from './history.ts';
import type { StepReport } from './trainer-types.ts';

const WIDTH = 960, HEIGHT = 400, LEFT = 70, RIGHT = 24, TOP = 22, BOTTOM = 44, RATE_HEIGHT = 48, GAP = 26;
const INNER_WIDTH = WIDTH - LEFT - RIGHT, LOSS_HEIGHT = HEIGHT - TOP - BOTTOM - RATE_HEIGHT - GAP, RATE_TOP = TOP + LOSS_HEIGHT + GAP;

/** Points of a line at most: more than there are pixels. */
const MOST_POINTS = 1200;

const STYLE = `.lp-raw{fill:none;stroke:#8a939d;stroke-opacity:.45;stroke-width:1}.lp-loss{fill:none;stroke:#2456c7;stroke-width:2.4;stroke-linejoin:round}.lp-rate{fill:#0f7b83;fill-opacity:.18;stroke:#0f7b83;stroke-width:1.6}
.lp-grid{stroke:#8a939d;stroke-opacity:.28}.lp-tick{fill:#78828d;font-size:12px}.lp-name{fill:#5b6570;font-size:13px}.lp-now{fill:#2456c7;font-size:14px;font-weight:650}
@media(prefers-color-scheme:dark){.lp-loss{stroke:#8ab0ff}.lp-now{fill:#8ab0ff}.lp-rate{stroke:#45b8c0;fill:#45b8c0}.lp-name{fill:#a2abb5}}`;

/** 1, 2, 5, 10, 20, ... that lie between, or nothing of it where there is no room for two. */
const niceBetween = (low: number, high: number): readonly number[] => {
  const values: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) for (const times of [1, 2, 5]) if (times * power >= low && times * power <= high) values.push(times * power);
  return values;
};

/** Round steps along the axis: about six. */
const stepTicks = (last: number): readonly number[] => {
  const rough = last / 6, unit = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
  const pace = Math.max(1, ([1, 2, 2.5, 5, 10] as const).map((times) => times * unit).find((value) => Number.isInteger(value) && value >= rough) ?? unit);
  return Array.from({ length: Math.floor(last / pace) + 1 }, (_, i) => i * pace);
};

interface Point {
  readonly x: number;
  readonly y: number;
}
const path = (points: readonly Point[]): string => points.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');

/** Evenly chosen entries, the last one among them. */
const chosen = <A>(values: readonly A[], most: number): readonly A[] => {
  const stride = Math.max(1, values.length / most);
  return Array.from({ length: Math.min(values.length, most) }, (_, i) => values[values.length - 1 - Math.floor(i * stride)]!).reverse();
};

/** The plot; `steps` is where the run will end. A run without a step has axes alone. */
export const lossPlot = (history: readonly StepReport[], steps: number): Html => {
  const means = smoothed(history.map(({ loss }) => loss));
  const lines = chosen(history.map((report, i) => ({ ...report, mean: means[i]! })), MOST_POINTS); // as many means as reports
  const positive = lines.flatMap(({ loss, mean }) => [loss, mean]).filter((loss) => loss > 0);
  const sorted = positive.toSorted((a, b) => a - b);
  // a few wild losses at the start must not press the rest flat
  const high = Math.max(sorted[Math.floor(0.995 * (sorted.length - 1))] ?? 1, means[0] ?? 1) * 1.08, low = Math.min((sorted[Math.floor(0.002 * sorted.length)] ?? 0.1) * 0.95, high / 1.5);
  const x = (step: number): number => LEFT + (INNER_WIDTH * step) / Math.max(1, steps);
  const y = (loss: number): number => TOP + LOSS_HEIGHT * (1 - Math.log(Math.min(high, Math.max(low, loss)) / low) / Math.log(high / low));
  const highestRate = lines.reduce((most, { learningRate }) => Math.max(most, learningRate), 0);
  const rate = ({ step, learningRate }: StepReport): Point => ({ x: x(step), y: RATE_TOP + RATE_HEIGHT * (1 - learningRate / (highestRate || 1)) });
  const last = lines.at(-1), first = lines[0];
  const grid = [
    ...niceBetween(low, high).map((value) => html`<path class="lp-grid" d="M${LEFT} ${y(value).toFixed(1)}h${INNER_WIDTH}"/><text class="lp-tick" x="${LEFT - 8}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${String(Number(value.toPrecision(2)))}</text>`),
    ...stepTicks(steps).map((step) => html`<path class="lp-grid" d="M${x(step).toFixed(1)} ${TOP}v${LOSS_HEIGHT}m0 ${GAP}v${RATE_HEIGHT}"/><text class="lp-tick" x="${x(step).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${showCount(step)}</text>`),
  ];
  const curves = first === undefined || last === undefined ? undefined
    : html`<path class="lp-raw" d="${path(lines.map(({ step, loss }) => ({ x: x(step), y: y(loss) })))}"/><path class="lp-loss" d="${path(lines.map(({ step, mean }) => ({ x: x(step), y: y(mean) })))}"/>
<path class="lp-rate" d="${path(lines.map(rate))}L${x(last.step).toFixed(1)} ${RATE_TOP + RATE_HEIGHT}L${x(first.step).toFixed(1)} ${RATE_TOP + RATE_HEIGHT}Z"/>
<text class="lp-now" x="${Math.min(x(last.step), WIDTH - RIGHT - 4).toFixed(1)}" y="${(y(last.mean) - 10).toFixed(1)}" text-anchor="end">${showLoss(last.mean)}</text>
<text class="lp-tick" x="${LEFT - 8}" y="${RATE_TOP + 12}" text-anchor="end">${showRate(highestRate)}</text>`;
  return html`<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif" role="img" aria-label="Loss by step"><style>${raw(STYLE)}</style>${grid}${curves}
<text class="lp-name" transform="translate(16 ${TOP + LOSS_HEIGHT / 2}) rotate(-90)" text-anchor="middle">loss</text><text class="lp-tick" x="${LEFT - 8}" y="${RATE_TOP + RATE_HEIGHT - 6}" text-anchor="end">rate</text>
<text class="lp-name" x="${LEFT + INNER_WIDTH / 2}" y="${HEIGHT - 6}" text-anchor="middle">steps</text></svg>`;
};
