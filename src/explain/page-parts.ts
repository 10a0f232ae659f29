/** Small pieces that the sections of the page share. */
import { type Bound, type Roofline, timeAt } from '../../compiler/roofline.ts';
import { showMilliseconds, showShare } from './format.ts';
import { type Html, html, type Part } from './html.ts';
import { totalTime } from './kinds.ts';
import type { KernelReport, Report } from './report.ts';

/** What every section is made from. */
export interface PageContext {
  readonly report: Report;
  /** The first one is chosen when the page opens. */
  readonly rooflines: readonly Roofline[];
  /** What a part of the model is for. */
  readonly aboutPart: (path: string) => string | undefined;
}

/** One version for each adapter; the page shows that of the chosen one. */
export const onEach = (rooflines: readonly Roofline[], show: (roofline: Roofline, i: number) => Part): Html =>
  html`${rooflines.map((roofline, i) => html`<span class="on r${i}">${show(roofline, i)}</span>`)}`;

/** A link that opens a kernel. */
export const kernelLink = ({ index }: Pick<KernelReport, 'index'>): Html => html`<a class="kernel" href="#k${index}">k${index}</a>`;

/** The word for what bounds a kernel, in its colour. */
export const boundMark = (bound: Bound): Html => html`<span class="bound ${bound}">${bound}</span>`;

/** A bar as long as a share, in the colour of what bounds it. */
export const shareBar = (share: number, bound: Bound): Html =>
  html`<span class="bar"><span class="fill ${bound}" style="width:${(100 * Math.min(1, share)).toFixed(2)}%"></span></span>`;

/** Time of some kernels on each adapter, its share of `whole`, and what binds the most of it. */
export const timesOf = (kernels: readonly KernelReport[], whole: readonly number[], { rooflines }: PageContext): Html =>
  onEach(rooflines, (roofline, i) => {
    const { milliseconds, by } = totalTime(roofline, kernels), share = milliseconds / whole[i]!;
    const bound = (Object.keys(by) as Bound[]).reduce((a, b) => (by[b] > by[a] ? b : a)); // its keys are the bounds
    return html`${shareBar(share, bound)}<span class="num share">${showShare(share)}</span><span class="num time">${showMilliseconds(milliseconds)}</span>`;
  });

/** The time of some kernels on each adapter. */
export const timesOn = (rooflines: readonly Roofline[], kernels: readonly KernelReport[]): readonly number[] => rooflines.map((roofline) => totalTime(roofline, kernels).milliseconds);

/** The colour class of a kernel on each adapter, as classes of one mark: `r0-memory r1-launch`. */
export const boundClasses = (kernel: KernelReport, rooflines: readonly Roofline[]): string =>
  rooflines.map((roofline, i) => `r${i}-${timeAt(roofline, kernel).bound}`).join(' ');

/** A section with a title, what it shows, and its content. */
export const section = (id: string, title: string, lead: Part, body: Part): Html =>
  html`<section id="${id}"><h2>${title}</h2><p class="lead">${lead}</p>${body}</section>`;
