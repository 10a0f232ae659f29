/** The command line as users meet it: every bad input through the real program, and what it writes. */
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { C2iConfig } from '../../models/pixnerd/config.ts';
import { parameterShapes } from '../../models/pixnerd/graph.ts';
import { call, checkpointEntries, dict, global, text, zipOf } from '../files/checkpoint-fixture.ts';
import { inFolder, opened } from '../files/test-folder.ts';
import { writeSafetensors } from '../files/write.ts';
import { hashedWeights, TINY } from '../sampling/test-model.ts';
import { buildCli, type Cli, type Ended, inProject } from './test-cli.ts';

let cli: Cli;
beforeAll(async () => {
  cli = await buildCli();
});

const FASHION = inProject('models', 'weights', 'fashion.safetensors');

/** A safetensors file of a small model, after `change`. */
const writeModel = async (
  path: string,
  config: C2iConfig = TINY,
  change: (weights: Record<string, Float32Array<ArrayBuffer>>) => void = () => undefined,
): Promise<string> => {
  const weights = { ...hashedWeights(config) },
    shapes = parameterShapes(config);
  change(weights);
  opened(
    await writeSafetensors(
      path,
      Object.entries(weights).map(([name, data]) => ({
        name,
        dtype: 'F32' as const,
        shape: shapes[name]!.length === 1 ? [data.length] : shapes[name]!,
        data: () => data,
      })),
    )(),
  );
  return path;
};

/** A readable end: the code, no stack, and the expected words. */
const expectRefusal = ({ code, err, out }: Ended, ...words: readonly string[]): void => {
  for (const word of words) expect(err).toContain(word);
  expect(err).toMatch(/^pixnerd: |\npixnerd: /);
  expect(err).not.toMatch(/\n\s+at .*:\d+:\d+/);
  expect(err).not.toContain('internal error');
  expect(out).toBe('');
  expect(code).toBe(2);
};

const sampleOf = (checkpoint: string, folder: string, ...more: readonly string[]): readonly string[] => [
  'sample',
  '--checkpoint',
  checkpoint,
  '--size',
  '8',
  '--steps',
  '2',
  '--out',
  join(folder, 'x.png'),
  ...more,
];

describe('mistakes', () => {
  test('an unknown command and unknown options get a suggestion', async () => {
    expectRefusal(await cli.run(['smaple']), 'unknown command smaple; did you mean sample?');
    expectRefusal(await cli.run(['sample', '--stpes', '5', '--checkpoint', 'x']), 'unknown option --stpes; did you mean --steps?');
  });

  test('everything that is wrong with a request is in one error, before any work', () =>
    inFolder(async (folder) => {
      const ended = await cli.run([
        'sample',
        '--checkpoint',
        FASHION,
        '--class',
        '3,10',
        '--size',
        '20x32',
        '--steps',
        '0',
        '--interval',
        '1,0.1',
        '--order',
        '7',
        '--out',
        join(folder, 'no', 'such', 'x.png'),
      ]);
      expectRefusal(
        ended,
        'class 10 is out of range: this model has classes 0 to 9',
        'height 20 is not divisible by the patch size 8: try',
        'steps is 0',
        'guidance interval 1,0.1 is reversed: use 0.1,1',
        'order is 7: use 1, 2, 3 or 4',
        'the folder does not exist',
      );
      expect(await readdir(folder)).toEqual([]);
    }));

  test('an output folder that takes no files, a folder as output, no output at all', () =>
    inFolder(async (folder) => {
      await writeFile(join(folder, 'file'), '');
      await mkdir(join(folder, 'folder.png'));
      expectRefusal(await cli.run(['sample', '--checkpoint', FASHION, '--out', join(folder, 'file', 'x.png')]), 'x.png');
      expectRefusal(
        await cli.run(['sample', '--checkpoint', FASHION, '--out', join(folder, 'folder.png'), '--gif', join(folder, 'x.jpg')]),
        'this is a folder',
        'should end in .gif',
      );
      expectRefusal(await cli.run(['sample', '--checkpoint', FASHION]), 'no output is asked for');
      if (process.getuid?.() === 0) return; // root writes everywhere
      await chmod(folder, 0o555);
      expectRefusal(await cli.run(['sample', '--checkpoint', FASHION, '--out', join(folder, 'x.png')]), 'no permission');
      await chmod(folder, 0o755);
    }));

  test('options of another sampler are refused', async () => {
    expectRefusal(
      await cli.run(['sample', '--checkpoint', FASHION, '--sampler', 'heun', '--interval', '0,1', '--order', '2', '--out', 'x.png']),
      '--order has no meaning for --sampler heun',
      '--interval has no meaning for --sampler heun',
    );
  });

  test('files that are no weights, damaged or incomplete ones', () =>
    inFolder(async (folder) => {
      const path = (name: string) => join(folder, name);
      expectRefusal(await cli.run(sampleOf(path('none.ckpt'), folder)), 'there is no such file');
      await writeFile(path('short.safetensors'), (await readFile(FASHION)).subarray(0, 100_000));
      expectRefusal(await cli.run(sampleOf(path('short.safetensors'), folder)), 'short.safetensors');
      const header = Buffer.alloc(64);
      header.writeBigUInt64LE(1n << 40n);
      await writeFile(path('hostile.safetensors'), header);
      expectRefusal(await cli.run(['inspect', path('hostile.safetensors')]), 'hostile.safetensors');
      await writeModel(path('holes.safetensors'), TINY, (weights) => {
        delete weights['final_layer.linear.bias'];
        delete weights['blocks.0.attn.proj.bias'];
      });
      expectRefusal(await cli.run(sampleOf(path('holes.safetensors'), folder)), 'final_layer.linear.bias', 'blocks.0.attn.proj.bias');
      await writeModel(path('nan.safetensors'), TINY, (weights) => {
        weights['final_layer.linear.bias']![0] = NaN;
      });
      expectRefusal(await cli.run(sampleOf(path('nan.safetensors'), folder, '--backend', 'reference')), 'final_layer.linear.bias has the value NaN');
      await writeModel(path('heads.safetensors'), { ...TINY, hidden_size: 24 }, (weights) => {
        for (const norm of ['q_norm', 'k_norm']) weights[`blocks.0.attn.${norm}.weight`] = new Float32Array(6);
      });
      expectRefusal(await cli.run(sampleOf(path('heads.safetensors'), folder)), 'head_dim is 6, but must be a multiple of 4');
      await writeFile(path('hostile.ckpt'), zipOf(checkpointEntries(dict({ state_dict: call(global('os', 'system'), text('touch hacked')) }), {})));
      expectRefusal(await cli.run(sampleOf(path('hostile.ckpt'), folder)), 'os.system');
      expect(await readdir(folder)).not.toContain('x.png');
    }));

  test('no adapter of that name, no driver', async () => {
    expectRefusal(
      await cli.run(['sample', '--checkpoint', FASHION, '--npz', inProject('.cache', 'none.npz'), '--adapter', 'voodoo']),
      'none is called "voodoo"',
    );
    const ended = await cli.run(['doctor'], { VK_DRIVER_FILES: '/nowhere/icd.json', VK_ICD_FILENAMES: '/nowhere/icd.json' });
    expect([ended.code, ended.err]).toEqual([2, expect.stringContaining('/nowhere/icd.json')]);
  });

  test('verify: names, shares, sizes and checkpoints that do not fit', async () => {
    expectRefusal(await cli.run(['verify', 'fasion']), 'fasion: there is no such file, and no such built-in size; did you mean fashion?');
    expectRefusal(await cli.run(['verify', 'fashion', '--sample', '1.5', '--batch', '0']), '--sample 1.5: use a number above 0 and at most 1', '--batch 0');
    expectRefusal(await cli.run(['verify', 'c2i-L', '--checkpoint', FASHION]), 'hidden_size is 128 in the checkpoint, but 1024 in c2i-L');
    expectRefusal(await cli.run(['verify', 'fashion', '--size', '30', '--adapter', 'software']), 'height 30 is not divisible by the patch size 8: try 32');
    expectRefusal(await cli.run(['verify', 'fashion', '--adapter', 'voodoo']), 'none is called "voodoo"');
  });

  test('a limit that the adapter lacks is named, with what needs it', () =>
    inFolder(async (folder) => {
      const profile = join(folder, 'small.json');
      await writeFile(profile, JSON.stringify({ class: 'gpu', limits: { maxBufferSize: 1_000_000 }, features: [] }));
      expectRefusal(await cli.run(['emit', '--model', 'c2i-L', '--profile', profile]), 'maxBufferSize');
      await writeFile(profile, '{"class": "tpu"}');
      expectRefusal(await cli.run(['emit', '--model', 'c2i-L', '--profile', profile]), 'must be "cpu" or "gpu"');
      await writeFile(profile, JSON.stringify({ class: 'gpu', limits: {}, features: [] }));
      expectRefusal(await cli.run(['emit', '--model', 'fashion', '--precision', 'mixed', '--profile', profile]), "lacks the feature 'shader-f16'; use f32");
      expectRefusal(await cli.run(['emit', '--model', 'c2i-L', '--size', '250']), 'height 250 is not divisible by the patch size 16: try 256');
    }));
});

test('numbers that there are not, or that a backend does not keep, are refused', async () => {
  expectRefusal(
    await cli.run(['emit', '--model', 'c2i-L', '--precision', 'f61', '--weights-as', 'int4']),
    '--precision f61: unknown',
    '--weights-as int4: unknown',
  );
  expectRefusal(await cli.run(['parity', 'x', '--backend', 'reference', '--precision', 'f16']), '--precision has no meaning for --backend reference');
});

describe('sampling', () => {
  let folder: string, done: () => void, model: string;
  beforeAll(async () => {
    await new Promise<void>((ready) => {
      void inFolder(async (made) => {
        folder = made;
        model = await writeModel(join(made, 'tiny.safetensors'));
        ready();
        await new Promise<void>((end) => {
          done = end;
        });
      });
    });
  });
  afterAll(() => done());

  test('writes sheet, animation and archive; shard and batch change nothing', async () => {
    const path = (name: string) => join(folder, name);
    const whole = await cli.run([
      'sample',
      '--checkpoint',
      model,
      '--size',
      '8x12',
      '--steps',
      '2',
      '--images',
      '5',
      '--class',
      '2,0',
      '--scale',
      '2',
      '--out',
      path('x.png'),
      '--gif',
      path('x.gif'),
      '--npz',
      path('x.npz'),
    ]);
    expect(whole).toMatchObject({ code: 0, out: `${path('x.png')}\n${path('x.gif')}\n${path('x.npz')}\n` });
    const { width, height, channels } = decode(await readFile(path('x.png')));
    expect([width, height, channels]).toEqual([2 * (3 * 14 + 2), 2 * (2 * 10 + 2), 1]);
    expect((await readFile(path('x.gif'))).subarray(0, 6).toString()).toBe('GIF89a');
    const part = await cli.run([
      'sample',
      '--checkpoint',
      model,
      '--size',
      '8x12',
      '--steps',
      '2',
      '--images',
      '5',
      '--class',
      '2,0',
      '--npz',
      path('y.npz'),
      '--shard',
      '2/2',
      '--batch',
      '2',
    ]);
    expect(part.code).toBe(0);
    const pixels = async (name: string, count: number) => arrayIn(await readFile(path(name)), count * 96);
    expect((await pixels('y.npz', 3)).equals((await pixels('x.npz', 5)).subarray(2 * 96))).toBe(true);
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('Ctrl-C ends with 130, a readable message, and no half file', async () => {
    let sent = false;
    const ended = await cli.start(
      ['sample', '--checkpoint', model, '--size', '16', '--steps', '5000', '--images', '4', '--npz', join(folder, 'never.npz')],
      (text, child) => {
        if (!sent && text.includes('sampling')) {
          sent = true;
          child.kill('SIGINT');
        }
      },
    );
    expect([ended.code, ended.err]).toEqual([130, expect.stringContaining('interrupted')]);
    expect(ended.err).not.toContain('    at ');
    expect((await readdir(folder)).filter((name) => name.includes('never'))).toEqual([]);
  });
});

/** The bytes of the array in an .npz with one entry that is stored as it is: they end where the zip's directory begins. */
const arrayIn = (zip: Buffer, length: number): Buffer => {
  const header = zip.indexOf(Buffer.from('\x93NUMPY', 'latin1'));
  const start = header + 10 + zip.readUInt16LE(header + 8);
  return zip.subarray(start, start + length);
};

describe('reports', () => {
  test('parity --json has the promised fields, and every tensor', async () => {
    const file = inProject('property-tests', 'goldens', 'blocks', 'rmsnorm.safetensors');
    const { code, out } = await cli.run(['parity', file, '--backend', 'reference', '--json']);
    const report = JSON.parse(out) as Record<string, unknown>; // checked below
    expect(code).toBe(0);
    expect(report).toMatchObject({ file, backend: 'reference', adapter: expect.any(String), ok: true });
    expect(report['tensors']).toEqual(
      ['out64.y', 'out.y', 'grad.in.x', 'grad.param.weight'].map((name) => ({
        name,
        relrms: expect.any(Number),
        relmax: expect.any(Number),
        abs: expect.any(Number),
        limit: name.startsWith('grad') ? { relrms: 1e-5, relmax: 5e-5 } : { relrms: 5e-6, relmax: 3e-5 },
        ok: true,
      })),
    );
  });

  test('parity fails with code 1 for a wrong number and for a tensor that nothing computes', () =>
    inFolder(async (folder) => {
      const bytes = await readFile(inProject('property-tests', 'goldens', 'blocks', 'rmsnorm_tiny.safetensors'));
      const length = Number(bytes.readBigUInt64LE());
      const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, { data_offsets: [number, number] }>; // the format
      const wrong = Buffer.from(bytes);
      wrong.writeDoubleLE(0.5, 8 + length + header['out64.y']!.data_offsets[0]);
      await writeFile(join(folder, 'wrong.safetensors'), wrong);
      const renamed = Buffer.from(bytes.toString('latin1').replace('"out.y"', '"out.q"'), 'latin1');
      await writeFile(join(folder, 'unknown.safetensors'), renamed);
      const { code, out } = await cli.run([
        'parity',
        join(folder, 'wrong.safetensors'),
        join(folder, 'unknown.safetensors'),
        '--backend',
        'reference',
        '--json',
      ]);
      const [first, second] = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { ok: boolean; tensors: { name: string; ok: boolean }[] }); // as above
      expect([code, first!.ok, second!.ok]).toEqual([1, false, false]);
      expect(first!.tensors.map(({ ok }) => ok)).toEqual([false, false]);
      expect(second!.tensors).toContainEqual(expect.objectContaining({ name: 'out.q', ok: false, problem: 'not checked: nothing computes it' }));
    }));

  test('parity on an adapter, a checkpoint beside the file, another one by name', async () => {
    const golden = (...parts: readonly string[]) => inProject('property-tests', 'goldens', ...parts);
    const { code, out } = await cli.run([
      'parity',
      golden('blocks', 'nerfblock_c2i_r2.safetensors'),
      golden('ckpt', 'c2i_mixed_expected.safetensors'),
      golden('blocks', 'uint8.safetensors'),
    ]);
    expect([code, out]).toEqual([0, expect.stringContaining('all 3 files agree')]);
    const zip64 = await cli.run([
      'parity',
      golden('ckpt', 'c2i_f32_expected.safetensors'),
      '--checkpoint',
      golden('ckpt', 'c2i_zip64.ckpt'),
      '--backend',
      'reference',
    ]);
    expect([zip64.code, zip64.out]).toEqual([0, expect.stringContaining('29 tensors agree')]);
    expectRefusal(await cli.run(['parity', FASHION, '--backend', 'reference', '--json']).then((ended) => ({ ...ended, out: '' })), 'kind');
  });

  test('verify looks at every kernel, and its JSON has the promised fields', () =>
    inFolder(async (folder) => {
      const model = await writeModel(join(folder, 'tiny.safetensors'));
      const { code, out, err } = await cli.run(['verify', model, '--size', '8', '--batch', '2', '--adapter', 'software']);
      expect([code, out]).toEqual([0, expect.stringMatching(/every kernel stays within its bound: \d+ of \d+ elements of \d+ tensors/)]);
      expect(err).toContain(`weights from ${model}`);
      const found = JSON.parse((await cli.run(['verify', model, '--size', '8', '--sample', '1', '--fusion', 'off', '--json', '--adapter', 'software'])).out) as Record<string, unknown>;
      expect(found).toMatchObject({ model, size: [8, 8], batch: 1, passed: true, differences: [] });
      expect(found['tensors']).toEqual(expect.arrayContaining([expect.objectContaining({ op: 'einsum', worst: expect.objectContaining({ ratio: expect.any(Number) }) })]));
    }));

  test('inspect says what a file is and what is missing', () =>
    inFolder(async (folder) => {
      const whole = await cli.run(['inspect', FASHION, '--check']);
      expect([whole.code, whole.out]).toEqual([0, expect.stringContaining('1,804,449 parameters')]);
      expect(whole.out).toContain('nothing is missing');
      expect(whole.out).toContain('all values are finite');
      const path = await writeModel(join(folder, 'holes.safetensors'), TINY, (weights) => {
        delete weights['final_layer.linear.bias'];
        weights['t_embedder.mlp.0.bias']![3] = Infinity;
      });
      const holes = await cli.run(['inspect', path, '--check', '--json']);
      expect(JSON.parse(holes.out)).toMatchObject({
        model: { config: TINY, missing: ['final_layer.linear.bias'], extra: [] },
        damaged: [expect.stringContaining('t_embedder.mlp.0.bias')],
      });
    }));

  test('emit shows what narrower storage saves', async () => {
    const plan = async (...args: readonly string[]): Promise<string> => (await cli.run(['emit', '--model', 'fashion', '--stage', 'plan', ...args])).out;
    const bytesOf = (text: string, name: string): number => Number(new RegExp(`parameter +([\\d.]+) MiB  ${name}$`, 'm').exec(text)?.[1]);
    const [single, mixed, packed] = [await plan(), await plan('--precision', 'mixed'), await plan('--weights-as', 'int8')];
    const name = 'blocks.0.attn.qkv.weight';
    expect([bytesOf(mixed, name) / bytesOf(single, name), bytesOf(packed, name) / bytesOf(single, name)]).toEqual([0.5, 0.25]);
    expect(mixed).toContain('shader-f16');
    expect(packed).not.toContain('shader-f16');
    expect(packed).toContain(`${name}.int8_scale`);
  });

  test('emit prints every stage without GPU or weights', async () => {
    const stage = async (...args: readonly string[]) => (await cli.run(['emit', '--model', 'fashion', ...args])).out;
    expect(await stage('--stage', 'graph')).toMatch(/%\d+ = einsum\(.*: f32\[/);
    expect(await stage('--stage', 'kernels')).toContain('parallel i0 < ');
    expect(await stage('--stage', 'wgsl', '--profile', 'cpu')).toContain('@compute @workgroup_size(8, 8, 1)');
    expect(await stage('--stage', 'plan')).toContain('largest binding');
    expect(JSON.parse(await stage('--json', '--size', '48x32', '--batch', '2'))).toMatchObject({
      size: [48, 32],
      batch: 2,
      kernels: expect.any(Number),
      dispatches: expect.any(Number),
      peakBytes: expect.any(Number),
      largestBinding: expect.any(Number),
    });
  });

  test('emit shows the two programs of a sampling run', async () => {
    const { out } = await cli.run(['emit', '--model', 'fashion', '--sampling']);
    expect(out).toMatch(/^== once per run: for 25 of 25 times at once, 1 x: \d+ dispatches ==\n\d+ kernels/);
    expect(out).toMatch(/\n== per step: network on both halves, guidance, the sum of the sampler: \d+ dispatches ==\n/);
    const [whole, run] = await Promise.all([[], ['--sampling']].map(async (extra) => JSON.parse((await cli.run(['emit', '--model', 'fashion', '--json', ...extra])).out)));
    const [once, step] = run.programs;
    expect(step.part).toMatch(/^per step/);
    expect(step.dispatches).toBeLessThan(whole.dispatches);
    expect(once.dispatches).toBeLessThan(step.dispatches);
  });

  test('doctor tests itself, and its JSON is a profile', () =>
    inFolder(async (folder) => {
      const { code, out } = await cli.run(['doctor', '--json']);
      expect(code).toBe(0);
      expect(JSON.parse(out)).toMatchObject({
        selfTest: { ok: true },
        profile: { class: expect.stringMatching(/cpu|gpu/), limits: { maxBufferSize: expect.any(Number) } },
      });
      await writeFile(join(folder, 'here.json'), out);
      expect((await cli.run(['emit', '--model', 'fashion', '--json', '--profile', join(folder, 'here.json')])).code).toBe(0);
    }));

  test('help of every command has an example', async () => {
    const overview = await cli.run([]);
    const names = [...overview.out.matchAll(/^ {2}(\w+) {2}/gm)].map((match) => match[1]!); // the group is not optional
    expect(names).toEqual(expect.arrayContaining(['sample', 'parity', 'verify', 'inspect', 'emit', 'doctor']));
    for (const name of names) expect((await cli.run([name, '--help'])).out).toMatch(new RegExp(`examples?:\\n {2}pixnerd ${name}`));
  });
});
