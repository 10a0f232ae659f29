/**
 * The workloads in our language: the graph of each kind, and which of our parameters is which tensor of the bench.
 *
 * Invariant: every size is read off the tensors of the workload, so any sizes work. Transformer block, neural field and model are
 * the ones that the package exports.
 */
import { attention, bind, gradientName, input, makeGraph, matmul, mean, nerfBlock, parameter, square, sub, transformerBlock, velocityGraph, withGradients } from '../../dist/index.js';

const DIT = {
  'norm1.weight': 'norm1', 'attn.qkv.weight': 'qkv', 'attn.q_norm.weight': 'q_norm', 'attn.k_norm.weight': 'k_norm', 'attn.proj.weight': 'proj_w', 'attn.proj.bias': 'proj_b',
  'norm2.weight': 'norm2', 'mlp.w1.weight': 'w1', 'mlp.w3.weight': 'w3', 'mlp.w2.weight': 'w2', 'adaLN_modulation.0.weight': 'ada_w', 'adaLN_modulation.0.bias': 'ada_b',
};
const NERF = { 'param_generator1.0.weight': 'gen_w', 'param_generator1.0.bias': 'gen_b', 'norm.weight': 'norm' };
const EMBEDDERS = {
  't_embedder.mlp.0.weight': 't_w1', 't_embedder.mlp.0.bias': 't_b1', 't_embedder.mlp.2.weight': 't_w2', 't_embedder.mlp.2.bias': 't_b2',
  'y_embedder.embedding_table.weight': 'y_emb', 's_embedder.proj.weight': 's_w', 's_embedder.proj.bias': 's_b',
  'x_embedder.embedder.0.weight': 'x_w', 'x_embedder.embedder.0.bias': 'x_b',
  'final_layer.norm.weight': 'f_norm', 'final_layer.linear.weight': 'f_w', 'final_layer.linear.bias': 'f_b',
};

const under = (names, ours, theirs) => Object.fromEntries(Object.entries(names).map(([name, tensor]) => [`${ours}${name}`, `${theirs}${tensor}`]));
const blocks = (count, first, names, prefix) => Object.assign({}, ...Array.from({ length: count }, (_, i) => under(names, `blocks.${first + i}.`, `${prefix}${i}.`)));
const pair = (value) => (Array.isArray(value) ? value : [value, value]);

/** kind -> ({ cfg }, shape of each tensor) -> graph, values of its symbols, our parameter names -> the bench's. The first output is compared. */
const KINDS = {
  matmul: (_, { a, b }) => {
    const [left, right] = [input('a', ['m', 'k']), input('b', ['k', 'n'])];
    return { graph: makeGraph({ out: matmul(left, right) }, [left, right]), sizes: { m: a[0], k: a[1], n: b[1] }, names: {} };
  },
  attention: (_, { q, k }) => {
    const query = input('q', ['B', 'H', 'N', 'd']), key = input('k', ['B', 'H', 'M', 'd']), value = input('v', ['B', 'H', 'M', 'd']);
    return { graph: makeGraph({ out: attention(query, key, value) }, [query, key, value]), sizes: { B: q[0], H: q[1], N: q[2], M: k[2], d: q[3] }, names: {} };
  },
  dit: ({ cfg }, { x, w1, rope_cos }) => {
    const tokens = input('x', ['B', 'h*w', 'D']), condition = input('c', ['B', 1, 'D']);
    const table = { cos: parameter('rope_cos', ['h*w', '2*K']), sin: parameter('rope_sin', ['h*w', '2*K']) };
    const graph = makeGraph({ out: bind(transformerBlock)(tokens, condition, table) }, [tokens, condition]);
    // only the number of tokens counts: the tables are given
    const sizes = { B: x[0], h: 1, w: x[1], D: x[2], H: cfg.heads, K: rope_cos[1] / 2, F: w1[0] };
    return { graph, sizes, names: { ...DIT, rope_cos: 'rope_cos', rope_sin: 'rope_sin' } };
  },
  nerf: (_, { x, s, gen_w }) => {
    const pixels = input('x', ['B*h*w', 'P*Q', 'X']), condition = input('s', ['B*h*w', 'D']);
    const sizes = { B: x[0], h: 1, w: 1, P: x[1], Q: 1, X: x[2], D: s[1], R: gen_w[0] / (2 * x[2] ** 2) };
    return { graph: makeGraph({ out: bind(nerfBlock)(pixels, condition) }, [pixels, condition]), sizes, names: NERF };
  },
  pixnerd: ({ cfg }, shapes) => {
    const { x, t_w1, x_w, y_emb } = shapes, [P, Q] = pair(cfg.patch), [D, frequencies] = t_w1, [X, features] = x_w;
    const sizes = {
      B: x[0], C: x[1], h: x[2] / P, w: x[3] / Q, P, Q, D, H: cfg.heads, K: D / cfg.heads / 4, F: shapes['b0.w1']?.[0] ?? 1,
      X, R: shapes['n0.gen_w'] === undefined ? 1 : shapes['n0.gen_w'][0] / (2 * X * X), V: y_emb[0], S: frequencies / 2, M: Math.sqrt(features - x[1]),
    };
    const names = { ...EMBEDDERS, ...blocks(cfg.blocks, 0, DIT, 'b'), ...blocks(cfg.nerfs, cfg.blocks, NERF, 'n') };
    return { graph: velocityGraph({ num_blocks: cfg.blocks + cfg.nerfs, num_cond_blocks: cfg.blocks }), sizes, names };
  },
};

/** The squared error of the model's velocity against a target, and its gradient with respect to every parameter. */
KINDS.pixnerd_train = (spec, shapes) => {
  const model = KINDS.pixnerd(spec, shapes), { node: velocity } = model.graph.outputs[0];
  const target = input('target', velocity.shape), loss = mean(mean(mean(mean(square(sub(velocity, target)), 0), 0), 0), 0);
  return { ...model, graph: withGradients(makeGraph({ loss }, [...model.graph.inputs, target, ...model.graph.parameters])) };
};

/** True, or why we cannot run a kind. */
export const canRun = (kind) => Object.hasOwn(KINDS, kind) || `no graph for ${kind}`;

/** The graph of a workload with its sizes, `weights` by our names, `inputs` by port, and the names of its outputs in the bench by ours. */
export const graphOf = (spec, tensors) => {
  const { graph, sizes, names } = KINDS[spec.kind](spec, Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape])));
  const weights = Object.fromEntries(Object.entries(names).map(([ours, theirs]) => [ours, tensors[theirs].data]));
  const inputs = Object.fromEntries(spec.input.map(([name]) => [name, tensors[name]]));
  const outputs = { [graph.outputs[0].name]: 'out', ...Object.fromEntries(Object.entries(names).map(([ours, theirs]) => [gradientName(ours), `grad.${theirs}`])) };
  return { graph, sizes, weights, inputs, outputs };
};
