/** @jax-js/jax: traced, jit-compiled, reference-counted arrays. Variants: webgpu, wasm, and wasm-mt with two threads. */
import { Worker as Thread } from 'node:worker_threads';
import { counts, installWebGPU } from '../lib/webgpu-node.mjs';

export const variants = ['webgpu', 'wasm', 'wasm-mt'];
export const supports = () => true;

const PRELUDE = `const { parentPort } = require('node:worker_threads');
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on('message', (data) => globalThis.onmessage?.({ data }));
`;

/** The smallest browser-style Worker over worker_threads that jax-js's wasm pool needs: messages wait until its source is there. */
const installWorkers = () => {
  const sources = new Map(), makeUrl = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob) => {
    const url = makeUrl(blob);
    sources.set(url, blob.text());
    return url;
  };
  globalThis.Worker = function Worker(url) {
    const starting = sources.get(String(url)).then((code) => {
      const thread = new Thread(PRELUDE + code, { eval: true });
      thread.on('message', (data) => worker.onmessage?.({ data }));
      thread.on('error', (error) => worker.onerror?.({ message: String(error) }));
      return thread;
    });
    const worker = {
      onmessage: undefined, onerror: undefined,
      postMessage: (message) => { starting.then((thread) => thread.postMessage(message, [])); },
      terminate: () => { starting.then((thread) => thread.terminate()); },
    };
    return worker;
  };
};

const installBackend = async (variant) => {
  if (variant === 'webgpu') return (await installWebGPU()).adapterName;
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Node.js', hardwareConcurrency: 2 }, configurable: true, writable: true });
  if (variant === 'wasm-mt') installWorkers();
  return variant === 'wasm-mt' ? 'wasm, 2 threads' : 'wasm, 1 thread';
};

export const open = async ({ variant, spec, tensors }) => {
  const adapterName = await installBackend(variant), device = variant === 'webgpu' ? 'webgpu' : 'wasm';
  const jax = await import('@jax-js/jax');
  const { numpy: np, nn, jit, valueAndGrad, tree } = jax;
  if (!(await jax.init(device)).includes(device)) throw new Error(`${device} backend did not start`);
  jax.defaultDevice(device);

  const put = ({ shape, data }) => np.array(data, { shape, dtype: data instanceof Int32Array ? np.int32 : np.float32 });
  const P = {}, C = {}, I = {};
  for (const [n, t] of Object.entries(tensors)) ({ param: P, const: C, input: I })[t.role][n] = put(t);

  // Every use of an array consumes a reference, so parameters are always read through `.ref`.
  const linear = (x, w, b) => { const y = np.matmul(x, np.swapaxes(w.ref, -1, -2)); return b ? y.add(b.ref) : y; };
  const rms = (x, w) => { const m = np.mean(np.square(x.ref), -1, { keepdims: true }); return x.mul(np.reciprocal(np.sqrt(m.add(1e-6)))).mul(w.ref); };
  const attend = (q, k, v) => { // [B, H, N, hd]
    const s = np.matmul(q.mul(1 / Math.sqrt(k.shape[3])), np.swapaxes(k, -1, -2));
    return np.matmul(nn.softmax(s, -1), v);
  };
  const rotate = (x, cos, sin) => { // [B, N, H, hd]
    const [B, N, H, hd] = x.shape, pairs = x.reshape([B, N, H, hd / 2, 2]);
    const re = pairs.ref.slice([], [], [], [], 0), im = pairs.slice([], [], [], [], 1);
    const c = cos.ref.reshape([1, N, 1, hd / 2]), s = sin.ref.reshape([1, N, 1, hd / 2]);
    const a = re.ref.mul(c.ref).sub(im.ref.mul(s.ref)), b = re.mul(s).add(im.mul(c));
    return np.stack([a, b], -1).reshape([B, N, H, hd]);
  };
  const dit = (p, pre, x, c, cos, sin, heads) => {
    const [B, N, D] = x.shape, hd = D / heads, g = (n) => p[pre + n];
    const [sh1, sc1, g1, sh2, sc2, g2] = np.split(linear(c, g('ada_w'), g('ada_b')), 6, -1);
    let h = rms(x.ref, g('norm1')).mul(sc1.add(1)).add(sh1);
    const qkv = linear(h, g('qkv')).reshape([B, N, 3, heads, hd]);
    const q = qkv.ref.slice([], [], 0), k = qkv.ref.slice([], [], 1), v = qkv.slice([], [], 2);
    const T = (a) => np.transpose(a, [0, 2, 1, 3]);
    const o = attend(T(rotate(rms(q, g('q_norm')), cos, sin)), T(rotate(rms(k, g('k_norm')), cos, sin)), T(v));
    x = x.add(g1.mul(linear(T(o).reshape([B, N, D]), g('proj_w'), g('proj_b'))));
    h = rms(x.ref, g('norm2')).mul(sc2.add(1)).add(sh2);
    const gate = linear(h.ref, g('w1')), up = linear(h, g('w3'));
    return x.add(g2.mul(linear(nn.silu(gate).mul(up), g('w2'))));
  };
  const unit = (w) => { // columns to unit length along axis -2
    const n = np.sqrt(np.sum(np.square(w.ref), -2, { keepdims: true }));
    return w.div(np.maximum(n, 1e-12));
  };
  const nerf = (p, pre, x, s, dx, ratio) => {
    const [w1, w2] = np.split(linear(s, p[`${pre}gen_w`], p[`${pre}gen_b`]), 2, -1);
    const n = x.shape[0];
    const h = np.matmul(rms(x.ref, p[`${pre}norm`]), unit(w1.reshape([n, dx, dx * ratio])));
    return x.add(np.matmul(nn.silu(h), unit(w2.reshape([n, dx * ratio, dx]))));
  };
  // jit() cannot lower the scatter that differentiates take(), so training looks labels up by a one-hot product.
  const lookup = (table, y) => (spec.kind === 'pixnerd_train' ? np.matmul(nn.oneHot(y, table.shape[0]), table.ref) : np.take(table.ref, y, 0));
  const pixnerd = (p, k, x, t, y) => {
    const { B, grid: [h, w], patch: [ph, pw], L, D, ch, heads, dx, ratio, blocks, nerfs } = spec.cfg, pp = ph * pw;
    const patches = np.transpose(x.reshape([B, ch, h, ph, w, pw]), [0, 2, 4, 1, 3, 5]).reshape([B, L, ch * pp]);
    const args = t.reshape([B, 1]).mul(k.t_freqs.ref.reshape([1, -1]));
    let temb = np.concatenate([np.cos(args.ref), np.sin(args)], -1);
    temb = linear(nn.silu(linear(temb, p.t_w1, p.t_b1)), p.t_w2, p.t_b2).reshape([B, 1, D]);
    const cond = nn.silu(temb.ref.add(lookup(p.y_emb, y).reshape([B, 1, D])));
    let s = linear(patches.ref, p.s_w, p.s_b);
    for (let i = 0; i < blocks; i++) s = dit(p, `b${i}.`, s, cond.ref, k.rope_cos, k.rope_sin, heads);
    cond.dispose();
    s = nn.silu(temb.add(s)).reshape([B * L, D]);
    let px = np.transpose(patches.reshape([B * L, ch, pp]), [0, 2, 1]);
    px = np.concatenate([px, np.broadcastTo(k.dct.ref.reshape([1, pp, 64]), [B * L, pp, 64])], -1);
    px = linear(px, p.x_w, p.x_b);
    for (let i = 0; i < nerfs; i++) px = nerf(p, `n${i}.`, px, s.ref, dx, ratio);
    s.dispose();
    px = linear(rms(px, p.f_norm), p.f_w, p.f_b);
    px = np.transpose(px, [0, 2, 1]).reshape([B, h, w, ch, ph, pw]);
    return np.transpose(px, [0, 3, 1, 4, 2, 5]).reshape([B, ch, h * ph, w * pw]);
  };
  const drop = (...trees) => trees.forEach((t) => tree.dispose(t)); // arguments are owned by the callee

  const bodies = {
    matmul: (p, c, { a, b }) => np.matmul(a, b),
    attention: (p, c, { q, k, v }) => attend(q, k, v),
    dit: (p, k, { x, c }) => { const o = dit(p, '', x, c, k.rope_cos, k.rope_sin, spec.cfg.heads); drop(p, k); return o; },
    nerf: (p, k, { x, s }) => { const o = nerf(p, '', x, s, spec.cfg.dx, spec.cfg.ratio); drop(p); return o; },
    pixnerd: (p, k, { x, t, y }) => { const o = pixnerd(p, k, x, t, y); drop(p, k); return o; },
    pixnerd_train: (p, k, { x, t, y, target }) => { const o = pixnerd(p, k, x, t, y); drop(p, k); return np.mean(np.square(o.sub(target))); },
  };
  const body = bodies[spec.kind], refs = () => [tree.ref(P), tree.ref(C), tree.ref(I)];

  if (spec.kind === 'pixnerd_train') {
    const step = jit((p, c, i) => valueAndGrad(body)(p, c, i));
    const once = async () => { const [loss, grads] = step(...refs()); await jax.blockUntilReady(grads); return [await loss.data(), grads]; };
    return {
      adapterName, version: '0.1.25', counts,
      async run() { const [loss, grads] = await once(); tree.dispose(grads); return loss; },
      async check() {
        const [loss, grads] = await once(), out = { out: loss };
        for (const [n, g] of Object.entries(grads)) out[`grad.${n}`] = await g.data();
        return out;
      },
    };
  }
  const f = jit(body);
  return { adapterName, version: '0.1.25', counts, run: async () => f(...refs()).data() };
};
