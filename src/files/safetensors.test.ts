import { open, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { bytesOf } from './checkpoint-fixture.ts';
import { byteWidth, fileDTypes, isFileDType } from './dtype.ts';
import { attempt } from './errors.ts';
import type { FileError } from './errors.ts';
import { openTensorFile } from './open.ts';
import { memoryAccess } from './random-access.ts';
import { safetensorsPieces } from './safetensors-write.ts';
import type { TensorToWrite } from './safetensors-write.ts';
import { safetensorsOf } from './safetensors.ts';
import { elementCount, readFloat32 } from './tensor-file.ts';
import type { TensorFile } from './tensor-file.ts';
import { inFolder, opened, refused } from './test-folder.ts';
import { writeSafetensors } from './write.ts';

const openBytes = (bytes: Uint8Array): Promise<E.Either<FileError, TensorFile>> => attempt('x', () => safetensorsOf(memoryAccess(bytes, 'x')))();

/** A file with this header text and so many bytes of data. */
const fileWith = (header: string, dataLength: number, announced = new TextEncoder().encode(header).length): Uint8Array => {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + dataLength);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(announced), true);
  bytes.set(text, 8);
  return bytes;
};

const entry = (dtype: string, shape: readonly number[], begin: number, end: number): object => ({ dtype, shape, data_offsets: [begin, end] });
const header = (entries: object): string => JSON.stringify(entries);

const f32 = (name: string, ...values: number[]): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  data: () => Float32Array.from(values),
});

test('a file with every kind of entry is read', async () => {
  const text = header({ __metadata__: { a: 'b' }, w: entry('F32', [2, 1], 0, 8), empty: entry('I64', [0, 3], 8, 8), scalar: entry('U8', [], 8, 9) });
  const file = opened(await openBytes(fileWith(`${text}   `, 9)));
  expect(file.metadata).toEqual({ a: 'b' });
  expect([...file.tensors.keys()]).toEqual(['w', 'empty', 'scalar']);
  expect([...(await readFloat32(file, 'w'))]).toEqual([0, 0]);
  expect((await readFloat32(file, 'empty')).length).toBe(0);
  expect([...(await readFloat32(file, 'scalar'))]).toEqual([0]);
  expect(await attempt('x', () => readFloat32(file, 'none'))()).toMatchObject(
    E.left({ kind: 'missing', message: expect.stringContaining('no tensor none') }),
  );
});

const bad: readonly (readonly [string, Uint8Array, FileError['kind'], string])[] = [
  ['an empty file', new Uint8Array(0), 'truncated', '0 bytes are too few'],
  ['a header length over the file', fileWith('{}', 0, 1000), 'truncated', 'should have 1000 bytes'],
  ['a header length of petabytes', fileWith('{}', 0, 2 ** 52), 'corrupt', 'no safetensors file'],
  ['text that is no JSON', fileWith('{"a":', 0), 'corrupt', 'not JSON'],
  ['bytes that are no text', fileWith('{}', 8, 9).fill(255, 8), 'corrupt', 'not UTF-8'],
  ['a JSON list', fileWith('[]', 0), 'corrupt', 'not a JSON object'],
  ['an unknown dtype', fileWith(header({ w: entry('F31', [1], 0, 4) }), 4), 'unsupported', 'tensor w: dtype F31 is not known (known: BOOL'],
  ['no dtype', fileWith(header({ w: { shape: [1], data_offsets: [0, 4] } }), 4), 'unsupported', 'dtype undefined'],
  [
    'a wrong dtype for its bytes', fileWith(header({ w: entry('F64', [1], 0, 4) }), 4),
    'corrupt', 'shape [1] of F64 needs 8 bytes, its offsets span 4',
  ],
  ['a negative size', fileWith(header({ w: entry('F32', [-1], 0, 4) }), 4), 'corrupt', 'not a list of sizes'],
  ['a broken size', fileWith(header({ w: entry('F32', [0.5], 0, 2) }), 2), 'corrupt', 'not a list of sizes'],
  ['a shape that is no list', fileWith('{"w":{"dtype":"F32","shape":4,"data_offsets":[0,4]}}', 4), 'corrupt', 'not a list of sizes'],
  ['a product beyond all numbers', fileWith(header({ w: entry('F32', [2 ** 40, 2 ** 40], 0, 4) }), 4), 'corrupt', 'too large'],
  ['offsets past the end', fileWith(header({ w: entry('F32', [2], 0, 8) }), 4), 'truncated', 'is the download complete'],
  ['offsets the wrong way round', fileWith(header({ w: entry('F32', [1], 4, 0) }), 4), 'corrupt', 'its offsets span -4'],
  ['one offset', fileWith('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', 4), 'corrupt', 'not a pair'],
  ['tensors that overlap', fileWith(header({ v: entry('F32', [2], 0, 8), w: entry('F32', [2], 4, 12) }), 12), 'corrupt', 'tensor w overlaps'],
  ['tensors at one place', fileWith(header({ v: entry('F32', [1], 0, 4), w: entry('F32', [1], 0, 4) }), 4), 'corrupt', 'overlaps'],
  [
    'a hole', fileWith(header({ v: entry('F32', [1], 0, 4), w: entry('F32', [1], 8, 12) }), 12),
    'corrupt', '4 bytes before tensor w belong to no tensor',
  ],
  ['a left-over', fileWith(header({ v: entry('F32', [1], 0, 4) }), 9), 'corrupt', 'the last 5 bytes belong to no tensor'],
  [
    'a name twice',
    fileWith('{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0077":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    'corrupt', 'lists "w" twice',
  ],
  ['a field twice', fileWith('{"w":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', 1), 'corrupt', 'lists "dtype" twice'],
  ['metadata of numbers', fileWith(header({ __metadata__: { a: 1 } }), 0), 'corrupt', 'entry a is not a string'],
  ['an entry that is null', fileWith('{"w":null}', 0), 'corrupt', 'its entry is not an object'],
]; // prettier-ignore

test.each(bad)('%s is refused', async (_, bytes, kind, sentence) => {
  const fault = refused(await openBytes(bytes));
  expect(fault.message).toContain(sentence);
  expect(fault).toMatchObject({ kind, path: 'x' });
});

test('a tensor called __proto__ is a tensor like any other', async () => {
  const file = opened(await openBytes(fileWith('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1)));
  expect([...file.tensors.keys()]).toEqual(['__proto__']);
});

const arbitraryTensors = fc
  .uniqueArray(
    fc.record({
      name: fc.string({ unit: 'grapheme' }),
      dtype: fc.constantFrom(...fileDTypes.filter(isFileDType)),
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
    }),
    {
      selector: ({ name }) => name,
      maxLength: 6,
    },
  )
  .filter((tensors) => tensors.every(({ name }) => name !== '__metadata__'));

test('what is written is read back: names, shapes, formats, bytes, metadata', async () => {
  await fc.assert(
    fc.asyncProperty(arbitraryTensors, fc.dictionary(fc.string(), fc.string()), async (specs, metadata) => {
      const tensors = specs.map((spec, i) => {
        const data = Uint8Array.from({ length: elementCount(spec.shape) * byteWidth(spec.dtype) }, (_, j) => i * 31 + j);
        return { ...spec, bytes: data, data: () => data };
      });
      const pieces: Uint8Array[] = [];
      for await (const piece of safetensorsPieces('x', tensors, metadata)) pieces.push(piece);
      const file = opened(await openBytes(Uint8Array.from(pieces.flatMap((piece) => [...piece]))));
      expect(file.metadata).toEqual({ ...metadata });
      expect(file.tensors.size).toBe(tensors.length);
      for (const { name, dtype, shape, bytes } of tensors) {
        expect(file.tensors.get(name)).toMatchObject({ dtype, shape });
        expect(await file.readBytes(name)).toEqual(bytes);
      }
    }),
    { numRuns: 300 },
  );
});

test('every truncation and every damage is an error value or another file', async () => {
  const pieces: Uint8Array[] = [];
  for await (const piece of safetensorsPieces('x', [f32('a', 1, 2), { ...f32('b', 3), shape: [1, 1] }], { note: 'x' })) pieces.push(piece);
  const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
  for (let length = 0; length < whole.length; length++) refused(await openBytes(whole.slice(0, length)));
  const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = whole.slice();
      for (const [at, value] of changes) bytes[at] = value;
      const result = await openBytes(bytes);
      if (E.isRight(result)) for (const name of result.right.tensors.keys()) await readFloat32(result.right, name);
    }),
    { numRuns: 1000 },
  );
});

test('wide elements come first and the data is aligned', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'mixed.safetensors');
    const tensors: TensorToWrite[] = [
      { name: 'byte', dtype: 'U8', shape: [1], data: () => Uint8Array.of(7) },
      f32('w', 1),
      { name: 'd', dtype: 'F64', shape: [], data: () => Float64Array.of(2) },
    ];
    const size = opened(await writeSafetensors(path, tensors, { a: 'ä' })());
    const file = opened(await openTensorFile(path)());
    expect([...file.tensors.keys()]).toEqual(['d', 'w', 'byte']);
    expect(size % 8).toBe((8 + 4 + 1) % 8);
    expect(file.metadata).toEqual({ a: 'ä' });
    await file.close();
  }));

test('data of a wrong length and a name twice leave no file', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'x.safetensors');
    const short = refused(await writeSafetensors(path, [f32('a', 1), { ...f32('w', 1), shape: [2] }])());
    expect(short).toMatchObject({ kind: 'invalid-input', message: `${path}: tensor w [2] of F32 needs 8 bytes, got 4` });
    expect(refused(await writeSafetensors(path, [f32('w', 1), f32('w', 1)])()).message).toContain('two tensors are called w');
    const failing = { ...f32('w', 1), data: () => Promise.reject(new Error('source lost')) };
    expect(refused(await writeSafetensors(path, [failing])()).message).toContain('tensor w could not be read (Error: source lost)');
    expect(await readdir(folder)).toEqual([]);
  }));

const writeShards = async (folder: string, weightMap: object): Promise<string> => {
  opened(await writeSafetensors(join(folder, 'a.safetensors'), [f32('one', 1), f32('two', 2, 2)])());
  opened(await writeSafetensors(join(folder, 'b.safetensors'), [f32('three', 3, 3, 3)])());
  const index = join(folder, 'model.safetensors.index.json');
  await writeFile(index, JSON.stringify({ metadata: { total_size: 24 }, weight_map: weightMap }));
  return index;
};

test('a sharded set is one file of tensors', () =>
  inFolder(async (folder) => {
    const index = await writeShards(folder, { one: 'a.safetensors', three: 'b.safetensors', two: 'a.safetensors' });
    const file = opened(await openTensorFile(index)());
    expect([...file.tensors.keys()]).toEqual(['one', 'three', 'two']);
    expect(file.metadata).toEqual({ total_size: '24' });
    expect([...(await readFloat32(file, 'three'))]).toEqual([3, 3, 3]);
    expect([...(await readFloat32(file, 'two'))]).toEqual([2, 2]);
    await file.close();
  }));

test.each([
  [{ one: 'b.safetensors' }, 'missing', 'the index says that b.safetensors has tensor one, but it has not'],
  [{ one: 'c.safetensors' }, 'not-found', 'c.safetensors: there is no such file'],
  [{ one: '../a.safetensors' }, 'unsafe', 'outside the folder of the index'],
  [{ one: '/etc/passwd' }, 'unsafe', 'outside the folder'],
  [{ one: '..' }, 'unsafe', 'outside the folder'],
  [{ one: 1 }, 'corrupt', 'not a file name'],
])('an index with %j is refused', (weightMap, kind, sentence) =>
  inFolder(async (folder) => {
    const fault = refused(await openTensorFile(await writeShards(folder, weightMap))());
    expect(fault.message).toContain(sentence);
    expect(fault.kind).toBe(kind);
  }),
);

test.each(['', '[]', 'null', '{"weight_map":null}', '{"weight_map":"x'])('the index %j is refused', (text) =>
  inFolder(async (folder) => {
    const index = join(folder, 'x.index.json');
    await writeFile(index, text);
    expect(refused(await openTensorFile(index)()).kind).toBe('corrupt');
  }),
);

test('a file of 4.8 GB is opened and read in little memory', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'big.safetensors');
    const elements = 1.2e9;
    const text = header({ huge: entry('F32', [elements], 0, 4 * elements), last: entry('F32', [3], 4 * elements, 4 * elements + 12) });
    const [start, tail] = [fileWith(text, 0), bytesOf(Float32Array.of(1, 2, 3))];
    await writeFile(path, start);
    await truncate(path, start.length + 4 * elements);
    const handle = await open(path, 'a');
    await handle.write(tail);
    await handle.close();
    const before = process.memoryUsage().rss;
    const file = opened(await openTensorFile(path)());
    expect([...(await readFloat32(file, 'last'))]).toEqual([1, 2, 3]);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
    await file.close();
  }));
