/** Golden runs of files that are not in the project: other sizes, recipes at small size, files that cannot be run. */
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, type Graph } from '../../dsl/graph/graph.ts';
import { goldenRun, type Call, type Feeds, type GoldenHeader, type Numbers } from '../../models/goldens/index.ts';
import { philoxNormals } from '../../models/noise/philox.ts';
import { recipeTensor } from '../../models/recipe.ts';

const onReference = ({ graph, sizes, inputs, parameters }: Call): TE.TaskEither<never, Feeds> =>
  TE.fromIO(() => {
    const feeds: Record<string, Numbers> = { ...inputs };
    for (const name of Object.keys(parameters)) feeds[name] = parameters[name]!;
    return Object.fromEntries(Object.entries(evaluate(bindSizes(graph, sizes), feeds)).map(([name, { data }]) => [name, data]));
  });
const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
const header = (metadata: Readonly<Record<string, unknown>>, shapes: Readonly<Record<string, readonly number[]>> = {}): GoldenHeader => ({
  metadata: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)])),
  tensors: Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, { dtype: 'F32', shape }])),
});
const refusal = (file: GoldenHeader): string =>
  E.match(
    (message: string) => message,
    () => 'it runs',
  )(goldenRun(file));
const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(String(either.left));
  return either.right;
};
const run = async (file: GoldenHeader, data: Readonly<Record<string, Numbers>> = {}): Promise<Feeds> =>
  right(
    await right(goldenRun(file)).run({
      evaluate: onReference,
      tensor: (name) => data[name] ?? philoxNormals(1, Object.keys(file.tensors).indexOf(name), 0, elements(file.tensors[name]!.shape)),
      weights: () => TE.right({}),
    })(),
  );

describe('other sizes', () => {
  const prefix = 'src.models.transformer';
  const cases: readonly (readonly [string, object, Record<string, readonly number[]>])[] = [
    [
      `${prefix}.pixnerd_c2i.RAttention`,
      { dim: 40, num_heads: 2, height: 1, width: 5 },
      {
        'in.x': [1, 5, 40],
        'param.qkv.weight': [120, 40],
        'param.q_norm.weight': [20],
        'param.k_norm.weight': [20],
        'param.proj.weight': [40, 40],
        'param.proj.bias': [40],
        'out.y': [1, 5, 40],
      },
    ],
    [
      `${prefix}.pixnerd_c2i.RAttention`,
      { dim: 4, num_heads: 1, height: 1, width: 1 },
      {
        'in.x': [1, 1, 4],
        'param.qkv.weight': [12, 4],
        'param.q_norm.weight': [4],
        'param.k_norm.weight': [4],
        'param.proj.weight': [4, 4],
        'param.proj.bias': [4],
        'out.y': [1, 1, 4],
        'out64.y': [1, 1, 4],
      },
    ],
    [
      `${prefix}.pixnerd_c2i.NerfBlock`,
      { hidden_size_s: 7, hidden_size_x: 1, mlp_ratio: 3 },
      {
        'in.x': [1, 1, 1],
        'in.s': [1, 7],
        'param.param_generator1.0.weight': [6, 7],
        'param.param_generator1.0.bias': [6],
        'param.norm.weight': [1],
        'out.y': [1, 1, 1],
      },
    ],
    [
      `${prefix}.pixnerd_c2i.NerfEmbedder`,
      { patch_size: 1, max_freqs: 4 },
      {
        'in.x': [2, 1, 1],
        'param.embedder.0.weight': [3, 17],
        'param.embedder.0.bias': [3],
        'out.y': [2, 1, 3],
        'out.pos': [1, 1, 16],
      },
    ],
    [
      `${prefix}.pixnerd_t2i_heavydecoder.NerfEmbedder`,
      { patch_size_h: 1, patch_size_w: 3, max_freqs: 4 },
      {
        'in.x': [2, 3, 1],
        'param.embedder.0.weight': [3, 17],
        'param.embedder.0.bias': [3],
        'out.y': [2, 3, 3],
        'out.pos': [1, 3, 16],
      },
    ],
    [
      `${prefix}.pixnerd_t2i.TextRefineAttention`,
      { dim: 6, num_heads: 2 },
      {
        'in.x': [1, 1, 6],
        'param.qkv.weight': [18, 6],
        'param.q_norm.weight': [3],
        'param.k_norm.weight': [3],
        'param.proj.weight': [6, 6],
        'param.proj.bias': [6],
        'out.y': [1, 1, 6],
      },
    ],
    ['src.models.layers.patch_embed.Embed', {}, { 'in.x': [2, 3, 5], 'param.proj.weight': [4, 5], 'param.proj.bias': [4], 'out.y': [2, 3, 4] }],
    [`${prefix}.pixnerd_t2i.RMSNorm`, { eps: 0.5 }, { 'in.x': [2, 3, 4, 5], 'param.weight': [5], 'out.y': [2, 3, 4, 5] }],
  ];
  for (const [name, config, shapes] of cases) {
    test(`${name} ${JSON.stringify(config)}`, async () => {
      const values = await run(header({ kind: 'block', class: name, config }, shapes));
      const outputs = Object.keys(shapes).filter((tensor) => tensor.startsWith('out'));
      expect(Object.keys(values).sort()).toEqual([...outputs].sort());
      for (const output of outputs) {
        expect(values[output]!.length).toBe(elements(shapes[output]!));
        expect(Array.from(values[output]!).every(Number.isFinite)).toBe(true);
      }
    });
  }

  test('an epsilon of the config counts', async () => {
    const values = await run(
      header({ kind: 'block', class: 'layers.rmsnorm.RMSNorm', config: { eps: 3 } }, { 'in.x': [1, 2], 'param.weight': [2], 'out.y': [1, 2] }),
      {
        'in.x': [1, 1],
        'param.weight': [1, 4],
      },
    );
    expect(Array.from(values['out.y']!)).toEqual([0.5, 2]);
  });
});

describe('a recipe at small size', () => {
  const config = {
    in_channels: 2,
    patch_size: 2,
    num_groups: 1,
    hidden_size: 8,
    hidden_size_x: 4,
    num_blocks: 2,
    num_cond_blocks: 1,
    nerf_mlpratio: 2,
    num_classes: 3,
  };
  const tiny = {
    kind: 'full size c2i forward',
    class: 'src.models.transformer.pixnerd_c2i.PixNerDiT',
    config,
    H: '4',
    W: '6',
    t: '0.35',
    y: '1',
    token: '4',
    notes: 'out64.x_slice = float64 result at [:, :, 1:3, 2:6].',
  };
  const outs = { 'out.x': [1, 2, 4, 6], 'out64.x_slice': [1, 2, 2, 4] };

  test('the window and the rows of one token', async () => {
    const shapes = { ...outs, 'mid.t_embedder': [8], 'mid.s_embedder': [8], 'mid.block0': [8], 'mid.x_embedder': [4, 4], 'mid.final_layer': [4, 2] };
    const values = await run(header(tiny, shapes));
    expect(Object.keys(shapes).filter((name) => values[name]?.length !== elements(shapes[name as keyof typeof shapes]))).toEqual([]);
    const image = Array.from(values['out.x']!);
    expect(Array.from(values['out64.x_slice']!)).toEqual(
      [0, 1].flatMap((c) => [1, 2].flatMap((y) => [2, 3, 4, 5].map((x) => image[(c * 4 + y) * 6 + x]!))),
    );
    // patch 4 of a grid of 2 x 3 is row 1, column 1: pixels (2..3, 2..3)
    const final = Array.from(values['mid.final_layer']!);
    expect(final).toEqual([2, 3].flatMap((y) => [2, 3].flatMap((x) => [0, 1].map((c) => image[(c * 4 + y) * 6 + x]!))));
  });

  test('is the forward with the weights of the hash', async () => {
    const forward = header({ kind: 'c2i forward', config }, { 'in.x': [1, 2, 4, 6], 'in.t': [1], 'in.y': [1], 'out.x': [1, 2, 4, 6] });
    const weights = { ...forward, tensors: { ...forward.tensors, ...weightHeaders(8, 4) } };
    const data = Object.fromEntries(
      Object.entries(weights.tensors)
        .filter(([name]) => name.startsWith('param.'))
        .map(([name, { shape }]) => [name, recipeTensor(name.slice(6), shape)]),
    );
    const want = await run(weights, { ...data, 'in.x': recipeTensor('in.x', [1, 2, 4, 6]), 'in.t': [Math.fround(0.35)], 'in.y': [1] });
    expect((await run(header(tiny, outs)))['out.x']).toEqual(want['out.x']);
  });
});

/** Of the tiny model above: width D, pixel width X. */
const weightHeaders = (D: number, X: number): GoldenHeader['tensors'] =>
  Object.fromEntries(
    Object.entries({
      'x_embedder.embedder.0.weight': [X, 66],
      'x_embedder.embedder.0.bias': [X],
      's_embedder.proj.weight': [D, 8],
      's_embedder.proj.bias': [D],
      't_embedder.mlp.0.weight': [D, 256],
      't_embedder.mlp.0.bias': [D],
      't_embedder.mlp.2.weight': [D, D],
      't_embedder.mlp.2.bias': [D],
      'y_embedder.embedding_table.weight': [4, D],
      'final_layer.norm.weight': [X],
      'final_layer.linear.weight': [2, X],
      'final_layer.linear.bias': [2],
      'blocks.0.norm1.weight': [D],
      'blocks.0.attn.qkv.weight': [3 * D, D],
      'blocks.0.attn.q_norm.weight': [D],
      'blocks.0.attn.k_norm.weight': [D],
      'blocks.0.attn.proj.weight': [D, D],
      'blocks.0.attn.proj.bias': [D],
      'blocks.0.norm2.weight': [D],
      'blocks.0.mlp.w1.weight': [21, D],
      'blocks.0.mlp.w3.weight': [21, D],
      'blocks.0.mlp.w2.weight': [D, 21],
      'blocks.0.adaLN_modulation.0.weight': [6 * D, D],
      'blocks.0.adaLN_modulation.0.bias': [6 * D],
      'blocks.1.param_generator1.0.weight': [4 * X * X, D],
      'blocks.1.param_generator1.0.bias': [4 * X * X],
      'blocks.1.norm.weight': [X],
    }).map(([name, shape]) => [`param.${name}`, { dtype: 'F32', shape }]),
  );

describe('training at other sizes', () => {
  const config = { in_channels: 2, patch_size: 2, num_groups: 1, hidden_size: 8, hidden_size_x: 4, num_blocks: 2, num_cond_blocks: 1, nerf_mlpratio: 2, num_classes: 3 };
  const trainer = { lognorm_t: false, scheduler: 'GVPScheduler', lossw: 'maxsnr', align_layer: 1, feat_loss_weight: 0.5, encoder_tokens: 5 };
  const projector = { 'proj.0.0.weight': [6, 8], 'proj.0.0.bias': [6], 'proj.0.2.weight': [6, 6], 'proj.0.2.bias': [6], 'proj.0.4.weight': [7, 6], 'proj.0.4.bias': [7] };
  const parameters: Readonly<Record<string, readonly number[]>> = {
    ...Object.fromEntries(Object.entries(weightHeaders(8, 4)).map(([name, { shape }]) => [name, shape])),
    ...Object.fromEntries(Object.entries(projector).map(([name, shape]) => [`param.${name}`, shape])),
  };
  const given = { ...parameters, 'in.x': [2, 2, 4, 6], 'in.condition': [2], 'in.uncondition': [2], 'in.encoder_feature': [2, 6, 7] };
  const draws = (prefix: string) => ({ [`in.${prefix}noise`]: [2, 2, 4, 6], [`in.${prefix}t_raw`]: [2], [`in.${prefix}rand_mask`]: [2] });
  const labels = { 'in.condition': [0, 2], 'in.uncondition': [3, 3] };
  const inside = (names: readonly string[]) => Object.fromEntries(names.flatMap((prefix) => [[`in.${prefix}t_raw`, [0.3, 0.8]], [`in.${prefix}rand_mask`, [0.05, 0.7]]]));
  const own = (prefix: string) => Object.fromEntries(Object.entries(parameters).map(([name, shape]) => [name.replace('param.', prefix), shape]));

  test('losses, variants and all gradients, on an image that is not square, with another scheduler', async () => {
    const shapes = { ...given, ...draws(''), ...draws('other.'), ...own('grad.'), 'out.loss': [], 'out.fm_loss': [], 'out.cos_loss': [], 'out.other.loss': [], 'mid.x_t': [2, 2, 4, 6], 'mid.y': [2] };
    const values = await run(header({ kind: 'training', config, trainer, variants: [{ name: 'other', lossw: 'snr', encoder_tokens: 6 }] }, shapes), { ...labels, ...inside(['', 'other.']) });
    const wanted = Object.entries(shapes).filter(([name]) => /^(out|grad|mid)/.test(name));
    expect(Object.keys(values).toSorted()).toEqual(wanted.map(([name]) => name).toSorted());
    for (const [name, shape] of wanted) expect([values[name]!.length, Array.from(values[name]!).every(Number.isFinite)], name).toEqual([elements(shape), true]);
    expect(values['out.loss']![0]).toBeCloseTo(values['out.fm_loss']![0]! + 0.5 * values['out.cos_loss']![0]!, 5);
    expect(Array.from(values['mid.y']!)).toEqual([3, 2]); // the first is dropped
  });

  test('steps of a run that aligns', async () => {
    const shapes = { ...given, ...draws('step0.'), ...draws('step1.'), ...own('out.a.param.'), ...own('out.a.ema.'), 'out.a.losses': [2], 'out.a.grad_norms': [2] };
    const file = header({ kind: 'training steps', config, trainer, runs: [{ name: 'a', weight_decay: 0.1 }], optimizer: { lr: 0.01, betas: [0.9, 0.999], eps: 1e-8 }, ema_decay: '0.9' }, shapes);
    const values = await run(file, { ...labels, ...inside(['step0.', 'step1.']) });
    expect(Object.keys(values).toSorted()).toEqual(Object.keys(shapes).filter((name) => name.startsWith('out')).toSorted());
    expect(Object.values(values).every((each) => Array.from(each).every(Number.isFinite))).toBe(true);
  });

  const refusals: readonly (readonly [object, Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ ...trainer, align_layer: 2 }, {}, /the align layer is 2; .*the first 1 have tokens/],
    [{ ...trainer, align_layer: 0 }, {}, /the align layer is 0/],
    [{ ...trainer, encoder_tokens: 7 }, {}, /7 tokens of the encoder are to be aligned; the file has features of 6, the model has 6 tokens/],
    [{ ...trainer, scheduler: 'CosineScheduler' }, {}, /no scheduler is known for the class 'CosineScheduler'; known are LinearScheduler/],
    [{ ...trainer, lossw: 'snrr' }, {}, /there is no loss weight 'snrr', only constant, snr/],
    [trainer, { class: 'REPATrainer on pixnerd_t2i.PixNerDiT' }, /the text model cannot be run yet/],
  ];
  for (const [changed, more, message] of refusals)
    for (const kind of ['training', 'training steps']) test(`${kind}: ${String(message)}`, () => expect(refusal(header({ kind, config, trainer: changed, ...more }, given))).toMatch(message));
});

describe('files that cannot be run', () => {
  const c2i = {
    in_channels: 3,
    patch_size: 4,
    num_groups: 2,
    hidden_size: 12,
    hidden_size_x: 4,
    num_blocks: 2,
    num_cond_blocks: 1,
    nerf_mlpratio: 2,
    num_classes: 3,
  };
  const cases: readonly (readonly [GoldenHeader, RegExp])[] = [
    [header({ kind: 'sculpture' }), /kind 'sculpture' cannot be run: known are block/],
    [header({ kind: 'block', class: 'a.Unknown' }), /no block is known for the class 'a.Unknown'/],
    [header({ kind: 'block', class: 'a.toString' }), /no block is known/],
    [header({ kind: 'block', class: 'a.RMSNorm', config: '{' }), /config is no JSON/],
    [
      header({ kind: 'block', class: 'pixnerd_c2i.RAttention', config: { num_heads: 2, height: 1, width: 2 } }, { 'in.x': [1, 2, 12] }),
      /head_dim is 6.*multiple of 4/,
    ],
    [header({ kind: 'block', class: 'pixnerd_c2i.RAttention', config: {} }, { 'in.x': [1, 2, 12] }), /the size H would be NaN/],
    [header({ kind: 'c2i forward', config: c2i }, { 'in.x': [1, 3, 8, 8] }), /head_dim is 6/],
    [header({ kind: 'c2i forward', config: { ...c2i, hidden_size: 16 } }, { 'in.x': [1, 3, 8, 9] }), /width 9 is not divisible by the patch size 4/],
    [header({ kind: 'c2i forward', config: {} }), /in_channels is undefined/],
    [
      header({ kind: 'sampler', config: { net: 'toy', a: 1, b: 1, c: 1 }, cases: [{ name: 'a', sampler: 'euler', num_steps: 0 }] }),
      /case a: steps is 0/,
    ],
    [header({ kind: 'block', class: 'fold', cases: [{ name: 'a', kh: 2.5, kw: 1 }] }, { 'in.a': [1, 1, 4, 4] }), /a: the size P would be 2.5/],
  ];
  for (const [file, message] of cases) test(String(message), () => expect(refusal(file)).toMatch(message));
});

test('the same graph object is asked for each time', async () => {
  const graphs = new Set<Graph>();
  const file = header(
    { kind: 'sampler', config: { net: 'toy', a: 1, b: 1, c: 1, null_class: 2 }, cases: [{ name: 'a', sampler: 'euler', num_steps: 9 }] },
    { 'in.noise': [1, 1, 2, 2], 'in.condition': [1], 'out.a.x_final': [1, 1, 2, 2] },
  );
  const counted = right(goldenRun(file)).run({
    evaluate: (call) => {
      graphs.add(call.graph);
      return onReference(call);
    },
    tensor: (name) => (name === 'in.condition' ? [1] : [1, 2, 3, 4]),
    weights: () => TE.right({}),
  });
  expect(Object.keys(right(await counted()))).toEqual(['out.a.x_final']);
  expect(graphs.size).toBe(2);
});
