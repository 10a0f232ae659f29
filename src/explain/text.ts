/** A report as text for a terminal: totals, kernels of one text a line, what kept neighbours apart. */
import { explainReason } from '../../compiler/analysis/neighbours.ts';
import { type Roofline, timeAt } from '../../compiler/roofline.ts';
import { plural, showBytes, showCount, showFlops, showIntensity, showLarge, showMilliseconds, showShare } from './format.ts';
import { placesOf, sameKernels, type SameKernels, separations, totalTime } from './kinds.ts';
import type { Report } from './report.ts';

export interface TextOptions {
  /** The adapter that times are of. */
  readonly roofline: Roofline;
  /** Others to compare with. */
  readonly others: readonly Roofline[];
  /** A line for each kernel, instead of one for those of one text. */
  readonly all: boolean;
}

const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`);

/** Columns; those whose head ends in a colon are aligned to the left. */
const table = (heads: readonly string[], rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = heads.map((head, i) => Math.max(head.replace(/:$/, '').length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (heads[i]!.endsWith(':') ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ').trimEnd();
  return [line(heads.map((head) => head.replace(/:$/, ''))), ...rows.map(line)];
};

const timeLine = (roofline: Roofline, { kernels }: Report): string => {
  const { milliseconds, by } = totalTime(roofline, kernels);
  const parts = (['arithmetic', 'memory', 'launch'] as const).filter((bound) => by[bound] > 0).map((bound) => `${showShare(by[bound] / milliseconds)} bound by ${bound}`);
  return `  ${showMilliseconds(milliseconds).padStart(8)}  ${roofline.label}: ${parts.join(', ')}`;
};

const kernelTable = ({ kernels }: Report, { roofline, all }: TextOptions): readonly string[] => {
  const whole = totalTime(roofline, kernels).milliseconds;
  const rows = (all ? kernels.map((first): SameKernels => ({ first, all: [first] })) : sameKernels(kernels)).map((same) => {
    const { first } = same, { milliseconds, bound } = timeAt(roofline, first), count = same.all.length;
    return [
      `k${first.index}`, count === 1 ? '' : `${count} ×`, cut(placesOf(same), 30), cut(first.what, 58), showFlops(first.flops), showBytes(first.bytes),
      showIntensity(first.intensity), bound, showMilliseconds(milliseconds), showShare(totalTime(roofline, same.all).milliseconds / whole),
    ];
  });
  return table(['kernel:', 'times', 'where in the model:', 'what:', 'flops', 'bytes', 'flop/B', 'bound by:', 'time', 'share'], rows);
};

/** Lines no longer than `width`, broken at spaces; all but the first are indented. */
const wrapped = (text: string, width: number, indent: string): readonly string[] => {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(lines.length === 0 ? word : indent + word);
  }
  return lines;
};

const reasonLines = ({ neighbours, kernels }: Report): readonly string[] => separations(neighbours).flatMap(({ reason, pairs, bytes }) => {
  const [{ producer, consumer, type }] = pairs as readonly [Report['neighbours'][number]]; // a reason has a pair
  return [
    ...wrapped(`  ${plural(pairs.length, 'pair')}, ${showBytes(bytes)}: ${explainReason(reason)}.`, 118, '      '),
    `      such as ${kernels[producer]!.name} -> ${kernels[consumer]!.name}, through ${type}`,
  ];
});

/** The whole report. */
export const reportText = (report: Report, options: TextOptions): string => {
  const { model, adapter, kernels, parameters, memory, stages, flops, bytes } = report;
  const different = sameKernels(kernels).length;
  return [
    `${model}, planned for ${adapter}: ${report.inputs.join(', ')} -> ${report.outputs.join(', ')}`,
    `  ${showLarge(parameters.count)} parameters in ${plural(parameters.weights.length, 'tensor')}, ${showBytes(memory.weights)}`,
    `  ${showCount(stages[0]!.nodes)} operations as written, ${showCount(stages.at(-1)!.nodes)} after the passes, in ${plural(kernels.length, 'kernel')} (${different} different texts)`,
    `  ${showFlops(flops)} (about ${showFlops(report.again)} of them again, for values that threads do not share) and ${showBytes(bytes)} across the memory bus in one forward pass`,
    `  intermediate tensors: ${showBytes(Math.max(0, ...memory.live))} alive at once, ${showBytes(memory.planned)} set aside; all buffers ${showBytes(report.peakBytes)}`,
    '',
    'least time of one forward pass, each kernel at the roofline:',
    ...[options.roofline, ...options.others].map((roofline) => timeLine(roofline, report)),
    '',
    `kernels on ${options.roofline.label}${options.all ? '' : ', those of one text in one line (--all shows each)'}:`,
    ...kernelTable(report, options).map((line) => `  ${line}`),
    '',
    'why neighbours were not fused, by what the tensors between them cost:',
    ...reasonLines(report),
    '',
    '--html FILE writes all of this as a page, with the text of each kernel and its lines in the model',
  ].join('\n');
};
