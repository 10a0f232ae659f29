import { spawn } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { checkWritable, writeFileAtomic } from './atomic.ts';
import { fail } from './errors.ts';
import { inFolder, opened, refused } from './test-folder.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test('bytes and streams of bytes become a file', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'a.txt');
    expect(opened(await writeFileAtomic(path, bytes('one'))())).toBe(3);
    expect(await readFile(path, 'utf8')).toBe('one');
    expect(opened(await writeFileAtomic(path, [bytes('t'), bytes('wo'), bytes('')])())).toBe(3);
    expect(await readFile(path, 'utf8')).toBe('two');
    expect(await readdir(folder)).toEqual(['a.txt']);
  }));

test('until the end the old file is there, and only then the new one', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'a.txt');
    await writeFile(path, 'old');
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield bytes('new');
      expect(await readFile(path, 'utf8')).toBe('old');
      expect((await readdir(folder)).length).toBe(2);
      yield bytes('er');
    }
    opened(await writeFileAtomic(path, pieces())());
    expect(await readFile(path, 'utf8')).toBe('newer');
  }));

test('an abort and a fault half-way leave the old file and nothing else', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'a.txt');
    await writeFile(path, 'old');
    const controller = new AbortController();
    function* aborted(): Generator<Uint8Array> {
      yield bytes('half');
      controller.abort();
      yield bytes('rest');
    }
    expect(refused(await writeFileAtomic(path, aborted(), { signal: controller.signal })())).toMatchObject({ kind: 'aborted', path });
    function* faulty(): Generator<Uint8Array> {
      yield bytes('half');
      fail('corrupt', 'source', 'broken');
    }
    expect(await writeFileAtomic(path, faulty())()).toEqual(E.left({ kind: 'corrupt', path: 'source', message: 'source: broken' }));
    function* thrown(): Generator<Uint8Array> {
      yield bytes('half');
      throw new Error('a bug');
    }
    await expect(writeFileAtomic(path, thrown())()).rejects.toThrow('a bug');
    expect([await readdir(folder), await readFile(path, 'utf8')]).toEqual([['a.txt'], 'old']);
  }));

test('after an abort nothing is begun', () =>
  inFolder(async (folder) => {
    expect(refused(await writeFileAtomic(join(folder, 'a'), bytes('x'), { signal: AbortSignal.abort() })()).kind).toBe('aborted');
    expect(await readdir(folder)).toEqual([]);
  }));

test('a link is kept and its target replaced', () =>
  inFolder(async (folder) => {
    await mkdir(join(folder, 'real'));
    await writeFile(join(folder, 'real', 'a'), 'old');
    await symlink(join('real', 'a'), join(folder, 'link'));
    opened(await writeFileAtomic(join(folder, 'link'), bytes('new'))());
    expect(await readFile(join(folder, 'real', 'a'), 'utf8')).toBe('new');
    expect(await readdir(folder)).toEqual(['link', 'real']);
  }));

test('a device is written to, not replaced', async () => {
  expect(opened(await writeFileAtomic('/dev/null', bytes('x'))())).toBe(1);
  expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  expect(await checkWritable('/dev/null')()).toEqual(E.right(undefined));
});

const refusals: readonly (readonly [string, (folder: string) => string, string])[] = [
  ['a missing folder', (folder) => join(folder, 'none', 'x.png'), 'the folder does not exist'],
  ['a folder as the file', (folder) => folder, 'this is a folder'],
  ['a file as the folder', (folder) => join(folder, 'file', 'x.png'), 'a file, not a folder'],
  ['an empty name', () => '', 'needs a name'],
];

test.each(refusals)('%s cannot be written, which is known beforehand', (_, pathIn, sentence) =>
  inFolder(async (folder) => {
    await writeFile(join(folder, 'file'), '');
    for (const fault of [refused(await checkWritable(pathIn(folder))()), refused(await writeFileAtomic(pathIn(folder), bytes('x'))())]) {
      expect(fault.message).toContain(sentence);
      expect(fault.kind).toBe('not-writable');
    }
    expect(await readdir(folder)).toEqual(['file']);
  }),
);

// root may write everywhere; /proc takes no files even from root
const unwritable = async (folder: string): Promise<string> => {
  await chmod(folder, 0o555);
  return process.getuid?.() === 0 ? '/proc/x.png' : join(folder, 'x.png');
};

test.skipIf(process.platform === 'win32')('a folder that takes no files is not writable', () =>
  inFolder(async (folder) => {
    const path = await unwritable(folder);
    expect(refused(await checkWritable(path)())).toMatchObject({ kind: 'not-writable', path });
    expect(refused(await writeFileAtomic(path, bytes('x'))()).kind).toBe('not-writable');
    await chmod(folder, 0o755);
  }),
);

test('a folder that can be written stays empty after the check', () =>
  inFolder(async (folder) => {
    expect(await checkWritable(join(folder, 'x'.repeat(200)))()).toEqual(E.right(undefined));
    expect(await readdir(folder)).toEqual([]);
  }));

/** A program that writes for ever; `before` may install its own handlers. */
const endless = async (folder: string, before: string): Promise<string> => {
  const source = `
    import { writeFileAtomic } from ${JSON.stringify(join(import.meta.dirname, 'atomic.ts'))};
    async function* pieces() {
      for (;;) { yield new Uint8Array(1000); console.log('written'); await new Promise((r) => setTimeout(r, 10)); }
    }
    ${before}
    await writeFileAtomic(process.argv[2], pieces())();`;
  const outfile = join(folder, 'endless.mjs');
  const stdin = { contents: source, loader: 'ts', resolveDir: import.meta.dirname } as const;
  await build({ stdin, bundle: true, platform: 'node', format: 'esm', mainFields: ['module', 'main'], outfile });
  return outfile;
};

const interrupted = async (program: string, path: string, signal: NodeJS.Signals): Promise<readonly [number | null, NodeJS.Signals | null]> => {
  const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.once('data', () => child.kill(signal));
  return new Promise((resolve) => child.on('exit', (code, by) => resolve([code, by])));
};

const cases: readonly (readonly [string, NodeJS.Signals, string, readonly [number | null, NodeJS.Signals | null]])[] = [
  ['SIGINT', 'SIGINT', '', [null, 'SIGINT']],
  ['SIGTERM', 'SIGTERM', '', [null, 'SIGTERM']],
  ['SIGINT with a handler that exits', 'SIGINT', `process.on('SIGINT', () => process.exit(130));`, [130, null]],
];

test.skipIf(process.platform === 'win32').each(cases)('%s leaves no half file', (_, signal, before, ending) =>
  inFolder(async (folder) => {
    const program = await endless(folder, before);
    await mkdir(join(folder, 'out'));
    expect(await interrupted(program, join(folder, 'out', 'x.npz'), signal)).toEqual(ending);
    expect(await readdir(join(folder, 'out'))).toEqual([]);
  }),
);
