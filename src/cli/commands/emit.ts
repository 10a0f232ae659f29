/** `pixnerd emit`: what the compiler makes of a model, stage by stage. Needs neither a GPU nor weights. */
import * as E from 'fp-ts/Either';
import { readFile } from 'node:fs/promises';
import { type Compilation, explain } from '../../../compiler/compile.ts';
import { showCompileError } from '../../../compiler/errors.ts';
import { needsHalf, type Numbers } from '../../../compiler/precision/policy.ts';
import { printKernels } from '../../../compiler/kernels/print.ts';
import { type Profile, profileOf, PROFILES } from '../../../compiler/profile.ts';
import { type Program, summarize } from '../../../compiler/program.ts';
import { printGraph } from '../../../dsl/graph/print.ts';
import { type C2iConfig, type ImageSize, PRESETS, type PresetName, sizeMistakes, sizesOf } from '../../../models/pixnerd/config.ts';
import { velocityGraph } from '../../../models/pixnerd/graph.ts';
import { inferC2iConfig, shapesOf } from '../../files/infer-config.ts';
import { openWeights } from '../../files/open.ts';
import { trainedSize } from '../../sampling/model.ts';
import { flag, optional, withDefault } from '../arguments.ts';
import { command } from '../command.ts';
import { orStop, settle, stop, stopAt } from '../failure.ts';
import { NUMBER_OPTIONS, numbersOf } from '../numbers.ts';
import { choice, positive, size, text } from '../readers.ts';

const STAGES = ['graph', 'kernels', 'wgsl', 'plan'] as const;
type StageName = (typeof STAGES)[number];

interface Source {
  readonly name: string;
  readonly config: C2iConfig;
  /** Where the file says it. */
  readonly size: ImageSize | undefined;
}

/** Names of the built-in sizes. */
export const presets = Object.keys(PRESETS) as [PresetName, ...PresetName[]]; // the table is not empty

/** The configuration in a file of weights; only its directory is read. */
const sourceIn = async (path: string): Promise<Source> => {
  const weights = await settle(openWeights(path));
  await weights.close();
  return { name: path, config: orStop(inferC2iConfig(shapesOf(weights), path)), size: trainedSize(weights.metadata) };
};

const sourceOf = async (path: string | undefined, model: PresetName | undefined): Promise<Source> => {
  if (path !== undefined && model !== undefined) return stop('give either a file or --model, not both');
  if (path !== undefined) return sourceIn(path);
  return model === undefined
    ? stop(`say of what: a file of weights, or --model ${presets.join('|')}`)
    : { name: model, config: PRESETS[model], size: undefined };
};

/** 256 for patch 16 as in the paper, else four patches. */
export const usualSize = ({ patch_size: patch }: C2iConfig): ImageSize => {
  const side = patch * (patch >= 16 ? 16 : 4);
  return { height: side, width: side };
};

const isNumbers = (value: unknown): value is Record<string, number> =>
  typeof value === 'object' && value !== null && Object.values(value).every((limit) => typeof limit === 'number' && limit >= 0);

/** A profile as `doctor --json` prints it, on its own or under `profile`. */
const profileIn = (path: string, content: string): Profile => {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return stop(`--profile ${path}: this is no JSON; use gpu, cpu, or a file made by \`pixnerd doctor --json\``);
  }
  const inner = typeof value === 'object' && value !== null && 'profile' in value ? value.profile : value;
  const { class: adapterClass = 'gpu', limits = {}, features = [] } = (inner ?? {}) as Record<string, unknown>; // each field is checked
  if (adapterClass !== 'cpu' && adapterClass !== 'gpu')
    return stop(`--profile ${path}: its class is ${JSON.stringify(adapterClass)}; it must be "cpu" or "gpu"`);
  if (!isNumbers(limits)) return stop(`--profile ${path}: its limits must be numbers by their WebGPU names`);
  if (!Array.isArray(features) || !features.every((feature) => typeof feature === 'string'))
    return stop(`--profile ${path}: its features must be a list of names`);
  return profileOf(adapterClass, limits, features);
};

const noFile = 'there is no such file; use gpu, cpu, or a file made by `pixnerd doctor --json`';

/** The built-in profiles are of no adapter in particular: they have what the precision needs. */
const profileFor = async (name: string, numbers: Numbers): Promise<Profile> => {
  if (name === 'gpu' || name === 'cpu') return { ...PROFILES[name], features: needsHalf(numbers) ? ['shader-f16'] : [] };
  const content = await readFile(name, 'utf8').catch((thrown: NodeJS.ErrnoException) =>
    stop(`--profile ${name}: ${thrown.code === 'ENOENT' ? noFile : thrown.message}`),
  );
  return profileIn(name, content);
};

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

export const emit = command({
  name: 'emit',
  summary: 'prints what the compiler makes of a model: graph, kernels, WGSL, plan; without GPU or weights',
  operands: { placeholder: 'FILE', least: 0, most: 1, help: 'weights, of which only the shapes are read; or use --model' },
  options: {
    stage: withDefault(choice(...STAGES), 'plan', 'what to print'),
    model: optional(choice(...presets), 'a built-in size instead of a file'),
    size: optional(size, 'height x width of an image (default: as the file says, else 256 for patch 16)'),
    batch: withDefault(positive, 1, 'images at once'),
    profile: withDefault(text('gpu|cpu|FILE'), 'gpu', 'limits and schedules to plan for; FILE is JSON as doctor --json prints it: {"class": "gpu", "limits": {...}, "features": [...]}'),
    ...NUMBER_OPTIONS,
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
    const { stage, model, size: asked, batch, profile: profileName, taps, before, json } = values,
      numbers = numbersOf(values);
    const profile = await profileFor(profileName, numbers);
    const { name, config, size: known } = await sourceOf(path, model);
    const imageSize = asked ?? known ?? usualSize(config);
    stopAt(sizeMistakes(config, imageSize));
    const sizes = sizesOf(config, { batch, ...imageSize });
    if (E.isLeft(sizes)) return stopAt(sizes.left);
    const made = explain(velocityGraph(config), { ...numbers, sizes: sizes.right, profile, taps, name });
    if (E.isLeft(made)) return stopAt(made.left.map(showCompileError));
    const { program } = made.right;
    if (!json) return out(stageText(stage, made.right, before).trimEnd());
    const { class: adapterClass } = profile,
      { limits, features } = program;
    out(
      JSON.stringify({
        model: name,
        size: [imageSize.height, imageSize.width],
        batch,
        profile: adapterClass,
        ...summarize(program),
        limits,
        features,
      }),
    );
  },
});
