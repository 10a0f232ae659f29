/** `pixnerd emit`: what the compiler makes of a model, stage by stage. Needs neither a GPU nor weights. */
import type { Compilation } from '../../../compiler/compile.ts';
import { printKernels } from '../../../compiler/kernels/print.ts';
import { type Program, summarize } from '../../../compiler/program.ts';
import { printGraph } from '../../../dsl/graph/print.ts';
import type { ImageSize } from '../../../models/pixnerd/config.ts';
import { flag, withDefault } from '../arguments.ts';
import { command } from '../command.ts';
import { NUMBER_OPTIONS, numbersOf } from '../numbers.ts';
import { planned, plannedRun, planningOptions, profileFor, sourceOf, tunedFor } from '../planning.ts';
import { choice } from '../readers.ts';

const STAGES = ['graph', 'kernels', 'wgsl', 'plan'] as const;
type StageName = (typeof STAGES)[number];

const wgslText = ({ kernels }: Program): string =>
  kernels.map(({ name, wgsl, workgroupSize }) => `// ${name}, workgroups of ${workgroupSize.join(' x ')}\n${wgsl}`).join('\n');

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 3 : 1)} MiB`;

/** Buffers with their size and what lives in them, then the dispatches in order. */
const planText = (program: Program): string => {
  const { kernels, dispatches, peakBytes, largestBinding } = summarize(program);
  const buffers = program.buffers.map(({ kind, label, bytes }, i) => `  b${i}  ${kind.padEnd(9)}  ${megabytes(bytes).padStart(11)}  ${label}`);
  const runs = program.dispatches.map(({ kernel, workgroups, bindings, label }, i) => {
    const bound = bindings.map(({ buffer, offset }) => `b${buffer}${offset === 0 ? '' : `+${offset}`}`).join(' ');
    return `  ${String(i).padStart(4)}  ${program.kernels[kernel]!.name}  ${workgroups.join(' x ')}  ${bound}  # ${label}`; // an index of the plan
  });
  return [
    `${kernels} kernels, ${dispatches} dispatches, ${megabytes(peakBytes)} at once, largest binding ${megabytes(largestBinding)}`,
    'needs:',
    ...Object.entries(program.limits).map(([name, value]) => `  ${name} ${value}`),
    ...program.features.map((feature) => `  ${feature}`),
    'buffers:',
    ...buffers,
    'dispatches:',
    ...runs,
    '',
  ].join('\n');
};

const stageText = (stage: StageName, made: Compilation, before: boolean): string => {
  switch (stage) {
    case 'graph':
      return printGraph((before ? made.stages[0] : made.stages.at(-1))!.graph, { scopes: true }); // there is always a first
    case 'kernels':
      return printKernels(made.kernels);
    case 'wgsl':
      return wgslText(made.program);
    case 'plan':
      return planText(made.program);
  }
};

const summaryOf = ({ program }: Compilation) => ({ ...summarize(program), limits: program.limits, features: program.features });

export const emit = command({
  name: 'emit',
  summary: 'prints what the compiler makes of a model: graph, kernels, WGSL, plan; without GPU or weights',
  operands: { placeholder: 'FILE', least: 0, most: 1, help: 'weights, of which only the shapes are read; or use --model' },
  options: {
    stage: withDefault(choice(...STAGES), 'plan', 'what to print'),
    ...planningOptions,
    ...NUMBER_OPTIONS,
    sampling: flag('instead of one forward: the two programs of a guided sampling run, what is computed once and a step'),
    taps: flag('keeps the intermediate values as outputs'),
    before: flag('with --stage graph: the graph as it was written, before the passes'),
    json: flag('numbers as JSON: kernels, dispatches, peakBytes, largestBinding'),
  },
  examples: [
    ['pixnerd emit --model c2i-XL --stage plan', 'buffers and dispatches of XL/16 at 256 x 256'],
    ['pixnerd emit --model c2i-XL --precision mixed --weights-as int8', 'the same with activations as f16 and weights as int8'],
    ['pixnerd emit models/weights/fashion.safetensors --stage wgsl --profile cpu', 'the shaders that a software adapter gets'],
  ],
  run: async ({ values, operands: [path] }, { out }) => {
    const { stage, model, size, batch, profile: profileName, sampling, taps, before, json } = values,
      numbers = numbersOf(values);
    const profile = await profileFor(profileName, numbers);
    const source = await sourceOf(path, model);
    const options = { ...numbers, profile, taps, tuned: await tunedFor(profileName) };
    const about = ({ height, width }: ImageSize) => ({ model: source.name, size: [height, width], batch, profile: profile.class });
    if (sampling) {
      const { programs, imageSize } = plannedRun(source, { size, batch }, options);
      const heading = (title: string, { program }: Compilation): string => `== ${title}: ${program.dispatches.length} dispatches ==`;
      return out(json ? JSON.stringify({ ...about(imageSize), programs: programs.map(({ title, made }) => ({ part: title, ...summaryOf(made) })) })
        : programs.map(({ title, made }) => `${heading(title, made)}\n${stageText(stage, made, before).trimEnd()}`).join('\n\n'));
    }
    const { made, imageSize } = planned(source, { size, batch }, options);
    if (stage !== 'plan') return out(json ? JSON.stringify({ ...about(imageSize), ...summaryOf(made) }) : stageText(stage, made, before).trimEnd());
    const run = plannedRun(source, { size, batch }, options).programs.map(({ title, made: part }) => ({ part: title, dispatches: part.program.dispatches.length }));
    if (json) return out(JSON.stringify({ ...about(imageSize), ...summaryOf(made), sampling: run }));
    const inRun = run.map(({ part, dispatches }) => `  ${dispatches} dispatches ${part}`);
    const [first, ...rest] = stageText(stage, made, before).trimEnd().split('\n');
    out([first, 'in a guided sampling run (--sampling shows both programs):', ...inRun, ...rest].join('\n'));
  },
});
