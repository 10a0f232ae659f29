/** What the class model and its parts are for, in plain words. */
import type { C2iConfig, ImageSize } from './config.ts';

/** The model in a sentence or two. */
export const aboutC2i = ({ num_blocks, num_cond_blocks, patch_size }: C2iConfig, { height, width }: ImageSize, batch: number): string =>
  `PixNerd, class to image, at ${height} × ${width} pixels${batch === 1 ? '' : `, ${batch} images at once`}: from a noisy image, a time and a class it predicts which way each pixel should move. `
  + `${num_cond_blocks} transformer blocks find out what belongs into each patch of ${patch_size} × ${patch_size} pixels; then ${num_blocks - num_cond_blocks} NeRF blocks, `
  + 'small networks whose weights are made anew for each patch, draw its pixels.';

const PARTS: readonly (readonly [name: string, about: string])[] = [
  ['x_embedder', 'each pixel, with its place in the patch, becomes a row of features'],
  ['t_embedder', 'the time becomes a vector'],
  ['y_embedder', 'the class becomes a vector'],
  ['s_embedder', 'each patch becomes one row'],
  ['final_layer', 'features of pixels become colours'],
];

/** What a part of the model is for, by its state_dict path; undefined where there is nothing to say. */
export const aboutPart = ({ num_cond_blocks }: Pick<C2iConfig, 'num_cond_blocks'>) => (path: string): string | undefined => {
  const [, number] = /^blocks\.(\d+)$/.exec(path) ?? [];
  if (number === undefined) return path === '' ? 'what lies between the parts, or reaches over several of them' : PARTS.find(([name]) => name === path)?.[1];
  return Number(number) < num_cond_blocks ? 'transformer: patches look at each other (attn), then each for itself (mlp), steered by time and class (adaLN)'
    : 'NeRF: weights are generated for each patch (param_generator), then applied to its pixels';
};
