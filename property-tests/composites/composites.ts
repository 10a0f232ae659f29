/**
 * Small programs that models are made of, written in the language over symbols: those of PixNerd and what comes next
 * (grouped-query and causal attention, convolutions, group norm, a loss).
 */
import {
  add,
  and,
  attention,
  chunk,
  einsum,
  embedding,
  eq,
  erf,
  expand,
  gelu,
  geluErf,
  index,
  input,
  iota,
  l2Normalize,
  layerNorm,
  le,
  linear,
  linspace,
  logSumExp,
  lt,
  matmul,
  mean,
  mul,
  normal,
  pad,
  parameter,
  rearrange,
  reshape,
  resizeNearest,
  rmsNorm,
  rope,
  rsqrt,
  select,
  sigmoid,
  silu,
  sin,
  slice,
  softmax,
  square,
  stackTensors,
  sub,
  sum,
  type T,
  tanh,
  uniform,
  unsqueeze,
} from '../../dsl/index.ts';
import { type Graph, makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';

const x = input('x', ['B', 'N', 'D']);
const weight = parameter('weight', ['D']),
  bias = parameter('bias', ['D']);
const image = input('x', ['B', 'C', 'Y', 'X']);
const labels = input('labels', ['B', 'N'], 'i32');

const q = input('q', ['B', 'H', 'N', 'E']),
  k = input('k', ['B', 'H', 'N', 'E']),
  v = input('v', ['B', 'H', 'N', 'E']);
const key = input('key', [2], 'u32');

/** The image and its eight neighbours: what a 3 x 3 convolution sums over. */
const neighbours = (pixels: T<['B', 'C', 'Y', 'X']>): T<[9, 'B', 'C', 'Y', 'X']> => {
  const padded = pad(pad(pixels, 2, 1, 1), 3, 1, 1);
  const at = (i: 0 | 1 | 2, j: 0 | 1 | 2): T<['B', 'C', 'Y', 'X']> => slice(slice(padded, 2, i, 'Y'), 3, j, 'X');
  return stackTensors([at(0, 0), at(0, 1), at(0, 2), at(1, 0), at(1, 1), at(1, 2), at(2, 0), at(2, 1), at(2, 2)], 0);
};
const convolution = (): Node =>
  add(einsum('k b c y x, o c k -> b o y x', neighbours(image), parameter('filters', ['O', 'C', 9])), parameter('filterBias', ['O', 1, 1]));

const gatedNetwork = (): Node => {
  const [gate, value] = chunk(linear(x, parameter('w13', ['2*F', 'D'])), 2, -1);
  return linear(mul(silu(gate), value), parameter('w2', ['D', 'F']));
};
const modulated = (): Node => {
  const [shift, scale] = chunk(input('c', ['B', 1, '2*D']), 2, -1);
  return linear(add(mul(rmsNorm(x, weight), add(scale, 1)), shift), parameter('w', ['O', 'D']));
};

/** Heads out of the last axis, normalised and turned, attention, and back: the attention of PixNerd. */
const ropeAttention = (): Node => {
  const tokens = input('x', ['B', 'N', '2*H*J']),
    cos = input('cos', ['N', 'J']),
    sin = input('sin', ['N', 'J']);
  const parts = rearrange(linear(tokens, parameter('qkv', ['6*H*J', '2*H*J'])), 'b n (p h e) -> p b h n e', { p: 3, h: 'H' });
  const turned = (heads: T<['B', 'H', 'N', '2*J']>, norm: T<['2*J']>) => rope(rmsNorm(heads, norm), cos, sin);
  const mixed = attention(
    turned(index(parts, 0, 0), parameter('qNorm', ['2*J'])),
    turned(index(parts, 0, 1), parameter('kNorm', ['2*J'])),
    index(parts, 0, 2),
  );
  return linear(rearrange(mixed, 'b h n e -> b n (h e)'), parameter('proj', ['2*H*J', '2*H*J']));
};
/** Query heads in groups that share one head of keys and values. */
const groupedAttention = (): Node =>
  attention(input('q', ['B', 'H', 'G', 'N', 'E']), input('k', ['B', 'H', 1, 'M', 'E']), input('v', ['B', 'H', 1, 'M', 'E']));
const crossAttention = (): Node => attention(q, input('k', ['B', 'H', 'M', 'E']), input('v', ['B', 'H', 'M', 'O']), { scale: 0.5 });

/** Scores with a soft cap and a learned bias that depends on the distance of query and key. */
const cappedAttention = (): Node => {
  const distance = add(sub(unsqueeze(iota('N'), 1), iota('N')), 100);
  const bias = rearrange(embedding(parameter('relative', [201, 'H']), distance), 'n m h -> h n m');
  const scores = mul(tanh(mul(einsum('b h n e, b h m e -> b h n m', q, k), 0.3)), 2);
  return einsum('b h n m, b h m e -> b h n e', softmax(add(scores, bias), -1), v);
};
/** Every query sees itself and the four keys before it. */
const windowAttention = (): Node => {
  const [at, to] = [unsqueeze(iota('N'), 1), iota('N')];
  return attention(q, k, v, { mask: and(le(to, at), lt(sub(at, to), 5)) });
};

const rows = input('x', ['B*Y', 'N', 'E']),
  conditions = input('s', ['B*Y', 'D']);
/** The weights of a layer for each item: a matrix out of a linear layer's result. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the names are dimensions of the result
const generated = <const From extends string, const To extends string>(name: string, from: From, to: To) =>
  reshape(linear(conditions, parameter(name, [`${from}*${to}`, 'D'])), ['B*Y', from, to]);
/** The decoder of PixNerd: two blocks of a generated network, with norms of weights and rows, between two plain layers. */
const nerfDecoder = (): Node => {
  const block = (z: T<['B*Y', 'N', 'G']>, i: number) =>
    add(z, matmul(silu(matmul(rmsNorm(z, parameter(`norm${i}`, ['G'])), l2Normalize(generated(`first${i}`, 'G', 'F'), -2))), l2Normalize(generated(`second${i}`, 'F', 'G'), -2)));
  const pixels = add(linear(rows, parameter('embed', ['G', 'E'])), parameter('embedBias', ['G']));
  return linear(block(block(pixels, 0), 1), parameter('out', ['C', 'G']));
};
/** Sound: sine activations, three generated layers without norms, one coordinate. */
const sineDecoder = (): Node => {
  const time = expand(reshape(linspace(0, 1, 'N'), [1, 'N', 1]), ['B*Y', 'N', 1]);
  const first = sin(matmul(time, reshape(linear(conditions, parameter('first', ['F', 'D'])), ['B*Y', 1, 'F'])));
  const second = sin(matmul(first, generated('second', 'F', 'G')));
  return matmul(second, generated('third', 'G', 'C'));
};
/** A gated layer whose weights belong to the item, and whose result is folded into an image. */
const gatedDecoder = (): Node => {
  const hidden = mul(gelu(matmul(rows, generated('gate', 'E', 'F'))), matmul(rows, generated('up', 'E', 'F')));
  const pixels = matmul(hidden, generated('down', 'F', 'C'));
  return rearrange(add(linear(pixels, parameter('last', ['C', 'C'])), parameter('lastBias', ['C'])), '(b y) n c -> b c y n', { y: 'Y' });
};

const groupNorm = (): Node => {
  const groups = reshape(input('x', ['B', 'N', 'G*E']), ['B', 'N', 'G', 'E']),
    centred = sub(groups, mean(groups, [1, 3], true));
  return reshape(mul(centred, rsqrt(add(mean(square(centred), [1, 3], true), 1e-5))), ['B', 'N', 'G*E']);
};
const crossEntropy = (): Node => {
  const chosen = sum(select(eq(iota('D'), unsqueeze(labels, -1)), x, 0), -1);
  return mean(sub(logSumExp(x, -1), chosen), [0, 1]);
};

const one = (y: Node): Graph => makeGraph({ y });
/** Graphs over the symbols B, N, M, D, O, F, H, J, G, E, C, Y, X, U, V. */
export const COMPOSITES = {
  softmax: one(softmax(x, -1)),
  softmaxOverRows: one(softmax(x, 1)),
  logSumExp: one(logSumExp(x, -1)),
  l2Normalize: one(l2Normalize(x, -1)),
  rmsNorm: one(rmsNorm(x, weight)),
  layerNorm: one(layerNorm(x, weight, bias)),
  groupNorm: one(groupNorm()),
  silu: one(silu(x)),
  gelu: one(gelu(x)),
  geluErf: one(geluErf(x)),
  tanh: one(tanh(x)),
  sigmoid: one(sigmoid(x)),
  erf: one(erf(x)),
  linearBiasSilu: one(silu(add(linear(x, parameter('w', ['O', 'D'])), parameter('outBias', ['O'])))),
  gatedNetwork: one(gatedNetwork()),
  modulated: one(modulated()),
  attention: one(attention(q, k, v)),
  causalAttention: one(attention(q, k, v, { causal: true })),
  maskedAttention: one(attention(q, k, v, { mask: input('mask', ['N', 'N'], 'bool') })),
  crossAttention: one(crossAttention()),
  groupedAttention: one(groupedAttention()),
  ropeAttention: one(ropeAttention()),
  cappedAttention: one(cappedAttention()),
  windowAttention: one(windowAttention()),
  nerfDecoder: one(nerfDecoder()),
  sineDecoder: one(sineDecoder()),
  gatedDecoder: one(gatedDecoder()),
  convolution: one(convolution()),
  upsample: one(resizeNearest(image, ['U', 'V'])),
  embedding: one(embedding(parameter('table', ['M', 'D']), labels)),
  crossEntropy: one(crossEntropy()),
  noise: makeGraph({ normal: normal(key, ['B', 'N', 'D']), uniform: uniform(key, ['B', 'N']) }),
} as const satisfies Readonly<Record<string, Graph>>;
