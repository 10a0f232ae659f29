/** The table of kernels, and the data from which the page shows one: its lines in the model, tensors, neighbours, WGSL. */
import { explainReason } from '../../compiler/analysis/neighbours.ts';
import { timeAt } from '../../compiler/roofline.ts';
import { plural, showBytes, showFlops, showIntensity, showMilliseconds, showShare } from './format.ts';
import { type Html, html, jsonScript } from './html.ts';
import { placesOf, sameKernels, type SameKernels } from './kinds.ts';
import { boundMark, kernelLink, onEach, type PageContext, section, shareBar, timesOn } from './page-parts.ts';
import type { KernelReport } from './report.ts';

const HEADS: readonly (readonly [id: string, title: string, tip: string])[] = [
  ['k', 'kernel', 'in the order in which they run'],
  ['where', 'where in the model', 'the module of its main work'],
  ['what', 'what it does', ''],
  ['flops', 'arithmetic', 'additions, multiplications, ... of one run'],
  ['bytes', 'bytes', 'distinct bytes read and written by one run'],
  ['intensity', 'per byte', 'arithmetic operations for each byte'],
  ['bound', 'bound by', 'what takes the longest on the chosen adapter'],
  ['time', 'time', 'least time of one run on the chosen adapter'],
  ['share', 'share', 'of the whole time; of all repeats where they are folded'],
];

/** The row of a kernel that is the first of its text: complete. */
const firstRow = ({ first, all }: SameKernels, whole: readonly number[], { rooflines }: PageContext): Html => {
  const { index, what, flops, bytes, intensity } = first, count = all.length;
  const times = rooflines.map((roofline) => timeAt(roofline, first));
  const share = (runs: number): Html => onEach(rooflines, (_, i) => {
    const { milliseconds, bound } = times[i]!, part = (runs * milliseconds) / whole[i]!;
    return html`<span class="num share">${showShare(part)}</span>${shareBar(part, bound)}`;
  });
  const shares = count === 1 ? share(1) : html`<span class="folded">${share(count)}</span><span class="unfolded">${share(1)}</span>`;
  const place = placesOf({ first, all });
  return html`<tr id="k${index}" data-kernel="${index}" class="first" data-count="${count}" data-flops="${flops}" data-bytes="${bytes}" data-intensity="${intensity.toPrecision(4)}" data-times="${times.map(({ milliseconds }) => milliseconds.toPrecision(4)).join(' ')}">
<td>${kernelLink(first)}${count > 1 ? html`<span class="count">${count} ×</span>` : undefined}</td><td class="where">${count === 1 ? place : html`<span class="folded">${place}</span><span class="unfolded">${first.place}</span>`}</td><td class="what">${what}</td><td class="num">${showFlops(flops)}</td><td class="num">${showBytes(bytes)}</td><td class="num">${showIntensity(intensity)}</td><td>${onEach(rooflines, (_, i) => boundMark(times[i]!.bound))}</td><td class="num">${onEach(rooflines, (_, i) => showMilliseconds(times[i]!.milliseconds))}</td><td class="shares">${shares}</td></tr>`;
};

/** The row of a repeat: the script gives it the numbers of the first of its text. */
const repeatRow = (kernel: KernelReport): Html =>
  html`<tr id="k${kernel.index}" data-kernel="${kernel.index}" class="again" data-same="${kernel.sameAs}"><td>${kernelLink(kernel)}</td><td class="where">${kernel.place}</td><td class="what">${kernel.what}</td></tr>`;

export const kernelsSection = (context: PageContext): Html => {
  const { report, rooflines } = context, whole = timesOn(rooflines, report.kernels), same = sameKernels(report.kernels);
  const groupOf = new Map(same.map((group) => [group.first.index, group]));
  const rows = report.kernels.map((kernel) => {
    const group = groupOf.get(kernel.index);
    return group === undefined ? repeatRow(kernel) : firstRow(group, whole, context);
  });
  return section('kernels', 'Kernels', html`${plural(report.kernels.length, 'kernel')} run in one forward pass, of ${plural(same.length, 'kind')}: repeated blocks run the same text on other weights. Click a heading to sort, a kernel to see its code and where it comes from.`, html`
<div class="tools"><label><input type="checkbox" id="fold" checked> one line for all kernels of a kind</label><label class="find">find <input type="search" id="find" placeholder="softmax, blocks.3, …" autocomplete="off"></label></div>
<div class="scroll"><table id="kernel-table"><thead><tr>${HEADS.map(([id, title, tip]) => html`<th data-sort="${id}" class="col-${id}" title="${tip}"><button type="button">${title}</button></th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`);
};

/** Values, each once: repeated kernels share what they have in common. */
interface Pool {
  readonly values: unknown[];
  readonly add: (value: unknown) => number;
}
const pool = (): Pool => {
  const values: unknown[] = [], known = new Map<string, number>();
  return {
    values,
    add: (value) => {
      const key = JSON.stringify(value), found = known.get(key);
      if (found !== undefined) return found;
      known.set(key, values.length);
      return values.push(value) - 1;
    },
  };
};

/** What the page's script needs to show a kernel; its reader is in `page-script.ts`. Numbers stand for pooled values. */
export const kernelData = ({ report }: PageContext): Html => {
  const { values, add } = pool();
  const kernels = report.kernels.map((kernel) => {
    const shared = {
      what: kernel.what, same: kernel.sameAs, cost: `${showFlops(kernel.flops)}, ${showBytes(kernel.bytes)}, ${showIntensity(kernel.intensity)} operations per byte`,
      // what is within rounding, or in the nature of an estimate, is not worth a sentence
      ...(kernel.again > 0.05 * kernel.flops ? { again: `About ${showFlops(kernel.again)} of it (${showShare(kernel.again / kernel.flops)}) is computed again: threads that do not share a value each compute it, and tiles reach beyond edges.` } : {}),
      run: `${kernel.workgroups} ${kernel.workgroups === '1' ? 'workgroup' : 'workgroups'} of ${plural(kernel.threads, 'thread')}`,
      reason: add(explainReason(kernel.reason)), ...(kernel.notStreamed === undefined ? {} : { notStreamed: kernel.notStreamed }), wgsl: add(kernel.wgsl), loop: add(kernel.loop), nodes: add(kernel.nodes),
      callers: kernel.callers.map(({ file, line, text }) => add({ at: `${file}:${line}`, text: text ?? '', ops: '' })),
      sources: kernel.sources.map(({ file, line, text, ops }) => add({ at: `${file}:${line}`, text: text ?? '', ops: ops.join(', ') })),
      ports: kernel.ports.map(({ variable, written, kind, type, bytes, touched }) => ({ variable, written, kind, type, bytes: touched < bytes ? `${showBytes(touched)} of ${showBytes(bytes)}` : showBytes(bytes) })),
    };
    return [kernel.name, add(kernel.place), add(shared), ...kernel.ports.map(({ name, producers }) => [name, ...producers])];
  });
  const neighbours = report.neighbours.map(({ producer, consumer, type, reason, bytes }) => [producer, consumer, add(type), add(explainReason(reason)), bytes === 0 ? 0 : add(showBytes(bytes))]);
  return jsonScript('data', { values, kernels, neighbours });
};
