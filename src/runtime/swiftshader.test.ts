import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { buildSync } from 'esbuild';
import { untar, unpackSwiftShader } from './swiftshader.ts';

const root = mkdtempSync(join(tmpdir(), 'pixnerd-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const elsewhere = process.platform !== 'linux' || process.arch !== 'x64';

/** A tar header as `tar` writes it. */
const header = (name: string, size: number, type: string): Uint8Array => {
  const block = new Uint8Array(512);
  const put = (at: number, text: string): void => block.set(new TextEncoder().encode(text), at);
  put(0, name);
  put(124, size.toString(8).padStart(11, '0'));
  put(156, type);
  return block;
};

test('untar finds regular files, of any length', () => {
  const blocks = [header('folder/', 0, '5'), header('folder/a.txt', 3, '0'), new Uint8Array(512).fill(65, 0, 3), header('empty', 0, '0')];
  const more = [header('long', 600, '0'), new Uint8Array(1024).fill(66, 0, 600), new Uint8Array(1024)];
  const tar = Uint8Array.from([...blocks, ...more].flatMap((block) => [...block]));
  const found = untar(tar);
  expect([...found.keys()]).toEqual(['a.txt', 'empty', 'long']);
  expect(new TextDecoder().decode(found.get('a.txt'))).toBe('AAA');
  expect(found.get('long')).toEqual(new Uint8Array(600).fill(66));
  expect(untar(new Uint8Array(100)).size).toBe(0);
});

test.skipIf(elsewhere)('the driver is unpacked once, again if a file is gone, and elsewhere if the place cannot be written', () => {
  const unpacked = unpackSwiftShader([root]);
  if (typeof unpacked === 'string') throw new Error(unpacked);
  expect(unpackSwiftShader([root])).toEqual(unpacked);
  unlinkSync(unpacked.driver);
  expect(unpackSwiftShader([root])).toEqual(unpacked);
  expect(readdirSync(dirname(unpacked.driver)).sort()).toEqual(['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json']);
  const file = join(root, 'a-file');
  writeFileSync(file, '');
  expect(unpackSwiftShader([join(file, 'below'), root])).toEqual(unpacked);
  expect(unpackSwiftShader([join(file, 'below')])).toMatch(/^SwiftShader could not be unpacked: .*ENOTDIR/);
});

test.skipIf(elsewhere)('processes that unpack at once all get the whole driver, and leave nothing else', async () => {
  const script = join(import.meta.dirname, 'swiftshader.race.tmp.mjs');
  const stdin = {
    contents: `import { unpackSwiftShader } from './swiftshader.ts';
    console.log(JSON.stringify(unpackSwiftShader([process.argv[2]])));`,
    resolveDir: import.meta.dirname,
    loader: 'ts' as const,
  };
  buildSync({ stdin, bundle: true, platform: 'node', format: 'esm', outfile: script });
  const shared = join(root, 'shared');
  const run = (): Promise<string> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [script, shared]);
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      child.on('close', () => resolve(output));
    });
  try {
    const answers = await Promise.all([run(), run(), run(), run()]);
    expect(new Set(answers).size).toBe(1);
    expect(JSON.parse(answers[0] ?? '')).toMatchObject({ driver: expect.stringContaining(shared) });
    expect(readdirSync(shared)).toEqual([expect.stringMatching(/^swiftshader-[\d.]+$/)]);
  } finally {
    rmSync(script, { force: true });
  }
});
