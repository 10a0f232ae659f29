/**
 * Configurations of the class-to-image model, in the authors' names, and the sizes that they give the model's symbols.
 *
 * Invariant: a configuration without mistakes binds every symbol of the model, at every image size that its patch divides.
 */
import * as E from 'fp-ts/Either';
import type { NonEmptyArray } from 'fp-ts/NonEmptyArray';

export interface C2iConfig {
  readonly in_channels: number;
  readonly patch_size: number;
  /** Attention heads. */
  readonly num_groups: number;
  readonly hidden_size: number;
  /** Width of a pixel's features. */
  readonly hidden_size_x: number;
  readonly num_blocks: number;
  /** How many of the blocks are transformer blocks; the rest are NeRF blocks. */
  readonly num_cond_blocks: number;
  readonly nerf_mlpratio: number;
  readonly num_classes: number;
}

const official = { in_channels: 3, patch_size: 16, num_groups: 16, hidden_size_x: 64, nerf_mlpratio: 2, num_classes: 1000 } as const;

/** L/16 and XL/16 of the paper, and the small model trained on Fashion-MNIST. */
export const PRESETS = {
  'c2i-L': { ...official, hidden_size: 1024, num_blocks: 24, num_cond_blocks: 22 },
  'c2i-XL': { ...official, hidden_size: 1152, num_blocks: 30, num_cond_blocks: 26 },
  fashion: {
    in_channels: 1, patch_size: 8, num_groups: 4, hidden_size: 128, hidden_size_x: 16,
    num_blocks: 7, num_cond_blocks: 5, nerf_mlpratio: 2, num_classes: 10,
  },
} as const satisfies Record<string, C2iConfig>;
export type PresetName = keyof typeof PRESETS;

export interface ImageSize {
  readonly height: number;
  readonly width: number;
}
export interface BatchSize extends ImageSize { readonly batch: number }

/** Frequencies of the timestep's sinusoid, each with a cosine and a sine. */
const SINUSOIDS = 128;
/** Frequencies of the pixel features per axis. */
const PIXEL_FREQUENCIES = 8;

/** The symbols of the model; `pixnerd.ts` says what they mean. */
export interface C2iSizes extends Readonly<Record<string, number>> {
  readonly B: number; readonly h: number; readonly w: number; readonly C: number; readonly P: number; readonly Q: number; readonly D: number;
  readonly H: number; readonly K: number; readonly F: number; readonly X: number; readonly R: number; readonly V: number;
  readonly S: number; readonly M: number;
}

const isWhole = (value: unknown, least: number): boolean => Number.isInteger(value) && (value as number) >= least; // an integer is a number

/** The inner width of a feed-forward network of the authors. */
export const feedForwardWidth = (hidden: number): number => Math.trunc((2 * 4 * hidden) / 3);

const FIELDS: readonly (keyof C2iConfig)[] = [
  'in_channels', 'patch_size', 'num_groups', 'hidden_size', 'hidden_size_x', 'num_blocks', 'num_cond_blocks', 'nerf_mlpratio', 'num_classes',
];

/** What is wrong with attention heads that share `hidden` channels. The rotary embedding turns pairs along x and along y. */
export const headMistakes = (hidden: number, heads: number): readonly string[] =>
  hidden % heads !== 0 ? [`hidden_size ${hidden} is not divisible by num_groups ${heads}: change one of them`]
  : hidden % (4 * heads) !== 0
    ? [`head_dim is ${hidden / heads}, but the rotary embedding needs a multiple of 4: change hidden_size ${hidden} or num_groups ${heads}`]
  : [];

/** Everything that is wrong with a configuration. */
export const configMistakes = (config: C2iConfig): readonly string[] => {
  const least = (field: keyof C2iConfig): number => (field === 'num_cond_blocks' || field === 'num_blocks' ? 0 : 1);
  const wrong = FIELDS.filter((field) => !isWhole(config[field], least(field)))
    .map((field) => `${field} is ${config[field]}: use a whole number of at least ${least(field)}`);
  if (wrong.length > 0) return wrong;
  const { hidden_size, num_groups, num_blocks, num_cond_blocks } = config;
  return [
    ...headMistakes(hidden_size, num_groups),
    ...(num_cond_blocks > num_blocks ? [`num_cond_blocks is ${num_cond_blocks}, but there are only ${num_blocks} blocks`] : []),
  ];
};

const nearestMultiple = (size: number, patch: number): number => Math.max(patch, Math.round(size / patch) * patch);

/** Everything that is wrong with an image size. */
export const sizeMistakes = ({ patch_size: patch }: Pick<C2iConfig, 'patch_size'>, { height, width }: ImageSize): readonly string[] =>
  ([['height', height], ['width', width]] as const).flatMap(([name, size]) =>
    !isWhole(size, 1) ? [`${name} is ${size}: use a whole number of at least 1`]
    : size % patch !== 0 ? [`${name} ${size} is not divisible by the patch size ${patch}: try ${nearestMultiple(size, patch)}`]
    : []);

/** Everything that is wrong with class labels. */
export const labelMistakes = ({ num_classes: classes }: Pick<C2iConfig, 'num_classes'>, labels: readonly number[]): readonly string[] =>
  [...new Set(labels)].filter((label) => !isWhole(label, 0) || label >= classes)
    .map((label) => `class ${label} is out of range: this model has classes 0 to ${classes - 1}`);

/** The label that stands for "no class"; the last row of the class table. */
export const nullClass = ({ num_classes }: Pick<C2iConfig, 'num_classes'>): number => num_classes;

const isNonEmpty = <A>(values: readonly A[]): values is NonEmptyArray<A> => values.length > 0;

/** The sizes of the model's symbols, or everything that is wrong. */
export const sizesOf = (config: C2iConfig, { batch, height, width }: BatchSize): E.Either<NonEmptyArray<string>, C2iSizes> => {
  const own = configMistakes(config);
  const mistakes = [
    ...own,
    ...(own.length > 0 ? [] : sizeMistakes(config, { height, width })),
    ...(isWhole(batch, 1) ? [] : [`batch is ${batch}: use a whole number of at least 1`]),
  ];
  if (isNonEmpty(mistakes)) return E.left(mistakes);
  const patch = config.patch_size;
  return E.right({
    B: batch, h: height / patch, w: width / patch, C: config.in_channels, P: patch, Q: patch, D: config.hidden_size,
    H: config.num_groups, K: config.hidden_size / config.num_groups / 4, F: feedForwardWidth(config.hidden_size),
    X: config.hidden_size_x, R: config.nerf_mlpratio, V: config.num_classes + 1, S: SINUSOIDS, M: PIXEL_FREQUENCIES,
  });
};
