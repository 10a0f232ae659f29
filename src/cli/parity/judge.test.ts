import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { judge, judgedTogether, measure, verdictLine } from './judge.ts';
import { limitFor, limitUnder, matchesGlob } from './tolerances.ts';

const GOLDENS = new URL('../../../property-tests/goldens/', import.meta.url);

test('measures', () => {
  expect(measure([1, 2], [1, 2])).toEqual({ relrms: 0, relmax: 0, abs: 0 });
  expect(measure([0, 6], [0, 3])).toEqual({ relrms: 1, relmax: 1, abs: 3 });
  expect(measure([3, 5], [3, 4])).toEqual({ relrms: 0.2, relmax: 0.25, abs: 1 });
  expect(measure([1e-3], [0]).relrms).toBe(1e-3);
});

test('what is over its limit, missing, too short or not a number fails', () => {
  const limit = { relrms: 1e-5, relmax: 5e-5 };
  expect(judge('out.x', [1, 2.000001], [1, 2], limit).ok).toBe(true);
  expect(judge('out.x', [1, 2.0001], [1, 2], limit).ok).toBe(false);
  expect(judge('out.x', [1, NaN], [1, 2], limit).ok).toBe(false);
  expect(judge('out.x', [1, Infinity], [1, 2], limit).ok).toBe(false);
  expect(judge('out.x', [1], [1, 2], limit)).toMatchObject({ ok: false, problem: '1 elements instead of 2' });
  expect(judge('out.x', undefined, [1, 2], limit)).toMatchObject({ ok: false, problem: 'not checked: nothing computes it' });
  expect(judge('out.x', [1, 2], [1, 2], undefined).ok).toBe(false);
  expect(judge('out.x', [1, 2 ** -50], [1, 0], { exact: true }).ok).toBe(false);
  expect(judge('out.x', [1, 0], [1, 0], { exact: true }).ok).toBe(true);
  expect(judge('out.x', [1.1], [1], { abs: 0.2 }).ok).toBe(true);
  expect(verdictLine(judge('out.x', [1, 2], [1, 2], limit), 5)).toBe('  ok    out.x  relrms 0  relmax 0  (limit relrms 1e-5, relmax 5e-5)');
});

test('parameters that are each within reach of a run that never moved fail together', () => {
  const limit = { abs: 3e-3, rms_over_all_parameters: 1e-5 };
  const wanted = new Map<string, readonly number[]>([['out.a.param.w', [1, 2]], ['out.a.param.b', [3]], ['out.a.ema.w', [1, 2]], ['out.a.losses', [1]]]);
  const judged = (values: Readonly<Record<string, readonly number[]>>) => judgedTogether([...wanted].map(([name, want]) => judge(name, values[name], want, limit)), values, wanted);
  const exact = Object.fromEntries(wanted);
  expect(judged(exact).map(({ ok }) => ok)).toEqual([true, true, true, true]);
  expect(judged({ ...exact, 'out.a.param.b': [3 + 1e-5] }).every(({ ok }) => ok)).toBe(true);
  const unmoved = judged({ ...exact, 'out.a.param.b': [3.001] }); // the other parameters of the run fail with it, averages and losses do not
  expect(unmoved.map(({ ok }) => ok)).toEqual([false, false, true, true]);
  expect(unmoved[0]!.problem).toBe('the differences of all out.a.param.* together have rms 5.8e-4, at most 1e-5 is right');
  expect(judged({ ...exact, 'out.a.losses': [1.001] }).every(({ ok }) => ok)).toBe(true);
});

test('globs', () => {
  expect(matchesGlob('blocks/uint8.safetensors', 'blocks/{patchify,uint8}*')).toBe(true);
  expect(matchesGlob('out.o3_g1.x', '*o[34]*')).toBe(true);
  expect(matchesGlob('out.o2_g1.x', '*o[34]*')).toBe(false);
  expect(matchesGlob('out.case.net_t', '*.{solver_coeffs,timesteps,net_t}')).toBe(true);
  expect(matchesGlob('xblocks/a', 'blocks/*')).toBe(false);
});

interface Rule {
  readonly file: string;
  readonly tensor: string;
  readonly relrms?: number;
  readonly relmax?: number;
  readonly abs?: number;
  readonly exact?: boolean;
}
const { rules } = JSON.parse(readFileSync(new URL('tolerances.json', GOLDENS), 'utf8')) as { readonly rules: readonly Rule[] };

test('our rules are those of the golden set', () => {
  expect(JSON.parse(readFileSync(new URL('tolerances.json', import.meta.url), 'utf8'))).toEqual(
    JSON.parse(readFileSync(new URL('tolerances.json', GOLDENS), 'utf8')),
  );
});

const headerOf = (file: string): { readonly metadata: Record<string, string>; readonly tensors: readonly string[] } => {
  const bytes = readFileSync(new URL(file, GOLDENS));
  const { __metadata__: metadata, ...tensors } = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()) as Record<
    string,
    Record<string, string>
  >; // the format
  return { metadata: metadata!, tensors: Object.keys(tensors) };
};
const FILES = ['', 'blocks/', 'ckpt/']
  .flatMap((folder) =>
    readdirSync(new URL(folder, GOLDENS))
      .filter((name) => name.endsWith('.safetensors'))
      .map((name) => folder + name),
  )
  .filter((file) => headerOf(file).metadata['kind'] !== undefined);

test('every tensor of every golden has the limit of the first rule that matches, wherever the file lies', () => {
  expect(FILES.length).toBeGreaterThan(30);
  for (const file of FILES) {
    const { metadata, tensors } = headerOf(file);
    for (const tensor of tensors.filter((name) => /^(out|out64|mid|param)\./.test(name))) {
      const {
        file: _file,
        tensor: _tensor,
        ...limit
      } = rules.find((rule) => matchesGlob(file, rule.file) && matchesGlob(tensor, rule.tensor)) ?? { file: '', tensor: '' };
      expect(limitFor(`/some/where/${file}`, metadata, tensor), `${file} ${tensor}`).toEqual(limit);
      expect(limitFor(`copy/${file.split('/').at(-1)}`, metadata, tensor), `flat ${file} ${tensor}`).toEqual(limit);
    }
  }
});

test('a file of another name is judged by what its metadata say', () => {
  expect(limitFor('mine.safetensors', { kind: 'block', class: 'layers.RMSNorm' }, 'out.y')).toEqual({ relrms: 5e-6, relmax: 3e-5 });
  expect(limitFor('mine.safetensors', { kind: 'block', class: 'torch.nn.functional.unfold / fold' }, 'out.case0.tokens')).toEqual({ exact: true });
  expect(limitFor('mine.safetensors', { kind: 'c2i forward' }, 'mid.block0')).toEqual({ relrms: 1e-5, relmax: 5e-5 });
  expect(limitFor('mine.safetensors', { kind: 'checkpoint' }, 'param.x')).toEqual({ exact: true });
  expect(limitFor('mine.safetensors', { kind: 'sampler', config: '{"net": "v"}' }, 'out.o3_g.x_final')).toEqual({ relrms: 6e-5, relmax: 1e-4 });
  expect(limitFor('mine.safetensors', { kind: 'sampler', checkpoint: 'a.ckpt' }, 'out.a.x_final')).toEqual({ relrms: 1e-4, relmax: 1e-3 });
  expect(limitFor('mine.safetensors', { kind: 'something' }, 'out.x')).toBeUndefined();
});

test('limits are wider under f16 and int8, up to a cap, and exact ones stay exact', () => {
  const limit = { relrms: 1e-5, relmax: 5e-5 };
  expect(limitUnder(limit, {})).toEqual(limit);
  expect(limitUnder(limit, { precision: 'mixed' })).toEqual({ relrms: 1e-5 * 512, relmax: 5e-5 * 512 });
  expect(limitUnder(limit, { weights: 'int8' })).toEqual({ relrms: 1e-5 * 4096, relmax: 5e-5 * 4096 });
  expect(limitUnder({ relrms: 4e-4, relmax: 2e-3 }, { precision: 'f16' })).toEqual({ relrms: 2 ** -6, relmax: 2 ** -4 });
  expect(limitUnder({ relrms: 0.3 }, { precision: 'f16' })).toEqual({ relrms: 0.3 });
  expect(limitUnder({ exact: true }, { weights: 'int8' })).toEqual({ exact: true });
  expect(limitUnder({ abs: 1e-5 }, { weights: 'int8' })).toEqual({ abs: 1e-5 });
});
