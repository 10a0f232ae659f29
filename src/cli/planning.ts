/** What the commands that plan without a device have in common: which model, at which size, for which adapter. */
import * as E from 'fp-ts/Either';
import { readFile } from 'node:fs/promises';
import { type Compilation, type CompileOptions, explain } from '../../compiler/compile.ts';
import { type CompileError, showCompileError } from '../../compiler/errors.ts';
import { needsHalf, type Numbers } from '../../compiler/precision/policy.ts';
import { type Profile, profileOf, PROFILES } from '../../compiler/profile.ts';
import type { Graph } from '../../dsl/graph/graph.ts';
import { type C2iConfig, type ImageSize, PRESETS, type PresetName, sizeMistakes, sizesOf } from '../../models/pixnerd/config.ts';
import { velocityGraph } from '../../models/pixnerd/graph.ts';
import { plan } from '../../models/sampling/sampler.ts';
import { inferC2iConfig, shapesOf } from '../files/infer-config.ts';
import { openWeights } from '../files/open.ts';
import type { TunedSchedules } from '../../compiler/tuning/table.ts';
import type { AdapterProfile } from '../runtime/adapter-profile.ts';
import { tuningHere } from '../tuning/here.ts';
import { trainedSize } from '../sampling/model.ts';
import { runGraphs } from '../sampling/run-graphs.ts';
import { optional, withDefault } from './arguments.ts';
import { orStop, settle, stop, stopAt } from './failure.ts';
import { choice, positive, size, text } from './readers.ts';

/** The built-in sizes by name. */
export const presets = Object.keys(PRESETS) as [PresetName, ...PresetName[]]; // the table is not empty

/** Options of every command that plans. */
export const planningOptions = {
  model: optional(choice(...presets), 'a built-in size instead of a file'),
  size: optional(size, 'height x width of an image (default: as the file says, else 256 for patch 16)'),
  batch: withDefault(positive, 1, 'images at once'),
  profile: withDefault(
    text('gpu|cpu|FILE'),
    'gpu',
    'limits and schedules to plan for; FILE is JSON as doctor --json prints it: {"class": "gpu", "limits": {...}, "features": [...]}',
  ),
};

export interface Source {
  readonly name: string;
  readonly config: C2iConfig;
  /** Where the file says it. */
  readonly size: ImageSize | undefined;
}

/** The configuration in a file of weights; only its directory is read. */
export const sourceIn = async (path: string): Promise<Source> => {
  const weights = await settle(openWeights(path));
  await weights.close();
  return { name: path, config: orStop(inferC2iConfig(shapesOf(weights), path)), size: trainedSize(weights.metadata) };
};

/** A built-in size. */
export const sourceOfPreset = (name: PresetName): Source => ({ name, config: PRESETS[name], size: undefined });

/** A file or a built-in size, one of them. */
export const sourceOf = async (path: string | undefined, model: PresetName | undefined): Promise<Source> => {
  if (path !== undefined && model !== undefined) return stop('give either a file or --model, not both');
  if (path !== undefined) return sourceIn(path);
  return model === undefined ? stop(`say of what: a file of weights, or --model ${presets.join('|')}`) : sourceOfPreset(model);
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

/** Schedules that were tuned for the adapter in a file of `doctor --json`; none for the built-in profiles, which are of no adapter. */
export const tunedFor = async (name: string): Promise<TunedSchedules> => {
  if (name === 'gpu' || name === 'cpu') return new Map();
  const value = JSON.parse(await readFile(name, 'utf8')) as { readonly profile?: Partial<AdapterProfile> }; // `profileFor` has read it
  const found = value.profile ?? {};
  if (typeof found.vendor !== 'string' || found.limits === undefined || found.features === undefined || found.class === undefined) return new Map();
  const { architecture = '', device = '', description = '', isFallback = false } = found;
  return (await tuningHere({ ...found, vendor: found.vendor, limits: found.limits, features: found.features, class: found.class, architecture, device, description, isFallback })).tuned;
};

/** The profile of a name, or in a file. The built-in ones are of no adapter in particular: they have what the precision needs. */
export const profileFor = async (name: string, numbers: Numbers = {}): Promise<Profile> => {
  if (name === 'gpu' || name === 'cpu') return { ...PROFILES[name], features: needsHalf(numbers) ? ['shader-f16'] : [] };
  const content = await readFile(name, 'utf8').catch((thrown: NodeJS.ErrnoException) =>
    stop(`--profile ${name}: ${thrown.code === 'ENOENT' ? noFile : thrown.message}`),
  );
  return profileIn(name, content);
};

export interface Planned {
  readonly made: Compilation;
  readonly imageSize: ImageSize;
}

/** What a command asks for of its model. */
interface Wanted {
  readonly size: ImageSize | undefined;
  readonly batch: number;
}

const imageSizeOf = ({ config, size: known }: Source, { size: asked }: Wanted): ImageSize => {
  const imageSize = asked ?? known ?? usualSize(config);
  stopAt(sizeMistakes(config, imageSize));
  return imageSize;
};

/** The value, or the end of the command with everything that is wrong. */
const orStopAll = <A>(result: E.Either<readonly string[], A>): A => (E.isLeft(result) ? stop(result.left.join('\n')) : result.right);

const compiledOrStop = (graph: Graph, options: CompileOptions): Compilation =>
  orStopAll(E.mapLeft((errors: readonly CompileError[]) => errors.map(showCompileError))(explain(graph, options)));

/** Compiles one forward pass of a model at a size, or ends the command with all that is wrong. */
export const planned = (source: Source, wanted: Wanted, options: CompileOptions, traced: (config: C2iConfig) => Graph = velocityGraph): Planned => {
  const { name, config } = source,
    imageSize = imageSizeOf(source, wanted);
  const sizes = orStopAll(sizesOf(config, { batch: wanted.batch, ...imageSize }));
  return { made: compiledOrStop(traced(config), { ...options, sizes, name }), imageSize };
};

/** A guided run of `pixnerd sample` with its defaults. */
const SAMPLER = { sampler: 'adams', steps: 25, guidance: 3.5, interval: [0.1, 1] } as const;

export interface PlannedRun {
  /** What is computed before the steps, if anything is, and a step. */
  readonly programs: readonly { readonly title: string; readonly made: Compilation }[];
  readonly imageSize: ImageSize;
}

/** The same for the programs of a guided sampling run. */
export const plannedRun = (source: Source, wanted: Wanted, options: CompileOptions): PlannedRun => {
  const { name, config } = source,
    imageSize = imageSizeOf(source, wanted);
  const sizes = orStopAll(sizesOf(config, { batch: 2 * wanted.batch, ...imageSize }));
  const { ahead, step, times } = runGraphs(velocityGraph(config), sizes, orStopAll(plan(SAMPLER)));
  const once = ahead && {
    title: `once per run: for ${ahead.times} of ${times.length} times at once, ${Math.ceil(times.length / ahead.times)} x`,
    made: compiledOrStop(ahead.graph, { ...options, sizes: ahead.sizes, name }),
  };
  const each = { title: 'per step: network on both halves, guidance, the sum of the sampler', made: compiledOrStop(step, { ...options, sizes, name }) };
  return { programs: once === undefined ? [each] : [once, each], imageSize };
};
