/**
 * PixNerd, class to image: the velocity of an image straight in pixels.
 *
 * A transformer over patches finds a condition for each patch; from it a layer makes the weights of a small network, which
 * decodes the patch's pixels. Written once over symbols, checked once for all sizes:
 *
 *   B batch   C channels   h x w patches of P x Q pixels (P = Q, but not exchangeable)   V classes + 1
 *   D width   H heads of 4K channels (D = 4HK)   F feed-forward width   X pixel width   R NeRF ratio
 *   S frequencies of the time (128)   M frequencies of a pixel's place per axis (8)
 *
 * Invariant: parameter names and shapes are those of the official state_dict.
 */
import { add, module, repeat, reshape, silu, stack, tap, unsqueeze, type T } from '../../dsl/index.ts';
import type { C2iConfig } from './config.ts';
import { labelEmbedder, patchEmbedder, pixelEmbedder, timestepEmbedder } from './embedders.ts';
import { finalLayer, nerfBlock } from './nerf.ts';
import { imageOf, pixelsOf, tokensOf } from './patch.ts';
import { ropeTable, UNIT_GRID } from './rope.ts';
import { transformerBlock } from './transformer.ts';

export type Image = T<['B', 'C', 'P*h', 'Q*w']>;
export type Condition = T<['B', 'h*w', 'D']>;

/** The model's depth; every other size is a symbol. */
export type Depth = Pick<C2iConfig, 'num_blocks' | 'num_cond_blocks'>;

/**
 * The velocity at image x, time t (0 noise, 1 image) and class y. A condition s given from outside is used as it stands, in
 * place of the transformer. Taps: t_embed, y_embed, s_embed, block<i>, s_cond, x_embed, final.
 */
export const pixnerd = ({ num_blocks, num_cond_blocks }: Depth) => module(
  {
    x_embedder: pixelEmbedder,
    s_embedder: patchEmbedder,
    t_embedder: timestepEmbedder(),
    y_embedder: labelEmbedder,
    final_layer: finalLayer,
    blocks: stack(repeat(num_cond_blocks, transformerBlock), repeat(num_blocks - num_cond_blocks, nerfBlock)),
  },
  (p) => (x: Image, t: T<['B']>, y: T<['B'], 'i32'>, given?: Condition): Image => {
    const [transformers, nerfs] = p.blocks;
    const patches = tokensOf(x);

    const conditionOf = (): Condition => {
      const time = tap(p.t_embedder(t), 't_embed');
      const c = unsqueeze(silu(add(time, tap(p.y_embedder(y), 'y_embed'))), 1);
      const table = ropeTable(UNIT_GRID);
      const s = transformers.reduce((tokens, block, i) => tap(block(tokens, c, table), `block${i}`), tap(p.s_embedder(patches), 's_embed'));
      return silu(add(unsqueeze(time, 1), s));
    };

    const s = tap(reshape(given ?? conditionOf(), ['B*h*w', 'D']), 's_cond');
    const pixels = tap(p.x_embedder(pixelsOf(patches)), 'x_embed');
    const decoded = nerfs.reduce((z, block, i) => tap(block(z, s), `block${num_cond_blocks + i}`), pixels);
    return imageOf(tap(p.final_layer(decoded), 'final'));
  },
);
