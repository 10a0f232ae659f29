/** Neighbours, memory over time and rooflines, on plans small enough to see through. */
import * as E from 'fp-ts/Either';
import { describe, expect, test } from 'vitest';
import { makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { add, input, matmul, mul, rmsNorm, softmax, sum } from '../../dsl/index.ts';
import { type Compilation, type CompileOptions, explain } from '../compile.ts';
import { bufferBytes } from '../memory.ts';
import { DEFAULT_LIMITS, PROFILES } from '../profile.ts';
import { ROOFLINES, ridgeOf, timeAt } from '../roofline.ts';
import { explainReason, neighboursOf, portsOf } from './neighbours.ts';
import { occupancyOf } from './occupancy.ts';

const made = (outputs: Readonly<Record<string, Node>>, options: CompileOptions = {}): Compilation => {
  const result = explain(makeGraph(outputs), options);
  if (E.isLeft(result)) throw new Error(result.left[0].message);
  return result.right;
};

const [x, w] = [input('x', [64, 64]), input('w', [64, 64])];
/** A chain of products, each normalised: nothing of it fits into one kernel. */
const chain = (length: number): typeof x => {
  let y: typeof x = x;
  for (let i = 0; i < length; i++) y = matmul(softmax(y, -1), w);
  return y;
};

describe('neighbours', () => {
  test.each([true, false])('they are who writes a tensor and who reads it, with the reason why it is stored (fusion: %s)', (fusion) => {
    const plan = made({ y: chain(3), z: sum(chain(1), 0) }, { fusion }).kernels, pairs = neighboursOf(plan);
    const ports = plan.kernels.map(portsOf);
    const expected = ports.flatMap(({ reads }, consumer) => reads.flatMap((tensor) => ports.flatMap(({ writes }, producer) => (writes.includes(tensor) ? [{ producer, consumer, tensor }] : []))));
    expect(pairs).toEqual(expected.map((pair) => ({ ...pair, reason: plan.fusion.reasons.get(plan.tensors.get(pair.tensor)!.node) })));
    expect(pairs.length).toBeGreaterThan(2);
  });

  test('with fusion off, every pair says so', () => {
    const reasons = neighboursOf(made({ y: mul(add(x, w), x) }, { fusion: false }).kernels).map(({ reason }) => explainReason(reason));
    expect(reasons).toEqual(['fusion is switched off, so each operation has a kernel of its own']);
  });

  test('a tensor that is written in parts has as many producers', () => {
    const profile = { ...PROFILES.gpu, limits: { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 65536 } };
    const { kernels } = made({ y: sum(matmul(softmax(input('long', [1024, 64]), -1), w), 1) }, { profile });
    const parts = kernels.kernels.flatMap((kernel, k) => portsOf(kernel).writes.map((tensor) => ({ tensor, k })));
    for (const { producer, tensor } of neighboursOf(kernels)) expect(parts).toContainEqual({ tensor, k: producer });
    expect(new Set(parts.map(({ tensor }) => tensor)).size).toBeLessThan(parts.length);
  });

  test('a reason without a sentence is shown as it is', () => {
    expect(explainReason('the moon is full')).toBe('the moon is full');
    expect(explainReason('read by 3 kernels, cheaper to keep than to compute again')).toMatch(/^3 kernels read it/);
    expect(explainReason('output; not in the program that reads it: its layers are not small')).toMatch(/^it is a result .* because its layers are not small$/);
  });
});

describe('memory over time', () => {
  test.each([1, 2, 5])('a chain of %i: what is alive is what lifetimes say, and fits into what is planned', (length) => {
    const { kernels, memory } = made({ y: chain(length), z: sum(rmsNorm(chain(1), input('g', [64]), 1e-6), 0) });
    const occupancy = occupancyOf(kernels, memory);
    occupancy.live.forEach((bytes, k) => {
      const alive = [...memory.slotOf.keys()].filter((id) => memory.lifetimes.get(id)![0] <= k && k <= memory.lifetimes.get(id)![1]);
      expect(bytes).toBe(alive.reduce((total, id) => total + bufferBytes(kernels.tensors.get(id)!), 0));
    });
    expect(Math.max(...occupancy.live)).toBeLessThanOrEqual(occupancy.planned);
    expect(occupancy).toMatchObject({ weights: 0, inputs: 4 * (2 * 64 * 64 + 64), outputs: 4 * (64 * 64 + 64) });
  });
});

describe('rooflines', () => {
  test('the slowest of arithmetic, memory and launch decides', () => {
    const roofline = { label: 'test', gflops: 1000, gbs: 100, launchMicroseconds: 10 };
    expect(timeAt(roofline, { flops: 1e9, bytes: 1e6 })).toEqual({ milliseconds: 1, bound: 'arithmetic' });
    expect(timeAt(roofline, { flops: 1e6, bytes: 1e8 })).toEqual({ milliseconds: 1, bound: 'memory' });
    expect(timeAt(roofline, { flops: 10, bytes: 10 })).toEqual({ milliseconds: 0.01, bound: 'launch' });
    expect(ridgeOf(roofline)).toBe(10);
  });

  test('each named one is of an adapter that could be', () => {
    for (const { gflops, gbs, launchMicroseconds } of Object.values(ROOFLINES)) {
      expect(Math.min(gflops, gbs, launchMicroseconds)).toBeGreaterThan(0);
      expect(ridgeOf({ label: '', gflops, gbs, launchMicroseconds })).toBeLessThan(100);
    }
  });
});
