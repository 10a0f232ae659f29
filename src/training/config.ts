/**
 * What a run of training is: a table of keys, the type that follows from it, and everything that can be wrong with one.
 *
 * Invariant: a `RunConfig` is complete and consistent; the same table validates, documents and writes the starting points, so they cannot differ.
 */
import { createHash } from 'node:crypto';
import * as E from 'fp-ts/Either';
import { configMistakes, type ImageSize, sizeMistakes } from '../../models/pixnerd/config.ts';
import { LOSS_WEIGHTS } from '../../models/training/loss.ts';
import { suggestion } from '../cli/suggest.ts';
import { bytes, choice, type Field, isSection, number, orNone, section, type Section, showValue, type Table, text, truth, type ValuesOf, whole } from './fields.ts';

/** Every key of a configuration. */
export const RUN_TABLE = {
  output: text('folder', { meaning: 'where checkpoints, samples, the loss plot and the report go', mayChange: true }),
  seed: whole({ least: 0, most: 2 ** 32 - 1 }, { meaning: 'of everything that is drawn: first weights, order of the images, times, noise, dropped labels', fallback: 0 }),
  steps: whole({ least: 1 }, { meaning: 'steps of the optimiser in all', unit: 'steps', fallback: 10_000, mayChange: true }),
  batch: whole({ least: 1 }, { meaning: 'images of a step, all parts together', unit: 'images', fallback: 64 }),
  accumulate: whole({ least: 1 }, { meaning: 'parts that a batch is computed in, one after the other, so that it needs less memory; must divide the batch', unit: 'parts', fallback: 1 }),
  precision: choice(['f32', 'mixed'], { meaning: 'mixed keeps activations as f16 and scales the loss, where the adapter has f16', fallback: 'f32' }),
  budget: orNone(bytes({ meaning: 'most memory of the device for one step; what does not fit is computed again', mayChange: true })),
  clip: orNone(number({ above: 0 }, { meaning: 'the longest gradient: longer ones are shortened to this norm' }), 1),
  ema: number({ least: 0, below: 1 }, { meaning: 'decay of the averaged weights, which samples are made from; 0 keeps no average', fallback: 0.999 }),
  model: section('the network, in the names of the authors', {
    in_channels: whole({ least: 1 }, { meaning: 'channels of an image: 1 grey, 3 colour', fallback: 1 }),
    num_classes: whole({ least: 1 }, { meaning: 'classes of the data; the class for "none" is added', fallback: 10 }),
    patch_size: whole({ least: 1 }, { meaning: 'side of a patch, which must divide both sides of an image; half the size is four times the tokens', unit: 'pixels', fallback: 4 }),
    hidden_size: whole({ least: 4 }, { meaning: 'width of the transformer; a multiple of 4 times num_groups', fallback: 128 }),
    num_groups: whole({ least: 1 }, { meaning: 'attention heads', fallback: 4 }),
    num_blocks: whole({ least: 1 }, { meaning: 'transformer and neural-field blocks together', fallback: 6 }),
    num_cond_blocks: whole({ least: 0 }, { meaning: 'transformer blocks among them', fallback: 4 }),
    hidden_size_x: whole({ least: 1 }, { meaning: 'width of a pixel in the neural field', fallback: 16 }),
    nerf_mlpratio: whole({ least: 1 }, { meaning: 'inner width of the neural field over its width', fallback: 2 }),
  }),
  data: section('the images', {
    path: text('path', { meaning: 'where the images are: one folder for each class, the files of MNIST or Fashion-MNIST, or a pack', mayChange: true }),
    kind: choice(['auto', 'classes', 'idx', 'pack'], { meaning: 'what lies there; auto looks', fallback: 'auto' }),
    label: choice(['class', 'attribute', 'both'], { meaning: 'packs: which label the model learns; both: a class for each pair', fallback: 'class' }),
    heldOut: choice(['without', 'only', 'with'], { meaning: 'packs: what becomes of images that were held out', fallback: 'without' }),
    height: whole({ least: 1 }, { meaning: 'height of an image as it is trained on', unit: 'pixels', fallback: 32 }),
    width: whole({ least: 1 }, { meaning: 'width of an image as it is trained on', unit: 'pixels', fallback: 32 }),
    flip: truth({ meaning: 'mirror every second image from left to right', fallback: false }),
    strict: truth({ meaning: 'a damaged image stops the run; false names and skips it', fallback: false }),
    workers: whole({ least: 1, most: 64 }, { meaning: 'threads that decode ahead of the device', unit: 'threads', fallback: 2, mayChange: true }),
    ahead: whole({ least: 1 }, { meaning: 'batches kept ready', unit: 'batches', fallback: 4, mayChange: true }),
  }),
  loss: section('flow matching', {
    weight: choice(LOSS_WEIGHTS, { meaning: 'how the error at a time counts', fallback: 'constant' }),
    scheduler: choice(['linear', 'gvp', 'const'], { meaning: 'the way from noise to image', fallback: 'linear' }),
    time: choice(['lognormal', 'uniform'], { meaning: 'how times are drawn; lognormal: mostly between noise and image', fallback: 'lognormal' }),
    timeshift: number({ above: 0 }, { meaning: 'above 1 more times lie at the noisy end', fallback: 1 }),
    labelDrop: number({ least: 0, most: 1 }, { meaning: 'share of the labels that are dropped, so that the model can be guided', fallback: 0.1 }),
  }),
  optimizer: section('how weights follow gradients', {
    kind: choice(['adamw', 'sgd'], { meaning: 'adamw with decoupled weight decay, or stochastic gradient descent', fallback: 'adamw' }),
    learningRate: number({ above: 0 }, { meaning: 'the largest learning rate; the schedule scales it', fallback: 1e-3 }),
    beta1: number({ least: 0, below: 1 }, { meaning: 'adamw: decay of the mean of the gradients', fallback: 0.9 }),
    beta2: number({ least: 0, below: 1 }, { meaning: 'adamw: decay of the mean of their squares', fallback: 0.999 }),
    epsilon: number({ above: 0 }, { meaning: 'adamw: keeps the division finite', fallback: 1e-8 }),
    weightDecay: number({ least: 0 }, { meaning: 'how fast weights shrink, times the learning rate', fallback: 0 }),
    momentum: number({ least: 0, below: 1 }, { meaning: 'sgd: how much of the last step is kept', fallback: 0.9 }),
    nesterov: truth({ meaning: 'sgd: look ahead along the momentum', fallback: false }),
  }),
  schedule: section('the learning rate over time', {
    kind: choice(['constant', 'cosine', 'linear'], { meaning: 'after warming up: stay, or sink until the last step, along half a cosine or a line', fallback: 'constant' }),
    warmup: whole({ least: 0 }, { meaning: 'steps in which the rate grows from 0', unit: 'steps', fallback: 0 }),
    floor: number({ least: 0, most: 1 }, { meaning: 'where a rate that sinks ends, as a share of the learning rate', fallback: 0 }),
  }),
  intervals: section('what happens every so many steps', {
    log: whole({ least: 1 }, { meaning: 'the loss is read back and written to metrics.jsonl; slow steps are shown one by one', unit: 'steps', fallback: 10, mayChange: true }),
    sample: orNone(whole({ least: 1 }, { meaning: 'a sheet of samples from the averaged weights, and the loss plot', unit: 'steps', mayChange: true }), 1000),
    checkpoint: whole({ least: 1 }, { meaning: 'a checkpoint, which is what a crash can cost', unit: 'steps', fallback: 500, mayChange: true }),
    keep: whole({ least: 1 }, { meaning: 'checkpoints kept; older ones are removed', unit: 'checkpoints', fallback: 3, mayChange: true }),
  }),
  samples: section('the sheet of samples', {
    perClass: whole({ least: 1, most: 64 }, { meaning: 'images of each class', unit: 'images', fallback: 2, mayChange: true }),
    steps: whole({ least: 1 }, { meaning: 'steps from noise to image', unit: 'steps', fallback: 16, mayChange: true }),
    guidance: number({ least: 0 }, { meaning: 'scale of classifier-free guidance; 1 switches it off', fallback: 3, mayChange: true }),
  }),
} as const satisfies Table;

/** A validated configuration of a run. */
export type RunConfig = ValuesOf<typeof RUN_TABLE>;

/** A plain object of parsed JSON. */
type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Every field with its path: `optimizer.learningRate`. */
export const fieldsOf = (table: Table = RUN_TABLE): readonly (readonly [path: string, field: Field<unknown>])[] =>
  Object.entries(table).flatMap(([key, entry]) =>
    isSection(entry) ? Object.entries(entry.fields).map(([inner, field]) => [`${key}.${inner}`, field] as const) : [[key, entry] as const]);

const PATHS = fieldsOf().map(([path]) => path);
const SECTIONS = Object.keys(RUN_TABLE).filter((key) => isSection(RUN_TABLE[key as keyof typeof RUN_TABLE])); // own keys

/** The known path that is meant: first among its neighbours, then a key of that name anywhere. */
const unknownKey = (path: string): string => {
  const last = path.split('.').at(-1)!; // a split has one part at least
  const elsewhere = PATHS.find((known) => known.split('.').at(-1) === last);
  if (elsewhere !== undefined) return `${path}: unknown key; did you mean ${elsewhere}?`;
  const owner = path.includes('.') ? path.slice(0, path.lastIndexOf('.')) : undefined;
  const near = owner === undefined ? [...PATHS.filter((known) => !known.includes('.')), ...SECTIONS] : PATHS.filter((known) => known.startsWith(`${owner}.`));
  return `${path}: unknown key${suggestion(path, near)}`;
};

interface Reading {
  readonly values: Record<string, unknown>;
  readonly problems: string[];
}

const readFields = (fields: Readonly<Record<string, Field<unknown>>>, given: Json, prefix: string, problems: string[]): Record<string, unknown> => {
  const values: Record<string, unknown> = {};
  for (const [key, { read, fallback, meaning }] of Object.entries(fields)) {
    if (!Object.hasOwn(given, key)) {
      if (fallback === undefined) problems.push(`${prefix}${key}: is missing: ${meaning}`);
      else values[key] = fallback.value;
      continue;
    }
    const made = read(given[key]);
    if (E.isLeft(made)) problems.push(`${prefix}${key}: ${made.left}`);
    else values[key] = made.right;
  }
  return values;
};

const readTable = (given: Json): Reading => {
  const problems: string[] = [], values: Record<string, unknown> = {};
  for (const key of Object.keys(given)) if (!Object.hasOwn(RUN_TABLE, key)) problems.push(unknownKey(key));
  const top: Record<string, Field<unknown>> = {};
  for (const [key, entry] of Object.entries<Field<unknown> | Section>(RUN_TABLE)) {
    if (!isSection(entry)) {
      top[key] = entry;
      continue;
    }
    const inner = Object.hasOwn(given, key) ? given[key] : {};
    if (!isObject(inner)) {
      problems.push(`${key}: ${showValue(inner)} is no object; use {"${Object.keys(entry.fields)[0]}": ...}`);
      continue;
    }
    for (const name of Object.keys(inner)) if (!Object.hasOwn(entry.fields, name)) problems.push(unknownKey(`${key}.${name}`));
    values[key] = readFields(entry.fields, inner, `${key}.`, problems);
  }
  return { values: { ...readFields(top, given, '', problems), ...values }, problems };
};

/** Image size of a configuration. */
export const imageSizeOf = ({ data: { height, width } }: Pick<RunConfig, 'data'>): ImageSize => ({ height, width });

const divisorNear = (batch: number, parts: number): number => {
  for (let candidate = parts; candidate > 1; candidate--) if (batch % candidate === 0) return candidate;
  return 1;
};

/** What is wrong with values that are right each by itself. */
const crossMistakes = (config: RunConfig): readonly string[] => {
  const { model, batch, accumulate, schedule, steps } = config;
  const own = configMistakes(model).map((mistake) => `model: ${mistake}`);
  return [
    ...own,
    ...(own.length > 0 ? [] : sizeMistakes(model, imageSizeOf(config)).map((mistake) => `data, model.patch_size: ${mistake}`)),
    ...(model.in_channels === 1 || model.in_channels === 3 ? [] : [`model.in_channels: ${model.in_channels}; images have 1 or 3 channels`]),
    ...(model.num_blocks > model.num_cond_blocks ? [] : [`model.num_blocks: ${model.num_blocks} with ${model.num_cond_blocks} transformer blocks leaves no neural-field block; use ${model.num_cond_blocks + 1} or more`]),
    ...(batch % accumulate === 0 ? [] : [`accumulate: ${accumulate} parts do not divide a batch of ${batch}; try ${divisorNear(batch, accumulate)}`]),
    ...(schedule.warmup < steps ? [] : [`schedule.warmup: ${schedule.warmup} steps of warming up leave none of ${steps}; use less`]),
  ];
};

/** The configuration in parsed JSON, or everything that is wrong with it. */
export const readConfig = (given: unknown): E.Either<readonly string[], RunConfig> => {
  if (!isObject(given)) return E.left([`${showValue(given)} is no configuration; it is an object: {"output": ..., "data": {...}}`]);
  const { values, problems } = readTable(given);
  if (problems.length > 0) return E.left(problems);
  const config = values as RunConfig; // as: every field was read by the table that the type follows from
  const mistakes = crossMistakes(config);
  return mistakes.length > 0 ? E.left(mistakes) : E.right(config);
};

/** What the images turned out to be, as far as a configuration must agree. */
export interface DataFacts {
  readonly classes: readonly string[];
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly size: number;
}

/** Where the data contradict the configuration. */
export const dataMistakes = ({ model, data, batch }: RunConfig, facts: DataFacts): readonly string[] => [
  ...(facts.classes.length === model.num_classes ? []
    : [`model.num_classes: ${model.num_classes}, but ${data.path} has ${facts.classes.length} classes (${facts.classes.slice(0, 6).join(', ')}${facts.classes.length > 6 ? ', ...' : ''}); set it to ${facts.classes.length}`]),
  ...(facts.channels === model.in_channels ? [] : [`model.in_channels: ${model.in_channels}, but the images of ${data.path} have ${facts.channels}; set it to ${facts.channels}`]),
  ...(facts.height === data.height && facts.width === data.width ? []
    : [`data.height, data.width: ${data.height} x ${data.width}, but the images of ${data.path} are ${facts.height} x ${facts.width}`]),
  ...(facts.size >= batch ? [] : [`batch: ${batch}, but ${data.path} has only ${facts.size} images; use ${Math.max(1, facts.size)} or less`]),
];

/** Parsed JSON with `key=value` put over it, by path; a value that is no JSON is a text. */
export const withOverrides = (given: unknown, overrides: readonly string[]): E.Either<readonly string[], unknown> => {
  const problems: string[] = [];
  let made = given;
  for (const override of overrides) {
    const [, path, value] = /^\s*([\w.]+)\s*=(.*)$/s.exec(override) ?? [];
    if (path === undefined || value === undefined) problems.push(`--set ${override}: use key=value, such as optimizer.learningRate=3e-4`);
    else if (!PATHS.includes(path)) problems.push(SECTIONS.includes(path) ? `--set ${override}: ${path} has keys of its own; set one of them: ${PATHS.filter((known) => known.startsWith(`${path}.`)).join(', ')}` : `--set ${unknownKey(path)}`);
    else made = withValue(made, path.split('.'), parsedOrText(value.trim()));
  }
  return problems.length > 0 ? E.left(problems) : E.right(made);
};

const parsedOrText = (value: string): unknown => {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
};

const withValue = (given: unknown, [key, ...rest]: readonly string[], value: unknown): unknown => {
  const object = isObject(given) ? given : {};
  return key === undefined ? value : { ...object, [key]: withValue(object[key], rest, value) };
};

/** The values by path, as JSON writes them. */
const flat = (config: RunConfig): ReadonlyMap<string, string> => {
  const at = (path: string): unknown => path.split('.').reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), config);
  return new Map(PATHS.map((path) => [path, showValue(at(path))]));
};

export interface ConfigDifference {
  readonly path: string;
  readonly before: string;
  readonly after: string;
  /** Whether a run may go on with it. */
  readonly isAllowed: boolean;
}

/** Where two configurations differ. */
export const configDifferences = (before: RunConfig, after: RunConfig): readonly ConfigDifference[] => {
  const [old, now] = [flat(before), flat(after)];
  return fieldsOf()
    .filter(([path]) => old.get(path) !== now.get(path))
    .map(([path, { mayChange }]) => ({ path, before: old.get(path)!, after: now.get(path)!, isAllowed: mayChange })); // both have every path
};

/** A short name of what a run computes: keys that may change do not count. */
export const configHash = (config: RunConfig): string => {
  const counted = fieldsOf().filter(([, { mayChange }]) => !mayChange).map(([path]) => `${path}=${flat(config).get(path)}`);
  return createHash('sha256').update(counted.join('\n')).digest('hex').slice(0, 16);
};
