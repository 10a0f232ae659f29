import * as E from 'fp-ts/Either';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../backend/backend.ts';
import { openBackend } from '../backend/open.ts';
import { referenceBackend } from '../backend/reference.ts';
import { sample, shardRange, type SampledImage, type SampleRequest } from './sample.ts';
import { planned, TINY, tinyModel } from './test-model.ts';

const MODEL = tinyModel();
const PLAN = planned({ sampler: 'adams', steps: 3, guidance: 2, interval: [0, 1] });

const request = (backend: Backend, changes: Partial<SampleRequest> = {}): SampleRequest => ({
  backend,
  model: MODEL,
  plan: PLAN,
  size: { height: 8, width: 8 },
  seed: 5,
  labels: [2, 0],
  first: 0,
  end: 5,
  batch: 5,
  ...changes,
});

/** All images; a failure fails the test. */
const images = async (asked: SampleRequest): Promise<readonly SampledImage[]> => {
  const all: SampledImage[] = [];
  for await (const image of sample(asked)) {
    if (E.isLeft(image)) throw new Error(image.left.message);
    all.push(image.right);
  }
  return all;
};

const lastOf = async (asked: SampleRequest) => {
  let last;
  for await (const image of sample(asked)) last = image;
  return last;
};

const difference = (a: readonly SampledImage[], b: readonly SampledImage[]): number =>
  Math.max(...a.flatMap((image, i) => Array.from(image.values, (value, j) => Math.abs(value - b[i]!.values[j]!))));

test('shards cover all images once, in order', () => {
  for (const [count, parts] of [
    [10, 3],
    [2, 5],
    [50000, 8],
  ] as const) {
    const ranges = Array.from({ length: parts }, (_, i) => shardRange(count, { index: i + 1, count: parts }));
    expect(ranges[0]![0]).toBe(0);
    expect(ranges.at(-1)![1]).toBe(count);
    ranges.slice(1).forEach(([first], i) => expect(first).toBe(ranges[i]![1]));
  }
});

describe('on the reference', () => {
  const reference = referenceBackend();

  test('image i gets labels[i mod n], and all are of the asked shape', async () => {
    const made = await images(request(reference));
    expect(made.map(({ index, label }) => [index, label])).toEqual([
      [0, 2],
      [1, 0],
      [2, 2],
      [3, 0],
      [4, 2],
    ]);
    for (const { values } of made) expect(values.length).toBe(64);
    expect(made[0]!.values.some(Number.isNaN)).toBe(false);
  });

  test('neither batch nor shard changes an image, with noise in the steps too', async () => {
    const plan = planned({ sampler: 'euler', steps: 3, step: 'sde', noiseScheduler: 'linear', guidance: 1 });
    const whole = await images(request(reference, { plan }));
    const single = await images(request(reference, { plan, batch: 1 }));
    const shard = await images(request(reference, { plan, first: 3, end: 5, batch: 2 }));
    expect(difference(whole, single)).toBe(0);
    expect(shard.map(({ index }) => index)).toEqual([3, 4]);
    expect(difference(whole.slice(3), shard)).toBe(0);
    expect(difference(whole.slice(0, 1), whole.slice(2, 3))).toBeGreaterThan(0.1); // the same label, another noise
  });

  test('a size that 16 does not divide has a generator per image', async () => {
    const odd = tinyModel({ ...TINY, patch_size: 2 });
    const asked = request(reference, { model: odd, size: { height: 2, width: 6 }, plan: planned({ sampler: 'euler', steps: 1 }) });
    expect(difference(await images(asked), await images({ ...asked, batch: 2 }))).toBe(0);
  });

  test('the trajectory goes from the noise to the image', async () => {
    const [image] = await images(request(reference, { trajectory: true, end: 1 }));
    expect(image!.trajectory.length).toBe(4);
    expect(image!.trajectory.at(-1)).toEqual(image!.values);
  });

  test('progress counts every network call of every batch', async () => {
    const seen: (readonly [number, number])[] = [];
    await images(request(reference, { batch: 2, onStep: (done, all) => seen.push([done, all]) }));
    expect(seen[0]).toEqual([0, 9]);
    expect(seen.at(-1)).toEqual([9, 9]);
  });

  test('an abort ends the stream with `aborted`', async () => {
    const controller = new AbortController();
    const last = await lastOf(
      request(reference, {
        signal: controller.signal,
        onStep: (done) => {
          if (done === 1) controller.abort();
        },
      }),
    );
    expect(last).toMatchObject({ _tag: 'Left', left: { kind: 'aborted' } });
  });

  test('without labels nothing is sampled', async () => {
    expect(await lastOf(request(reference, { labels: [] }))).toMatchObject({ _tag: 'Left', left: { kind: 'input' } });
  });

  test('missing weights are named', async () => {
    const { 'final_layer.linear.bias': _bias, ...rest } = MODEL.weights;
    const last = await lastOf(request(reference, { model: { ...MODEL, weights: rest } }));
    expect(JSON.stringify(last)).toContain('final_layer.linear.bias is missing');
  });
});

describe('on a WebGPU adapter', () => {
  let backend: Backend;
  beforeAll(async () => {
    const opened = await openBackend('wgsl')();
    if (E.isLeft(opened)) throw new Error(opened.left.message);
    backend = opened.right;
  });
  afterAll(() => backend.close());

  test('the same images as the reference, up to rounding, whatever the batch and shard', async () => {
    const plan = planned({ sampler: 'heun', steps: 3, guidance: 2, step: 'sde', noiseScheduler: 'linear' });
    const whole = await images(request(backend, { plan }));
    expect(difference(whole, await images(request(referenceBackend(), { plan })))).toBeLessThan(1e-3);
    expect(difference(whole, await images(request(backend, { plan, batch: 2 })))).toBeLessThan(1e-4);
    expect(difference(whole.slice(3), await images(request(backend, { plan, first: 3, end: 5 })))).toBeLessThan(1e-4);
  });

  test('steps that are submitted together give the same images, previews and progress', async () => {
    const plan = planned({ sampler: 'heun', steps: 12, guidance: 2, step: 'sde', noiseScheduler: 'linear' });
    const seen: number[] = [];
    const made = await images(request(backend, { plan, onStep: (done) => seen.push(done) }));
    expect(seen).toEqual(Array.from({ length: 13 }, (_, i) => i));
    const want = await images(request(referenceBackend(), { plan, trajectory: true }));
    expect(difference(want, made)).toBeLessThan(1e-3);
    const watched = await images(request(backend, { plan, trajectory: true }));
    expect(difference(made, watched)).toBeLessThan(1e-4);
    want[3]!.trajectory.forEach((point, i) => point.forEach((value, j) => expect(Math.abs(watched[3]!.trajectory[i]![j]! - value)).toBeLessThan(1e-3)));
  });

  test('memory that ends lowers the batch, and the images stay the same', async () => {
    const whole = await images(request(backend));
    const lowered: number[] = [];
    let refused = 0;
    const tight: Backend = {
      ...backend,
      load: (wanted) =>
        Number(wanted.sizes['B']) > 4 && wanted.name === 'pixnerd'
          ? async () => {
              refused++;
              return E.left({ kind: 'memory', message: 'out of GPU memory' });
            }
          : backend.load(wanted),
    };
    const made = await images(request(tight, { onLower: (batch) => lowered.push(batch) }));
    expect([refused, lowered]).toEqual([2, [3, 2]]);
    expect(difference(whole, made)).toBeLessThan(1e-4);
  });

  test('a device that is lost half-way is a readable failure', async () => {
    const opened = await openBackend('wgsl')();
    if (E.isLeft(opened)) throw new Error(opened.left.message);
    const last = await lastOf(
      request(opened.right, {
        onStep: (done) => {
          if (done === 2) opened.right.close();
        },
      }),
    );
    expect(last).toMatchObject({ _tag: 'Left', left: { kind: 'lost' } });
    expect(JSON.stringify(last)).toContain('was lost');
  });
});
