import { open } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { bytesOf, call, checkpointEntries, dict, global, int, list, pickleOf, tensor, text, tuple, zipOf, zipPieces } from './checkpoint-fixture.ts';
import type { Code, FixtureEntry } from './checkpoint-fixture.ts';
import { checkpointOf } from './checkpoint.ts';
import { attempt } from './errors.ts';
import type { FileError } from './errors.ts';
import { openTensorFile } from './open.ts';
import { memoryAccess } from './random-access.ts';
import { readFloat32, readFloat64 } from './tensor-file.ts';
import type { TensorFile } from './tensor-file.ts';
import { inFolder, opened, refused } from './test-folder.ts';

const openBytes = (bytes: Uint8Array): Promise<E.Either<FileError, TensorFile>> =>
  attempt('x.ckpt', () => checkpointOf(memoryAccess(bytes, 'x.ckpt')))();

const faultOf = async (bytes: Uint8Array): Promise<FileError> => refused(await openBytes(bytes));

const six = bytesOf(Float32Array.of(0, 1, 2, 3, 4, 5));
const withState = (state: Record<string, Code>): Code => dict({ state_dict: dict(state) });
const oneTensor = (entry: Code): Uint8Array => zipOf(checkpointEntries(withState({ w: entry }), { 0: six }));
const plain = tensor({ elements: 6, shape: [2, 3], stride: [3, 1] });

test.each([
  ['c2i_f32', 'c2i_f32'],
  ['c2i_bf16', 'c2i_bf16'],
  ['c2i_mixed', 'c2i_mixed'],
  ['c2i_zip64', 'c2i_f32'],
])('%s.ckpt: every averaged weight is exactly the expected one', async (name, expectedName) => {
  const folder = 'property-tests/goldens/ckpt';
  const file = opened(await openTensorFile(`${folder}/${name}.ckpt`)());
  const expected = opened(await openTensorFile(`${folder}/${expectedName}_expected.safetensors`)());
  const params = [...expected.tensors.keys()].filter((key) => key.startsWith('param.'));
  expect(params.length).toBe(27);
  for (const param of params) {
    const key = param.replace('param.', 'ema_denoiser.');
    expect(file.tensors.get(key)?.shape).toEqual(expected.tensors.get(param)?.shape);
    expect(await readFloat32(file, key)).toEqual(await readFloat32(expected, param));
  }
  await Promise.all([file.close(), expected.close()]);
});

test('names, shapes and formats of the mixed checkpoint are those that its golden lists', async () => {
  const folder = 'property-tests/goldens/ckpt';
  const file = opened(await openTensorFile(`${folder}/c2i_mixed.ckpt`)());
  const expected = opened(await openTensorFile(`${folder}/c2i_mixed_expected.safetensors`)());
  const listed: Record<string, [string, number[]]> = JSON.parse(expected.metadata['state_dict']!);
  const words: Record<string, string> = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16', I64: 'int64', BOOL: 'bool' };
  expect(Object.fromEntries([...file.tensors].map(([name, { dtype, shape }]) => [name, [words[dtype], shape]]))).toEqual(listed);
  expect(new Set([...file.tensors.values()].map(({ dtype }) => dtype)).size).toBeGreaterThan(4);
  expect(file.metadata).toMatchObject({ epoch: '3', global_step: '4242', 'pytorch-lightning_version': '2.4.0' });
  for (const name of file.tensors.keys()) expect((await readFloat64(file, name)).length).toBeGreaterThanOrEqual(0);
  await Promise.all([file.close(), expected.close()]);
});

test('views: offset, transposed, expanded, scalar and empty tensors of one storage', async () => {
  const state = {
    offset: tensor({ elements: 6, offset: 2, shape: [3], stride: [1] }),
    transposed: tensor({ elements: 6, shape: [3, 2], stride: [1, 3] }),
    everyOther: tensor({ elements: 6, offset: 1, shape: [3], stride: [2] }),
    expanded: tensor({ elements: 6, offset: 4, shape: [2, 2], stride: [0, 1] }),
    scalar: tensor({ elements: 6, offset: 5, shape: [], stride: [] }),
    empty: tensor({ elements: 6, shape: [0, 4], stride: [4, 1] }),
  };
  const file = opened(await openBytes(zipOf(checkpointEntries(withState(state), { 0: six }))));
  const values = await Promise.all([...file.tensors.keys()].map(async (name) => [...(await readFloat32(file, name))]));
  expect(values).toEqual([[2, 3, 4], [0, 3, 1, 4, 2, 5], [1, 3, 5], [4, 5, 4, 5], [5], []]);
});

test('all storage types, and the newer form that names its format itself', async () => {
  const untyped = call(
    global('torch._utils', '_rebuild_tensor_v3'),
    [...tuple(text('storage'), global('torch.storage', 'UntypedStorage'), text('u'), text('cpu'), int(4)), 'Q'.charCodeAt(0)],
    int(1), tuple(int(1)), tuple(int(1)), [0x89], tuple(), global('torch', 'uint16'),
  ); // prettier-ignore
  const types = { DoubleStorage: Float64Array, LongStorage: BigInt64Array, IntStorage: Int32Array, ShortStorage: Int16Array, CharStorage: Int8Array };
  const state = Object.fromEntries(Object.keys(types).map((type) => [type, tensor({ key: type, type, elements: 2, shape: [2], stride: [1] })]));
  const data = Object.fromEntries(
    Object.entries(types).map(([type, Typed]) => [
      type,
      bytesOf(Typed === BigInt64Array ? Typed.of(-3n, 7n) : (Typed as Int8ArrayConstructor).of(-3, 7)),
    ]),
  );
  const file = opened(await openBytes(zipOf(checkpointEntries(withState({ ...state, untyped }), { ...data, u: Uint8Array.of(1, 2, 3, 4) }))));
  for (const type of Object.keys(types)) expect([...(await readFloat32(file, type))]).toEqual([-3, 7]);
  expect([...(await readFloat32(file, 'untyped'))]).toEqual([0x0403]);
});

test('a parameter, an OrderedDict with attributes and odd values beside the weights are no obstacle', async () => {
  const ordered = [
    ...call(global('collections', 'OrderedDict')),
    0x28,
    ...text('w'),
    ...call(global('torch._utils', '_rebuild_parameter'), plain),
    0x75,
  ];
  const top = dict({
    state_dict: [...ordered, ...dict({ _metadata: dict({}) }), 'b'.charCodeAt(0)],
    hyper_parameters: [...call(global('argparse', 'Namespace')), ...dict({ lr: int(1) }), 'b'.charCodeAt(0)],
    path: call(global('pathlib', 'PosixPath'), text('/'), text('data')),
    partial: call(global('functools', 'partial'), global('torch.optim.adamw', 'AdamW')),
    numbers: list(int(-5), [0x8a, 12, ...new Array<number>(12).fill(0xff)], call(global('__builtin__', 'set'), list(int(1)))),
    epoch: int(-1),
  });
  const file = opened(await openBytes(zipOf(checkpointEntries(top, { 0: six }))));
  expect([...(await readFloat32(file, 'w'))]).toEqual([0, 1, 2, 3, 4, 5]);
  expect(file.metadata).toEqual({ epoch: '-1' });
});

test('a bare state_dict is read as one', async () => {
  const file = opened(await openBytes(zipOf(checkpointEntries(dict({ w: plain }), { 0: six }), true)));
  expect([...file.tensors.keys()]).toEqual(['w']);
});

test.each([
  ['posix', 'system', text('touch hacked')],
  ['os', 'system', text('true')],
  ['nt', 'system', text('true')],
  ['subprocess', 'Popen', text('true')],
  ['builtins', 'eval', text('1')],
  ['builtins', 'exec', text('1')],
  ['__builtin__', '__import__', text('os')],
  ['builtins', 'getattr', text('x')],
  ['sys', 'exit', int(1)],
  ['runpy', 'run_path', text('x')],
  ['importlib', 'import_module', text('os')],
  ['torch.hub', 'load', text('x')],
  ['torch', 'serialization.os.system', text('x')],
  ['types', 'FunctionType', text('x')],
  ['copyreg', 'add_extension', text('x')],
])('a pickle that calls %s.%s is refused by name', async (module, name, argument) => {
  const attack = call(global(module, name), argument);
  const fault = await faultOf(zipOf(checkpointEntries(dict({ state_dict: dict({ w: plain }), hyper_parameters: attack }), { 0: six })));
  expect(fault).toMatchObject({ kind: 'unsafe', path: 'x.ckpt' });
  expect(fault.message).toContain(`${module}.${name}`);
});

const bad: readonly (readonly [string, Uint8Array, FileError['kind'], string])[] = [
  [
    'a window beyond its storage', oneTensor(tensor({ elements: 6, offset: 1, shape: [2, 3], stride: [3, 1] })),
    'corrupt', 'reaches element 6 of a storage of 6',
  ],
  ['strides beyond it', oneTensor(tensor({ elements: 6, shape: [2, 3], stride: [5, 1] })), 'corrupt', 'reaches element 7'],
  ['a huge shape', oneTensor(tensor({ elements: 6, shape: [2 ** 30, 2 ** 30], stride: [0, 0] })), 'corrupt', 'far larger than its storage'],
  ['a shape beyond all numbers', oneTensor(tensor({ elements: 6, shape: [2 ** 50, 2 ** 50], stride: [2 ** 50, 1] })), 'corrupt', 'reaches element'],
  ['a shorter storage', oneTensor(tensor({ elements: 7, shape: [1], stride: [1] })), 'truncated', 'should have 28 bytes, but has 24'],
  ['a missing storage', oneTensor(tensor({ key: '9', elements: 6, shape: [1], stride: [1] })), 'corrupt', 'archive/data/9 is not in the file'],
  ['a negative offset', oneTensor(tensor({ elements: 6, offset: -1, shape: [1], stride: [1] })), 'corrupt', 'not described as torch.save does'],
  ['no tensors', zipOf(checkpointEntries(dict({ epoch: int(1) }), {})), 'unsupported', 'neither a state_dict nor tensors; its entries are epoch'],
  ['no dict', zipOf(checkpointEntries(list(int(1)), {})), 'unsupported', 'is not a dict'],
  ['no data.pkl', zipOf([{ name: 'a/b', data: six }]), 'corrupt', 'no PyTorch checkpoint'],
  ['two data.pkl', zipOf([{ name: 'a/data.pkl', data: six }, { name: 'b/data.pkl', data: six }]), 'corrupt', 'has 2 files'],
  ['an empty pickle', zipOf([{ name: 'a/data.pkl', data: new Uint8Array(0) }]), 'corrupt', 'ends in the middle of a value'],
  ['a call of a number', zipOf(checkpointEntries(call(int(1)), {})), 'corrupt', 'no constructor'],
  ['an unknown opcode', zipOf([{ name: 'a/data.pkl', data: Uint8Array.of(0x80, 2, 0xff) }]), 'corrupt', 'unknown opcode 0xff at byte 2'],
  [
    'big-endian numbers',
    zipOf([...checkpointEntries(dict({ w: plain }), { 0: six }), { name: 'archive/byteorder', data: new TextEncoder().encode('big') }]),
    'unsupported', 'big-endian',
  ],
]; // prettier-ignore

test.each(bad)('%s is refused', async (_, bytes, kind, sentence) => {
  const fault = await faultOf(bytes);
  expect(fault.message).toContain(sentence);
  expect(fault.kind).toBe(kind);
});

test('a zip bomb is refused before anything is unpacked', async () => {
  const bomb: FixtureEntry = { name: 'archive/data.pkl', data: new Uint8Array(1000), method: 8, unpackedSize: 2 ** 31 - 1 };
  expect(await faultOf(zipOf([bomb]))).toMatchObject({ kind: 'unsafe', message: expect.stringMatching(/compressed 2147484:1 .*zip bomb/) });
});

test('every truncation of a checkpoint is an error value', async () => {
  const whole = zipOf(checkpointEntries(withState({ w: plain }), { 0: six }));
  for (let length = 0; length < whole.length; length++) {
    const fault = await faultOf(whole.slice(0, length));
    expect(['truncated', 'corrupt']).toContain(fault.kind);
  }
});

test('damaged bytes never cause anything but an error value or other numbers', async () => {
  const whole = zipOf(checkpointEntries(withState({ w: plain, v: tensor({ elements: 6, shape: [3, 2], stride: [1, 3] }) }), { 0: six }), true);
  const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = whole.slice();
      for (const [at, value] of changes) bytes[at] = value;
      const result = await openBytes(bytes);
      if (E.isRight(result)) for (const name of result.right.tensors.keys()) await attempt('x', () => readFloat32(result.right, name))();
    }),
    { numRuns: 2000 },
  );
});

test('random opcodes never cause anything but an error value', async () => {
  const opcodes = fc.constantFrom(
    ...Array.from('()0123 NIXcRbQPpqrghjaesutdl}].', (c) => c.charCodeAt(0)),
    0x80,
    0x81,
    0x85,
    0x86,
    0x87,
    0x88,
    0x8a,
    0x8c,
    0x92,
    0x93,
    0x94,
  );
  const code = fc.array(fc.oneof(opcodes, opcodes, fc.nat(255)), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(code, async (bytes) => {
      await openBytes(zipOf([{ name: 'a/data.pkl', data: Uint8Array.from(bytes) }]));
    }),
    { numRuns: 2000 },
  );
});

test('a checkpoint of 5 GB is opened and read in little memory', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'big.ckpt');
    const elements = 5e9 / 4;
    const state = {
      huge: tensor({ elements, shape: [elements], stride: [1] }),
      'end of huge': tensor({ elements, offset: elements - 3, shape: [3], stride: [1] }),
      last: tensor({ key: '1', elements: 6, shape: [6], stride: [1] }),
    };
    const handle = await open(path, 'w');
    for (const { at, bytes } of zipPieces(checkpointEntries(withState(state), { 0: 5e9, 1: six }, 'big'), true))
      await handle.write(bytes, 0, bytes.length, at);
    await handle.close();
    const before = process.memoryUsage().rss;
    const file = opened(await openTensorFile(path)());
    expect([...(await readFloat32(file, 'last'))]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...(await readFloat32(file, 'end of huge'))]).toEqual([0, 0, 0]);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
    await file.close();
  }));

test('what is no file is said to be none', async () => {
  expect(await openTensorFile('no-such.ckpt')()).toEqual(
    E.left({ kind: 'not-found', path: 'no-such.ckpt', message: 'no-such.ckpt: there is no such file' }),
  );
  expect(refused(await openTensorFile('src')()).kind).toBe('not-found');
});

test('a pickle is data: the fixture really is a pickle that Python would read', () => {
  expect([...pickleOf(tuple(int(1)))]).toEqual([0x80, 2, 0x28, 0x8a, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0x74, 0x2e]);
});
