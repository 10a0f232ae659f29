/**
 * The workloads: sizes, tensor shapes and initial values, the same for every peer. `makeWorkload` makes one of any sizes; the
 * table `WORKLOADS` holds the named ones.
 *
 * Invariant: a workload is a pure function of its `cfg`, and its data one of `cfg` and the seed: the same on every machine.
 *
 * A tensor is `[name, shape, init]`, where init is `{u: s}` (uniform in [-s, s]), `{one: s}` (1 + uniform in [-s, s], for norm
 * gains), `{data: f}` (computed) or `{int: [...]}` (listed integers, i32). Inputs change per call, params are trainable, consts
 * are fixed tables.
 */

const FREQUENCIES = 8; // of a pixel's place in its patch, per axis
const SQRT3 = Math.sqrt(3); // uniform(-sqrt 3, sqrt 3) has unit variance

const product = (shape) => shape.reduce((a, b) => a * b, 1);
const linear = (fanIn) => ({ u: 1 / Math.sqrt(fanIn) });
const pair = (value) => (Array.isArray(value) ? value : [value, value]);

/** The inner width of the authors' feed-forward network. */
const feedForward = (hidden) => Math.floor((2 * (hidden * 4)) / 3);

/** 2-D rotary tables, one angle per complex pair; pairs take turns along x and y. [h * w, head / 2] */
const ropeTable = (h, w, head, fn) => {
  const out = new Float32Array(h * w * (head / 2));
  const place = (i, length) => (length === 1 ? 0 : (16 * i) / (length - 1));
  let at = 0;
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++)
      for (let i = 0; i < head / 4; i++) {
        const frequency = 1 / 10000 ** ((4 * i) / head);
        out[at++] = fn(place(x, w) * frequency);
        out[at++] = fn(place(y, h) * frequency);
      }
  return out;
};

/** Cosine features of a pixel's place in its patch of p rows and q columns. [p * q, 64] */
const placeTable = (p, q) => {
  const out = new Float32Array(p * q * FREQUENCIES ** 2);
  const frequency = (i) => (FREQUENCIES * i) / (FREQUENCIES - 1);
  const place = (i, length) => (length === 1 ? 0 : i / (length - 1));
  let at = 0;
  for (let y = 0; y < p; y++)
    for (let x = 0; x < q; x++)
      for (let i = 0; i < FREQUENCIES; i++)
        for (let j = 0; j < FREQUENCIES; j++)
          out[at++] = (Math.cos(place(x, q) * frequency(i) * Math.PI) * Math.cos(place(y, p) * frequency(j) * Math.PI)) / (1 + frequency(i) * frequency(j));
  return out;
};

const ditParams = (prefix, { D, heads, mlp }) => [
  [`${prefix}norm1`, [D], { one: 0.1 }],
  [`${prefix}qkv`, [3 * D, D], linear(D)],
  [`${prefix}q_norm`, [D / heads], { one: 0.1 }],
  [`${prefix}k_norm`, [D / heads], { one: 0.1 }],
  [`${prefix}proj_w`, [D, D], linear(D)],
  [`${prefix}proj_b`, [D], { u: 0.05 }],
  [`${prefix}norm2`, [D], { one: 0.1 }],
  [`${prefix}w1`, [mlp, D], linear(D)],
  [`${prefix}w3`, [mlp, D], linear(D)],
  [`${prefix}w2`, [D, mlp], linear(mlp)],
  [`${prefix}ada_w`, [6 * D, D], linear(D)],
  [`${prefix}ada_b`, [6 * D], { u: 0.05 }],
];

const nerfParams = (prefix, { D, dx, ratio }) => [
  [`${prefix}gen_w`, [2 * dx * dx * ratio, D], linear(D)],
  [`${prefix}gen_b`, [2 * dx * dx * ratio], { u: 0.05 }],
  [`${prefix}norm`, [dx], { one: 0.1 }],
];

const ropeConsts = ([h, w], { D, heads }) => [
  ['rope_cos', [h * w, D / heads / 2], { data: () => ropeTable(h, w, D / heads, Math.cos) }],
  ['rope_sin', [h * w, D / heads / 2], { data: () => ropeTable(h, w, D / heads, Math.sin) }],
];

// Kinds ------------------------------------------------------------------------------------------------------------------------------

const ditFlops = ({ B, D, mlp }, tokens) => 2 * B * tokens * (4 * D * D + 3 * D * mlp) + 4 * B * tokens * tokens * D + 2 * B * 6 * D * D;
const nerfFlops = ({ D, dx, ratio }, patches, pixels) => 2 * patches * (2 * dx * dx * ratio * D) + 2 * patches * pixels * 2 * dx * dx * ratio;

const headProblems = ({ D, heads }) => (D % (4 * heads) === 0 ? [] : [`D ${D} must be a multiple of 4 * heads (${4 * heads}): the rotary embedding turns pairs along two axes`]);

/** The same class model, forward or with its training step. */
const pixnerd = (train) => ({
  defaults: { B: 2, img: 32, patch: 8, D: 256, heads: 4, dx: 32, ratio: 2, blocks: 6, nerfs: 2, ch: 3, classes: 1000, freq: 256 },
  optional: ['mlp', 'L'],
  derive: (cfg) => {
    const [p, q] = pair(cfg.patch), [height, width] = pair(cfg.img), grid = [height / p, width / q];
    return { mlp: feedForward(cfg.D), L: product(grid), ...cfg, patch: [p, q], img: [height, width], grid };
  },
  problems: ({ img, patch, freq, ...cfg }) => [
    ...(cfg.L === product(cfg.grid) ? [] : [`L is ${cfg.L}, but the image has ${cfg.grid.join(' x ')} patches; leave it out`]),
    ...img.flatMap((size, axis) => (size % patch[axis] === 0 ? [] : [`img ${size} is not divisible by its patch size ${patch[axis]}`])),
    ...(freq % 2 === 0 ? [] : [`freq ${freq} must be even: as many cosines as sines`]),
    ...headProblems(cfg),
  ],
  spec: (cfg) => {
    const { B, img, patch, D, dx, ch, classes, freq, blocks, nerfs } = cfg, pixels = product(patch);
    return {
      flops: blocks * ditFlops(cfg, cfg.L) + nerfs * nerfFlops(cfg, B * cfg.L, pixels) + 2 * B * cfg.L * (ch * pixels * D + pixels * ((ch + FREQUENCIES ** 2) * dx + ch * dx)),
      input: [
        ['x', [B, ch, ...img], { u: SQRT3 }],
        ['t', [B], { data: () => Float32Array.from({ length: B }, (_, i) => (train && i % 2 === 1 ? 0.81 : 0.37)) }],
        ['y', [B], { int: Array.from({ length: B }, (_, i) => (i % 2 === 0 ? 207 % classes : train ? 13 % classes : classes)) }],
        ...(train ? [['target', [B, ch, ...img], { u: SQRT3 }]] : []),
      ],
      param: [
        ['t_w1', [D, freq], linear(freq)], ['t_b1', [D], { u: 0.05 }],
        ['t_w2', [D, D], linear(D)], ['t_b2', [D], { u: 0.05 }],
        ['y_emb', [classes + 1, D], { u: 0.5 }],
        ['s_w', [D, ch * pixels], linear(ch * pixels)], ['s_b', [D], { u: 0.05 }],
        ['x_w', [dx, ch + FREQUENCIES ** 2], linear(ch + FREQUENCIES ** 2)], ['x_b', [dx], { u: 0.05 }],
        ...Array.from({ length: blocks }, (_, i) => ditParams(`b${i}.`, cfg)).flat(),
        ...Array.from({ length: nerfs }, (_, i) => nerfParams(`n${i}.`, cfg)).flat(),
        ['f_norm', [dx], { one: 0.1 }], ['f_w', [ch, dx], linear(dx)], ['f_b', [ch], { u: 0.05 }],
      ],
      const: [
        ...ropeConsts(cfg.grid, cfg),
        ['dct', [pixels, FREQUENCIES ** 2], { data: () => placeTable(...patch) }],
        ['t_freqs', [freq / 2], { data: () => Float32Array.from({ length: freq / 2 }, (_, i) => Math.exp((-Math.log(10) * i) / (freq / 2))) }],
      ],
      out: [B, ch, ...img],
    };
  },
});

/** The nearest to a square that L tokens can be. */
const gridOf = (L) => {
  let h = Math.floor(Math.sqrt(L));
  while (L % h !== 0) h--;
  return [h, L / h];
};

/** Fields that may be a pair: rows and columns. */
const PAIRS = new Set(['img', 'patch', 'grid']);

/**
 * For each kind: `defaults` of its fields, `optional` ones that follow from the others, `derive` the rest, what may be wrong with the
 * result, and its tensors.
 */
const KINDS = {
  matmul: {
    defaults: { n: 512 }, optional: ['m', 'k'], derive: (cfg) => ({ m: cfg.n, k: cfg.n, ...cfg }), problems: () => [],
    spec: ({ m, k, n }) => ({ flops: 2 * m * k * n, input: [['a', [m, k], { u: 1 }], ['b', [k, n], { u: 1 }]], param: [], const: [], out: [m, n] }),
  },
  attention: {
    defaults: { B: 2, heads: 4, N: 256, hd: 64 }, optional: ['keys'], derive: (cfg) => ({ keys: cfg.N, ...cfg }), problems: () => [],
    spec: ({ B, heads, N, keys, hd }) => ({
      flops: 4 * B * heads * N * keys * hd,
      input: [['q', [B, heads, N, hd], { u: SQRT3 }], ...['k', 'v'].map((name) => [name, [B, heads, keys, hd], { u: SQRT3 }])], param: [], const: [], out: [B, heads, N, hd],
    }),
  },
  dit: {
    defaults: { B: 2, L: 64, D: 256, heads: 4 }, optional: ['mlp', 'grid'],
    derive: (cfg) => {
      const grid = pair(cfg.grid ?? gridOf(cfg.L));
      return { mlp: feedForward(cfg.D), ...cfg, grid, L: product(grid) };
    },
    problems: headProblems,
    spec: (cfg) => ({
      flops: ditFlops(cfg, cfg.L),
      input: [['x', [cfg.B, cfg.L, cfg.D], { u: SQRT3 }], ['c', [cfg.B, 1, cfg.D], { u: 1 }]],
      param: ditParams('', cfg), const: ropeConsts(cfg.grid, cfg), out: [cfg.B, cfg.L, cfg.D],
    }),
  },
  nerf: {
    defaults: { P: 128, pix: 64, dx: 32, ratio: 2, D: 256 }, optional: [], derive: (cfg) => cfg, problems: () => [],
    spec: (cfg) => ({
      flops: nerfFlops(cfg, cfg.P, cfg.pix),
      input: [['x', [cfg.P, cfg.pix, cfg.dx], { u: SQRT3 }], ['s', [cfg.P, cfg.D], { u: 1 }]], param: nerfParams('', cfg), const: [], out: [cfg.P, cfg.pix, cfg.dx],
    }),
  },
  pixnerd: pixnerd(false),
  pixnerd_train: pixnerd(true),
};

const isSize = (value) => Number.isInteger(value) && value >= 1;
const MAY_BE_ZERO = new Set(['blocks', 'nerfs']);

const fieldProblems = ({ defaults, optional }, fields) => {
  const known = [...Object.keys(defaults), ...optional];
  return Object.entries(fields).flatMap(([name, value]) => {
    if (!known.includes(name)) return [`there is no field '${name}'; this kind has ${known.join(', ')}`];
    const sizes = PAIRS.has(name) && Array.isArray(value) ? value : [value];
    if (PAIRS.has(name) && Array.isArray(value) && value.length !== 2) return [`${name} is ${JSON.stringify(value)}: give one number, or [rows, columns]`];
    return sizes.every((size) => isSize(size) || (size === 0 && MAY_BE_ZERO.has(name))) ? [] : [`${name} is ${JSON.stringify(value)}: use whole numbers of at least ${MAY_BE_ZERO.has(name) ? 0 : 1}`];
  });
};

const stop = (cfg, problems) => {
  throw new Error(`the workload ${JSON.stringify(cfg)} is wrong:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
};

/** The workload of a `cfg`: its `kind`, and the fields that differ from the kind's defaults. Throws with everything that is wrong. */
export const makeWorkload = (wanted) => {
  const { kind, ...fields } = wanted;
  if (!Object.hasOwn(KINDS, kind ?? '')) return stop(wanted, [`kind is ${JSON.stringify(kind)}; there is ${Object.keys(KINDS).join(', ')}`]);
  const { defaults, derive, problems, spec } = KINDS[kind];
  const wrong = fieldProblems(KINDS[kind], fields);
  if (wrong.length > 0) return stop(wanted, wrong);
  const cfg = derive({ ...defaults, ...fields });
  const unfit = problems(cfg);
  return unfit.length > 0 ? stop(wanted, unfit) : { kind, cfg, ...spec(cfg) };
};

/** A name that can be that of a file: the kind and the fields that were given. */
export const nameOf = ({ kind, ...fields }) =>
  [kind, ...Object.entries(fields).map(([name, value]) => `${name}${Array.isArray(value) ? value.join('x') : value}`)].join('-');

/** The named workloads. */
export const WORKLOADS = {
  'W1-512': makeWorkload({ kind: 'matmul', n: 512 }),
  'W1-1024': makeWorkload({ kind: 'matmul', n: 1024 }),
  W2: makeWorkload({ kind: 'attention' }),
  W3: makeWorkload({ kind: 'dit' }),
  W4: makeWorkload({ kind: 'nerf' }),
  'W5-32': makeWorkload({ kind: 'pixnerd', img: 32 }),
  'W5-64': makeWorkload({ kind: 'pixnerd', img: 64 }),
  'W6-32': makeWorkload({ kind: 'pixnerd_train', img: 32 }),
};

// Data -------------------------------------------------------------------------------------------------------------------------------

/** Uniform numbers in [0, 1), from a seed in text. */
const uniform = (seedText) => {
  let hash = 2166136261;
  for (const ch of seedText) hash = Math.imul(hash ^ ch.charCodeAt(0), 16777619);
  let state = hash >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 4294967296;
  };
};

const elementsOf = (kind, name, shape, init, seed) => {
  if (init.data) return init.data();
  if (init.int) return Int32Array.from(init.int);
  const next = uniform(`${seed}:${kind.replace('_train', '')}:${name}`), centre = 'one' in init ? 1 : 0, spread = init.u ?? init.one;
  const values = new Float32Array(product(shape));
  for (let i = 0; i < values.length; i++) values[i] = centre + spread * (2 * next() - 1);
  return values;
};

/** name -> { shape, data, role } of a workload. */
export const generate = (spec, seed = 1) =>
  Object.fromEntries(['input', 'param', 'const'].flatMap((role) => spec[role].map(([name, shape, init]) => {
    const data = elementsOf(spec.kind, name, shape, init, seed);
    if (data.length !== product(shape)) throw new Error(`invariant: ${name} has ${data.length} values, its shape is [${shape}]`);
    return [name, { shape, data, role }];
  })));
