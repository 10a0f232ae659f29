/** Every golden that belongs to the class model, on the reference interpreter. */
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, type Graph } from '../../dsl/graph/graph.ts';
import { goldenRun, type Call, type Feeds, type GoldenHeader } from '../../models/goldens/index.ts';
import { disagreement, disagreementOverAll, readGolden, tensorOf, type Golden } from './golden.ts';

const bound = new WeakMap<Graph, Map<string, Graph>>();
const boundGraph = ({ graph, sizes }: Call): Graph => {
  const known = bound.get(graph) ?? new Map<string, Graph>();
  bound.set(graph, known);
  const key = JSON.stringify(sizes);
  const made = known.get(key) ?? bindSizes(graph, sizes);
  known.set(key, made);
  return made;
};
const onReference = (call: Call): TE.TaskEither<never, Feeds> =>
  TE.fromIO(() =>
    Object.fromEntries(Object.entries(evaluate(boundGraph(call), { ...call.inputs, ...call.parameters })).map(([name, { data }]) => [name, data])),
  );

const headerOf = ({ metadata, tensors }: Golden): GoldenHeader => ({ metadata, tensors: Object.fromEntries(tensors) });
const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(String(either.left));
  return either.right;
};

/** What is wrong with the file's tensors, and how many were compared. */
const compare = async (file: string, weights: (name: string) => Golden = readGolden): Promise<readonly string[]> => {
  const golden = readGolden(file);
  const run = right(goldenRun(headerOf(golden)));
  const values = right(
    await run.run({
      evaluate: onReference,
      tensor: (name) => tensorOf(golden, name).data,
      weights: () =>
        TE.right(
          Object.fromEntries([...weights(file).tensors].flatMap(([name, { data }]) => (name.startsWith('param.') ? [[name.slice(6), data]] : []))),
        ),
    })(),
  );
  const names = [...golden.tensors.keys()].filter((name) => /^(out|out64|mid|grad)\./.test(name) && name !== 'out.denoiser');
  expect(names.length).toBeGreaterThan(0);
  const missing = names.filter((name) => values[name] === undefined).map((name) => `${name} was not computed`);
  return missing.length > 0 ? missing : [...names.flatMap((name) => disagreement(golden, name, values[name]!) ?? []), ...disagreementOverAll(golden, values)];
};

const BLOCKS = [
  'ditblock_c2i',
  'ditblock_t2i',
  'feedforward_c2i',
  'nerf_embedder_dct',
  'nerf_embedder_ex2d',
  'nerf_embedder_heavy',
  'nerf_final_c2i',
  'nerf_final_t2i',
  'nerfblock_c2i_r2',
  'nerfblock_c2i_r4',
  'nerfblock_t2i',
  'patchify',
  'rattention_c2i',
  'rattention_c2i_mask',
  'rattention_ex2d_t2i',
  'resize_nearest',
  'rmsnorm',
  'rmsnorm_tiny',
  'rope_tables',
  'rotary_c2i',
  'rotary_t2i',
  'scheduling_guidance',
  'swiglu_t2i',
  'text_embed',
  'text_refine_attention',
  'text_refine_block',
  'timestep_embedder',
  'uint8',
];
describe('blocks', () => {
  for (const block of BLOCKS) test(block, async () => expect(await compare(`blocks/${block}`)).toEqual([]));
});

describe('models', () => {
  for (const file of ['c2i_square', 'c2i_nonsquare', 'ckpt/c2i_f32_expected', 'ckpt/c2i_mixed_expected'])
    test(file, async () => expect(await compare(file)).toEqual([]));
});

describe('training', () => {
  for (const file of ['adamw_unit', 'train_fm_c2i', 'train_fm_c2i_adamw3', 'train_repa_c2i']) test(file, async () => expect(await compare(file)).toEqual([]));
});

describe('samplers', () => {
  for (const file of ['lagrange', 'sampler_euler_toy', 'sampler_heun_toy', 'sampler_adamlm_toy'])
    test(file, async () => expect(await compare(file)).toEqual([]));
});
