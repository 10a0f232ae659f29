import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { bytesOf, checkpointEntries, dict, tensor, zipOf } from './checkpoint-fixture.ts';
import { checkWeights } from './check-weights.ts';
import { shapesOf } from './infer-config.ts';
import { openTensorFile, openWeights } from './open.ts';
import { memoryAccess } from './random-access.ts';
import { safetensorsOf } from './safetensors.ts';
import type { TensorToWrite } from './safetensors-write.ts';
import { inFolder, opened, refused } from './test-folder.ts';
import { weightsOf } from './weights.ts';
import type { Weights } from './weights.ts';
import { writeSafetensors } from './write.ts';

const goldens = 'property-tests/goldens/ckpt';

const f32 = (name: string, ...values: number[]): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  data: () => Float32Array.from(values),
});

const withTensors = <A>(tensors: readonly TensorToWrite[], use: (path: string) => Promise<A>): Promise<A> =>
  inFolder(async (folder) => {
    const path = join(folder, 'w.safetensors');
    opened(await writeSafetensors(path, tensors)());
    return use(path);
  });

const read = async (weights: Weights, name: string): Promise<number[]> => [...opened(await weights.read(name)())];

test('a checkpoint gives the averaged weights, and the plain ones on request', async () => {
  const averaged = opened(await openWeights(`${goldens}/c2i_f32.ckpt`)());
  const plain = opened(await openWeights(`${goldens}/c2i_f32.ckpt`, { prefix: 'denoiser.' })());
  const raw = opened(await openTensorFile(`${goldens}/c2i_f32.ckpt`)());
  expect([averaged.prefix, plain.prefix, averaged.format]).toEqual(['ema_denoiser.', 'denoiser.', 'checkpoint']);
  expect([...averaged.groups]).toEqual([['denoiser.', 27], ['ema_denoiser.', 27], ['diffusion_trainer.', 6]]); // prettier-ignore
  expect(averaged.names()).toEqual(plain.names());
  expect(await read(averaged, 'final_layer.linear.bias')).not.toEqual(await read(plain, 'final_layer.linear.bias'));
  expect(raw.tensors.get('ema_denoiser.final_layer.linear.bias')).toMatchObject({ shape: [3], dtype: 'F32' });
  await Promise.all([averaged.close(), plain.close(), raw.close()]);
});

test('a golden gives its parameters, not its inputs', async () => {
  const weights = opened(await openWeights(`${goldens}/c2i_f32_expected.safetensors`)());
  expect([weights.prefix, weights.names().length, weights.format]).toEqual(['param.', 27, 'safetensors']);
  await weights.close();
});

test('plain names are taken as they are', () =>
  withTensors([f32('blocks.0.a', 1), f32('y', 2)], async (path) => {
    const weights = opened(await openWeights(path)());
    expect([weights.prefix, weights.names(), [...weights.groups]]).toEqual(['', ['blocks.0.a', 'y'], [['', 2]]]);
    expect(await read(weights, 'y')).toEqual([2]);
    await weights.close();
  }));

test('a prefix that is not there is an error that says what is', () =>
  withTensors([f32('ema_denoiser.a', 1), f32('other', 1)], async (path) => {
    const fault = refused(await openWeights(path, { prefix: 'denoiser.' })());
    expect(fault).toMatchObject({
      kind: 'missing',
      message: `${path}: there are no tensors denoiser.* in the file; it has 1 tensors ema_denoiser.*, 1 tensors without a prefix`,
    });
  }));

test('a file without tensors has no weights', () =>
  withTensors([], async (path) => {
    expect(refused(await openWeights(path)()).message).toContain('it has no tensors at all');
  }));

test('what the file is is seen from its content, not from its name', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'weights.bin');
    await copyFile(`${goldens}/c2i_zip64.ckpt`, path);
    const weights = opened(await openWeights(path)());
    expect(weights.format).toBe('checkpoint');
    await weights.close();
    await writeFile(path, Uint8Array.of(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20));
    expect(refused(await openWeights(path)())).toMatchObject({ kind: 'unsupported', message: expect.stringContaining('from before 1.6') });
    await writeFile(path, 'no weights at all, just a text');
    expect(refused(await openWeights(path)())).toMatchObject({ kind: 'corrupt', message: expect.stringContaining('no safetensors file') });
  }));

test.each([0x4b50, 0x0280])('a header whose length looks like another format (%i bytes) is no obstacle', (length) =>
  inFolder(async (folder) => {
    const path = join(folder, 'odd.safetensors');
    const text = JSON.stringify({ w: { dtype: 'U8', shape: [1], data_offsets: [0, 1] } }).padEnd(length);
    await writeFile(path, Uint8Array.from([length & 255, length >> 8, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(text), 7]));
    const weights = opened(await openWeights(path)());
    expect(await read(weights, 'w')).toEqual([7]);
    await weights.close();
  }),
);

test('a folder stands for the weights in it', () =>
  inFolder(async (folder) => {
    expect(refused(await openWeights(folder)())).toMatchObject({
      kind: 'not-found',
      message: expect.stringContaining('model.safetensors.index.json'),
    });
    opened(await writeSafetensors(join(folder, 'model.safetensors'), [f32('a', 1)])());
    const single = opened(await openWeights(folder)());
    expect(single.names()).toEqual(['a']);
    await single.close();
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: 'model.safetensors' } }));
    const sharded = opened(await openWeights(folder)());
    expect(await read(sharded, 'a')).toEqual([1]);
    await sharded.close();
  }));

test('NaN and infinities are found with tensor and index, unless they are allowed', () =>
  withTensors([{ ...f32('ema_denoiser.w', 1, 2, 3, 4, NaN, 6), shape: [2, 3] }, f32('ema_denoiser.v', -Infinity)], async (path) => {
    const weights = opened(await openWeights(path)());
    const fault = refused(await weights.read('w')());
    expect(fault).toMatchObject({ kind: 'non-finite', message: expect.stringContaining('tensor ema_denoiser.w has the value NaN at [1, 1]') });
    expect(refused(await weights.read('v')()).message).toContain('-Infinity at [0]');
    await weights.close();
    const lenient = opened(await openWeights(path, { allowNonFinite: true })());
    expect(await read(lenient, 'w')).toEqual([1, 2, 3, 4, NaN, 6]);
    await lenient.close();
  }));

test('a half-precision checkpoint with NaN is refused when it is read', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'nan.ckpt');
    const half = tensor({ type: 'HalfStorage', elements: 2, shape: [2], stride: [1] });
    await writeFile(
      path,
      zipOf(checkpointEntries(dict({ state_dict: dict({ 'denoiser.w': half }) }), { 0: bytesOf(Uint16Array.of(0x3c00, 0x7e00)) })),
    );
    const weights = opened(await openWeights(path)());
    expect(refused(await weights.read('w')())).toMatchObject({ kind: 'non-finite', message: expect.stringContaining('at [1]') });
    await weights.close();
  }));

test('a number format that is not read matters only among the chosen weights', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'complex.ckpt');
    const complex = tensor({ type: 'ComplexFloatStorage', elements: 1, shape: [1], stride: [1] });
    const state = dict({ 'denoiser.w': complex, 'ema_denoiser.w': tensor({ elements: 2, shape: [2], stride: [1] }) });
    await writeFile(path, zipOf(checkpointEntries(dict({ state_dict: state }), { 0: new Uint8Array(8) })));
    const weights = opened(await openWeights(path)());
    expect(await read(weights, 'w')).toEqual([0, 0]);
    await weights.close();
    const fault = refused(await openWeights(path, { prefix: 'denoiser.' })());
    expect(fault).toMatchObject({ kind: 'unsupported', message: expect.stringContaining('tensor denoiser.w: torch.ComplexFloatStorage') });
  }));

test('a tensor larger than any memory is an error value', async () => {
  const size = 2 ** 43;
  const header = JSON.stringify({ w: { dtype: 'F64', shape: [size / 8], data_offsets: [0, size] } }).padEnd(120);
  const start = memoryAccess(Uint8Array.from([120, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode(header)]));
  const read = async (offset: number, length: number) => (offset < start.size ? start.read(offset, length) : new Uint8Array(length));
  const weights = weightsOf(await safetensorsOf({ ...start, size: start.size + size, read }));
  expect(refused(await weights.read('w')())).toMatchObject({ kind: 'unsupported', message: expect.stringContaining('larger than the memory') });
});

test('a truncated tensor, found on reading or before, and a name that is not there', () =>
  withTensors([f32('a', 1)], async (path) => {
    const weights = opened(await openWeights(path)());
    await writeFile(path, 'short');
    expect(refused(await weights.read('a')()).kind).toBe('truncated');
    expect(refused(await weights.read('b')()).kind).toBe('missing');
    await weights.close();
  }));

test('missing, extra, misshapen and integer tensors are one error', () =>
  withTensors(
    [
      f32('denoiser.same', 1),
      f32('denoiser.shape', 1, 2),
      f32('denoiser.extra', 1),
      { name: 'denoiser.int', dtype: 'I64', shape: [1], data: () => BigInt64Array.of(1n) },
    ],
    async (path) => {
      const weights = opened(await openWeights(path)());
      const expected = new Map([['same', [1]], ['shape', [1, 2]], ['int', [1]], ['missing', [3]]]); // prettier-ignore
      const fault = refused(checkWeights(weights, expected));
      expect(fault.message).toBe(`${path}: the tensors do not fit the model (names after the prefix denoiser.)
  missing (1):
    missing
  not of this model (1):
    extra
  of another shape (1):
    shape is [2], the model needs [1, 2]
  not floating-point (1):
    int is I64`);
      expect(fault).toMatchObject({
        kind: 'mismatch',
        mismatch: { missing: ['missing'], extra: ['extra'], wrongShape: [{ name: 'shape', got: [2], want: [1, 2] }] },
      });
      await weights.close();
    },
  ));

test('a long list is cut in the message and whole in the value; what fits passes', () =>
  withTensors([f32('a', 1)], async (path) => {
    const weights = opened(await openWeights(path)());
    const many = new Map(Array.from({ length: 500 }, (_, i): [string, number[]] => [`layer.${i}`, [1]]));
    const fault = refused(checkWeights(weights, many));
    expect(fault.mismatch?.missing.length).toBe(500);
    expect(fault.message.split('\n').length).toBeLessThan(20);
    expect(fault.message).toContain('... and 488 more');
    expect(checkWeights(weights, shapesOf(weights))).toEqual(E.right(weights));
    await weights.close();
  }));
