/**
 * The workloads as ONNX models, for machines without PyTorch: the same ops in the same order as its exporter writes them, from the same
 * formulas as `torch/model.py`. Weights are constants, and those of linear layers are transposed here, as its constant folding does.
 */
import { makeWriter } from './writer.mjs';

const EPS = 1e-6, SHORTEST = 1e-12;

const transposed = (data, [rows, columns]) => {
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = data[i * columns + j];
  return out;
};

/** The layers, over a writer and the tensors of a workload. */
const layersOf = (w, tensors) => {
  const { op, number, list, constant, split } = { ...w, split: w.split.bind(w) };
  const weight = (name) => constant(name, tensors[name].shape, tensors[name].data);
  const shaped = (x, ...shape) => op('Reshape', [x, list(...shape)]);
  const moved = (x, ...perm) => op('Transpose', [x], { perm });
  const add = (a, b) => op('Add', [a, b]), mul = (a, b) => op('Mul', [a, b]);
  const silu = (x) => mul(x, op('Sigmoid', [x]));
  const linear = (x, matrix, bias) => {
    const { shape, data } = tensors[matrix], y = op('MatMul', [x, constant(`${matrix}_t`, [...shape].reverse(), transposed(data, shape))]);
    return bias === undefined ? y : add(y, weight(bias));
  };
  const rms = (x, gain) => {
    const mean = op('ReduceMean', [op('Pow', [x, number(2)])], { axes: [-1], keepdims: 1 });
    return mul(op('Div', [x, op('Sqrt', [add(mean, number(EPS))])]), weight(gain));
  };
  const attend = (q, kTransposed, v, head) => {
    const scores = mul(op('MatMul', [q, kTransposed]), number(head ** -0.5));
    return op('MatMul', [op('Softmax', [scores], { axis: -1 }), v]);
  };
  return { op, number, list, weight, shaped, moved, add, mul, silu, linear, rms, attend, split };
};

const rotate = ({ op, add, mul, shaped, split, list }, x, [B, N, H, head], cos, sin) => {
  const [re, im] = split(shaped(x, B, N, H, head / 2, 2), 2, 2, 4).map((half) => shaped(half, B, N, H, head / 2));
  const turned = [op('Sub', [mul(re, cos), mul(im, sin)]), add(mul(re, sin), mul(im, cos))].map((half) => op('Unsqueeze', [half, list(-1)]));
  return shaped(op('Concat', turned, { axis: -1 }), B, N, H, head);
};

const dit = (layers, prefix, x, c, { B, L, D, heads }) => {
  const { linear, rms, add, mul, silu, shaped, moved, attend, split, number, op, weight } = layers, head = D / heads, name = (tensor) => `${prefix}${tensor}`;
  const [shift1, scale1, gate1, shift2, scale2, gate2] = split(linear(c, name('ada_w'), name('ada_b')), 6, 6 * D, -1);
  const modulate = (tokens, shift, scale) => add(mul(tokens, add(scale, number(1))), shift);
  const qkv = shaped(linear(modulate(rms(x, name('norm1')), shift1, scale1), name('qkv')), B, L, 3, heads, head);
  const [q, k, v] = split(qkv, 3, 3, 2).map((part) => shaped(part, B, L, heads, head));
  const table = (tensor) => op('Unsqueeze', [op('Unsqueeze', [weight(tensor), layers.list(0)]), layers.list(2)]);
  const turn = (part, gain) => rotate(layers, rms(part, name(gain)), [B, L, heads, head], table('rope_cos'), table('rope_sin'));
  const seen = attend(moved(turn(q, 'q_norm'), 0, 2, 1, 3), moved(turn(k, 'k_norm'), 0, 2, 3, 1), moved(v, 0, 2, 1, 3), head);
  const y = add(x, mul(gate1, linear(shaped(moved(seen, 0, 2, 1, 3), B, L, D), name('proj_w'), name('proj_b'))));
  const h = modulate(rms(y, name('norm2')), shift2, scale2);
  return add(y, mul(gate2, linear(mul(silu(linear(h, name('w1'))), linear(h, name('w3'))), name('w2'))));
};

const nerf = ({ linear, rms, add, silu, shaped, split, op, number }, prefix, x, s, { P, dx, ratio }) => {
  const parts = split(linear(s, `${prefix}gen_w`, `${prefix}gen_b`), 2, 2 * dx * dx * ratio, -1);
  const unit = (matrix) => op('Div', [matrix, op('Clip', [op('ReduceL2', [matrix], { axes: [-2], keepdims: 1 }), number(SHORTEST)])]);
  const [first, second] = [unit(shaped(parts[0], P, dx, dx * ratio)), unit(shaped(parts[1], P, dx * ratio, dx))];
  return add(x, op('MatMul', [silu(op('MatMul', [rms(x, `${prefix}norm`), first])), second]));
};

const pixnerd = (layers, { B, grid: [h, w], patch: [p, q], L, D, ch, dx, ratio, heads, blocks, nerfs }) => {
  const { linear, rms, add, mul, silu, shaped, moved, op, weight, list } = layers, pixels = p * q;
  const patches = shaped(moved(shaped('x', B, ch, h, p, w, q), 0, 2, 4, 1, 3, 5), B, L, ch * pixels);
  const angles = mul(shaped('t', B, 1), op('Unsqueeze', [weight('t_freqs'), list(0)]));
  const waves = op('Concat', [op('Cos', [angles]), op('Sin', [angles])], { axis: -1 });
  const time = shaped(linear(silu(linear(waves, 't_w1', 't_b1')), 't_w2', 't_b2'), B, 1, D);
  const condition = silu(add(time, shaped(op('Gather', [weight('y_emb'), 'y'], { axis: 0 }), B, 1, D)));
  let s = linear(patches, 's_w', 's_b');
  for (let i = 0; i < blocks; i++) s = dit(layers, `b${i}.`, s, condition, { B, L, D, heads });
  s = shaped(silu(add(time, s)), B * L, D);
  const place = op('Expand', [op('Unsqueeze', [weight('dct'), list(0)]), list(B * L, pixels, 64)]);
  let z = linear(op('Concat', [moved(shaped(patches, B * L, ch, pixels), 0, 2, 1), place], { axis: -1 }), 'x_w', 'x_b');
  for (let i = 0; i < nerfs; i++) z = nerf(layers, `n${i}.`, z, s, { P: B * L, dx, ratio });
  const colours = shaped(moved(linear(rms(z, 'f_norm'), 'f_w', 'f_b'), 0, 2, 1), B, h, w, ch, p, q);
  return shaped(moved(colours, 0, 3, 1, 4, 2, 5), B, ch, h * p, w * q);
};

const BODIES = {
  matmul: ({ op }) => op('MatMul', ['a', 'b']),
  attention: ({ attend, moved }, { hd }) => attend('q', moved('k', 0, 1, 3, 2), 'v', hd),
  dit: (layers, cfg) => dit(layers, '', 'x', 'c', cfg),
  nerf: (layers, cfg) => nerf(layers, '', 'x', 's', cfg),
  pixnerd,
};

/** The bytes of the .onnx file of a workload: its inputs, constants for everything else, the output `out`. */
export const onnxModel = (spec, tensors) => {
  const writer = makeWriter(), output = BODIES[spec.kind](layersOf(writer, tensors), spec.cfg);
  return writer.finish(spec.input.map(([name]) => [name, tensors[name].shape, tensors[name].data]), output, spec.out);
};
