/** The graph of operations after the passes, as text with links: one of each kind of block. */
import { blocksOf, grouped } from './blocks.ts';
import { plural, showCount } from './format.ts';
import { type Html, html } from './html.ts';
import { kernelLink, type PageContext, section } from './page-parts.ts';
import { stepsOf, where } from './places.ts';
import type { NodeReport } from './report.ts';

/** A reference to a node: a link where it is on the page. */
const reference = (number: number, listed: ReadonlySet<number>): Html => (listed.has(number) ? html`<a href="#n${number}">%${number}</a>` : html`%${number}`);

/** Kernels that compute a node; of many, the first few. */
const MOST_KERNELS = 3;

const lineOf = ({ number, op, inputs, attributes, type, kernels, isStored }: NodeReport, listed: ReadonlySet<number>): Html =>
  html`<li id="n${number}"><span class="definition"><span${isStored ? html` class="stored"` : undefined}>%${number}</span> = <span class="op">${op}</span>(${inputs.map((input, i) => html`${i === 0 ? '' : ', '}${reference(input, listed)}`)}) <span class="attributes">${attributes}</span> : <span class="type">${type}</span></span><span class="homes">${kernels.slice(0, MOST_KERNELS).map((index) => html` ${kernelLink({ index })}`)}${kernels.length > MOST_KERNELS ? ' …' : ''}</span></li>`;

export const graphSection = ({ report }: PageContext): Html => {
  const byBlock = new Map<string, NodeReport[]>();
  for (const node of report.graph) {
    const [name = ''] = stepsOf(node.path), known = byBlock.get(name);
    if (known === undefined) byBlock.set(name, [node]);
    else known.push(node);
  }
  const groups = grouped(blocksOf(report.kernels), report.parameters.weights), order = groups.map(({ first }) => first.name);
  const repeats = new Set(groups.flatMap((group) => group.repeats.map(({ name }) => name)));
  const shown = [...byBlock].filter(([name]) => !repeats.has(name)).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)), listed = new Set(shown.flatMap(([, nodes]) => nodes.map(({ number }) => number)));
  return section('graph', 'The graph of operations', html`What the kernels were made from: ${plural(report.graph.length, 'operation')}, each computed from those in its brackets. Bold ones are stored in memory; all others are computed inside the kernels on the right, in each of them anew. Of blocks that do the same, only the first is listed.`,
    shown.map(([name, nodes]) => html`<details class="block"><summary><span class="title"><code>${where(name)}</code></span><span class="facts">${plural(nodes.length, 'operation')}, ${showCount(nodes.filter(({ isStored }) => isStored).length)} stored</span></summary><ol class="graph">${nodes.map((node) => lineOf(node, listed))}</ol></details>`));
};
