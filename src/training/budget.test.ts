/** Memory budgets: fewer bytes by computing again, the same steps, and a refusal where nothing helps. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bindSizes, makeGraph } from '../../dsl/graph/graph.ts';
import { input, mean, square, sub } from '../../dsl/index.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import { type C2iConfig, sizesOf } from '../../models/pixnerd/config.ts';
import { velocityGraph } from '../../models/pixnerd/graph.ts';
import type { Optimizer } from '../../models/training/optimizer.ts';
import type { Backend, BackendError } from '../backend/backend.ts';
import { openBackend } from '../backend/open.ts';
import { referenceBackend } from '../backend/reference.ts';
import { planStep } from './budget.ts';
import { flatLayout } from './flat.ts';
import { openTrainer, shapesOf, type TrainerOptions, type TrainingState } from './trainer.ts';

const right = async <A>(task: TaskEither<BackendError, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right;
};

const config: C2iConfig = { in_channels: 1, patch_size: 4, num_groups: 2, hidden_size: 32, hidden_size_x: 8, num_blocks: 6, num_cond_blocks: 4, nerf_mlpratio: 2, num_classes: 3 };
const bound = sizesOf(config, { batch: 8, height: 16, width: 16 });
if (E.isLeft(bound)) throw new Error(bound.left.join());
const graph = (() => {
  const { inputs, parameters, outputs } = bindSizes(velocityGraph(config), bound.right), v = outputs[0]!.node as Tensor<['a', 'b', 'c', 'd'], 'f32'>;
  const target = input('target', v.shape as unknown as [7]) as unknown as typeof v; // the shape is known at run time only
  return makeGraph({ loss: mean(mean(mean(mean(square(sub(v, target)), 0), 0), 0), 0) }, [...inputs, target, ...parameters]);
})();
const descent: Optimizer = (() => {
  const [param, grad, norm, hyper] = [input('param', ['n']), input('grad', ['n']), input('norm', [1]), input('hyper', [1])];
  return { graph: makeGraph({ param: sub(param, grad) }, [param, grad, hyper, norm]), states: [], ema: false, hyper: () => Float32Array.of(0) };
})();
const numbers = (seed: number, count: number): Float32Array<ArrayBuffer> => Float32Array.from({ length: count }, (_, i) => 0.3 * Math.sin(12.9898 * (i + 1) + 78.233 * seed));
const shapes = shapesOf(graph);
const parameters = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, numbers(i, shape.reduce((a, b) => a * b, 1)).map((x) => (name.includes('norm') ? 1 + x : x))]));
const options = (more: Partial<TrainerOptions> = {}): TrainerOptions => ({ graph, sizes: {}, shapes, optimizer: descent, state: { step: 0, parameters, ema: {}, moments: {} }, ...more });
const batch = { x: numbers(1, 2048), t: numbers(2, 8).map(Math.abs), y: Int32Array.from({ length: 8 }, (_, i) => i % 4), target: numbers(3, 2048) };

describe('a memory budget', () => {
  let device: Backend;
  beforeAll(async () => { device = await right(openBackend('wgsl')); });
  afterAll(() => device.close());
  const plan = (budget: number) => {
    const found = planStep(device, { graph, sizes: {}, layout: flatLayout(shapes, 1e8), copies: 2, budget });
    if (E.isLeft(found)) throw new Error(found.left.message);
    return found.right;
  };

  test('is kept with as few blocks computed again as will do', () => {
    const free = plan(1e12), whole = free.bytes.state + free.bytes.step, tight = plan(whole - 1), tighter = plan(free.bytes.state + Math.round(free.bytes.step * 0.8));
    expect([free.recompute, free.fits]).toEqual([undefined, true]);
    expect([tight.fits, tighter.fits]).toEqual([true, true]);
    expect(tight.bytes.step).toBeLessThan(free.bytes.step);
    expect(tighter.bytes.step).toBeLessThanOrEqual(tight.bytes.step);
    expect(tight.note).toMatch(/^memory: computes \d+ of \d+ blocks again: .* instead of .*, \d+ % more arithmetic; .*, within the budget of /);
  });
  test('that nothing keeps is refused with what to do', () => {
    expect(plan(1000)).toMatchObject({ fits: false });
    expect(plan(1000).note).toContain('use smaller micro-batches and accumulate');
  });
  test('changes no step', async () => {
    const free = plan(1e12), budget = free.bytes.state + Math.round(free.bytes.step * 0.8);
    const states: TrainingState[] = [];
    for (const more of [{}, { budget }]) {
      const trainer = await right(openTrainer(device, options(more)));
      for (let i = 0; i < 2; i++) await right(trainer.step([batch]));
      states.push(await right(trainer.state()));
      expect(trainer.notes.length).toBe('budget' in more ? 1 : 0);
      trainer.dispose();
    }
    for (const name of Object.keys(shapes)) {
      states[0]!.parameters[name]!.forEach((value, i) => expect(Math.abs(states[1]!.parameters[name]![i]! - value), `${name}[${i}]`).toBeLessThan(1e-5));
    }
  });
  test('too small for the trainer is an error of its own', async () => {
    const refused = await openTrainer(device, options({ budget: 1000 }))();
    expect(refused).toMatchObject({ left: { kind: 'memory', message: expect.stringContaining('more than the budget of') as string } });
    expect(await openTrainer(referenceBackend(), options({ budget: 1e12 }))()).toMatchObject({ left: { kind: 'limit', message: expect.stringContaining('plans no memory') as string } });
  });
});
