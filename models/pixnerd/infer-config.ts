/** Reads a configuration off the shapes of a checkpoint's tensors. */
import * as E from 'fp-ts/Either';
import type { NonEmptyArray } from 'fp-ts/NonEmptyArray';
import { configMistakes, type C2iConfig } from './config.ts';

export type Shapes = Readonly<Record<string, readonly number[]>>;

const KEYS = {
  pixels: 'x_embedder.embedder.0.weight', patches: 's_embedder.proj.weight', classes: 'y_embedder.embedding_table.weight', out: 'final_layer.linear.weight',
} as const;

const blockNumbers = (shapes: Shapes, part: RegExp): readonly number[] =>
  [...new Set(Object.keys(shapes).flatMap((key) => { const found = part.exec(key); return found === null ? [] : [Number(found[1])]; }))];

/**
 * The configuration behind shapes named by official state_dict keys (without `denoiser.` or `ema_denoiser.`). Shapes that
 * contradict it elsewhere are for the caller to compare with `parameterShapes`.
 */
export const inferConfig = (shapes: Shapes): E.Either<NonEmptyArray<string>, C2iConfig> => {
  const missing = Object.values(KEYS).filter((key) => shapes[key]?.length !== 2).map((key) => `${key} is missing or no matrix: this is not a PixNerd c2i model`);
  if (missing.length > 0) return E.left(missing as NonEmptyArray<string>); // its length was checked
  const [hidden_size, patchPixels] = shapes[KEYS.patches] as readonly [number, number]; // all four are matrices
  const [in_channels] = shapes[KEYS.out] as readonly [number, number];
  const [hidden_size_x] = shapes[KEYS.pixels] as readonly [number, number];
  const [rows] = shapes[KEYS.classes] as readonly [number, number];
  const transformers = blockNumbers(shapes, /^blocks\.(\d+)\.attn\./);
  const nerfs = blockNumbers(shapes, /^blocks\.(\d+)\.param_generator1\./);
  const head = transformers.map((i) => shapes[`blocks.${i}.attn.q_norm.weight`]?.[0]).find((dim) => dim !== undefined);
  const generated = nerfs.map((i) => shapes[`blocks.${i}.param_generator1.0.weight`]?.[0]).find((dim) => dim !== undefined);
  const config: C2iConfig = {
    in_channels, patch_size: Math.sqrt(patchPixels / in_channels), num_groups: head === undefined ? 1 : hidden_size / head, hidden_size, hidden_size_x,
    num_blocks: transformers.length + nerfs.length, num_cond_blocks: transformers.length,
    nerf_mlpratio: generated === undefined ? 1 : generated / (2 * hidden_size_x ** 2), num_classes: rows - 1,
  };
  const mistakes = configMistakes(config);
  return mistakes.length > 0 ? E.left(mistakes as NonEmptyArray<string>) : E.right(config);
};
