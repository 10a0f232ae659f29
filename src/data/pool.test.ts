/** Decoding on threads: the same bytes as here, and an answer to every job. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool } from './pool.ts';
import { decodedDataset } from './decoded.ts';
import { inFolder } from '../files/test-folder.ts';
import { scanClasses } from './folders.ts';
import { image, twoClasses, writeFiles } from './test-images.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
let folder: string, program: URL;

/** As the build bundles them: inside the project, so that they find its packages. */
const bundle = (entryPoints: Readonly<Record<string, string>>) =>
  build({ absWorkingDir: ROOT, entryPoints, outdir: folder, bundle: true, format: 'esm', platform: 'node', target: 'es2022', logLevel: 'warning', mainFields: ['module', 'main'], external: ['sharp'] });

beforeAll(async () => {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  folder = mkdtempSync(join(ROOT, '.cache', 'test-pool-'));
  await bundle({ 'data-worker': 'src/data/decode-worker.ts', open: 'src/data/open.ts' });
  program = pathToFileURL(join(folder, 'data-worker.js'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const job = { path: 'a', channels: 3, height: 8, width: 8 } as const;

test('threads and this thread make the same bytes, and the same errors', async () => {
  const threads = openPool({ workers: 2, program }), here = openPool({ workers: 2 });
  expect([threads.threads, here.threads]).toEqual([2, 0]);
  const inputs = await Promise.all(Array.from({ length: 9 }, async (_, i) => (i === 4 ? Uint8Array.of(1, 2, 3) : new Uint8Array(await image(30, 20 + i, 3, i).jpeg().toBuffer()))));
  const decode = (pool: typeof here) => Promise.all(inputs.map((bytes, i) => pool.decode({ ...job, path: `image ${i}`, bytes })));
  expect(await decode(threads)).toEqual(await decode(here));
  await Promise.all([threads.close(), here.close()]);
});

test('a data set is the same whoever decodes it', () =>
  inFolder(async (path) => {
    await twoClasses(path);
    await writeFiles(path, { 'cats/1b.png': 'damaged' });
    const scan = await scanClasses(path), size = { height: 8, width: 8 };
    const [threads, here] = [await decodedDataset(scan, size, { path }, openPool({ workers: 3, program })), await decodedDataset(scan, size, { path })];
    expect(threads.notes).toEqual(here.notes);
    for (let i = 0; i < 6; i++) expect(await threads.item(i)).toEqual(await here.item(i));
  }));

test('a thread that dies answers its job, and the next one is done by a new thread', async () => {
  const mortal = join(folder, 'mortal.mjs');
  writeFileSync(mortal, `import { parentPort } from 'node:worker_threads'; parentPort.on('message', ({ path }) => { if (path === 'die') process.exit(3); if (path === 'throw') throw new Error('a bug of a decoder'); parentPort.postMessage({ pixels: new Uint8Array([7]) }); });`);
  const pool = openPool({ workers: 1, program: pathToFileURL(mortal) }), results = await Promise.all(['a', 'die', 'b', 'throw', 'c'].map((path) => pool.decode({ ...job, path })));
  const good = { pixels: Uint8Array.of(7) };
  expect(results).toEqual([
    good,
    { error: { kind: 'not-readable', path: 'die', message: 'die: the thread that decoded it ended (code 3)' } },
    good,
    { error: { kind: 'not-readable', path: 'throw', message: 'throw: the thread that decoded it ended (a bug of a decoder)' } },
    good,
  ]);
  await pool.close();
});

test('closing answers what is waiting', async () => {
  const pool = openPool({ workers: 1, program }), bytes = new Uint8Array(await image().png().toBuffer());
  const results = Array.from({ length: 5 }, () => pool.decode({ ...job, bytes }));
  await pool.close();
  for (const result of (await Promise.all(results)).slice(1)) expect(result).toMatchObject({ error: { kind: 'not-readable' } });
  expect(await pool.decode({ ...job, bytes })).toMatchObject({ error: { kind: 'not-readable' } });
});

test('as it is built: the threads are found beside the bundle, and a process that forgets to close them ends', () =>
  inFolder(async (path) => {
    await twoClasses(path);
    const script = join(folder, 'script.mjs');
    writeFileSync(script, `import { openDataset } from './open.js';
const opened = await openDataset({ path: ${JSON.stringify(path)}, size: 8, memory: 0, workers: 2 })();
const { label, pixels } = await opened.right.item(5);
console.log(label, pixels.length);`);
    const run = () => spawnSync(process.execPath, [script], { encoding: 'utf8', timeout: 60_000 });
    const ended = run();
    expect([ended.status, ended.stderr]).toEqual([0, '']);
    expect(ended.stdout).toBe('1 192\n');
    // the bundle's threads run this file and no other: another one there is what answers
    writeFileSync(join(folder, 'data-worker.js'), `import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => parentPort.postMessage({ pixels: new Uint8Array(5) }));`);
    expect(run().stdout).toBe('1 5\n');
  }));
