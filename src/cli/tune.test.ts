/** `pixnerd tune` as users meet it: what it writes, what later runs make of it, and every bad input. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { SCHEDULES } from '../../compiler/schedule.ts';
import { parameterShapes } from '../../models/pixnerd/graph.ts';
import { inFolder, opened } from '../files/test-folder.ts';
import { writeSafetensors } from '../files/write.ts';
import { hashedWeights, TINY } from '../sampling/test-model.ts';
import { buildCli, type Cli, type Ended } from './test-cli.ts';

let cli: Cli;
beforeAll(async () => {
  cli = await buildCli();
});

const SOFTWARE = ['--adapter', 'software'] as const;

const writeModel = async (path: string): Promise<string> => {
  const shapes = parameterShapes(TINY);
  const tensors = Object.entries(hashedWeights(TINY)).map(([name, data]) => ({ name, dtype: 'F32' as const, shape: shapes[name]!.length === 1 ? [data.length] : shapes[name]!, data: () => data }));
  opened(await writeSafetensors(path, tensors)());
  return path;
};

const expectRefusal = ({ code, err, out }: Ended, ...words: readonly string[]): void => {
  for (const word of words) expect(err).toContain(word);
  expect(err).not.toMatch(/\n\s+at .*:\d+:\d+|internal error/);
  expect([out, code]).toEqual(['', 2]);
};

describe('bad input', () => {
  test('is said, and nothing is run', () =>
    inFolder(async (folder) => {
      expectRefusal(await cli.run(['tune', 'fasion']), 'fasion: there is no such file, and no such built-in size; did you mean fashion?');
      expectRefusal(await cli.run(['tune']), 'MODEL is missing');
      expectRefusal(await cli.run(['tune', 'fashion', '--budget', '60', '--family', 'matmull']), '--budget 60: use a time above 0 with its unit, such as 500ms, 90s or 5min', '--family matmull: unknown; did you mean matmul?');
      expectRefusal(await cli.run(['tune', 'fashion', '--budget', '0s']), '--budget 0s: use a time above 0');
      expectRefusal(await cli.run(['tune', 'fashion', '--size', '30', ...SOFTWARE]), 'height 30 is not divisible by the patch size 8: try 32');
      expectRefusal(await cli.run(['tune', 'fashion', '--out', folder, ...SOFTWARE]), folder);
      expectRefusal(await cli.run(['tune', 'fashion', '--adapter', 'voodoo']), 'none is called "voodoo"');
      const damaged = join(folder, 'damaged.json');
      await writeFile(damaged, '{"format": "pixnerd-tuning", "version": 1, "adapters": {"here": {"row 1x2 f32": 3}}}');
      expectRefusal(await cli.run(['tune', 'fashion', '--out', damaged, ...SOFTWARE]), `${damaged} is not used; correct or remove it:`, "adapters['here']: 'row 1x2 f32': an entry must be a record");
      expect(await readFile(damaged, 'utf8')).toContain('"row 1x2 f32": 3'); // it was not overwritten
    }));
});

describe('tuning', () => {
  test('a dry run lists what there is, and writes nothing', () =>
    inFolder(async (folder) => {
      const { code, out } = await cli.run(['tune', 'fashion', '--dry-run', '--family', 'matmul', ...SOFTWARE], { XDG_CACHE_HOME: folder });
      expect(code).toBe(0);
      expect(out.split('\n')[0]).toMatch(/^ {2}kernel +uses +share +candidates +by the heuristic$/);
      expect(out).toMatch(/matmul 16x1024x128 f32 +2 +\S+ % +\d\d +tile \dx4, depth 4, /);
      expect(out).not.toContain('row ');
      const run = await cli.run(['tune', 'fashion', '--dry-run', '--sampling', '--batch', '2', ...SOFTWARE], { XDG_CACHE_HOME: folder });
      expect([run.code, run.out]).toEqual([0, expect.stringContaining('matmul 4*16x384x128 f32')]);
      await expect(readFile(join(folder, 'pixnerd', 'tuning.json'))).rejects.toThrow('ENOENT');
    }));

  test('keeps to its budget, reports each kind of kernel, and its JSON has the promised fields', () =>
    inFolder(async (folder) => {
      const model = await writeModel(join(folder, 'tiny.safetensors')), table = join(folder, 'tuning.json'), begin = performance.now();
      const { code, out, err } = await cli.run(['tune', model, '--size', '8', '--budget', '3s', '--out', table, ...SOFTWARE]);
      expect([code, err]).toEqual([0, expect.stringContaining('tuning, seconds 3/3')]);
      expect(performance.now() - begin).toBeLessThan(60_000);
      expect(out).toMatch(/\d+ of \d+ kinds of kernels have a better schedule/);
      expect(out).toMatch(/matmul \S+ f32 +\d+ .*(heuristic stays|tile .*) \(\d+ of \d+ tried\)/);
      const found = JSON.parse((await cli.run(['tune', model, '--size', '8', '--budget', '100ms', '--json', '--out', table, ...SOFTWARE])).out) as Record<string, unknown>;
      expect(found).toMatchObject({ model, size: [8, 8], batch: 1, adapter: expect.stringContaining('SwiftShader') });
    }));

  test('Ctrl-C ends it, with what was found', () =>
    inFolder(async (folder) => {
      let sent = false;
      const { code, out, err } = await cli.start(['tune', 'fashion', '--budget', '5min', '--out', join(folder, 'tuning.json'), ...SOFTWARE], (text, child) => {
        if (!sent && text.includes('tuning, seconds')) sent = child.kill('SIGINT');
      });
      expect([code, out]).toEqual([130, expect.stringMatching(/it was ended before its turn\n(.*\n)*\d+ of \d+ kinds of kernels have a better schedule/)]);
      expect(err).toContain('interrupted; what was found until then is kept');
    }));

  test('later runs take the schedules of the user, on that adapter only; a damaged table is no reason to stop', () =>
    inFolder(async (folder) => {
      const model = await writeModel(join(folder, 'tiny.safetensors')), cache = join(folder, 'pixnerd', 'tuning.json'), env = { XDG_CACHE_HOME: folder };
      const about = join(folder, 'adapter.json'), doctor = await cli.run(['doctor', '--json', ...SOFTWARE], env);
      await writeFile(about, doctor.out);
      const { adapter } = JSON.parse((await cli.run(['tune', model, '--size', '8', '--budget', '1ms', '--json', '--out', join(folder, 'none.json'), ...SOFTWARE])).out) as { readonly adapter: string };
      const emitted = async (profile: string): Promise<string> => (await cli.run(['emit', model, '--size', '8', '--stage', 'kernels', '--profile', profile], env)).out;
      const [, key] = /# (matmul \S+ f32), heuristic/.exec(await emitted(about))!;
      const entry = { schedule: { ...SCHEDULES.cpu.matmul, rows: 2, depth: 2, blockDepth: 2, workgroup: [4, 4], broadcast: undefined }, microseconds: 1, heuristicMicroseconds: 2, date: '2026-11-25', checked: 'exact' };
      await mkdir(join(folder, 'pixnerd'), { recursive: true });
      await writeFile(cache, JSON.stringify({ format: 'pixnerd-tuning', version: 1, adapters: { [adapter]: { [key!]: entry } } }));
      expect(await emitted(about)).toContain(`schedule: tile 2x4, depth 2, workgroup 4x4  # ${key}, cache`);
      expect(await emitted('cpu')).toContain(`# ${key}, heuristic`);
      const verified = await cli.run(['verify', model, '--size', '8', ...SOFTWARE], env);
      expect([verified.code, verified.out]).toEqual([0, expect.stringContaining('every kernel stays within its bound')]);
      await writeFile(cache, '{');
      const damaged = await cli.run(['verify', model, '--size', '8', ...SOFTWARE], env);
      expect([damaged.code, damaged.err]).toEqual([0, expect.stringContaining(`${cache} is not used; correct or remove it:`)]);
    }));
});
