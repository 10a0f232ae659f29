import { expect, test } from 'vitest';
import { zipOf } from './checkpoint-fixture.ts';
import type { FixtureEntry } from './checkpoint-fixture.ts';
import { attempt } from './errors.ts';
import type { FileError } from './errors.ts';
import { memoryAccess } from './random-access.ts';
import { opened, refused } from './test-folder.ts';
import { readZipDirectory, readZipEntry } from './zip.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const readAll = (file: Uint8Array) =>
  attempt('x.zip', async () => {
    const access = memoryAccess(file, 'x.zip');
    const entries = await readZipDirectory(access);
    return Promise.all(
      [...entries.values()].map(async (entry) => [entry.name, new TextDecoder().decode(await readZipEntry(access, entry))] as const),
    );
  });

const entries: readonly FixtureEntry[] = [
  { name: 'a', data: bytes('one') },
  { name: 'folder/ä', data: bytes('') },
  { name: 'b', data: bytes('three') },
];
const contents = [['a', 'one'], ['folder/ä', ''], ['b', 'three']]; // prettier-ignore

test.each([false, true])('entries are read (zip64: %s)', async (zip64) => {
  expect(opened(await readAll(zipOf(entries, zip64))())).toEqual(contents);
  expect(opened(await readAll(zipOf([], zip64))())).toEqual([]);
});

test('a comment at the end, even one that looks like an end record, is no obstacle', async () => {
  const zip = zipOf(entries);
  const comment = Uint8Array.from([...bytes('hello PK'), 0x50, 0x4b, 5, 6, ...new Uint8Array(30).fill(1)]);
  const withComment = Uint8Array.from([...zip.subarray(0, -2), comment.length, 0, ...comment]);
  expect(opened(await readAll(withComment)())).toEqual(contents);
});

const patched = (zip: Uint8Array, at: number, ...values: readonly number[]): Uint8Array => {
  const copy = zip.slice();
  copy.set(values, at < 0 ? copy.length + at : at);
  return copy;
};

const plain = zipOf(entries);
const wide = zipOf(entries, true);
const end = -22;
const end64 = -22 - 20 - 56;

const bad: readonly (readonly [string, Uint8Array, FileError['kind'], string])[] = [
  ['no end record', plain.subarray(0, -1), 'truncated', 'the zip directory at the end of the file is missing'],
  ['a directory outside the file', patched(plain, end + 16, 255, 255, 255, 0), 'corrupt', 'does not lie inside the file'],
  ['a directory of 2 GB', patched(plain, end + 12, 0, 0, 0, 128), 'corrupt', 'not believable'],
  ['more entries than the directory has', patched(plain, end + 10, 9, 0), 'corrupt', 'ends in the middle of an entry'],
  ['a directory at the wrong place', patched(plain, end + 16, 0, 0, 0, 0), 'corrupt', 'has no entry at its byte 0'],
  ['a zip64 record outside the file', patched(wide, end - 20 + 8, 0, 0, 0, 0, 0, 0, 1, 0), 'corrupt', 'zip64 end record does not lie'],
  ['a zip64 record at the wrong place', patched(wide, end - 20 + 8, 0), 'corrupt', 'not where its locator says'],
  ['a zip64 directory of exabytes', patched(wide, end64 + 47, 127), 'corrupt', 'not believable'],
  ['a compressed entry', zipOf([{ name: 'a', data: bytes('xx'), method: 8, unpackedSize: 3 }]), 'unsafe', 'entry a is compressed (PyTorch'],
  ['a zip bomb', zipOf([{ name: 'a', data: bytes('xxxx'), method: 8, unpackedSize: 4e9 }]), 'unsafe', 'compressed 1000000000:1'],
  ['an encrypted entry', zipOf([{ name: 'a', data: bytes('xx'), flags: 1 }]), 'unsupported', 'encrypted'],
  ['two sizes for one entry', zipOf([{ name: 'a', data: bytes('xx'), unpackedSize: 5 }]), 'corrupt', 'two sizes differ (2 and 5)'],
  ['a name twice', zipOf([{ name: 'a', data: bytes('x') }, { name: 'a', data: bytes('y') }]), 'corrupt', 'lists a twice'],
  ['another name in the local header', zipOf([{ name: 'a', data: bytes('x'), localName: 'b' }]), 'corrupt', 'is called b in its own header'],
  ['no local header', patched(plain, 0, 0), 'corrupt', 'entry a is not where the zip directory says'],
]; // prettier-ignore

test.each(bad)('%s is refused', async (_, zip, kind, sentence) => {
  const fault = refused(await readAll(zip)());
  expect(fault.message).toContain(sentence);
  expect(fault).toMatchObject({ kind, path: 'x.zip' });
});
