/** `pixnerd explain`: what the compiler made of a model, and why, for people: in the terminal or as a page. Needs neither a GPU nor weights. */
import { existsSync } from 'node:fs';
import { type Roofline, type RooflineName, ROOFLINES } from '../../../compiler/roofline.ts';
import { withSources } from '../../../dsl/graph/node.ts';
import { aboutC2i, aboutPart } from '../../../models/pixnerd/about.ts';
import { velocityGraph } from '../../../models/pixnerd/graph.ts';
import { reportPage } from '../../explain/page.ts';
import { positionsFrom } from '../../explain/positions.ts';
import { reportOf } from '../../explain/report.ts';
import { reportText } from '../../explain/text.ts';
import { checkWritable, writeFileAtomic } from '../../files/atomic.ts';
import { flag, optional } from '../arguments.ts';
import { command } from '../command.ts';
import { settle, stop } from '../failure.ts';
import { planned, planningOptions, presets, profileFor, type Source, sourceOf, sourceOfPreset, tunedFor } from '../planning.ts';
import { choice, positiveNumber, text } from '../readers.ts';
import { suggestion } from '../suggest.ts';

const rooflineNames = Object.keys(ROOFLINES) as [RooflineName, ...RooflineName[]]; // the table is not empty

/** The name of a built-in size, or a file. */
const modelNamed = async (named: string): Promise<Source> => {
  const preset = presets.find((name) => name === named);
  if (preset !== undefined) return sourceOfPreset(preset);
  if (!/[./\\]/.test(named) && !existsSync(named)) return stop(`there is no model and no file ${named}${suggestion(named, presets)}`);
  return sourceOf(named, undefined);
};

/** The chosen adapter in front, then the others; given numbers make one of their own. */
const rooflinesFor = (name: RooflineName, gflops: number | undefined, gbs: number | undefined): readonly [Roofline, ...Roofline[]] => {
  const others = rooflineNames.filter((other) => other !== name).map((other) => ROOFLINES[other]), chosen: Roofline = ROOFLINES[name];
  if (gflops === undefined && gbs === undefined) return [chosen, ...others];
  const own: Roofline = { ...chosen, label: 'yours', gflops: gflops ?? chosen.gflops, gbs: gbs ?? chosen.gbs };
  return [own, chosen, ...others];
};

export const explainCommand = command({
  name: 'explain',
  summary: 'shows what a model becomes: kernels and their lines in the model, costs, memory, why neighbours were not fused; as text or a page',
  operands: { placeholder: 'MODEL', least: 0, most: 1, help: `${presets.join(', ')}, or a file of weights, of which only the shapes are read` },
  options: {
    html: optional(text('FILE'), 'writes a page of its own, for any browser, instead of text'),
    ...planningOptions,
    roofline: optional(choice(...rooflineNames), 'adapter whose peaks times are estimated by (default: laptop for gpu, lavapipe for cpu)'),
    'adapter-gflops': optional(positiveNumber, 'another peak of arithmetic, in GFLOP/s'),
    'adapter-gbs': optional(positiveNumber, 'another bandwidth of memory, in GB/s'),
    all: flag('in text, a line for each kernel instead of one for those of one text'),
  },
  details: [
    'Times are what the peaks of an adapter allow at best, each kernel by itself; nothing is run or measured. Peaks:',
    ...Object.entries(ROOFLINES).map(([name, { label, gflops, gbs, launchMicroseconds }]) => `  ${name.padEnd(9)} ${label}: ${gflops} GFLOP/s, ${gbs} GB/s, ${launchMicroseconds} µs a launch`),
  ].join('\n'),
  examples: [
    ['pixnerd explain c2i-L --html c2i-L.html', 'a page about L/16 at 256 x 256'],
    ['pixnerd explain models/weights/fashion.safetensors --profile cpu', 'what a software adapter has to do, in the terminal'],
  ],
  run: async ({ values, operands: [named] }, { out, note }) => {
    if (named !== undefined && values.model !== undefined) return stop('give either a model or --model, not both');
    const { html, model, size, batch, roofline, all } = values;
    const profile = await profileFor(values.profile);
    const source = named === undefined ? await sourceOf(undefined, model) : await modelNamed(named);
    if (html !== undefined) await settle(checkWritable(html));
    const { made, imageSize } = planned(source, { size, batch }, { profile, tuned: await tunedFor(values.profile) }, (config) => withSources(() => velocityGraph(config)));
    const report = reportOf(made, { adapter: values.profile, positions: positionsFrom() });
    const rooflines = rooflinesFor(roofline ?? (profile.class === 'cpu' ? 'lavapipe' : 'laptop'), values['adapter-gflops'], values['adapter-gbs']);
    const [chosen, ...others] = rooflines;
    if (html === undefined) return out(reportText(report, { roofline: chosen, others, all }));
    const page = reportPage(report, { rooflines, about: aboutC2i(source.config, imageSize, batch), aboutPart: aboutPart(source.config) });
    const bytes = await settle(writeFileAtomic(html, new TextEncoder().encode(page)));
    note(`${html}: ${Math.ceil(bytes / 1000)} kB; open it in a browser`);
  },
});
