import { readFileSync } from 'node:fs';
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { inferC2iConfig, shapesOf } from './infer-config.ts';
import type { C2iConfig } from './infer-config.ts';
import { openWeights } from './open.ts';
import { opened, refused } from './test-folder.ts';

type Shapes = ReadonlyMap<string, readonly number[]>;

interface Manifest {
  readonly config: C2iConfig;
  readonly keys: Readonly<Record<string, { readonly shape: readonly number[] }>>;
}

const manifest = (name: string): Manifest => JSON.parse(readFileSync(`property-tests/goldens/manifests/${name}.json`, 'utf8'));
const shapesOfManifest = ({ keys }: Manifest): Shapes => new Map(Object.entries(keys).map(([name, { shape }]) => [name, shape]));

test.each(['c2i_L16', 'c2i_XL16'])('%s', (name) => {
  const full = manifest(name);
  expect(inferC2iConfig(shapesOfManifest(full))).toEqual(E.right(full.config));
});

test.each(['c2i_square', 'c2i_nonsquare', 'ckpt/c2i_f32_expected'])('the golden %s', async (name) => {
  const weights = opened(await openWeights(`property-tests/goldens/${name}.safetensors`)());
  expect(inferC2iConfig(shapesOf(weights))).toEqual(E.right(JSON.parse(weights.metadata['config']!)));
  await weights.close();
});

const base = shapesOfManifest(manifest('c2i_L16'));
const changed = (changes: Readonly<Record<string, readonly number[] | null>>): Shapes => {
  const shapes = new Map(base);
  for (const [name, shape] of Object.entries(changes)) if (shape === null) shapes.delete(name);
  else shapes.set(name, shape); // prettier-ignore
  return shapes;
};

const renumbered = (from: string, to: string): Shapes =>
  new Map([...base].map(([name, shape]) => [name.replace(`blocks.${from}.`, `blocks.${to}.`), shape]));

const bad: readonly (readonly [string, Shapes, string])[] = [
  ['a missing tensor', changed({ 'final_layer.linear.weight': null }), 'final_layer.linear.weight is missing'],
  ['a vector for a matrix', changed({ 's_embedder.proj.weight': [1024] }), 's_embedder.proj.weight is [1024], a matrix is needed'],
  ['no square patch', changed({ 's_embedder.proj.weight': [1024, 600] }), '600 values, which is no square patch of 3 channels'],
  [
    'another pixel width', changed({ 'x_embedder.embedder.0.weight': [32, 67] }),
    'x_embedder.embedder.0.weight is [32, 67], but the other tensors ask for [64, 67]',
  ],
  ['another number of channels', changed({ 'x_embedder.embedder.0.weight': [64, 65] }), 'ask for [64, 67]'],
  ['another class width', changed({ 'y_embedder.embedding_table.weight': [1001, 512] }), 'ask for [1001, 1024]'],
  ['no class', changed({ 'y_embedder.embedding_table.weight': [1, 1024] }), 'at least one class and the null class'],
  [
    'heads that do not divide', changed(Object.fromEntries(Array.from({ length: 22 }, (_, i) => [`blocks.${i}.attn.q_norm.weight`, [60]]))),
    '1024 is not a multiple of the head size 60',
  ],
  [
    'one block of other heads', changed({ 'blocks.7.attn.q_norm.weight': [32] }),
    'blocks.7.attn.q_norm.weight has 32 entries where the first block has 64',
  ],
  ['no q_norm', changed({ 'blocks.7.attn.q_norm.weight': null }), 'blocks.7.attn.q_norm.weight is missing'],
  [
    'a head size of 2', changed(Object.fromEntries(Array.from({ length: 22 }, (_, i) => [`blocks.${i}.attn.q_norm.weight`, [2]]))),
    'head_dim is 2, but must be a multiple of 4',
  ],
  [
    'a broken ratio', changed({ 'blocks.22.param_generator1.0.weight': [16000, 1024], 'blocks.23.param_generator1.0.weight': [16000, 1024] }),
    '16000 rows, which is no multiple of 2 * 64^2',
  ],
  [
    'one NeRF block of another ratio', changed({ 'blocks.23.param_generator1.0.weight': [8192, 1024] }),
    'has 8192 entries where the first block has 16384',
  ],
  ['a generator of another width', changed({ 'blocks.23.param_generator1.0.weight': [16384, 64] }), 'ask for [16384, 1024]'],
  ['a gap in the blocks', renumbered('5', '40'), 'blocks.5 is missing (blocks.40 is there)'],
  [
    'a NeRF block in front',
    new Map([...base].map(([name, shape]) => [name.replace(/blocks\.(\d+)\./, (_, i) => `blocks.${23 - Number(i)}.`), shape])),
    'blocks.23 is a transformer block behind a NeRF block',
  ],
  ['nothing', new Map(), 'there are no transformer blocks'],
]; // prettier-ignore

test.each(bad)('%s is a clear error', (_, shapes, sentence) => {
  const fault = refused(inferC2iConfig(shapes, 'x.ckpt'));
  expect(fault).toMatchObject({ kind: 'mismatch', path: 'x.ckpt' });
  expect(fault.message).toContain(sentence);
});

test('all contradictions are in one error', () => {
  const { message } = refused(inferC2iConfig(changed({ 's_embedder.proj.weight': [1024, 600], 'blocks.7.attn.q_norm.weight': [32] })));
  expect(message).toContain('no square patch');
  expect(message).toContain('blocks.7');
});

test('a text-to-image model is named as one', () => {
  const fault = refused(inferC2iConfig(changed({ 'text_refine_blocks.0.norm1.weight': [1024] }), 'x.ckpt'));
  expect(fault).toMatchObject({ kind: 'unsupported', message: expect.stringContaining('text-to-image') });
});
