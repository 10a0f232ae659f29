/**
 * Representation alignment (REPA, arXiv 2410.06940): tokens inside the network, through a small projector, should point where the features
 * of a frozen encoder point. The encoder is whoever gives the features: a module of the language, or an array computed before.
 */
import { type Node, topological } from '../../dsl/graph/node.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import { add, l2Normalize, layers, mean, module, mul, silu, slice, sub, sum, type T } from '../../dsl/index.ts';
import type { Dim } from '../../dsl/shape/dim.ts';

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
