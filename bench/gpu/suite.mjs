/** What is measured on a GPU, and a small version of each for software drivers. The names are those of the report. */
import { makeWorkload, WORKLOADS } from '../lib/workloads.mjs';

/** The official models as workloads: batch 1 with guidance is a batch of 2. */
const model = (fields) => makeWorkload({ kind: 'pixnerd', B: 2, img: 256, patch: 16, heads: 16, dx: 64, ratio: 2, classes: 1000, ...fields });

const FULL = {
  matmul: Object.fromEntries([512, 1024, 2048, 4096].map((n) => [`matmul ${n}`, makeWorkload({ kind: 'matmul', n })])),
  attention: {
    'attention of XL/16 at 256': makeWorkload({ kind: 'attention', B: 2, heads: 16, N: 256, hd: 72 }),
    'attention of XL/16 at 512': makeWorkload({ kind: 'attention', B: 2, heads: 16, N: 1024, hd: 72 }),
    'attention, 4096 tokens': makeWorkload({ kind: 'attention', B: 1, heads: 16, N: 4096, hd: 64 }),
  },
  blocks: {
    'DiT block of XL/16': makeWorkload({ kind: 'dit', B: 2, L: 256, D: 1152, heads: 16 }),
    'decode of XL/16 (one NerfBlock)': makeWorkload({ kind: 'nerf', P: 512, pix: 256, dx: 64, ratio: 2, D: 1152 }),
  },
  models: {
    'c2i-L/16, batch 1 with guidance': model({ D: 1024, blocks: 22, nerfs: 2 }),
    'c2i-XL/16, batch 1 with guidance': model({ D: 1152, blocks: 26, nerfs: 4 }),
  },
};

const SMALL = {
  matmul: Object.fromEntries([64, 256].map((n) => [`matmul ${n}`, makeWorkload({ kind: 'matmul', n })])),
  attention: { 'attention, head 72': makeWorkload({ kind: 'attention', B: 1, heads: 2, N: 48, hd: 72 }) },
  blocks: {
    'DiT block': makeWorkload({ kind: 'dit', B: 2, L: 16, D: 96, heads: 2 }),
    'decode (one NerfBlock)': makeWorkload({ kind: 'nerf', P: 16, pix: 16, dx: 16, ratio: 2, D: 96 }),
  },
  models: { 'small model, batch 1 with guidance': makeWorkload({ kind: 'pixnerd', B: 2, img: [32, 48], patch: 8, D: 96, heads: 2, dx: 16, blocks: 2, nerfs: 2, classes: 10 }) },
};

/** Workloads small enough for the reference interpreter: their outputs are checked. */
const CHECKED = Object.fromEntries(['W1-512', 'W2', 'W3', 'W4', 'W5-32'].map((name) => [name, WORKLOADS[name]]));
const CHECKED_SMALL = { 'W1, odd sizes': makeWorkload({ kind: 'matmul', m: 33, k: 65, n: 70 }), ...SMALL.attention, ...SMALL.blocks, ...SMALL.models };

/** Options of the compiler that everything is measured with, by the name that the report gives them. */
export const VARIANTS = { f32: {}, f16: { precision: 'f16' }, 'f16, int8 weights': { precision: 'f16', weights: 'int8' } };

const named = (variants, variant, group, start) => variants[variant]?.groups[group]?.find(({ name }) => name.startsWith(start));

const shareOfPeak = (result, roof) => result && roof && (100 * result.flops) / (result.gpuMs ?? result.queuedMs) / 1e6 / roof.gflops;

/** What we want of a large GPU: [what, value in the results by variant, comparison, bound, unit]. */
export const REACHES = [
  ['c2i-XL/16, batch 1 with guidance, f32', (variants) => named(variants, 'f32', 'models', 'c2i-XL')?.queuedMs, 'at most', 16, ' ms'],
  ['c2i-XL/16, batch 1 with guidance, f16', (variants) => named(variants, 'f16', 'models', 'c2i-XL')?.queuedMs, 'at most', 5, ' ms'],
  ['matmul 4096, share of f32 peak', (variants, roof) => shareOfPeak(named(variants, 'f32', 'matmul', 'matmul 4096'), roof), 'at least', 50, ' %'],
];

/** group -> name -> workload */
export const suite = (small) => (small ? { checked: CHECKED_SMALL, ...SMALL } : { checked: CHECKED, ...FULL });
