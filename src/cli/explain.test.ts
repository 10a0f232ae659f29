/** `pixnerd explain` as users meet it: what it writes, and how it refuses. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { inFolder } from '../files/test-folder.ts';
import { buildCli, type Cli, inProject } from './test-cli.ts';

let cli: Cli;
beforeAll(async () => {
  cli = await buildCli();
});

const refused = async (args: readonly string[], ...words: readonly string[]): Promise<void> => {
  const { code, out, err } = await cli.run(['explain', ...args]);
  for (const word of words) expect(err).toContain(word);
  expect(err).toMatch(/^pixnerd: /);
  expect(err).not.toContain('internal error');
  expect([code, out]).toEqual([2, '']);
};

describe('mistakes', () => {
  test('models and profiles that are none', async () => {
    await refused([], 'say of what', 'c2i-L');
    await refused(['c2i-l'], 'there is no model and no file c2i-l; did you mean c2i-L?');
    await refused(['none.safetensors'], 'none.safetensors: there is no such file');
    await refused(['fashion', '--model', 'fashion'], 'give either a model or --model, not both');
    await refused([inProject('package.json')], 'package.json');
    await refused(['fashion', '--profile', 'none.json'], '--profile none.json: there is no such file');
    await refused(['fashion', '--size', '20'], 'height 20 is not divisible by the patch size 8: try');
    await refused(['fashion', '--roofline', 'h20'], 'did you mean h200?');
    await refused(['fashion', '--adapter-gbs', '0', '--adapter-gflops', 'many'], '--adapter-gbs 0: use a number above 0', '--adapter-gflops many: use a number above 0');
  });

  test('a profile that is no JSON; one whose limits are too small', () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, 'bad.json'), '{');
      await refused(['fashion', '--profile', join(folder, 'bad.json')], 'this is no JSON');
      await writeFile(join(folder, 'tiny.json'), JSON.stringify({ limits: { maxBufferSize: 1000 } }));
      await refused(['fashion', '--profile', join(folder, 'tiny.json'), '--html', join(folder, 'x.html')], 'maxBufferSize');
      expect((await readdir(folder)).sort()).toEqual(['bad.json', 'tiny.json']);
    }));

  test('pages that cannot be written', () =>
    inFolder(async (folder) => {
      await mkdir(join(folder, 'folder.html'));
      await refused(['fashion', '--html', join(folder, 'folder.html')], 'this is a folder');
      await refused(['fashion', '--html', join(folder, 'no', 'such', 'x.html')], 'the folder does not exist');
    }));
});

describe('success', () => {
  test('a page, with the lines of the model out of the bundle’s source map', () =>
    inFolder(async (folder) => {
      const path = join(folder, 'page.html'), { code, out, err } = await cli.run(['explain', inProject('models', 'weights', 'fashion.safetensors'), '--html', path, '--batch', '2']);
      expect([code, out, err]).toEqual([0, '', expect.stringContaining('open it in a browser')]);
      const page = await readFile(path, 'utf8');
      expect(page).toContain('models/pixnerd/transformer.ts:');
      expect(page).toContain('p.w2(mul(silu(p.w1(x)), p.w3(x)))');
      expect(page).not.toMatch(/https?:\/\//);
    }));

  test('text, at the roofline of one’s own adapter', async () => {
    const { code, out } = await cli.run(['explain', 'fashion', '--adapter-gflops', '10', '--adapter-gbs', '1', '--profile', 'cpu']);
    expect(code).toBe(0);
    expect(out).toContain('kernels on yours');
    expect(out).toMatch(/k\d+ .*matrix product .*FLOP/);
    const longer = await cli.run(['explain', '--model', 'fashion', '--profile', 'cpu', '--all']);
    expect(longer.out.split('\n').length).toBeGreaterThan(out.split('\n').length);
  });
});
