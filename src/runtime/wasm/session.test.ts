import * as E from 'fp-ts/Either';
import { afterAll, describe, expect, test } from 'vitest';
import { compile } from '../../../compiler/compile.ts';
import type { WasmProgram } from '../../../compiler/program.ts';
import { makeGraph } from '../../../dsl/graph/graph.ts';
import { encodeModule } from '../../../compiler/targets/wasm/encode.ts';
import { add, input, matmul, parameter } from '../../../dsl/index.ts';
import type { DeviceError } from '../errors.ts';
import { parseProgram, parseWasmProgram, printProgram, programProblems } from '../saved-program.ts';
import { openWasmDevice, partOf, uploadTo } from './device.ts';
import { makeHeap } from './memory.ts';
import { nodeThreads } from './node-threads.ts';
import { loadWasm } from './session.ts';

const right = async <A>(task: () => Promise<E.Either<DeviceError, A>>): Promise<A> => {
  const made = await task();
  if (E.isLeft(made)) throw new Error(`${made.left._tag}: ${made.left.message}`);
  return made.right;
};
const left = async (task: () => Promise<E.Either<DeviceError, unknown>>): Promise<DeviceError> => {
  const made = await task();
  if (E.isRight(made)) throw new Error('this should have been refused');
  return made.left;
};

const x = input('x', [3, 8]), w = parameter('w', [8, 8]);
const program = ((): WasmProgram => {
  const made = compile(makeGraph({ y: add(matmul(x, w), 1) }, [x]), { target: 'wasm', name: 'product' });
  if (E.isLeft(made)) throw new Error('does not compile');
  return made.right;
})();
const identity = Float32Array.from({ length: 64 }, (_, i) => Number(i % 9 === 0)), ones = new Float32Array(24).fill(1);

describe.each([1, 2, 3])('on %i threads', (threads) => {
  const opened = right(openWasmDevice(() => nodeThreads(threads)));
  afterAll(async () => (await opened).close());
  const loaded = async () => {
    const device = await opened, session = await right(loadWasm(device, program));
    await right(session.setParameters({ w: identity }));
    return { device, session };
  };

  test('a saved program runs, without the compiler', async () => {
    const saved = printProgram(program), read = parseWasmProgram(saved);
    if (E.isLeft(read)) throw new Error(read.left.message);
    expect(read.right).toEqual(program);
    const session = await right(loadWasm(await opened, read.right));
    await right(session.setParameters({ w: () => identity }));
    const { y } = await right(session.run({ x: ones }));
    expect(Array.from(await right(y!.read()))).toEqual(Array(24).fill(2));
    session.dispose();
  });

  test('outputs outlive later runs; results and parts are fed on where they lie; memory comes back', async () => {
    const { device, session } = await loaded(), before = device.heap.used();
    const [first, second] = [await right(session.run({ x: ones })), await right(session.run({ x: new Float32Array(24) }))];
    const third = await right(session.run({ x: first['y']! }));
    expect([first, second, third].map(({ y }) => y!.shape)).toEqual([[3, 8], [3, 8], [3, 8]]);
    expect(Array.from(await right(first['y']!.read()))).toEqual(Array(24).fill(2));
    expect(Array.from(await right(second['y']!.read()))).toEqual(Array(24).fill(1));
    expect(Array.from(await right(third['y']!.read()))).toEqual(Array(24).fill(3));
    const whole = await right(uploadTo(device, [48], 'f32', Float32Array.from({ length: 48 }, (_, i) => i))), part = partOf(device, whole, 24, [3, 8]);
    whole.dispose();
    const fourth = await right(session.run({ x: part }));
    expect(Array.from(await right(fourth['y']!.read()))).toEqual(Array.from({ length: 24 }, (_, i) => 25 + i));
    for (const tensor of [first['y']!, second['y']!, third['y']!, fourth['y']!, part]) tensor.dispose();
    expect(device.heap.used()).toBe(before);
    expect(await left(first['y']!.read())).toMatchObject({ _tag: 'BadInput' });
    session.dispose();
  });

  test('what is wrong with inputs and parameters is said all at once', async () => {
    const device = await opened, session = await right(loadWasm(device, program));
    expect(await left(session.setParameters({ v: identity }))).toMatchObject({ _tag: 'BadInput', problems: ['parameter w is missing', 'parameter v is not known to the program'] });
    expect(await left(session.run({ x: new Float32Array(3), z: ones }))).toMatchObject({ problems: ['input z is not known to the program', 'parameter w was not set', 'input x: 3 elements given, [3, 8] has 24'] });
    session.dispose();
    expect(await left(session.run({ x: ones }))).toMatchObject({ _tag: 'BadInput' });
  });

  test('an aborted run is told so, and the next one runs', async () => {
    const { session } = await loaded(), controller = new AbortController();
    const running = session.run({ x: ones }, { signal: controller.signal })();
    controller.abort();
    expect(await running).toMatchObject({ left: { _tag: 'Aborted' } });
    const { y } = await right(session.run({ x: ones }));
    expect(Array.from(await right(y!.read()))).toEqual(Array(24).fill(2));
    session.dispose();
  });
});

test('a kernel that leaves the memory ends the run with an error, and neither the process nor the other threads', async () => {
  for (const count of [1, 2]) {
    const threads = nodeThreads(count), { memory } = makeHeap();
    // (module (import "env" "memory") (func (export "f") (param i32 i32 i32 i32) (drop (i32.load (local.get 3)))))
    const function_ = { name: 'f', parameters: 4, locals: [], code: [0x20, 3, 0x28, 2, 0, 0x1a] };
    const module = await WebAssembly.compile(encodeModule([function_], true));
    const task = { kernel: 'f', total: 8, chunk: 1, bindings: [{ buffer: 0, offset: 0 }] };
    const loaded = await threads.load(module, memory, [task, task, task], () => 64);
    await expect(loaded.run([0xfffffff0])).rejects.toThrow(/out of bounds/);
    await loaded.run([64]);
    threads.stop();
  }
});

test('a program of the other target, or with a broken module, is refused in words', async () => {
  expect(parseProgram(printProgram(program))).toMatchObject({ left: { message: expect.stringContaining('WebAssembly') } });
  expect(programProblems({ ...program, module: 'not base64!' })).toEqual([expect.stringContaining('module')]);
  expect(programProblems({ ...program, scratchBytes: -1 })).toEqual([expect.stringContaining('scratchBytes')]);
  const device = await right(openWasmDevice(() => nodeThreads(1)));
  expect(await left(loadWasm(device, { ...program, module: 'AGFzbQEAAAB/' }))).toMatchObject({ _tag: 'Validation' });
  const renamed = { ...program, kernels: program.kernels.map((kernel) => ({ ...kernel, name: `${kernel.name}_other` })) };
  expect(await left(loadWasm(device, renamed))).toMatchObject({ _tag: 'BadProgram', message: expect.stringContaining('has no function') });
});

test('more than 4 GiB is a limit, with the name of the tensor', () => {
  const huge = input('huge', [32768, 32768]);
  const made = compile(makeGraph({ y: add(huge, huge) }, [huge]), { target: 'wasm' });
  expect(made).toMatchObject({ left: [{ kind: 'limit', message: expect.stringContaining('huge') }, expect.anything()] });
});

test('the heap gives back what is free, as a whole, and says what it lacks', () => {
  const heap = makeHeap(), [a, b, c] = [heap.allocate('a', 100), heap.allocate('b', 70_000), heap.allocate('c', 64)] as const;
  expect(new Set([a, b, c].map((address) => address % 64))).toEqual(new Set([0]));
  heap.free(a);
  heap.free(c);
  heap.free(b);
  expect(heap.used()).toBe(0);
  expect(heap.allocate('d', 70_300)).toBe(a);
  let problem: unknown;
  try {
    heap.allocate('too much', 2 ** 32);
  } catch (thrown) {
    problem = thrown;
  }
  expect(problem).toMatchObject({ error: { _tag: 'OutOfMemory', label: 'too much' } });
});
