/** The two plots, as SVG: kernels on the adapter's roofline, and memory over time. */
import { ridgeOf, type Roofline, timeAt } from '../../compiler/roofline.ts';
import { blocksOf, grouped } from './blocks.ts';
import { plural, showBytes, showFlops, showIntensity, showMilliseconds, showShare } from './format.ts';
import { type Html, html } from './html.ts';
import { placesOf, sameKernels, totalTime } from './kinds.ts';
import { boundMark, kernelLink, type PageContext, section } from './page-parts.ts';

const WIDTH = 960, HEIGHT = 400, LEFT = 74, RIGHT = 20, TOP = 24, BOTTOM = 52;
const INNER_WIDTH = WIDTH - LEFT - RIGHT, INNER_HEIGHT = HEIGHT - TOP - BOTTOM;

/** A logarithmic axis in pixels; what lies outside is put at its end. */
const logScale = (low: number, high: number, from: number, to: number) => (value: number): number =>
  from + ((Math.log10(Math.min(high, Math.max(low, value))) - Math.log10(low)) / (Math.log10(high) - Math.log10(low))) * (to - from);

/** The next of 1, 2, 5, 10, 20, ... */
const roundAbove = (most: number): number => {
  const unit = floorTen(Math.max(Number.MIN_VALUE, most));
  return ([1, 2, 5, 10] as const).map((times) => times * unit).find((value) => value >= most) ?? 10 * unit;
};

const powersOfTen = (low: number, high: number): readonly number[] => {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => 10 ** (first + i));
};
const floorTen = (value: number): number => 10 ** Math.floor(Math.log10(value));

/** Kernels with a number of their own in the plot. */
const NUMBERED = 8;

const rate = (gflops: number): string => `${showFlops(gflops * 1e9)}/s`;

interface Dot { readonly cx: number; readonly cy: number; readonly r: number }
/** Space for a number. */
const NUMBER_WIDTH = 18;

/** Numbers above their dots, from left to right, moved aside where dots lie close together. */
const labelled = <D extends Dot>(dots: readonly D[]): readonly (D & { readonly rank: number; readonly labelX: number; readonly labelY: number })[] => {
  const order = dots.map((dot, i) => ({ ...dot, rank: i + 1 })).sort((a, b) => a.cx - b.cx);
  let last = -Infinity;
  return order.map((dot) => {
    const labelX = Math.max(dot.cx, last + NUMBER_WIDTH);
    last = labelX;
    return { ...dot, labelX, labelY: dot.cy - 34 };
  });
};

const rooflinePlot = (roofline: Roofline, { report }: PageContext): Html => {
  const whole = totalTime(roofline, report.kernels).milliseconds;
  const dots = sameKernels(report.kernels).filter(({ first }) => first.flops > 0 && first.bytes > 0).map((same) => {
    const { milliseconds, bound } = timeAt(roofline, same.first);
    return { same, bound, milliseconds, share: totalTime(roofline, same.all).milliseconds / whole, reached: same.first.flops / milliseconds / 1e6 };
  }).sort((a, b) => b.share - a.share);
  const ridge = ridgeOf(roofline);
  const lowX = floorTen(Math.min(ridge / 10, ...dots.map(({ same }) => same.first.intensity))), highX = roundAbove(1.6 * Math.max(ridge * 1.5, ...dots.map(({ same }) => same.first.intensity)));
  const highY = roofline.gflops * 4, lowY = Math.max(floorTen(lowX * roofline.gbs), floorTen(highY / 1e6));
  const x = logScale(lowX, highX, LEFT, LEFT + INNER_WIDTH), y = logScale(lowY, highY, TOP + INNER_HEIGHT, TOP);
  const grid = [
    ...powersOfTen(lowX, highX).map((value) => html`<path class="grid" d="M${x(value)} ${TOP}v${INNER_HEIGHT}"/><text class="tick" x="${x(value)}" y="${TOP + INNER_HEIGHT + 18}" text-anchor="middle">${value}</text>`),
    ...powersOfTen(lowY, highY).map((value) => html`<path class="grid" d="M${LEFT} ${y(value)}h${INNER_WIDTH}"/><text class="tick" x="${LEFT - 8}" y="${y(value) + 4}" text-anchor="end">${rate(value).replace('FLOP/s', '')}</text>`),
  ];
  const roof = html`<path class="roof" d="M${x(lowX)} ${y(lowX * roofline.gbs)}L${x(ridge)} ${y(roofline.gflops)}H${x(highX)}"/>
<text class="note" x="${x(highX) - 4}" y="${y(roofline.gflops) - 62}" text-anchor="end">flat: ${rate(roofline.gflops)}, as fast as it computes</text>
<text class="note" x="${LEFT + 14}" y="${TOP + 18}">slope: ${showBytes(roofline.gbs * 1e9)}/s, as fast as memory brings numbers</text>`;
  const placed = dots.map((dot) => ({ ...dot, cx: x(dot.same.first.intensity), cy: y(dot.reached), r: 4 + 20 * Math.sqrt(dot.share) }));
  const marks = placed.map(({ same, bound, milliseconds, share, reached, cx, cy, r }) => {
    const { first, all } = same;
    const tip = `k${first.index}${all.length > 1 ? ` and ${all.length - 1} like it` : ''}: ${first.what}\n${placesOf(same)}\n${showIntensity(first.intensity)} operations per byte, ${rate(reached)}, ${showMilliseconds(milliseconds)} each, ${showShare(share)} of the time`;
    return html`<a href="#k${first.index}"><circle class="dot ${bound}" cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="${r.toFixed(1)}" data-tip="${tip}"/></a>`;
  }); // the largest first, so that none hides a smaller one
  const numbers = labelled(placed.slice(0, NUMBERED)).map(({ cx, cy, r, labelX, labelY, rank }) =>
    html`<path class="leader" d="M${labelX.toFixed(1)} ${(labelY + 3).toFixed(1)}L${cx.toFixed(1)} ${(cy - r).toFixed(1)}"/><text class="rank" x="${labelX.toFixed(1)}" y="${labelY.toFixed(1)}" text-anchor="middle">${rank}</text>`);
  const legend = html`<ol class="ranks">${dots.slice(0, NUMBERED).map(({ same, bound, share }) =>
    html`<li>${boundMark(bound)} <strong>${showShare(share)}</strong> ${kernelLink(same.first)}${same.all.length > 1 ? ` × ${same.all.length}` : ''} <code>${placesOf(same)}</code> ${same.first.what}</li>`)}</ol>`;
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Roofline of ${roofline.label}">${grid}
<text class="axis" x="${LEFT + INNER_WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">arithmetic operations for each byte moved</text>
<text class="axis" transform="translate(14 ${TOP + INNER_HEIGHT / 2}) rotate(-90)" text-anchor="middle">operations per second</text>
${roof}${marks}${numbers}</svg>${legend}`;
};

/** Where the kernels lie under the roof of each adapter. */
export const rooflineSection = (context: PageContext): Html => {
  const { rooflines } = context;
  return section('roofline', 'What holds it back: the roofline', html`An adapter computes at most so fast (the flat part of the roof) and brings numbers from memory at most so fast (the slope). A kernel under the slope waits for memory: fusing it with a neighbour helps. One under the flat part does nothing but compute: only a better adapter, or less work, helps. One that hangs below the roof is too small to be worth its launch. The larger a dot, the more of the time it takes.`,
    rooflines.map((roofline, i) => html`<div class="on r${i}">${rooflinePlot(roofline, context)}</div>`));
};

const memoryBar = ({ report: { memory } }: PageContext): Html => {
  const peak = Math.max(0, ...memory.live);
  const parts = ([['weights', memory.weights], ['intermediate tensors', peak], ['constants', memory.constants], ['inputs and outputs', memory.inputs + memory.outputs]] as const)
    .filter(([, bytes]) => bytes > 0);
  const sum = parts.reduce((total, [, bytes]) => total + bytes, 0);
  return html`<div class="stack" role="img" aria-label="Memory at its peak">${parts.map(([name, bytes], i) => html`<span class="part m${i}" style="flex-grow:${((1000 * bytes) / sum).toFixed(1)}" data-tip="${name}: ${showBytes(bytes)}"></span>`)}</div>
<ul class="legend">${parts.map(([name, bytes], i) => html`<li><span class="swatch m${i}"></span>${name} <strong>${showBytes(bytes)}</strong> (${showShare(bytes / sum)})</li>`)}</ul>`;
};

const memoryPlot = ({ report }: PageContext): Html => {
  const { live, planned, constants, inputs, outputs } = report.memory, height = 300, inner = height - TOP - BOTTOM, always = constants + inputs + outputs;
  const most = roundAbove(Math.max(planned + always, 1)), step = INNER_WIDTH / Math.max(1, live.length);
  const y = (bytes: number): number => TOP + inner - (bytes / most) * inner;
  const base = y(0), floor = y(always);
  const area = live.map((bytes, k) => `${k === 0 ? 'M' : 'L'}${(LEFT + k * step).toFixed(1)} ${y(always + bytes).toFixed(1)}H${(LEFT + (k + 1) * step).toFixed(1)}`).join('');
  const blocks = grouped(blocksOf(report.kernels), report.parameters.weights).flatMap(({ first, repeats }) => [first, ...repeats]).filter(({ name, kernels }) => name !== '' && kernels.length > 2);
  // a block is where most of it runs: a norm may be fused into a kernel far in front
  const bands = blocks.map(({ name, kernels }, i) => {
    const middle = kernels[Math.floor(kernels.length / 2)]!.index, near = kernels.filter(({ index }) => Math.abs(index - middle) <= 2 * kernels.length);
    const from = LEFT + near[0]!.index * step, width = (near.at(-1)!.index - near[0]!.index + 1) * step;
    return html`<rect class="band${i % 2}" x="${from.toFixed(1)}" y="${TOP}" width="${width.toFixed(1)}" height="${inner}"/>${width > 8 * name.length ? html`<text class="tick" x="${(from + width / 2).toFixed(1)}" y="${base + 16}" text-anchor="middle">${name}</text>` : width > 13 && /\d+$/.test(name)
      ? html`<text class="tick" x="${(from + width / 2).toFixed(1)}" y="${base + 16}" text-anchor="middle">${/\d+$/.exec(name)![0]}</text>` : undefined}`;
  });
  const hovers = report.kernels.map(({ index }, k) => html`<a href="#k${index}"><rect class="hover" x="${(LEFT + k * step).toFixed(2)}" y="${TOP}" width="${step.toFixed(2)}" height="${inner}" data-at="${index}" data-tip="${showBytes(live[k]!)} of intermediate tensors alive"/></a>`);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => html`<path class="grid" d="M${LEFT} ${y(part * most)}h${INNER_WIDTH}"/><text class="tick" x="${LEFT - 8}" y="${y(part * most) + 4}" text-anchor="end">${part === 0 ? '0' : showBytes(part * most)}</text>`);
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Memory over time">${bands}${ticks}
<path class="always" d="M${LEFT} ${floor}h${INNER_WIDTH}V${base}H${LEFT}z"/>
<path class="live" d="${area}V${floor}H${LEFT}z"/>
<path class="planned" d="M${LEFT} ${y(always + planned).toFixed(1)}h${INNER_WIDTH}"/><text class="note" x="${LEFT + INNER_WIDTH - 4}" y="${(y(always + planned) - 6).toFixed(1)}" text-anchor="end">set aside: ${showBytes(planned)} and ${showBytes(always)} for inputs, outputs, constants</text>
<text class="axis" x="${LEFT + INNER_WIDTH / 2}" y="${height - 8}" text-anchor="middle">kernels, in the order in which they run (numbers are blocks)</text>${hovers}</svg>`;
};

/** What is in memory, and when. */
export const memorySection = (context: PageContext): Html => {
  const { report } = context, peak = Math.max(0, ...report.memory.live), at = report.memory.live.indexOf(peak);
  return section('memory', 'Memory over time', html`Weights stay in memory all the time. Intermediate tensors live from the kernel that writes them to the last one that reads them; then their place is free for others. The most at once, ${showBytes(peak)}, is alive at ${kernelLink({ index: at })}. ${plural(report.kernels.length, 'kernel')} share ${showBytes(report.memory.planned)} of buffers this way; the largest piece that a kernel binds is ${showBytes(report.largestBinding)}.`,
    html`<h3>At the peak</h3>${memoryBar(context)}<h3>Without the weights, kernel by kernel</h3>${memoryPlot(context)}`);
};
