/**
 * The model as blocks: each with its kernels in the order in which they run, and arcs for the tensors that pass from one to another.
 * Blocks that do the same are shown once. This is the program as a graph: its nodes are kernels, its edges stored tensors.
 */
import { type BlockGroup, blocksOf, grouped } from './blocks.ts';
import { plural, showBytes, showCount, showFlops } from './format.ts';
import { type Html, html } from './html.ts';
import { boundClasses, kernelLink, type PageContext, section, timesOf, timesOn } from './page-parts.ts';
import { where } from './places.ts';
import type { KernelReport, NeighbourReport } from './report.ts';

/** Must be the height of a row in the style sheet. */
const ROW = 34, GUTTER = 84;

/** An arc from the row of the writer to that of the reader, wider the farther they are apart. */
const arc = ({ producer, consumer, type, bytes }: NeighbourReport, from: number, to: number): Html => {
  const y1 = (from + 0.5) * ROW, y2 = (to + 0.5) * ROW, reach = Math.min(GUTTER - 14, 14 + 9 * (to - from)), x = GUTTER - 6;
  return html`<path class="arc" d="M${x} ${y1}C${x - reach} ${y1} ${x - reach} ${y2} ${x} ${y2}" data-tip="k${producer} writes ${type}, k${consumer} reads it${bytes > 0 ? ` (${showBytes(bytes)})` : ''}"/>`;
};

/** The arcs of a block; what comes from another block is a short stub from the left. */
const arcsOf = (kernels: readonly KernelReport[], neighbours: readonly NeighbourReport[]): Html => {
  const rowOf = new Map(kernels.map(({ index }, row) => [index, row]));
  const into = neighbours.filter(({ consumer }) => rowOf.has(consumer));
  const inner = into.filter(({ producer }) => rowOf.has(producer)), outer = into.filter(({ producer }) => !rowOf.has(producer));
  const stubs = [...new Set(outer.map(({ consumer }) => consumer))].map((consumer) => {
    const y = (rowOf.get(consumer)! + 0.5) * ROW, from = outer.filter((pair) => pair.consumer === consumer).map(({ producer, type }) => `k${producer}: ${type}`);
    return html`<path class="stub" d="M2 ${y}H${GUTTER - 6}" data-tip="from another block: ${from.join('; ')}"/>`;
  });
  const height = kernels.length * ROW;
  return html`<svg class="arcs" width="${GUTTER}" height="${height}" viewBox="0 0 ${GUTTER} ${height}" aria-hidden="true">${stubs}${inner.map((pair) => arc(pair, rowOf.get(pair.producer)!, rowOf.get(pair.consumer)!))}${kernels.map((_, row) => html`<circle class="knot" cx="${GUTTER - 6}" cy="${(row + 0.5) * ROW}" r="3.5"/>`)}</svg>`;
};

const rowOf = (kernel: KernelReport, name: string, whole: readonly number[], context: PageContext): Html => {
  const inside = kernel.path !== name ? kernel.path.slice(name === '' ? 0 : name.length + 1) : name === '' && kernel.place !== where('') ? kernel.place : '';
  return html`<li class="row ${boundClasses(kernel, context.rooflines)}">${kernelLink(kernel)}<span class="inside">${inside}</span><span class="what">${kernel.what}</span><span class="times">${timesOf([kernel], whole, context)}</span></li>`;
};

const groupTitle = ({ first, repeats }: BlockGroup): Html => {
  const last = repeats.at(-1);
  return last === undefined ? html`<code>${where(first.name)}</code>` : html`<code>${first.name}</code> … <code>${last.name}</code> <span class="badge">${repeats.length + 1} × the same</span>`;
};

/** `, 14 each`; at the ends of a row fusion finds other neighbours, and a block has a kernel more or less. */
const eachOf = ({ first, repeats }: BlockGroup): string => {
  const counts = [first, ...repeats].map(({ kernels }) => kernels.length), [least, most] = [Math.min(...counts), Math.max(...counts)];
  return repeats.length === 0 ? '' : `, ${showCount(least)}${most > least ? ` to ${showCount(most)}` : ''} each`;
};

const othersOf = ({ first, repeats }: BlockGroup): Html | undefined => (repeats.length === 0 ? undefined
  : html`<details class="others"><summary>${repeats.length === 1 ? 'the other block, which does' : `the other ${plural(repeats.length, 'block')}, which do`} the same as <code>${first.name}</code> with other weights</summary><ul>${repeats.map(({ name, kernels }) =>
    html`<li><code>${name}</code> ${kernels.map((kernel) => html`${kernelLink(kernel)} `)}</li>`)}</ul></details>`);

const groupHtml = (group: BlockGroup, whole: readonly number[], isOpen: boolean, context: PageContext): Html => {
  const { first, repeats } = group, all = [first, ...repeats].flatMap(({ kernels }) => kernels);
  const own = timesOn(context.rooflines, first.kernels), about = context.aboutPart(first.name);
  const flops = all.reduce((sum, kernel) => sum + kernel.flops, 0);
  return html`<details class="block"${isOpen ? html` open` : undefined}>
<summary><span class="title">${groupTitle(group)}</span><span class="facts">${plural(all.length, 'kernel')}${eachOf(group)} · ${showFlops(flops)}</span><span class="times">${timesOf(all, whole, context)}</span>${about === undefined ? undefined : html`<span class="part-about">${about}</span>`}</summary>
<div class="flow">${arcsOf(first.kernels, context.report.neighbours)}<ol>${first.kernels.map((kernel) => rowOf(kernel, first.name, own, context))}</ol></div>
${othersOf(group)}</details>`;
};

/** The section. The group with the most arithmetic is open. */
export const blocksSection = (context: PageContext): Html => {
  const groups = grouped(blocksOf(context.report.kernels), context.report.parameters.weights), whole = timesOn(context.rooflines, context.report.kernels);
  const workOf = ({ first, repeats }: BlockGroup): number => [first, ...repeats].flatMap(({ kernels }) => kernels).reduce((sum, { flops }) => sum + flops, 0);
  const heaviest = groups.reduce((a, b) => (workOf(b) > workOf(a) ? b : a));
  return section('blocks', 'The model, block by block', html`Each block of the model became a few kernels, which run from top to bottom. An arc on the left is a tensor in memory: written by the kernel where it begins, read by the one where it ends. A line from the left edge comes from another block. The bar of a block is its part of the whole time, that of a kernel its part of the block’s. Click a kernel to see its code.`,
    groups.map((group) => groupHtml(group, whole, group === heaviest, context)));
};
