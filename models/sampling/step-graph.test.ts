import { expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, makeGraph } from '../../dsl/graph/graph.ts';
import { verify } from '../../dsl/graph/verify.ts';
import { add, input, mul, reshape } from '../../dsl/index.ts';
import type { GuidanceName } from './plan.ts';
import { otherName, stepGraph } from './step-graph.ts';

const [IMAGES, CHANNELS, SIDE] = [2, 4, 2];
const PIXELS = CHANNELS * SIDE * SIDE;

/** v = 2 x + c of its row. */
const network = (rows: number) => {
  const x = input('x', ['B', 4, 2, 2]), c = input('c', ['B']);
  return bindSizes(makeGraph({ v: add(mul(x, 2), reshape(c, ['B', 1, 1, 1])) }, [x, c]), { B: rows });
};

const x = Array.from({ length: IMAGES * PIXELS }, (_, i) => (i % 7) - 3);
const other = (i: number): readonly number[] => x.map((_, j) => ((i + 2) * j) % 5);
const imageOf = (i: number): number => Math.floor(i / PIXELS);
const channelOf = (i: number): number => Math.floor((i % PIXELS) / (SIDE * SIDE));

for (const guidance of [undefined, 'simple', 'c3'] as const satisfies (GuidanceName | undefined)[]) {
  for (const others of [0, 1, 3]) {
    for (const keepsVelocity of [false, true]) {
      test(`guidance ${guidance ?? 'none'}, ${others} other tensors, the velocity ${keepsVelocity ? 'kept' : 'dropped'}`, () => {
        const step = stepGraph(network(guidance === undefined ? IMAGES : 2 * IMAGES), guidance, { others, keepsVelocity });
        expect(verify(step)).toEqual([]);
        const [c, none] = [[5, 6], [1, 2]], scale = 3; // what the network adds to each image, with its class and without
        const velocity = x.map((value, i) => {
          const [conditional, unconditional] = [2 * value + c[imageOf(i)]!, 2 * value + none[imageOf(i)]!];
          return guidance === undefined || (guidance === 'c3' && channelOf(i) === 3) ? conditional : unconditional + scale * (conditional - unconditional);
        });
        const coefficients = [0.5, 2, 10, 100, 1000].slice(0, 2 + others);
        const feeds = {
          x, c: guidance === undefined ? c : [...none, ...c], scale: [scale], coefficients,
          ...Object.fromEntries(Array.from({ length: others }, (_, i) => [otherName(i), other(i)])),
        };
        const got = evaluate(step, feeds);
        const next = x.map((value, i) => coefficients.slice(2).reduce((sum, factor, k) => sum + factor * other(k)[i]!, 0.5 * value + 2 * velocity[i]!));
        expect([...got['next']!.data]).toEqual(next);
        expect(got['next']!.shape).toEqual([IMAGES, CHANNELS, SIDE, SIDE]);
        expect(got['velocity'] && [...got['velocity'].data]).toEqual(keepsVelocity ? velocity : undefined);
      });
    }
  }
}
