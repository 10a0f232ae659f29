/** Why neighbours were not fused: by reason, those that cost the most bytes first, with all their pairs. And what the passes changed. */
import { explainReason } from '../../compiler/analysis/neighbours.ts';
import { timeAt } from '../../compiler/roofline.ts';
import { plural, showBytes, showCount, showMilliseconds, showShare } from './format.ts';
import { type Html, html } from './html.ts';
import { separations } from './kinds.ts';
import { kernelLink, onEach, type PageContext, section } from './page-parts.ts';
import type { KernelReport, NeighbourReport, StageReport } from './report.ts';

/** Pairs of kernels of the same kinds: between repeated blocks they look alike, and the first stands for all. */
const alike = (pairs: readonly NeighbourReport[], kernels: readonly KernelReport[]): readonly (readonly [first: NeighbourReport, count: number])[] => {
  const groups = new Map<string, readonly [NeighbourReport, number]>();
  for (const pair of pairs) {
    const key = `${kernels[pair.producer]!.sameAs} ${kernels[pair.consumer]!.sameAs} ${pair.type}`, [first, count] = groups.get(key) ?? [pair, 0];
    groups.set(key, [first, count + 1]);
  }
  return [...groups.values()];
};

const pairText = ({ producer, consumer, type }: NeighbourReport, count: number, kernels: readonly KernelReport[]): Html =>
  html`${kernelLink({ index: producer })} <span>${kernels[producer]!.what}</span> writes <code>${type}</code>; ${kernelLink({ index: consumer })} <span>${kernels[consumer]!.what}</span> reads it${count > 1 ? html` <span class="more">and ${plural(count - 1, 'pair')} like it</span>` : undefined}`;

export const reasonsSection = (context: PageContext): Html => {
  const { report: { neighbours, kernels, bytes: all }, rooflines } = context, groups = separations(neighbours);
  const cost = groups.reduce((sum, { bytes }) => sum + bytes, 0);
  const widest = Math.max(1, ...groups.map(({ bytes }) => bytes));
  const items = groups.map(({ reason, pairs, bytes }) => html`<li><div class="reason"><p>${explainReason(reason).replace(/^./, (letter) => letter.toUpperCase())}.</p>
<p class="facts"><span class="bar"><span class="fill memory" style="width:${((100 * bytes) / widest).toFixed(2)}%"></span></span><strong>${showBytes(bytes)}</strong> written and read between ${plural(pairs.length, 'pair')}; ${onEach(rooflines, (roofline) => html`${showMilliseconds(timeAt({ ...roofline, launchMicroseconds: 0 }, { flops: 0, bytes }).milliseconds)} at full bandwidth`)}. In the compiler's words: <q>${reason}</q>.</p>
<details><summary>${pairs.length === 1 ? 'the pair' : 'the pairs'}</summary><ul class="pairs">${alike(pairs, kernels).map(([pair, count]) => html`<li>${pairText(pair, count, kernels)}</li>`)}</ul></details></div></li>`);
  return section('reasons', 'Why neighbours were not fused', html`Two kernels are neighbours when one writes a tensor that the other reads. Fused into one, they would not need that tensor in memory. ${plural(neighbours.length, 'pair')} remain; the tensors between them cost ${showBytes(cost)}, ${showShare(all === 0 ? 0 : cost / all)} of all bytes that cross the memory bus. “It” is the tensor between two neighbours:`, html`<ol class="reasons">${items}</ol>`);
};

/** The ops whose number changed the most: `−312 tap, +5 literal`. */
const changes = (before: StageReport, after: StageReport): string => {
  const all = [...new Set([...before.ops.keys(), ...after.ops.keys()])].map((op) => ({ op, change: (after.ops.get(op) ?? 0) - (before.ops.get(op) ?? 0) })).filter(({ change }) => change !== 0);
  const shown = all.sort((a, b) => Math.abs(b.change) - Math.abs(a.change)).slice(0, 6).map(({ op, change }) => `${change > 0 ? '+' : '−'}${showCount(Math.abs(change))} ${op}`);
  return shown.length === 0 ? 'nothing' : `${shown.join(', ')}${all.length > 6 ? ', …' : ''}`;
};

const MEANINGS: Readonly<Record<string, string>> = {
  input: 'the model as it was written, with its sizes filled in',
  algebra: 'equations such as x · 1 = x; equal parts become one',
  'fold constants': 'what depends on no input is computed once, now',
  'algebra after folding': 'once more, since folding makes zeros and ones',
  'split wide ops': 'operations on more tensors than a kernel may bind become several',
};

export const passesSection = ({ report: { stages, kernels } }: PageContext): Html => section('passes', 'From operations to kernels', 'Before any kernel is made, passes rewrite the graph of operations; each keeps what it computes.', html`
<div class="scroll"><table class="passes"><thead><tr><th>pass</th><th>what it does</th><th class="num">operations</th><th>changed</th><th class="num">time</th></tr></thead><tbody>${stages.map((stage, i) =>
  html`<tr><td><code>${stage.name}</code></td><td>${MEANINGS[stage.name]}</td><td class="num">${showCount(stage.nodes)}</td><td>${i === 0 ? [...stage.ops].sort(([, a], [, b]) => b - a).slice(0, 6).map(([op, n]) => `${showCount(n)} ${op}`).join(', ') : changes(stages[i - 1]!, stage)}</td><td class="num">${i === 0 ? '' : `${stage.milliseconds.toFixed(1)} ms`}</td></tr>`)}
<tr><td><code>fusion</code></td><td>which results need memory; each gets a kernel, the others are computed inside</td><td class="num">${plural(kernels.length, 'kernel')}</td><td></td><td></td></tr></tbody></table></div>`);
