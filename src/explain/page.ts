/**
 * A report as one page that needs nothing else: no network, no library. Light and dark, wide and narrow.
 *
 * Everything is there without the script but the text of the kernels, which are kept once for all repeats. The adapter is chosen by radio
 * buttons, which style alone reads: each number that depends on it is there once for each adapter.
 */
import { type Roofline, ridgeOf } from '../../compiler/roofline.ts';
import { plural, showBytes, showCount, showFlops, showIntensity, showLarge, showMilliseconds, showShare } from './format.ts';
import { type Html, html, raw } from './html.ts';
import { sameKernels, totalTime } from './kinds.ts';
import { blocksSection } from './page-blocks.ts';
import { graphSection } from './page-graph.ts';
import { kernelData, kernelsSection } from './page-kernels.ts';
import { boundMark, onEach, type PageContext } from './page-parts.ts';
import { memorySection, rooflineSection } from './page-plots.ts';
import { passesSection, reasonsSection } from './page-reasons.ts';
import { SCRIPT } from './page-script.ts';
import { STYLE } from './page-style.ts';
import type { Report } from './report.ts';

export interface PageOptions {
  /** Adapters to choose from; the first one is chosen. */
  readonly rooflines: readonly [Roofline, ...Roofline[]];
  /** What the model is, in a sentence or two. */
  readonly about?: string;
  /** What a part of it is for, by its path ('' for what lies in no part). */
  readonly aboutPart?: (path: string) => string | undefined;
}

const SECTIONS = [['blocks', 'Blocks'], ['kernels', 'Kernels'], ['roofline', 'Roofline'], ['reasons', 'Not fused'], ['memory', 'Memory'], ['passes', 'Passes'], ['graph', 'Graph']] as const;

const tile = (value: string | Html, name: string, note: string | Html): Html => html`<div class="tile"><dt>${name}</dt><dd><strong>${value}</strong><span>${note}</span></dd></div>`;

/** `65 % arithmetic, 34 % memory`. */
const boundBar = (roofline: Roofline, report: Report): Html => {
  const { by, milliseconds } = totalTime(roofline, report.kernels), parts = (['arithmetic', 'memory', 'launch'] as const).filter((bound) => by[bound] > 0);
  return html`<div class="stack">${parts.map((bound) => html`<span class="part ${bound}" style="flex-grow:${((1000 * by[bound]) / milliseconds).toFixed(1)}"></span>`)}</div>
<ul class="legend">${parts.map((bound) => html`<li>${boundMark(bound)} ${showShare(by[bound] / milliseconds)}</li>`)}</ul>`;
};

const headline = ({ report, rooflines }: PageContext, about: string | undefined): Html => {
  const { model, kernels, parameters, memory, stages, flops, bytes } = report;
  const different = sameKernels(kernels).length, peak = Math.max(0, ...memory.live);
  return html`<header><p class="eyebrow">what the compiler made of</p><h1>${model}</h1>
${about === undefined ? undefined : html`<p class="about">${about}</p>`}
<p class="about">One forward pass takes <code>${report.inputs.join('; ')}</code> and gives <code>${report.outputs.join('; ')}</code>. The model is ${showCount(stages[0]!.nodes)} operations as written; planned for <code>${report.adapter}</code>, they run as ${plural(kernels.length, 'kernel')}. ${onEach(rooflines, (roofline) => html`On ${roofline.label} that takes at least ${showMilliseconds(totalTime(roofline, kernels).milliseconds)}.`)}</p>
<dl class="tiles">
${tile(showCount(kernels.length), 'kernels', `of ${showCount(different)} different texts`)}
${tile(showFlops(flops), 'arithmetic', `about ${showFlops(report.again)} of it computed again`)}
${tile(showBytes(bytes), 'through memory', `read and written, at least; ${showIntensity(bytes === 0 ? 0 : flops / bytes)} operations per byte`)}
${tile(showBytes(memory.weights), 'weights', `${showLarge(parameters.count)} numbers`)}
${tile(showBytes(peak), 'intermediate tensors', `at once; all buffers ${showBytes(report.peakBytes)}`)}
${tile(onEach(rooflines, (roofline) => showMilliseconds(totalTime(roofline, kernels).milliseconds)), 'at best', onEach(rooflines, ({ label }) => `on ${label}`))}
</dl>
<div class="budget"><p>What the time goes to, at best, on ${onEach(rooflines, ({ label }) => html`<strong>${label}</strong>`)}:</p>${rooflines.map((roofline, i) => html`<div class="on r${i}">${boundBar(roofline, report)}</div>`)}</div></header>`;
};

const guide = ({ rooflines }: PageContext): Html => html`<section id="guide"><details open><summary><h2>How to read this page</h2></summary><dl class="guide">
<div><dt>Tensor, operation</dt><dd>A tensor is a table of numbers; <code>f32[256, 1024]</code> has 256 rows of 1024. A model is operations on tensors: products of matrices, sums, functions of each element. The smallest are called elementwise: they need only the elements at one place.</dd></div>
<div><dt>Kernel</dt><dd>A program that the graphics processor runs with thousands of threads at once. Kernels run one after the other and hand tensors on through memory.</dd></div>
<div><dt>Fusion</dt><dd>Computing several operations in one kernel, so that what passes between them never goes through memory. The compiler decides where, and says why not: see <a href="#reasons">not fused</a>.</dd></div>
<div><dt>FLOP, byte</dt><dd>One FLOP is one addition or multiplication. Bytes are counted once for each kernel that needs them, as if caches were perfect; arithmetic as often as it is done, also where threads compute the same value again rather than share it.</dd></div>
<div><dt>Bound by</dt><dd>A kernel computes and waits for memory at the same time; the slower of the two decides. ${boundMark('arithmetic')} it computes all the time. ${boundMark('memory')} it waits for numbers. ${boundMark('launch')} it is so small that starting it takes longer than running it.</dd></div>
<div><dt>At best</dt><dd>Times here are not measured: they are the least that the adapter's peaks allow. ${onEach(rooflines, (roofline) => html`${roofline.label}: ${showFlops(roofline.gflops * 1e9)}/s, ${showBytes(roofline.gbs * 1e9)}/s, ${showMilliseconds(roofline.launchMicroseconds / 1000)} a launch. From ${showIntensity(ridgeOf(roofline))} operations per byte on, arithmetic binds.`)} Choose another at the top.</dd></div>
</dl></details></section>`;

const picker = (rooflines: readonly Roofline[]): Html => html`<fieldset class="picker"><legend>adapter</legend>${rooflines.map(({ label }, i) =>
  html`<label><input type="radio" name="roofline" id="roofline-${i}" value="${i}"${i === 0 ? html` checked` : undefined}><span>${label}</span></label>`)}</fieldset>`;

/** Shows what belongs to the chosen adapter, and colours marks by it. */
const adapterStyle = (rooflines: readonly Roofline[]): string => rooflines.map((_, i) => [
  `:root:has(#roofline-${i}:checked) .on:not(.r${i}){display:none}`,
  ...(['arithmetic', 'memory', 'launch'] as const).map((bound) => `:root:has(#roofline-${i}:checked) .r${i}-${bound}{--mark:var(--${bound})}`),
].join('')).join('');

/** The page of a report. */
export const reportPage = (report: Report, { rooflines, about, aboutPart = () => undefined }: PageOptions): string => {
  const context: PageContext = { report, rooflines, aboutPart };
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>${report.model}: kernels, costs and why</title>
<style>${raw(STYLE)}${raw(adapterStyle(rooflines))}</style></head>
<body><nav><a class="home" href="#top">${report.model}</a><div class="links">${SECTIONS.map(([id, name]) => html`<a href="#${id}">${name}</a>`)}</div>${picker(rooflines)}</nav>
<main id="top">${headline(context, about)}${guide(context)}${blocksSection(context)}${kernelsSection(context)}${rooflineSection(context)}${reasonsSection(context)}${memorySection(context)}${passesSection(context)}${graphSection(context)}
<footer>Made by <code>pixnerd explain</code>; nothing was run or measured. The page needs no network.</footer></main>
<dialog id="kernel"></dialog><div id="tip" role="tooltip" hidden></div>
<noscript><p class="noscript">Without JavaScript the code of the kernels is not shown; all else is.</p></noscript>
${kernelData(context)}<script>${raw(SCRIPT)}</script></body></html>
`.html;
};
