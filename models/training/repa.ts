/**
 * Representation alignment (REPA, arXiv 2410.06940): tokens inside the network, through a small projector, should point where the features
 * of a frozen encoder point. The encoder is whoever gives the features: a module of the language, or an array computed before.
 */
import { type Graph, makeGraph } from '../../dsl/graph/graph.ts';
import { type Node, topological } from '../../dsl/graph/node.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import { add, bind, input, l2Normalize, layers, mean, module, mul, normal, reshape, silu, slice, sub, sum, type T } from '../../dsl/index.ts';
import type { Dim } from '../../dsl/shape/dim.ts';
import { type Depth, type Image, pixnerd } from '../pixnerd/pixnerd.ts';
import { flowMatchingLoss, type LossOptions } from './loss.ts';

/** Linear, SiLU, Linear, SiLU, Linear from `D` channels over `Z` to the `E` of the encoder; names as in the authors' checkpoints. */
export const projector = module(
  { proj: module({ 0: module({ 0: layers.linear('D', 'Z'), 2: layers.linear('Z', 'Z'), 4: layers.linear('Z', 'E') }, (p) => (tokens: T<['B', 'L', 'D']>) => p[4](silu(p[2](silu(p[0](tokens)))))) }, (p) => p[0]) },
  (p) => p.proj,
);

/** mean over images and tokens of 1 - cosine(projected token, feature); of the tokens, the first `tokens` count, as many as the encoder has. */
export const alignmentLoss = (project: (tokens: T<['B', 'L', 'D']>) => T<['B', 'L', 'E']>, tokens: T<['B', 'L', 'D']>, features: T<['B', 'N', 'E']>, count: Dim): T<[]> => {
  const student = slice(project(tokens), 1, 0, count as 'N'); // the caller's count is the encoder's
  const cosine = sum(mul(l2Normalize(student, -1), l2Normalize(features, -1)), -1);
  return sub(1, mean(mean(cosine, 1), 0));
};

/** The tensor that a `tap` named inside what a node is made of; undefined where there is none. */
export const tapIn = (root: Node, name: string): Node | undefined =>
  topological([root]).find((node) => node.op === 'tap' && textAttribute(node.attributes, 'name') === name);

/** The flow loss with `weight` times the alignment added. */
export const withAlignment = (flow: T<[]>, alignment: T<[]>, weight = 0.5): T<[]> => add(flow, mul(alignment, weight));

export interface AlignmentOptions {
  /** The transformer block whose tokens are aligned, counted from 1. */
  readonly layer: number;
  readonly weight?: number;
}

/** Why the tokens after a block cannot be aligned; undefined where they can. */
export const layerMistake = ({ num_cond_blocks }: Depth, layer: number): string | undefined =>
  Number.isInteger(layer) && layer >= 1 && layer <= num_cond_blocks ? undefined
  : `the align layer is ${layer}; blocks are counted from 1, and of this model the first ${num_cond_blocks} have tokens: use one of these`;

/** The losses of a velocity that the class model computed: its tokens after block `layer` against `features` [B, N, E] of an encoder, N at most h*w. */
export const alignedLoss = (flow: T<[]>, velocity: Image, features: T<['B', 'N', 'E']>, { layer, weight }: AlignmentOptions): { readonly loss: T<[]>; readonly cosine: T<[]> } => {
  const tapped = tapIn(velocity, `block${layer - 1}`);
  if (tapped === undefined) throw new Error(`invariant: the velocity has no tap 'block${layer - 1}'; ask layerMistake first`);
  const tokens = reshape(tapped.inputs[0] as T<['B', 'h*w', 'D']>, ['B', 'h*w', 'D']) as unknown as T<['B', 'L', 'D']>; // a tap has one input; L is h*w
  const cosine = alignmentLoss(bind(projector), tokens, features, 'N');
  return { loss: withAlignment(flow, cosine, weight), cosine };
};

/** `trainingGraph` with alignment: a further input `features` [B, N, E], the projector's parameters, and outputs `loss`, `fm_loss` and `cos_loss`. */
export const alignedTrainingGraph = (depth: Depth, align: AlignmentOptions, options: LossOptions = {}): Graph => {
  const x = input('x', ['B', 'C', 'P*h', 'Q*w']), [t, y, keys, features] = [input('t', ['B']), input('y', ['B'], 'i32'), input('keys', ['B', 2], 'u32'), input('features', ['B', 'N', 'E'])];
  const { loss: flow, v } = flowMatchingLoss(bind(pixnerd(depth)), options)(x, normal(keys, ['B', 'C', 'P*h', 'Q*w']), t, y);
  const { loss, cosine } = alignedLoss(flow, v, features, align);
  return makeGraph({ loss, fm_loss: flow, cos_loss: cosine }, [x, t, y, keys, features]);
};
