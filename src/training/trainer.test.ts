/** The trainer on a small network: against gradient descent by hand on the reference, on the device, split into micro-batches, and continued. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeGraph } from '../../dsl/graph/graph.ts';
import * as L from '../../dsl/index.ts';
import type { Optimizer } from '../../models/training/optimizer.ts';
import type { Backend, BackendError } from '../backend/backend.ts';
import { openBackend } from '../backend/open.ts';
import { referenceBackend } from '../backend/reference.ts';
import { flatLayout, flattened, ROW, unflattened } from './flat.ts';
import { openTrainer, type Trainer, type TrainerOptions, type TrainingState } from './trainer.ts';

const elementsOf = (seed: number, count: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));
const right = async <A>(task: TaskEither<BackendError, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};

/** Momentum and averages: enough to see every state move. */
const momentum: Optimizer = (() => {
  const [param, grad, velocity, ema] = [L.input('param', ['n']), L.input('grad', ['n']), L.input('velocity', ['n']), L.input('ema', ['n'])];
  const hyper = L.input('hyper', [2]), norm = L.input('norm', [1]);
  const clip = L.minimum(L.div(2, L.add(L.reshape(norm, []), 1e-6)), 1);
  const next = L.add(L.mul(velocity, L.index(hyper, 0, 1)), L.mul(grad, clip)), moved = L.sub(param, L.mul(next, L.index(hyper, 0, 0)));
  return {
    graph: makeGraph({ velocity: next, param: moved, ema: L.add(L.mul(ema, 0.9), L.mul(moved, 0.1)) }, [param, grad, velocity, ema, hyper, norm]),
    states: ['velocity'], ema: true, hyper: (step) => Float32Array.of(0.1 / step, 0.8),
  };
})();

const SHAPES = { w: [5, 3], b: [5], v: [5] };
const graph = (() => {
  const [x, y] = [L.input('x', ['B', 3]), L.input('y', ['B'])];
  const hidden = L.silu(L.add(L.linear(x, L.parameter('w', [5, 3])), L.parameter('b', [5])));
  const out = L.einsum('b k, k -> b', hidden, L.parameter('v', [5]));
  return makeGraph({ loss: L.mean(L.square(L.sub(out, y)), 0) }, [x, y]);
})();
const start: TrainingState = (() => {
  const parameters = { w: elementsOf(1, 15), b: elementsOf(2, 5), v: elementsOf(3, 5) };
  return { step: 0, parameters, ema: parameters, moments: {} };
})();
const batchOf = (step: number, from: number, count: number) => {
  const x = Float32Array.from({ length: 3 * count }, (_, i) => Math.sin(3 * from + i + 7 * step));
  return { x, y: Float32Array.from({ length: count }, (_, i) => Math.cos(from + i + step)) };
};
const optionsFor = (more: Partial<TrainerOptions> = {}): TrainerOptions => ({ graph, sizes: { B: 8 }, shapes: SHAPES, optimizer: momentum, state: start, ...more });
const train = async (backend: Backend, steps: number, options = optionsFor()): Promise<Trainer> => {
  const trainer = await right(openTrainer(backend, options)), parts = options.accumulate ?? 1, each = 8 / parts;
  for (let i = 0; i < steps; i++) {
    await right(trainer.step(Array.from({ length: parts }, (_, k) => batchOf(options.state.step + i, k * each, each))));
  }
  return trainer;
};
const near = (got: Readonly<Record<string, ArrayLike<number>>>, want: Readonly<Record<string, ArrayLike<number>>>, within: number): void => {
  expect(Object.keys(got)).toEqual(Object.keys(want));
  for (const [name, values] of Object.entries(want)) Array.from(values).forEach((value, i) => expect(Math.abs(got[name]![i]! - value), `${name}[${i}]`).toBeLessThan(within));
};

test('parameters lie end to end, aligned, and come back', () => {
  const layout = flatLayout({ a: [70], b: [2, 3], c: [3000], d: [] }, 2048);
  expect(layout.map(({ members, elements }) => [elements, members.map(({ name, first }) => [name, first])])).toEqual([
    [ROW, [['a', 0], ['b', 128]]], [3 * ROW, [['c', 0]]], [ROW, [['d', 0]]],
  ]);
  const values = { a: Float32Array.from({ length: 70 }, (_, i) => i), b: Float32Array.of(1, 2, 3, 4, 5, 6) };
  expect(unflattened(layout[0]!, flattened(layout[0]!, values))).toEqual(values);
});

describe.each(['wgsl', 'wasm'] as const)('the trainer, with %s', (name) => {
  let device: Backend;
  beforeAll(async () => { device = await right(openBackend(name)); });
  afterAll(() => device.close());

  test('does what the formulas say, on the reference', async () => {
    const trainer = await train(referenceBackend(), 1), { parameters, moments, ema, step } = await right(trainer.state());
    const [report] = await right(trainer.report());
    expect([step, report!.step]).toEqual([1, 1]);
    const velocity = moments['velocity']!, clip = Math.min(1, 2 / report!.gradientNorm);
    const length = Math.hypot(...Object.values(velocity).flatMap((each) => [...each]));
    expect(length / clip).toBeCloseTo(report!.gradientNorm, 5);
    for (const name of Object.keys(SHAPES)) {
      parameters[name]!.forEach((value, i) => {
        const before = start.parameters[name]![i]!;
        expect(value).toBeCloseTo(before - 0.1 * velocity[name]![i]!, 6);
        expect(ema[name]![i]!).toBeCloseTo(0.9 * before + 0.1 * value, 6);
      });
    }
  });
  test('on the device agrees with the reference, and the loss falls', async () => {
    const [ours, exact] = [await train(device, 20), await train(referenceBackend(), 20)];
    const [losses, want] = [await right(ours.report()), await right(exact.report())];
    losses.forEach(({ loss, gradientNorm }, i) => {
      expect(Math.abs(loss / want[i]!.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(gradientNorm / want[i]!.gradientNorm - 1)).toBeLessThan(1e-4);
    });
    expect(losses.at(-1)!.loss).toBeLessThan(0.7 * losses[0]!.loss);
    near((await right(ours.state())).parameters, (await right(exact.state())).parameters, 1e-5);
    ours.dispose();
  });
  test('split into micro-batches takes the same steps', async () => {
    const [whole, split] = [await train(device, 5), await train(device, 5, optionsFor({ accumulate: 4, sizes: { B: 2 } }))];
    near((await right(split.state())).parameters, (await right(whole.state())).parameters, 1e-6);
    const [a, b] = [await right(whole.report()), await right(split.report())];
    a.forEach(({ loss }, i) => expect(Math.abs(b[i]!.loss - loss)).toBeLessThan(1e-6));
    [whole, split].forEach((trainer) => trainer.dispose());
  });
  test('continues from its state bit for bit', async () => {
    const straight = await train(device, 6), first = await train(device, 3);
    const state = await right(first.state());
    first.dispose();
    const second = await train(device, 3, optionsFor({ state }));
    expect(await right(second.state())).toEqual(await right(straight.state()));
    expect(await right(second.report())).toEqual((await right(straight.report())).slice(3));
    [straight, second].forEach((trainer) => trainer.dispose());
  });
  test('in mixed precision stays near f32, with a scale that follows the gradient', async (context) => {
    const probe = await openTrainer(device, optionsFor({ precision: 'mixed' }))();
    if (E.isLeft(probe)) {
      expect(probe.left.message).toContain('shader-f16');
      return context.skip('the adapter has no f16');
    }
    probe.right.dispose();
    const [single, mixed] = [await train(device, 20), await train(device, 20, optionsFor({ precision: 'mixed' }))];
    const [want, got] = [await right(single.report()), await right(mixed.report())];
    got.forEach(({ loss, gradientNorm }, i) => {
      expect(Math.abs(loss / want[i]!.loss - 1)).toBeLessThan(2e-2);
      expect(Math.abs(gradientNorm / want[i]!.gradientNorm - 1)).toBeLessThan(4e-2);
    });
    const { lossScale } = await right(mixed.state()), length = lossScale! * got[15]!.gradientNorm;
    expect([length > 2 ** 9, length <= 2 ** 10, Number.isInteger(Math.log2(lossScale!))]).toEqual([true, true, true]);
    [single, mixed].forEach((trainer) => trainer.dispose());
  });
  test('hands out its parameters in place, for programs that look at them between steps', async () => {
    const trainer = await train(device, 1);
    const look = await right(device.load({ graph: makeGraph({ b: L.mul(L.parameter('b', [5]), 2) }), sizes: {}, name: 'look', parameters: trainer.tensors('parameters') }));
    const seen = async () => { const { b } = await right(look.run({})); return [...await right(b!.read())]; };
    const before = await seen();
    await right(trainer.step([batchOf(9, 0, 8)]));
    const { parameters } = await right(trainer.state());
    expect(await seen()).toEqual([...parameters['b']!].map((x) => Math.fround(2 * x)));
    expect(before).not.toEqual(await seen());
    trainer.dispose();
  });
});
