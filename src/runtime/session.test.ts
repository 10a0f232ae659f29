import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Program } from '../../compiler/program.ts';
import { load, makeParameterStore, makeRecorder, part, upload } from './browser.ts';
import type { Device, DeviceTensor, KernelTiming, Recorder, Session } from './browser.ts';
import type { ParameterValue } from './parameters.ts';
import {
  dispatch,
  expectLeft,
  expectRight,
  firstOfRows,
  kernel,
  makeProgram,
  matmul,
  openTestDevice,
  slow,
  twoSteps,
  unary,
  vectorAdd,
} from './test-programs.ts';

const range = (n: number, of: (i: number) => number = (i) => i): Float32Array => Float32Array.from({ length: n }, (_, i) => of(i));

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device.destroy());

describe('a run', () => {
  test('adds vectors', async () => {
    const session = await expectRight(load(device, vectorAdd(100)));
    const { out } = await expectRight(session.run({ x: range(100), y: range(100, (i) => i * i) }));
    expect(out!.shape).toEqual([100]);
    expect(out!.dtype).toBe('f32');
    expect(await expectRight(out!.read())).toEqual(range(100, (i) => i + i * i));
    session.dispose();
  });

  test('multiplies a matrix with a parameter', async () => {
    const n = 24;
    const x = range(n * n, (i) => (i * 7) % 5);
    const w = range(n * n, (i) => (i * 3) % 11);
    const session = await expectRight(load(device, matmul(n)));
    await expectRight(session.setParameters({ w }));
    const { out } = await expectRight(session.run({ x }));
    const expected = range(n * n, (i) => {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += x[Math.floor(i / n) * n + k]! * w[k * n + (i % n)]!;
      return sum;
    });
    expect(await expectRight(out!.read())).toEqual(expected);
    session.dispose();
  });

  test('goes through scratch and constants, and returns an input and a tensor twice', async () => {
    const session = await expectRight(load(device, twoSteps(8)));
    const { out, same, again } = await expectRight(session.run({ x: range(8) }));
    const expected = Float32Array.from([4, 16, 49, 100, 36, 64, 121, 196]);
    expect(await expectRight(out!.read())).toEqual(expected);
    out!.dispose();
    expect(await expectRight(again!.read())).toEqual(expected);
    expect(await expectRight(same!.read())).toEqual(range(8));
    session.dispose();
  });

  test('keeps every element type', async () => {
    const cases = [
      { dtype: 'i32', data: Int32Array.of(-5, 0, 2147483647), expression: 'b0[i]', out: Int32Array.of(-5, 0, 2147483647) },
      { dtype: 'u32', data: Uint32Array.of(1, 2, 4294967295), expression: 'b0[i] - 1u', out: Uint32Array.of(0, 1, 4294967294) },
      { dtype: 'bool', data: Uint8Array.of(0, 7, 1), expression: '1u - b0[i]', out: Uint32Array.of(1, 0, 0) },
      { dtype: 'f32', data: Float64Array.of(0.1, 2, -3), expression: '-b0[i]', out: Float32Array.of(-0.1, -2, 3) },
    ] as const;
    for (const { dtype, data, expression, out } of cases) {
      const session = await expectRight(load(device, unary(dtype, 3, expression)));
      const result = await expectRight(session.run({ x: data }));
      expect(await expectRight(result['out']!.read())).toEqual(out);
      session.dispose();
    }
  });

  test('computes in f16 where the adapter has it, and names the feature where not', async () => {
    const program = unary('f16', 5, 'b0[i] * 2.0h');
    if (!device.profile.features.includes('shader-f16')) {
      expect(await expectLeft(load(device, program))).toMatchObject({ _tag: 'MissingLimits', features: ['shader-f16'] });
      return;
    }
    const session = await expectRight(load(device, program));
    const { out } = await expectRight(session.run({ x: Float32Array.of(1, 0.1, -2.5, 1024, 6e-8) }));
    expect(await expectRight(out!.read())).toEqual(Float32Array.of(2, 0.199951171875, -5, 2048, 2 ** -23));
    session.dispose();
  });

  test('feeds outputs to another session without reading them back, and pools what is disposed', async () => {
    const own = await openTestDevice(); // its memory is nobody else's
    const add = await expectRight(load(own, vectorAdd(16)));
    const square = await expectRight(load(own, twoSteps(16)));
    const ones = await expectRight(
      upload(
        own,
        [16],
        'f32',
        range(16, () => 1),
      ),
    );
    let x = await expectRight(upload(own, [16], 'f32', range(16)));
    for (let step = 0; step < 5; step++) {
      const { out } = await expectRight(add.run({ x, y: ones }));
      x.dispose();
      x = out!;
    }
    const used = own.memory.used;
    for (let step = 0; step < 5; step++) {
      const { out } = await expectRight(add.run({ x, y: ones }));
      x.dispose();
      x = out!;
    }
    expect(own.memory.used).toBe(used);
    const { out } = await expectRight(square.run({ x }));
    const primes = [2, 3, 5, 7];
    expect(await expectRight(out!.read())).toEqual(range(16, (i) => (i + 10 + primes[i % 4]!) ** 2));
    for (const session of [add, square]) session.dispose();
    own.destroy();
  });

  test('keeps the order of runs that are started together', async () => {
    const session = await expectRight(load(device, twoSteps(64)));
    const starts = [1, 2, 3, 4, 5, 6];
    const runs = await Promise.all(starts.map((start) => expectRight(session.run({ x: range(64, () => start) }))));
    for (const [i, { out }] of runs.entries()) {
      expect((await expectRight(out!.read()))[0]).toBe((starts[i]! + 2) ** 2);
    }
    session.dispose();
  });

  test('gives the same result without waiting, and in the parts of an abortable run', async () => {
    const session = await expectRight(load(device, twoSteps(64)));
    const direct = await expectRight(session.run({ x: range(64) }));
    const unwaited = await expectRight(session.run({ x: range(64) }, { wait: false }));
    const abortable = await expectRight(session.run({ x: range(64) }, { signal: new AbortController().signal }));
    const expected = await expectRight(direct['out']!.read());
    expect(await expectRight(unwaited['out']!.read())).toEqual(expected);
    expect(await expectRight(abortable['out']!.read())).toEqual(expected);
    session.dispose();
  });

  test('times every kernel', async () => {
    if (!device.profile.features.includes('timestamp-query')) return;
    const session = await expectRight(load(device, twoSteps(1 << 16)));
    const profiles: (readonly KernelTiming[])[] = [];
    const { same } = await expectRight(session.run({ x: range(1 << 16) }, { profile: (timings) => profiles.push(timings) }));
    expect(await expectRight(same!.read())).toEqual(range(1 << 16));
    expect(profiles[0]!.map((timing) => [timing.kernel, timing.label])).toEqual([
      ['k0_add', 'first'],
      ['k1_square', 'second'],
    ]);
    expect(profiles[0]!.every(({ nanoseconds }) => nanoseconds > 0 && nanoseconds < 1e10)).toBe(true);
    session.dispose();
  });

  test('leaves no memory behind', async () => {
    const own = await openTestDevice(); // its memory is nobody else's
    const before = own.memory.used;
    const session = await expectRight(load(own, twoSteps(64)));
    const outputs = await expectRight(session.run({ x: range(64) }));
    expect(own.memory.used).toBeGreaterThan(before);
    Object.values(outputs)[0]!.dispose();
    session.dispose();
    for (const output of Object.values(outputs)) output.dispose();
    expect(own.memory.used).toBe(before);
    own.destroy();
  });

  test('gets the memory of forgotten tensors back', async () => {
    const own = await openTestDevice(); // its memory is nobody else's
    setFlagsFromString('--expose_gc');
    const collect: () => void = runInNewContext('gc');
    const session = await expectRight(load(own, vectorAdd(1024)));
    const inputs = { x: range(1024), y: range(1024) };
    (await expectRight(session.run(inputs)))['out']!.dispose();
    const used = own.memory.used;
    for (let i = 0; i < 200; i++) await expectRight(session.run(inputs));
    const grown = own.memory.used - used;
    expect(grown).toBeGreaterThan(0);
    for (let i = 0; i < 10; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (let i = 0; i < 100; i++) await expectRight(session.run(inputs));
    expect(own.memory.used - used).toBeLessThanOrEqual(grown);
    session.dispose();
    own.destroy();
  });

  test('a tensor that is disposed while it is read or fed stays until then', async () => {
    const session = await expectRight(load(device, vectorAdd(16)));
    const ones = await expectRight(
      upload(
        device,
        [16],
        'f32',
        range(16, () => 1),
      ),
    );
    const reading = ones.read()();
    const running = session.run({ x: ones, y: range(16) }, { signal: new AbortController().signal })();
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    ones.dispose();
    expect(await reading).toMatchObject({ right: range(16, () => 1) });
    const result = await running;
    // The run either held the tensor in time or says that it is gone; it never computes with other elements.
    if (result._tag === 'Left') expect(result.left.message).toContain('disposed');
    else expect(await expectRight(result.right['out']!.read())).toEqual(range(16, (i) => i + 1));
    session.dispose();
  });

  test('compiles a text once per device', async () => {
    const first = await expectRight(load(device, vectorAdd(12)));
    const count = device.pipelines.size;
    const second = await expectRight(load(device, vectorAdd(20)));
    expect(device.pipelines.size).toBe(count);
    for (const session of [first, second]) session.dispose();
  });

  test('reads tensors that are larger than one chunk', async () => {
    const n = (1 << 24) + 4096;
    const tensor = await expectRight(
      upload(
        device,
        [n],
        'u32',
        Uint32Array.from({ length: n }, (_, i) => i),
      ),
    );
    const back = await expectRight(tensor.read());
    expect(back.length).toBe(n);
    expect(back.every((value, i) => value === i)).toBe(true);
    tensor.dispose();
  });
});

describe('inputs and parameters', () => {
  test('all problems of the inputs are in one error', async () => {
    const session = await expectRight(load(device, vectorAdd(8)));
    const error = await expectLeft(session.run({ y: new Float32Array(7), z: new Float32Array(8), toString: new Float32Array(1) }));
    expect(error).toMatchObject({ _tag: 'BadInput' });
    expect(error.message).toContain('input x is missing');
    expect(error.message).toContain('input z is not known to the program');
    expect(error.message).toContain('input toString is not known to the program');
    expect(error.message).toContain('input y: 7 elements given, [8] has 8');
    expect((await expectLeft(session.run({ x: new Int32Array(8), y: new Float32Array(8) }))).message).toContain('not as Int32Array');
    session.dispose();
  });

  test('tensors of another shape, dtype, device, or none any more are refused', async () => {
    const other = await openTestDevice();
    const session = await expectRight(load(device, vectorAdd(8)));
    const y = new Float32Array(8);
    const message = async (x: Parameters<typeof session.run>[0][string]): Promise<string> =>
      (await expectLeft(session.run({ x, y }))).message;
    expect(await message(await expectRight(upload(device, [2, 4], 'f32', y)))).toContain('shape [2, 4] given, [8] expected');
    expect(await message(await expectRight(upload(device, [8], 'u32', new Uint32Array(8))))).toContain('u32 given, f32 expected');
    expect(await message(await expectRight(upload(other, [8], 'f32', y)))).toContain('another device');
    const gone = await expectRight(upload(device, [8], 'f32', y));
    gone.dispose();
    expect(await message(gone)).toContain('disposed');
    expect((await expectLeft(gone.read())).message).toContain('disposed');
    other.destroy();
    session.dispose();
  });

  const twoWeights = (): Program => {
    const add = vectorAdd(8);
    return {
      ...add,
      inputs: [],
      parameters: add.inputs,
      buffers: add.buffers.map((buffer) => (buffer.kind === 'input' ? { ...buffer, kind: 'parameter' as const } : buffer)),
    };
  };

  test('all problems of the parameters are in one error', async () => {
    const session = await expectRight(load(device, twoWeights()));
    expect((await expectLeft(session.run({}))).message).toContain('parameter x was not set');
    const error = await expectLeft(session.setParameters({ x: () => new Float32Array(9), w: new Float32Array(8) }));
    expect(error).toMatchObject({ _tag: 'BadInput' });
    expect(error.message).toContain('parameter x: 9 elements given, [8] has 8');
    expect(error.message).toContain('parameter y is missing');
    expect(error.message).toContain('parameter w is not known to the program');
    const broken = session.setParameters({ x: () => Promise.reject(new Error('disk gone')), y: new Float32Array(8) });
    expect((await expectLeft(broken)).message).toContain('parameter x: reading failed: disk gone');
    session.dispose();
  });

  test('parameters are fetched one at a time, may be tensors, and may be replaced one by one', async () => {
    const session = await expectRight(load(device, twoWeights()));
    let open = 0;
    const reader = (value: number) => async (): Promise<Float32Array> => {
      expect(++open).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      open--;
      return range(8, () => value);
    };
    await expectRight(session.setParameters({ x: reader(1), y: reader(2) }));
    const read = async (): Promise<number> => (await expectRight((await expectRight(session.run({})))['out']!.read()))[3]!;
    expect(await read()).toBe(3);
    await expectRight(session.setParameters({ y: range(8, () => 10) }));
    expect(await read()).toBe(11);
    await expectRight(
      session.setParameters({
        x: await expectRight(
          upload(
            device,
            [8],
            'f32',
            range(8, () => 100),
          ),
        ),
      }),
    );
    expect(await read()).toBe(110);
    session.dispose();
  });

  test('int8 parameters are made from floats while they are uploaded, their scales with them', async () => {
    const store = makeParameterStore(device);
    const session = await expectRight(load(device, firstOfRows(4), { parameters: store }));
    const wanted: string[] = [];
    await expectRight(
      session.setParameters({
        w: ({ name, dtype, shape }) => {
          wanted.push(`${name} ${dtype} [${shape.join()}]`);
          return range(32, (i) => [-127, 127, 0.5, 0][Math.floor(i / 8)]! * (i % 8 === 0 ? 1 : 0.25)); // the first of each row is the largest
        },
      }),
    );
    expect(wanted).toEqual(['w f32 [4,8]']);
    const { out } = await expectRight(session.run({}));
    expect(Array.from(await expectRight(out!.read()), (x) => Math.round(x * 1e5) / 1e5)).toEqual([-127, 127, 0.5, 0]);
    const other = await expectRight(load(device, firstOfRows(4), { parameters: store }));
    await expectRight(other.setParameters({})); // both buffers are there
    const refused = async (w: ParameterValue): Promise<string> => (await expectLeft(session.setParameters({ w }))).message;
    expect(await refused(range(32, (i) => (i === 9 ? NaN : i)))).toContain('parameter w: row 1 has an element that is NaN, which int8 cannot hold');
    expect(await refused(await expectRight(upload(device, [4, 8], 'f32', range(32))))).toContain('parameter w: a tensor of the device is given');
    expect(await refused(new Int32Array(32))).toContain('a f32 tensor is given as');
    expect((await expectLeft(session.setParameters({ 'w.scale': range(4) }))).message).toContain('parameter w.scale is not known to the program');
    session.dispose();
    other.dispose();
    store.dispose();
  });

  test('f16 parameters are rounded, and refused where f16 cannot hold them', async ({ skip }) => {
    if (!device.gpu.features.has('shader-f16')) skip('the adapter lacks shader-f16');
    const plain = unary('f16', 8, 'b0[i]');
    const program: Program = {
      ...plain,
      inputs: [],
      parameters: plain.inputs,
      buffers: plain.buffers.map((buffer) => (buffer.kind === 'input' ? { ...buffer, kind: 'parameter' } : buffer)),
    };
    const session = await expectRight(load(device, program));
    await expectRight(session.setParameters({ x: range(8, (i) => 1 + i / 3000) }));
    const { out } = await expectRight(session.run({}));
    expect(await expectRight(out!.read())).toEqual(range(8, (i) => 1 + Math.round((i / 3000) * 1024) / 1024));
    const error = await expectLeft(session.setParameters({ x: range(8, (i) => i * 2e4) }));
    expect(error.message).toContain('parameter x: 4 of 8 elements are beyond 65504, the largest f16 (the first: element 4 is 80000)');
    session.dispose();
  });

  test('two programs share a store', async () => {
    const own = await openTestDevice(); // its memory is nobody else's
    const store = makeParameterStore(own);
    const first = await expectRight(load(own, matmul(8), { parameters: store }));
    const second = await expectRight(load(own, matmul(8), { parameters: store }));
    await expectRight(first.setParameters({ w: range(64, () => 1) }));
    const used = own.memory.used;
    await expectRight(second.setParameters({}));
    expect(own.memory.used).toBe(used);
    first.dispose();
    const { out } = await expectRight(second.run({ x: range(64, () => 2) }));
    expect((await expectRight(out!.read()))[5]).toBe(16);
    store.dispose();
    expect((await expectLeft(second.run({ x: range(64) }))).message).toContain('parameter w was not set');
    second.dispose();
    own.destroy();
  });
});

describe('what goes wrong', () => {
  test('a kernel with broken WGSL is named, with the line', async () => {
    const good = twoSteps(8);
    const broken: Program = {
      ...good,
      kernels: [
        good.kernels[0]!,
        { ...good.kernels[1]!, wgsl: good.kernels[1]!.wgsl.replace('b1[i] = b0[i] * b0[i]', 'b1[i] = b0[i] * bogus') },
      ],
    };
    const error = await expectLeft(load(device, broken));
    expect(error).toMatchObject({ _tag: 'Validation', kernel: 'k1_square' });
    expect(error.message).toContain('k1_square');
    expect(error.message).toMatch(/bogus/);
    expect(error.message).toContain('b1[i] = b0[i] * bogus;');
    expect(await expectLeft(load(device, broken))).toMatchObject({ kernel: 'k1_square' });
  });

  test('a kernel whose bindings do not fit its text is named', async () => {
    const good = vectorAdd(8);
    const wrong = {
      ...good,
      kernels: [{ ...good.kernels[0]!, wgsl: good.kernels[0]!.wgsl.replace('storage, read_write', 'storage, read') }],
    };
    expect(await expectLeft(load(device, wrong))).toMatchObject({ _tag: 'Validation', kernel: 'k0_add' });
  });

  test('a dispatch that is refused only when it runs is named', async () => {
    // The text wants at least 64 bytes, the binding has 32: WebGPU checks that when the dispatch is recorded.
    const text = `@group(0) @binding(0) var<storage, read> x: array<f32, 16>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { y[0] = x[15]; }`;
    const good = unary('f32', 8, 'b0[i]');
    const program = {
      ...good,
      kernels: [...good.kernels, kernel('k1_large', text, ['read', 'read_write'], 1)],
      dispatches: [
        ...good.dispatches,
        dispatch(
          1,
          [
            [0, 32],
            [1, 32],
          ],
          1,
          'blocks.3',
        ),
      ],
    };
    const session = await expectRight(load(device, program));
    const error = await expectLeft(session.run({ x: new Float32Array(8) }));
    expect(error).toMatchObject({ _tag: 'Validation', kernel: 'k1_large (blocks.3)' });
    session.dispose();
  });

  test('limits are named with what needs them, all at once', async () => {
    const huge = 2 ** 44;
    const add = vectorAdd(8);
    const program = {
      ...add,
      buffers: [...add.buffers, { kind: 'scratch' as const, label: 'decode.weights', bytes: huge }],
      kernels: [{ ...add.kernels[0]!, workgroupSize: [4096, 1, 1] as const }],
      dispatches: [{ ...add.dispatches[0]!, workgroups: [1 << 20, 1, 1] as const, label: 'decode' }],
      limits: { maxStorageBufferBindingSize: huge, maxNothing: 1 },
      features: ['shader-quantum'],
    };
    const error = await expectLeft(load(device, program));
    expect(error).toMatchObject({ _tag: 'MissingLimits', features: ['shader-quantum'] });
    if (error._tag !== 'MissingLimits') return;
    expect(error.limits.map(({ name, where }) => [name, where])).toEqual([
      ['maxStorageBufferBindingSize', undefined],
      ['maxNothing', undefined],
      ['maxBufferSize', 'decode.weights'],
      ['maxComputeWorkgroupSizeX', 'k0_add'],
      ['maxComputeInvocationsPerWorkgroup', 'k0_add'],
      ['maxComputeWorkgroupsPerDimension', 'k0_add (decode)'],
    ]);
    expect(error.message).toContain(`limit maxBufferSize: ${huge} needed by decode.weights, ${device.gpu.limits.maxBufferSize} offered`);
  });

  test('memory over the cap is refused with the name of the buffer, and nothing stays allocated', async () => {
    const small = await openTestDevice(5000);
    const error = await expectLeft(load(small, twoSteps(4096)));
    expect(error).toMatchObject({ _tag: 'OutOfMemory', label: 'scratch sum', bytes: 16384 });
    expect(small.memory.used).toBe(0);
    const session = await expectRight(load(small, vectorAdd(256)));
    const run = session.run({ x: range(256), y: range(256) });
    const [first] = [await expectRight(run), await expectRight(run)];
    expect(await expectLeft(run)).toMatchObject({ _tag: 'OutOfMemory', label: 'output out', bytes: 1024 });
    first['out']!.dispose();
    await expectRight(run);
    session.dispose();
    small.destroy();
  });

  test('a program that does not hold together is refused', async () => {
    const add = vectorAdd(8);
    const error = await expectLeft(load(device, makeProgram('broken', { ...add, dispatches: [dispatch(3, [], 1)] })));
    expect(error).toMatchObject({ _tag: 'BadProgram' });
    expect(error.message).toContain('dispatches[0].kernel is 3, there are 1 kernels');
  });

  test('an abort before and during a run', async () => {
    const own = await openTestDevice(); // its memory is nobody else's
    const session = await expectRight(load(own, slow(40)));
    await expectRight(session.setParameters({ w: new Float32Array(512 * 512) }));
    const x = new Float32Array(512 * 512);
    const used = own.memory.used;
    expect(await expectLeft(session.run({ x }, { signal: AbortSignal.abort() }))).toMatchObject({ _tag: 'Aborted' });
    const began = performance.now();
    expect(await expectLeft(session.run({ x }, { signal: AbortSignal.timeout(100) }))).toMatchObject({ _tag: 'Aborted' });
    expect(performance.now() - began).toBeLessThan(5000);
    expect(own.memory.used - used).toBeLessThanOrEqual(2 * 512 * 512 * 4);
    session.dispose();
    expect(await expectLeft(load(own, matmul(4), { signal: AbortSignal.abort() }))).toMatchObject({ _tag: 'Aborted' });
    own.destroy();
  });

  test('a device lost half-way, and everything after', async () => {
    const doomed = await openTestDevice();
    const session = await expectRight(load(doomed, slow(2)));
    await expectRight(session.setParameters({ w: new Float32Array(512 * 512) }));
    const tensor = await expectRight(upload(doomed, [4], 'f32', range(4)));
    const running = session.run({ x: new Float32Array(512 * 512) })();
    setTimeout(() => doomed.gpu.destroy(), 50);
    expect(await running).toMatchObject({ _tag: 'Left', left: { _tag: 'Lost', reason: 'destroyed' } });
    expect(doomed.lost()).toMatchObject({ _tag: 'Lost' });
    expect(await expectLeft(session.run({ x: new Float32Array(512 * 512) }))).toMatchObject({ _tag: 'Lost' });
    expect(await expectLeft(tensor.read())).toMatchObject({ _tag: 'Lost' });
    expect(await expectLeft(load(doomed, vectorAdd(8)))).toMatchObject({ _tag: 'Lost' });
    expect(await expectLeft(upload(doomed, [4], 'f32', range(4)))).toMatchObject({ _tag: 'Lost' });
    expect(await expectLeft(session.setParameters({ w: new Float32Array(512 * 512) }))).toMatchObject({ _tag: 'Lost' });
    session.dispose();
  });

  test('a device that is lost while kernels compile', async () => {
    const doomed = await openTestDevice();
    const loading = load(doomed, matmul(8))();
    doomed.destroy();
    expect(await loading).toMatchObject({ _tag: 'Left', left: { _tag: 'Lost' } });
  });
});

describe('parts of tensors', () => {
  const n = 256;
  const add = vectorAdd(n);

  test('are read, bound where they are, and copied where a kernel cannot bind them', async () => {
    const session = await expectRight(load(device, add));
    const whole = await expectRight(upload(device, [3, n], 'f32', Float32Array.from({ length: 3 * n }, (_, i) => i)));
    const zeros = new Float32Array(n);
    for (const first of [n, 3, 2 * n]) {
      // the second does not begin at a multiple of 256 bytes
      const some = part(whole, first, [n]);
      expect(Array.from(await expectRight(some.read())).slice(0, 2)).toEqual([first, first + 1]);
      const { out } = await expectRight(session.run({ x: some, y: zeros }));
      expect(Array.from(await expectRight(out!.read()))).toEqual(Array.from({ length: n }, (_, i) => first + i));
      some.dispose();
    }
    session.dispose();
    whole.dispose();
  });

  test('keep the whole in place, and may not leave it', async () => {
    const used = device.memory.used;
    const whole = await expectRight(upload(device, [2, n], 'f32', new Float32Array(2 * n).fill(7)));
    expect(() => part(whole, n + 1, [n])).toThrow('no part [256] of [2, 256] begins at element 257');
    const some = part(whole, n, [n]);
    whole.dispose();
    expect((await expectRight(some.read()))[0]).toBe(7);
    expect(device.memory.used).toBeGreaterThan(used);
    some.dispose();
    expect(device.memory.used).toBe(used);
  });
});

describe('a recorder', () => {
  const n = 64;

  /** x doubled `times` times. */
  const doubled = async (session: Session, recorder: Recorder, times: number, start: number): Promise<DeviceTensor> => {
    let x = await expectRight(upload(device, [n], 'f32', new Float32Array(n).fill(start)));
    for (let i = 0; i < times; i++) {
      const { out } = await expectRight(session.run({ x, y: x }, { recorder }));
      x.dispose(); // a recorded run keeps what it reads
      x = out!;
    }
    return x;
  };

  test('puts many runs into one submit; reading what they make submits them', async () => {
    const session = await expectRight(load(device, vectorAdd(n)));
    const recorder = makeRecorder(device);
    const { queue } = device.gpu;
    const submit = queue.submit.bind(queue);
    let submits = 0;
    queue.submit = (commands) => {
      if ([...commands].length > 0) submits++;
      return submit(commands);
    };
    try {
      const [a, b] = [await doubled(session, recorder, 10, 1), await doubled(session, recorder, 3, 5)];
      expect(submits).toBe(0);
      expect((await expectRight(a.read()))[0]).toBe(1024);
      expect(submits).toBe(2); // the runs, and the copy to the host
      expect((await expectRight(b.read()))[0]).toBe(40);
      expect(submits).toBe(3);
      await expectRight(recorder.submit()); // nothing is left
      await expectRight(recorder.done());
      expect(submits).toBe(3);
    } finally {
      queue.submit = submit;
    }
    session.dispose();
  });

  test('keeps host inputs of each run apart, and its tensors feed other runs', async () => {
    const session = await expectRight(load(device, vectorAdd(n)));
    const recorder = makeRecorder(device);
    const made = [];
    for (let i = 0; i < 4; i++) {
      const { out } = await expectRight(session.run({ x: new Float32Array(n).fill(i), y: new Float32Array(n).fill(10 * i) }, { recorder }));
      made.push(out!);
      if (i === 1) out!.dispose(); // its buffer must not become an input of the next before the submit
    }
    const { out } = await expectRight(session.run({ x: made[2]!, y: made[3]! }));
    expect((await expectRight(out!.read()))[0]).toBe(55);
    expect((await expectRight(made[0]!.read()))[0]).toBe(0);
    session.dispose();
  });

  test('gives the failure of its submit to whoever reads', async () => {
    const own = await openTestDevice();
    const session = await expectRight(load(own, vectorAdd(n)));
    const recorder = makeRecorder(own);
    const { out: x } = await expectRight(session.run({ x: new Float32Array(n), y: new Float32Array(n) }, { recorder }));
    own.destroy();
    expect((await expectLeft(x!.read()))._tag).toBe('Lost');
    expect((await expectLeft(recorder.done()))._tag).toBe('Lost');
  });
});
