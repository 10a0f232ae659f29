/**
 * The blocks that golden files hold, by the authors' class names: which graph, of which sizes. Sizes are read off the tensors'
 * shapes where they can be, so that configurations never seen before run as well.
 *
 * Invariant: a graph's inputs, parameters and outputs carry the names under the file's `in.`, `param.` and `out.`.
 */
import { makeGraph, type Graph, type Sizes } from '../../dsl/graph/graph.ts';
import { bind, input, rope, transpose } from '../../dsl/index.ts';
import { rmsNorm } from '../../dsl/nn/layers.ts';
import { labelEmbedder, pixelEmbedder, sinusoid, timestepEmbedder } from '../pixnerd/embedders.ts';
import { finalLayer, nerfBlock } from '../pixnerd/nerf.ts';
import { cosineFeatures, EXCHANGED_PATCH, rotaryFeatures, UNIT_PATCH } from '../pixnerd/pixel-features.ts';
import { EXCHANGED_GRID, ropeTable, UNIT_GRID, type Extent } from '../pixnerd/rope.ts';
import { feedForward, rotaryAttention, transformerBlock } from '../pixnerd/transformer.ts';
import {
  imageBlock, jointAttention, plainEmbedder, rotaryPixelEmbedder, textAttention, textBlock, textEmbedder, textFeedForward, textFinalLayer,
  textNerfBlock,
} from '../text/blocks.ts';
import { elementsOf } from './golden.ts';

/** What a block sees of its file. Numbers that are not there are NaN, and `goldenRun` complains about them. */
export interface Site {
  /** A number of the config, under the first of the names that it has. */
  readonly config: (...names: readonly string[]) => number;
  /** A dimension of a tensor, by its full name; -1 is the last. */
  readonly dim: (tensor: string, axis: number) => number;
  readonly shape: (tensor: string) => readonly number[];
  readonly has: (tensor: string) => boolean;
}
export interface Block {
  readonly graph: (site: Site) => Graph;
  readonly sizes: (site: Site) => Sizes;
}

// inputs, as the blocks' symbols have them ------------------------------------------------------------------------------------------

const patches = (name = 'x') => input(name, ['B', 'h*w', 'D']);
const text = (name = 'y') => input(name, ['B', 'T', 'D']);
const condition = () => input('c', ['B', 1, 'D']);
const colours = () => input('x', ['B*h*w', 'P*Q', 'C']);
const pixels = () => input('x', ['B*h*w', 'P*Q', 'X']);

// sizes -----------------------------------------------------------------------------------------------------------------------------

/** Image tokens of a grid; where the config knows no grid, one row of them. */
const grid = ({ config, dim }: Site, tensor = 'in.x'): Sizes => {
  const [h, w] = [config('height'), config('width')];
  return Number.isNaN(h) ? { B: dim(tensor, 0), h: 1, w: dim(tensor, 1) } : { B: dim(tensor, 0), h, w };
};
const rotaryHeads = ({ config, dim }: Site): Sizes => {
  const heads = config('num_heads', 'groups', 'num_groups');
  return { D: dim('in.x', 2), H: heads, K: dim('in.x', 2) / heads / 4 };
};
const textHeads = ({ config, dim }: Site): Sizes => {
  const heads = config('num_heads', 'groups', 'num_groups');
  return { B: dim('in.x', 0), T: dim('in.x', 1), D: dim('in.x', 2), H: heads, A: dim('in.x', 2) / heads };
};
/** Patches on their own: each is a batch of one patch. The pixels are one row, for blocks that do not ask for their place. */
const lonePatches = ({ dim }: Site): Sizes => ({ B: dim('in.x', 0), h: 1, w: 1, P: 1, Q: dim('in.x', 1) });
const field = (site: Site): Sizes => {
  const [D, X] = [site.dim('in.s', 1), site.dim('in.x', 2)];
  return { ...lonePatches(site), D, X, R: site.dim('param.param_generator1.0.weight', 0) / (2 * X * X) };
};
/** Pixels whose place in the patch counts. */
const placed = ({ config, dim }: Site): Sizes => ({
  B: dim('in.x', 0), h: 1, w: 1, P: config('patch_size_h', 'patch_size'), Q: config('patch_size_w', 'patch_size'), C: dim('in.x', 2),
  X: dim('param.embedder.0.weight', 0),
});
const frequencies = ({ config }: Site): number => (Number.isNaN(config('max_freqs')) ? 8 : config('max_freqs'));

// blocks ----------------------------------------------------------------------------------------------------------------------------

/** A number of the config, or its usual value. */
const configOr = (site: Site, name: string, usual: number): number => (Number.isNaN(site.config(name)) ? usual : site.config(name));

const norm: Block = {
  graph: (site) => makeGraph({ y: bind(rmsNorm('D', configOr(site, 'eps', 1e-6)))(input('x', ['n', 'D'])) }),
  sizes: ({ shape }) => ({ n: elementsOf(shape('in.x').slice(0, -1)), D: shape('in.x').at(-1) ?? NaN }),
};

const timestep: Block = {
  graph: (site) => {
    const t = input('t', ['B']);
    const period = configOr(site, 'max_period', 10);
    return makeGraph({ freq: sinusoid(t, period), y: bind(timestepEmbedder(period))(t) });
  },
  sizes: ({ dim }) => ({ B: dim('in.t', 0), S: dim('param.mlp.0.weight', 1) / 2, D: dim('param.mlp.0.weight', 0) }),
};

const labels: Block = {
  graph: () => makeGraph({ y: bind(labelEmbedder)(input('y', ['B'], 'i32')) }),
  sizes: ({ dim }) => ({ B: dim('in.y', 0), V: dim('param.embedding_table.weight', 0), D: dim('param.embedding_table.weight', 1) }),
};

const rotary = (extent: Extent, layout: 'tokens first' | 'heads first'): Block => ({
  graph: () => {
    const { cos, sin } = ropeTable(extent);
    const turned = (name: string) => layout === 'heads first'
      ? rope(input(name, ['B', 'H', 'h*w', '4*K']), cos, sin)
      : transpose(rope(transpose(input(name, ['B', 'h*w', 'H', '4*K']), 1, 2), cos, sin), 1, 2);
    return makeGraph({ q: turned('q'), k: turned('k') });
  },
  sizes: (site) => ({ ...grid(site, 'in.q'), H: site.dim('in.q', layout === 'heads first' ? 1 : 2), K: site.dim('in.q', 3) / 4 }),
});

const classAttention: Block = {
  graph: ({ has }) => {
    const mask = has('in.mask') ? input('mask', ['h*w', 'h*w'], 'bool') : undefined;
    return makeGraph({ y: bind(rotaryAttention)(patches(), ropeTable(UNIT_GRID), mask) });
  },
  sizes: (site) => ({ ...grid(site), ...rotaryHeads(site) }),
};

const classBlock: Block = {
  graph: () => makeGraph({ y: bind(transformerBlock)(patches(), condition(), ropeTable(UNIT_GRID)) }),
  sizes: (site) => ({ ...grid(site), ...rotaryHeads(site), F: site.dim('param.mlp.w1.weight', 0) }),
};

const classFeedForward: Block = {
  graph: () => makeGraph({ y: bind(feedForward)(patches()) }),
  sizes: (site) => ({ ...grid(site), D: site.dim('in.x', 2), F: site.dim('param.w1.weight', 0) }),
};

const classPixels: Block = {
  graph: () => makeGraph({ y: bind(pixelEmbedder)(colours()), pos: cosineFeatures() }),
  sizes: (site) => ({ ...placed(site), M: frequencies(site) }),
};

const textPixels = (extent: Extent): Block => ({
  graph: () => makeGraph({ y: bind(rotaryPixelEmbedder(extent))(colours()), pos: rotaryFeatures(extent) }),
  sizes: (site) => ({ ...placed(site), G: frequencies(site) ** 2 / 2 }),
});

const swiglu: Block = {
  graph: () => makeGraph({ y: bind(textFeedForward)(text('x')) }),
  sizes: ({ dim }) => ({ B: dim('in.x', 0), T: dim('in.x', 1), D: dim('in.x', 2), F: dim('param.w3.weight', 1) }),
};

const embed: Block = {
  graph: ({ has }) => {
    const y = input(has('in.y') ? 'y' : 'x', ['B', 'T', 'E']);
    return makeGraph({ y: has('param.norm.weight') ? bind(textEmbedder)(y) : bind(plainEmbedder)(y) });
  },
  sizes: ({ dim, has, shape }) => {
    const [B = NaN, T = NaN] = shape(has('in.y') ? 'in.y' : 'in.x');
    return { B, T, E: dim('param.proj.weight', 1), D: dim('param.proj.weight', 0) };
  },
};

const textOnlyAttention: Block = { graph: () => makeGraph({ y: bind(textAttention)(text('x')) }), sizes: textHeads };

const textOnlyBlock: Block = {
  graph: () => makeGraph({ y: bind(textBlock)(text('x'), condition()) }),
  sizes: (site) => ({ ...textHeads(site), F: site.dim('param.mlp.w3.weight', 1) }),
};

const imageAttention: Block = {
  graph: () => makeGraph({ y: bind(jointAttention)(patches(), text(), ropeTable(EXCHANGED_GRID)) }),
  sizes: (site) => ({ ...grid(site), ...rotaryHeads(site), T: site.dim('in.y', 1) }),
};

const imageTransformer: Block = {
  graph: () => makeGraph({ y: bind(imageBlock)(patches(), text(), condition(), ropeTable(EXCHANGED_GRID)) }),
  sizes: (site) => ({ ...grid(site), ...rotaryHeads(site), T: site.dim('in.y', 1), F: site.dim('param.mlp.w3.weight', 1) }),
};

const nerf = (block: typeof nerfBlock | typeof textNerfBlock): Block => ({
  graph: () => makeGraph({ y: bind(block)(pixels(), input('s', ['B*h*w', 'D'])) }),
  sizes: field,
});

const final = (layer: typeof finalLayer | typeof textFinalLayer): Block => ({
  graph: () => makeGraph({ y: bind<(x: ReturnType<typeof pixels>) => ReturnType<typeof colours>>(layer)(pixels()) }),
  sizes: (site) => ({ ...lonePatches(site), X: site.dim('in.x', 2), C: site.dim('param.linear.weight', 0) }),
});

/** By module and class. The heavy decoder's module holds the text model's blocks but for its pixel embedder. */
const BLOCKS: ReadonlyMap<string, Block> = new Map(Object.entries({
  'pixnerd_c2i.FlattenDiTBlock': classBlock,
  'pixnerd_c2i.RAttention': classAttention,
  'pixnerd_c2i.FeedForward': classFeedForward,
  'pixnerd_c2i.NerfEmbedder': classPixels,
  'pixnerd_c2i.NerfBlock': nerf(nerfBlock),
  'pixnerd_c2i.NerfFinalLayer': final(finalLayer),
  'pixnerd_c2i.LabelEmbedder': labels,
  'pixnerd_c2i.apply_rotary_emb': rotary(UNIT_GRID, 'tokens first'),
  'pixnerd_t2i.FlattenDiTBlock': imageTransformer,
  'pixnerd_t2i.Attention': imageAttention,
  'pixnerd_t2i.TextRefineBlock': textOnlyBlock,
  'pixnerd_t2i.TextRefineAttention': textOnlyAttention,
  'pixnerd_t2i.NerfEmbedder': textPixels(EXCHANGED_PATCH),
  'pixnerd_t2i_heavydecoder.NerfEmbedder': textPixels(UNIT_PATCH),
  'pixnerd_t2i.NerfBlock': nerf(textNerfBlock),
  'pixnerd_t2i.NerfFinalLayer': final(textFinalLayer),
  'rope.apply_rotary_emb': rotary(EXCHANGED_GRID, 'heads first'),
  'swiglu.SwiGLU': swiglu,
  RMSNorm: norm,
  TimestepEmbedder: timestep,
  Embed: embed,
}));

/** The block of a class such as `src.models.transformer.pixnerd_c2i.RAttention`. */
export const blockOf = (className: string): Block | undefined => {
  const [module = '', name = ''] = className.split('.').slice(-2);
  return BLOCKS.get(`${module}.${name}`) ?? BLOCKS.get(`${module.replace('_heavydecoder', '')}.${name}`) ?? BLOCKS.get(name);
};
export const BLOCK_NAMES: readonly string[] = [...BLOCKS.keys()];
