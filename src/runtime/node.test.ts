import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeAdapters, openNodeDevice } from './node.ts';
import { expectLeft, expectRight } from './test-programs.ts';

describe('the choice of the adapter', () => {
  test('auto says what it took', async () => {
    const { device, notice } = await expectRight(openNodeDevice());
    expect(notice).toMatch(/^adapter: .+$/);
    expect(notice.includes('software')).toBe(device.profile.class === 'cpu');
    device.destroy();
  });

  test('software is the driver in VK_DRIVER_FILES, or SwiftShader', async () => {
    const { device, notice } = await expectRight(openNodeDevice('software'));
    expect(device.profile.class).toBe('cpu');
    expect(notice).toContain('as asked');
    if (process.platform === 'linux' && !process.env['VK_DRIVER_FILES']) expect(notice).toContain('SwiftShader');
    device.destroy();
  });

  test('a name is looked for without case, and an unknown one told with what there is', async () => {
    const { device } = await expectRight(openNodeDevice('software'));
    const { architecture, description } = device.profile;
    const named = await expectRight(openNodeDevice(description.slice(0, 8).toUpperCase()));
    expect(named.device.profile.architecture).toBe(architecture);
    const error = await expectLeft(openNodeDevice('Voodoo 2'));
    expect(error._tag).toBe('NoAdapter');
    expect(error.message).toContain('none is called "Voodoo 2"; there is ');
    expect(error.message).toContain(description.slice(0, 8));
    for (const opened of [device, named.device]) opened.destroy();
  });

  test('the adapters of the system can be listed', async () => {
    const adapters = await expectRight(nodeAdapters());
    if (process.env['VK_DRIVER_FILES']) expect(adapters.length).toBeGreaterThan(0);
    for (const { description, limits } of adapters) {
      expect(description).not.toBe('');
      expect(limits['maxBufferSize']).toBeGreaterThan(0);
    }
  });

  test('the environment is left as it was', async () => {
    const before = process.env['VK_DRIVER_FILES'];
    (await expectRight(openNodeDevice('software'))).device.destroy();
    expect(process.env['VK_DRIVER_FILES']).toBe(before);
  });
});

/** A process of its own, with the runtime in one bundle. */
describe('a process', () => {
  const script = join(import.meta.dirname, 'node.exit.tmp.mjs');
  beforeAll(() => {
    const contents = `
      import { openNodeDevice } from './node.ts';
      import { load } from './session.ts';
      import { slow, twoSteps } from './test-programs.ts';
      const how = process.argv[2];
      const opened = await openNodeDevice(process.argv[3] ?? 'software', {}, { memoryCap: how === 'memory' ? Infinity : 2 ** 33 })();
      if (opened._tag === 'Left') { console.log(opened.left.message); process.exit(2); }
      const { device } = opened.right;
      if (how === 'memory') {
        const buffers = Array.from({ length: 64 }, (_, i) => ({ kind: 'scratch', label: 'hoard' + i, bytes: 2 ** 30 }));
        const result = await load(device, { ...twoSteps(8), buffers: [...twoSteps(8).buffers, ...buffers] })();
        console.log(result.left?._tag, result.left?.label.startsWith('scratch hoard'), device.memory.used);
        process.exit(0);
      }
      if (how === 'abort') {
        const { right: session } = await load(device, slow(200))();
        await session.setParameters({ w: new Float32Array(512 * 512) })();
        const result = await session.run({ x: new Float32Array(512 * 512) }, { signal: AbortSignal.timeout(200) })();
        console.log(result.left?._tag);
        process.exit(130);
      }
      const { right: session } = await load(device, twoSteps(1024))();
      const garbage = [];
      for (let step = 0; step < 50; step++) {
        const { right: outputs } = await session.run({ x: new Float32Array(1024).fill(step) })();
        const { right: data } = await outputs.out.read()();
        if (data[0] !== (step + 2) ** 2) throw new Error('wrong result');
        if (step % 2) for (const tensor of Object.values(outputs)) tensor.dispose();
        garbage.push(new Float64Array(100000));
      }
      if (how === 'tidy') { session.dispose(); device.destroy(); }
      if (how === 'running') void session.run({ x: new Float32Array(1024) })();
      console.log('end marker');
      if (how === 'exit') process.exit(0);
    `;
    buildSync({
      stdin: { contents, resolveDir: import.meta.dirname, loader: 'js' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['webgpu'],
      outfile: script,
    });
  });
  afterAll(() => rmSync(script, { force: true }));

  const run = (args: readonly string[], env: NodeJS.ProcessEnv = process.env) =>
    spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env, timeout: 60_000 });

  test.each(['tidy', 'untidy', 'running', 'exit'])('ends with code 0 (%s), every time', (how) => {
    for (let attempt = 0; attempt < 4; attempt++) {
      const { status, signal, stdout } = run([how]);
      expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: 'end marker\n' });
    }
  });

  test('can end while the GPU is still busy', () => {
    const began = performance.now();
    const { status, signal, stdout } = run(['abort']);
    expect({ status, signal, stdout }).toEqual({ status: 130, signal: null, stdout: 'Aborted\n' });
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  // lavapipe promises memory that it does not have.
  test.skipIf(process.platform !== 'linux' || Boolean(process.env['VK_DRIVER_FILES']))(
    'hears of a driver without memory, by the name of the buffer',
    () => {
      const command = `ulimit -v 16000000; "${process.execPath}" "${script}" memory`;
      const { status, stdout } = spawnSync('sh', ['-c', command], { encoding: 'utf8', timeout: 60_000 });
      expect({ status, stdout }).toEqual({ status: 0, stdout: 'OutOfMemory true 0\n' });
    },
  );

  test.skipIf(process.platform !== 'linux')('a chosen driver that is not there is an error, not another driver', () => {
    const env = { ...process.env, VK_DRIVER_FILES: '/nonexistent/driver.json', VK_ICD_FILENAMES: '' };
    for (const choice of ['auto', 'software']) {
      const { status, stdout } = run(['tidy', choice], env);
      expect(status).toBe(2);
      expect(stdout).toContain('VK_DRIVER_FILES names /nonexistent/driver.json, which does not exist');
    }
  });
});
