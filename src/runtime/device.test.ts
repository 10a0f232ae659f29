import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { load, openAdapter, openDevice, openSavedProgram, printProgram } from './browser.ts';
import type { Device } from './browser.ts';
import { adapterName, profileOf } from './adapter-profile.ts';
import { openNodeDevice } from './node.ts';
import { expectLeft, expectRight, openTestDevice, twoSteps, vectorAdd } from './test-programs.ts';

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.destroy());

/** What the runtime asks of a `GPU`, no more. */
const fakeGpu = (adapter: Partial<GPUAdapter> | null): GPU => ({ requestAdapter: async () => adapter }) as unknown as GPU;

describe('no device', () => {
  test('where there is no WebGPU at all', async () => {
    expect(await expectLeft(openDevice(undefined))).toMatchObject({ _tag: 'NoAdapter' });
    expect((await expectLeft(openSavedProgram(printProgram(vectorAdd(4))))).message).toContain('WebGPU is not available');
  });

  test('where no adapter is offered', async () => {
    const error = await expectLeft(openDevice(fakeGpu(null)));
    expect(error._tag).toBe('NoAdapter');
    expect(error.message).toMatch(/^no WebGPU adapter: /);
  });

  test('where the adapter lacks limits and features, all named', async () => {
    const needs = {
      limits: { maxBufferSize: 2 ** 50, maxComputeInvocationsPerWorkgroup: 64, maxFoo: 1 },
      features: ['subgroups', 'no-such'],
    };
    const error = await expectLeft(openNodeDevice('software', needs));
    expect(error).toMatchObject({
      _tag: 'MissingLimits',
      limits: [
        { name: 'maxBufferSize', needed: 2 ** 50 },
        { name: 'maxFoo', needed: 1, offered: 0 },
      ],
      features: ['no-such'],
    });
    expect(error.message).toContain(`limit maxBufferSize: ${2 ** 50} needed, `);
    expect(error.message).toContain('feature no-such: needed, not offered');
  });

  test('where the adapter refuses', async () => {
    const adapter = {
      info: {} as GPUAdapterInfo,
      limits: {} as GPUSupportedLimits,
      features: new Set() as unknown as GPUSupportedFeatures,
      requestDevice: () => Promise.reject(new Error('already used')),
    };
    const error = await expectLeft(openAdapter(adapter as unknown as GPUAdapter)); // a fake, as above
    expect(error).toMatchObject({ _tag: 'NoAdapter' });
    expect(error.message).toContain('already used');
  });
});

describe('the profile', () => {
  test('tells limits, features and class of the device', () => {
    const { profile } = device;
    expect(profile.class).toBe('cpu');
    expect(profile.limits['maxBufferSize']).toBeGreaterThan(268435456);
    expect(profile.limits['minStorageBufferOffsetAlignment']).toBe(256);
    expect(profile.features).toContain('subgroups');
    expect(JSON.parse(JSON.stringify(profile))).toEqual(profile);
  });

  test.each([
    [{ vendor: 'google', architecture: 'swiftshader' }, 'cpu'],
    [{ vendor: 'mesa', architecture: 'software', description: 'llvmpipe (LLVM 15)' }, 'cpu'],
    [{ vendor: 'microsoft', architecture: 'warp' }, 'cpu'],
    [{ vendor: 'microsoft', description: 'Microsoft Basic Render Driver' }, 'cpu'],
    [{ vendor: 'nvidia', architecture: 'hopper', isFallbackAdapter: true }, 'cpu'],
    [{ vendor: 'nvidia', architecture: 'hopper', description: 'NVIDIA H200' }, 'gpu'],
    [{ vendor: 'apple', architecture: 'metal-3' }, 'gpu'],
    [{ vendor: 'amd', architecture: 'rdna-3', description: 'Warped Radeon' }, 'gpu'],
  ])('%j is a %s', (info, expected) => {
    const blank: Record<string, unknown> = { vendor: '', architecture: '', device: '', description: '', isFallbackAdapter: false };
    const full = { ...blank, ...info } as unknown as GPUAdapterInfo; // its prototype is not needed
    expect(profileOf(full, {} as GPUSupportedLimits, new Set()).class).toBe(expected);
  });

  test('an adapter is called by what it tells', () => {
    expect(adapterName({ vendor: 'apple', architecture: 'metal-3', device: '', description: '' })).toBe('apple metal-3');
    expect(adapterName({ vendor: 'x', architecture: '', device: '', description: 'The X' })).toBe('The X');
  });
});

describe('the device', () => {
  test('a saved program runs in one call', async () => {
    const gpu = await gpuOfTests();
    const { device: opened, session } = await expectRight(openSavedProgram(printProgram(twoSteps(4)), { gpu }));
    const { out } = await expectRight(session.run({ x: Float32Array.of(1, 1, 1, 1) }));
    expect(await expectRight(out!.read())).toEqual(Float32Array.of(9, 16, 36, 64));
    opened.destroy();
    expect(await expectLeft(openSavedProgram('{}', { gpu }))).toMatchObject({ _tag: 'BadProgram' });
  });

  test('out of memory, as the driver reports it, names the buffer', async () => {
    const doomed = await openTestDevice();
    // A driver that really has no memory left would take the machine along; the scope's answer is what the runtime sees of it.
    const pop = doomed.gpu.popErrorScope.bind(doomed.gpu);
    let scopes = 0;
    doomed.gpu.popErrorScope = async () => {
      await pop();
      return ++scopes === 5 ? { message: 'VK_ERROR_OUT_OF_DEVICE_MEMORY' } : null;
    };
    const error = await expectLeft(load(doomed, { ...twoSteps(8), kernels: [], dispatches: [] }));
    expect(error).toMatchObject({ _tag: 'OutOfMemory', label: 'scratch sum' });
    expect(error.message).toContain('VK_ERROR_OUT_OF_DEVICE_MEMORY');
    expect(doomed.memory.used).toBe(0);
    doomed.destroy();
  });

  test('waits end by loss or abort, and leave no listener behind', async () => {
    const doomed = await openTestDevice();
    const never = new Promise(() => undefined);
    const controller = new AbortController();
    const aborting = doomed.wait(never, controller.signal);
    controller.abort();
    await expect(aborting).rejects.toThrow('aborted');
    await expect(doomed.wait(Promise.resolve(5))).resolves.toBe(5);
    await expect(doomed.wait(Promise.reject(new Error('ours')))).rejects.toThrow('ours');
    const losing = doomed.wait(never);
    doomed.destroy();
    await expect(losing).rejects.toThrow('the GPU device was lost (destroyed)');
    await expect(doomed.wait(never)).rejects.toThrow('lost');
  });
});

/** The `GPU` object that the test device came from. */
const gpuOfTests = async (): Promise<GPU> => {
  const holder = globalThis as { [key: symbol]: Map<string, GPU> | undefined };
  return [...holder[Symbol.for('pixnerd.dawn-instances')]!.values()].at(-1)!;
};
