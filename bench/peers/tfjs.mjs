/** TensorFlow.js: eager kernels, one per op. Variants: webgpu, wasm. */
import { createRequire } from 'node:module';
import path from 'node:path';
import { counts, devices, installWebGPU } from '../lib/webgpu-node.mjs';

const require = createRequire(import.meta.url); // tfjs' ES modules carry no extensions; Node needs the CommonJS ones
export const variants = ['webgpu', 'wasm'];
export const supports = () => true;

export const open = async ({ variant, spec, tensors }) => {
  let adapterName = 'wasm (simd), 1 thread';
  if (variant === 'webgpu') ({ adapterName } = await installWebGPU());
  const tf = require('@tensorflow/tfjs'); // the union package: registers gradients and chained methods
  if (variant === 'wasm') {
    const wasm = require('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(path.join(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist') + path.sep);
  } else require('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend(variant))) throw new Error(`${variant} backend did not start`);
  await tf.ready();
  const training = spec.kind === 'pixnerd_train';

  const P = {}, C = {}, I = {};
  for (const [n, t] of Object.entries(tensors)) {
    const x = tf.tensor(t.data, t.shape, t.data instanceof Int32Array ? 'int32' : 'float32');
    if (t.role === 'param') P[n] = training ? tf.variable(x, true, n) : x;
    else (t.role === 'const' ? C : I)[n] = x;
  }

  const linear = (x, w, b) => {
    const rows = x.shape.slice(0, -1), flat = x.reshape([-1, x.shape[x.rank - 1]]);
    // The wasm backend's fused bias gives wrong results (see README): a separate add there.
    const y = b && variant !== 'wasm' ? tf.fused.matMul({ a: flat, b: w, transposeB: true, bias: b }) : b ? tf.matMul(flat, w, false, true).add(b) : tf.matMul(flat, w, false, true);
    return y.reshape([...rows, w.shape[0]]);
  };
  const silu = (x) => x.mul(tf.sigmoid(x));
  const rms = (x, w) => x.mul(tf.rsqrt(tf.mean(tf.square(x), -1, true).add(1e-6))).mul(w);
  const attend = (q, k, v) => tf.matMul(tf.softmax(tf.matMul(q, k, false, true).mul(1 / Math.sqrt(q.shape[3]))), v);
  const rotate = (x, cos, sin) => {
    const [B, N, H, hd] = x.shape;
    const [re, im] = tf.unstack(x.reshape([B, N, H * (hd / 2), 2]), -1).map((a) => a.reshape([B, N, H, hd / 2]));
    const c = cos.reshape([1, N, 1, hd / 2]), s = sin.reshape([1, N, 1, hd / 2]);
    return tf.stack([re.mul(c).sub(im.mul(s)), re.mul(s).add(im.mul(c))], -1).reshape([B, N, H, hd]);
  };
  const dit = (p, pre, x, c, cos, sin, heads) => {
    const [B, N, D] = x.shape, hd = D / heads, g = (n) => p[pre + n];
    const [sh1, sc1, g1, sh2, sc2, g2] = tf.split(linear(c, g('ada_w'), g('ada_b')), 6, -1);
    let h = rms(x, g('norm1')).mul(sc1.add(1)).add(sh1);
    const [q, k, v] = tf.split(linear(h, g('qkv')), 3, -1).map((a) => a.reshape([B, N, heads, hd]));
    const T = (a) => tf.transpose(a, [0, 2, 1, 3]);
    const o = attend(T(rotate(rms(q, g('q_norm')), cos, sin)), T(rotate(rms(k, g('k_norm')), cos, sin)), T(v));
    x = x.add(g1.mul(linear(T(o).reshape([B, N, D]), g('proj_w'), g('proj_b'))));
    h = rms(x, g('norm2')).mul(sc2.add(1)).add(sh2);
    return x.add(g2.mul(linear(silu(linear(h, g('w1'))).mul(linear(h, g('w3'))), g('w2'))));
  };
  const unit = (w) => w.div(tf.maximum(tf.sqrt(tf.sum(tf.square(w), -2, true)), 1e-12));
  const nerf = (p, pre, x, s, dx, ratio) => {
    const [w1, w2] = tf.split(linear(s, p[`${pre}gen_w`], p[`${pre}gen_b`]), 2, -1), n = x.shape[0];
    const h = tf.matMul(rms(x, p[`${pre}norm`]), unit(w1.reshape([n, dx, dx * ratio])));
    return x.add(tf.matMul(silu(h), unit(w2.reshape([n, dx * ratio, dx]))));
  };
  // The wasm backend lacks the kernel that differentiates gather (UnsortedSegmentSum): one-hot product there.
  const lookup = (table, y) => (training && variant === 'wasm' ? tf.matMul(tf.oneHot(y, table.shape[0]).toFloat(), table) : tf.gather(table, y));
  const pixnerd = (p, k, { x, t, y }) => {
    const { B, grid: [h, w], patch: [ph, pw], L, D, ch, heads, dx, ratio, blocks, nerfs } = spec.cfg, pp = ph * pw;
    const patches = tf.transpose(x.reshape([B, ch, h, ph, w, pw]), [0, 2, 4, 1, 3, 5]).reshape([B, L, ch * pp]);
    const args = t.reshape([B, 1]).mul(k.t_freqs.reshape([1, -1]));
    let temb = tf.concat([tf.cos(args), tf.sin(args)], -1);
    temb = linear(silu(linear(temb, p.t_w1, p.t_b1)), p.t_w2, p.t_b2).reshape([B, 1, D]);
    const cond = silu(temb.add(lookup(p.y_emb, y).reshape([B, 1, D])));
    let s = linear(patches, p.s_w, p.s_b);
    for (let i = 0; i < blocks; i++) s = dit(p, `b${i}.`, s, cond, k.rope_cos, k.rope_sin, heads);
    s = silu(temb.add(s)).reshape([B * L, D]);
    let px = tf.transpose(patches.reshape([B * L, ch, pp]), [0, 2, 1]);
    px = linear(tf.concat([px, tf.tile(k.dct.reshape([1, pp, 64]), [B * L, 1, 1])], -1), p.x_w, p.x_b);
    for (let i = 0; i < nerfs; i++) px = nerf(p, `n${i}.`, px, s, dx, ratio);
    px = linear(rms(px, p.f_norm), p.f_w, p.f_b);
    px = tf.transpose(px, [0, 2, 1]).reshape([B, h, w, ch, ph, pw]);
    return tf.transpose(px, [0, 3, 1, 4, 2, 5]).reshape([B, ch, h * ph, w * pw]);
  };
  const bodies = {
    matmul: () => tf.matMul(I.a, I.b),
    attention: () => attend(I.q, I.k, I.v),
    dit: () => dit(P, '', I.x, I.c, C.rope_cos, C.rope_sin, spec.cfg.heads),
    nerf: () => nerf(P, '', I.x, I.s, spec.cfg.dx, spec.cfg.ratio),
    pixnerd: () => pixnerd(P, C, I),
    pixnerd_train: () => tf.mean(tf.square(pixnerd(P, C, I).sub(I.target))),
  };
  const body = bodies[spec.kind];
  const common = { adapterName, version: tf.version['tfjs-core'] ?? tf.version.tfjs, counts };

  if (training) {
    const vars = Object.values(P);
    const once = () => tf.variableGrads(body, vars);
    const settle = () => (variant === 'webgpu' ? devices.at(-1).queue.onSubmittedWorkDone() : null);
    return {
      ...common,
      async run() {
        const { value, grads } = once();
        const loss = await value.data();
        await settle();
        tf.dispose([value, grads]);
        return loss;
      },
      async check() {
        const { value, grads } = once(), out = { out: await value.data() };
        for (const [n, g] of Object.entries(grads)) out[`grad.${n}`] = await g.data();
        tf.dispose([value, grads]);
        return out;
      },
    };
  }
  return {
    ...common,
    async run() {
      const y = tf.tidy(body), data = await y.data();
      y.dispose();
      return data;
    },
  };
};
