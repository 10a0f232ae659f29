/** `pixnerd evaluate` as users meet it: a run on a small data set, a classifier trained on it, and every bad input. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { brightHalves } from '../evaluation/test-data.ts';
import { encodeIdx } from '../data/idx.ts';
import { FASHION_FIXTURE } from '../data/test-images.ts';
import { inFolder } from '../files/test-folder.ts';
import { buildCli, type Cli, type Ended, inProject } from './test-cli.ts';

let cli: Cli;
beforeAll(async () => {
  cli = await buildCli();
});

const expectRefusal = ({ code, err, out }: Ended, ...words: readonly string[]): void => {
  for (const word of words) expect(err).toContain(word);
  expect(err).not.toMatch(/\n\s+at .*:\d+:\d+|internal error/);
  expect([out, code]).toEqual(['', 2]);
};

/** IDX files of both halves, of 8 x 8 images in two classes. */
const writeIdx = async (folder: string, train: number, heldOut: number): Promise<string> => {
  await mkdir(folder, { recursive: true });
  for (const [split, count, seed] of [['train', train, 1], ['t10k', heldOut, 2]] as const) {
    const items = await Promise.all(Array.from({ length: count }, (_, i) => brightHalves(count, seed).item(i)));
    await writeFile(join(folder, `${split}-images-idx3-ubyte.gz`), encodeIdx({ shape: [count, 8, 8], data: Buffer.concat(items.map(({ pixels }) => pixels)) }));
    await writeFile(join(folder, `${split}-labels-idx1-ubyte.gz`), encodeIdx({ shape: [count], data: Uint8Array.from(items, ({ label }) => label) }));
  }
  return folder;
};

describe('bad input', () => {
  test('of judging is said, with what to do', () =>
    inFolder(async (folder) => {
      const fashion = ['evaluate', 'fashion', '--data', FASHION_FIXTURE];
      expectRefusal(await cli.run(['evaluate']), 'MODEL is missing', '--data is missing: real images to compare with; `pixnerd data fashion FOLDER` fetches');
      expectRefusal(await cli.run(['evaluate', 'fashion', '--data', join(folder, 'none')]), 'none: there is no such file');
      expectRefusal(await cli.run(['evaluate', 'fashio', '--data', FASHION_FIXTURE]), 'fashio: there is no such file');
      expectRefusal(await cli.run(fashion), 'too few images to judge with: of 50 held-out ones each half must have more than the 64 features');
      expectRefusal(await cli.run([...fashion, '--held-out', FASHION_FIXTURE, '--samples', '30']), '--samples 30: the covariance of 64 features needs more images than that; use 65 at least');
      expectRefusal(await cli.run([...fashion, '--held-out', FASHION_FIXTURE, '--samples', '101']), 'there are only 100 real images to set beside them; use 100 at most');
      expectRefusal(await cli.run([...fashion, '--size', '40']), 'the classifier knows images of 32 x 32 with 1 channel, the model makes 40 x 40 with 1 channel; train one of its own with `pixnerd evaluate --train-classifier');
      expectRefusal(await cli.run([...fashion, '--size', '16']), 'its images are 28 x 28; they are padded, never scaled');
      expectRefusal(await cli.run([...fashion, '--epochs', '3', '--guidence', '2']), 'unknown option --guidence; did you mean --guidance?');
      expectRefusal(await cli.run([...fashion, '--epochs', '3']), '--epochs has a meaning with --train-classifier only');
      expectRefusal(await cli.run([...fashion, '--classifier', inProject('models', 'weights', 'fashion.safetensors')]), 'these are no weights of a classifier');
      expectRefusal(await cli.run([...fashion, '--out', join(folder, 'none', 'file.json')]), 'the folder does not exist');
      const other = await writeIdx(join(folder, 'two'), 20, 20);
      expectRefusal(await cli.run(['evaluate', 'fashion', '--data', other]), 'there are 2 classes in it, the model has 10');
    }), 120_000);
  test('of training a classifier too', () =>
    inFolder(async (folder) => {
      expectRefusal(await cli.run(['evaluate', '--train-classifier', FASHION_FIXTURE]), '--out is missing: the file that the classifier is written to');
      const out = ['--out', join(folder, 'c.safetensors')];
      expectRefusal(await cli.run(['evaluate', 'fashion', '--train-classifier', FASHION_FIXTURE, '--steps', '3', ...out]), 'fashion: no model is judged with --train-classifier', '--steps has no meaning with --train-classifier');
      expectRefusal(await cli.run(['evaluate', '--train-classifier', FASHION_FIXTURE, ...out]), 'images of 28 x 28 cannot be halved three times: give --size with multiples of 8, such as 32');
    }), 60_000);
});

test('a classifier is trained and written with its accuracy', () =>
  inFolder(async (folder) => {
    const data = await writeIdx(join(folder, 'data'), 200, 60), file = join(folder, 'classifier.safetensors');
    const { code, out, err } = await cli.run(['evaluate', '--train-classifier', data, '--epochs', '12', '--out', file]);
    expect([code, out]).toEqual([0, `${file}\n`]);
    expect(err).toMatch(/right for 100\.00 % of 60 held-out images, after 37 steps of 64 in \d+ s/);
    const inspected = await cli.run(['evaluate', 'fashion', '--data', data, '--classifier', file]);
    expectRefusal(inspected, 'the classifier knows images of 8 x 8 with 1 channel, the model makes 32 x 32');
  }), 120_000);

test('the model of the demo is judged: a table, and a file with every number', () =>
  inFolder(async (folder) => {
    const file = join(folder, 'numbers.json');
    const { code, out, err } = await cli.run(['evaluate', 'fashion', '--data', FASHION_FIXTURE, '--held-out', FASHION_FIXTURE, '--samples', '65', '--seeds', '1', '--steps', '1', '--guidance', '1', '--out', file]);
    expect([code, err]).toEqual([0, expect.stringContaining('65 images of each of 1 seeds, against 100 real ones; the classifier is right for 90.1 % of held-out images')]);
    expect(out).toMatch(/^ +fashion +other held-out images +training images +normal noise\n +accuracy %/);
    expect(out.trimEnd().endsWith(file)).toBe(true);
    const found = JSON.parse(await readFile(file, 'utf8')) as { readonly rows: readonly { readonly name: string; readonly scores: readonly Readonly<Record<string, number>>[] }[] }; // ours
    expect(found).toMatchObject({ samples: 65, seeds: ['0'], reference: 100, compared: 65, data: { train: 200, heldOut: 200 }, sampler: { steps: 1, guidance: 1 }, model: { name: 'fashion' } });
    const scores = Object.fromEntries(found.rows.map(({ name, scores: [first] }) => [name, first!]));
    expect(scores['real']!['accuracy']!).toBeGreaterThan(0.8);
    expect(scores['noise']!['fd']!).toBeGreaterThan(5 * scores['real']!['fd']!);
    expect(scores['copies']!['nearest']!).toBeLessThan(1e-3);
    expect(scores['noise']!['nearest']!).toBeGreaterThan(0.3);
    expect(Object.keys(scores['model']!)).toHaveLength(10);
  }), 300_000);
