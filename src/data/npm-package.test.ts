/** Packages as data: what is taken out of a tarball, and what is refused. npm itself is replaced by a program that fails. */
import { createHash } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { attempt } from '../files/errors.ts';
import { inFolder, opened, refused } from '../files/test-folder.ts';
import { fetchPackage, filesOfTarball, type NpmPackage } from './npm-package.ts';
import { writeFiles } from './test-images.ts';

interface Entry {
  readonly name: string;
  readonly content?: string;
  readonly kind?: string;
  readonly prefix?: string;
}

const entryOf = ({ name, content = '', kind = '0', prefix = '' }: Entry): Uint8Array => {
  const data = Buffer.from(content), block = Buffer.alloc(512 + Math.ceil(data.length / 512) * 512);
  block.write(name, 0);
  block.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
  block.write(kind, 156);
  block.write('ustar\u000000', 257);
  block.write(prefix, 345);
  data.copy(block, 512);
  return block;
};
const tarball = (...entries: readonly Entry[]): Uint8Array => gzipSync(Buffer.concat([...entries.map(entryOf), Buffer.alloc(1024)]));
const filesOf = (bytes: Uint8Array) => attempt('p', () => filesOfTarball('p', bytes, (file) => file.startsWith('assets/')))();
const packageOf = (bytes: Uint8Array): NpmPackage => ({ name: '@some/thing', version: '1.2.3', integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}` });
const fetched = (wanted: NpmPackage, options: Parameters<typeof fetchPackage>[1] = {}) => attempt(wanted.name, () => fetchPackage(wanted, options))();

describe('tarballs', () => {
  test('only plain files that are wanted are taken, under their own names', async () => {
    const files = opened(await filesOf(tarball(
      { name: 'package/package.json', content: '{}' }, { name: 'package/assets/a.svg', content: 'A' }, { name: 'assets/b.svg', prefix: 'package', content: 'BB' },
      { name: 'package/assets/link.svg', kind: '2' }, { name: 'package/assets/', kind: '5' }, { name: 'package/assets/long.svg', content: 'x'.repeat(1500) },
    )));
    expect([...files].map(([name, bytes]) => [name, bytes.length])).toEqual([['assets/a.svg', 1], ['assets/b.svg', 2], ['assets/long.svg', 1500]]);
    expect(files.get('assets/a.svg')!.buffer.byteLength).toBe(1); // a copy, which keeps nothing else alive
  });

  test('damage', async () => {
    const whole = tarball({ name: 'package/assets/a.svg', content: 'A' });
    expect(refused(await filesOf(whole.subarray(0, 30))).message).toBe('p: the tarball cannot be unpacked');
    expect(refused(await filesOf(Uint8Array.of(1, 2, 3))).kind).toBe('corrupt');
    const odd = entryOf({ name: 'package/assets/a.svg' });
    new TextEncoder().encodeInto('7777777777', odd.subarray(124));
    expect(refused(await filesOf(gzipSync(odd))).message).toContain('damaged at its byte 0');
  });
});

describe('fetching', () => {
  const path = process.env['PATH'];
  afterEach(() => {
    process.env['PATH'] = path;
  });
  const bytes = tarball({ name: 'package/assets/a.svg', content: 'A' });

  test('a tarball that lies there is used, if it has the right bytes', () =>
    inFolder(async (folder) => {
      await writeFiles(folder, { 'some-thing-1.2.3.tgz': bytes });
      expect([...opened(await fetched(packageOf(bytes), { packages: folder }))]).toEqual([...bytes]);
      const other = refused(await fetched({ ...packageOf(bytes), integrity: 'sha512-other' }, { packages: folder }));
      expect(other).toMatchObject({ kind: 'corrupt' });
      expect(other.message).toContain('@some/thing@1.2.3: its bytes are not those that are expected');
      expect(refused(await fetched({ ...packageOf(bytes), version: '9' }, { packages: folder })).kind).toBe('not-found');
    }));

  const withNpm = (script: string, work: () => Promise<void>): Promise<void> =>
    inFolder(async (folder) => {
      await mkdir(join(folder, 'bin'));
      await writeFiles(folder, { 'bin/npm': `#!/bin/sh\n${script}\n` });
      await chmod(join(folder, 'bin', 'npm'), 0o755);
      process.env['PATH'] = `${join(folder, 'bin')}${delimiter}${path}`;
      await work();
    });

  test('without a network, the message says what npm said and what to do', () =>
    withNpm("echo 'npm error code ENOTFOUND' >&2; echo 'npm error network request failed' >&2; echo 'npm error A complete log of this run can be found in: /x' >&2; exit 1", async () => {
      const { kind, message } = refused(await fetched(packageOf(bytes)));
      expect(kind).toBe('unreachable');
      expect(message).toBe('@some/thing@1.2.3: npm could not fetch it (npm error code ENOTFOUND; npm error network request failed). Is there a network, and does `npm view @some/thing@1.2.3 version` answer? Or run `npm pack @some/thing@1.2.3` where there is one, and give the folder with --packages');
    }));

  test('without npm', async () => {
    process.env['PATH'] = '/nowhere';
    expect(refused(await fetched(packageOf(bytes))).message).toContain('npm was not found');
  });

  test('an abort ends npm', () =>
    withNpm('sleep 30', async () => {
      const controller = new AbortController(), result = fetched(packageOf(bytes), { signal: controller.signal });
      setTimeout(() => controller.abort(), 100);
      expect(refused(await result).kind).toBe('aborted');
    }));
});
