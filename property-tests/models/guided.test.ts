/** The guided velocity in one program against the network called on each half. */
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, freeSymbols, type Graph } from '../../dsl/graph/graph.ts';
import { philoxNormals } from '../../models/noise/philox.ts';
import { sizesOf, type C2iConfig } from '../../models/pixnerd/config.ts';
import { guidedVelocityGraph, parameterShapes, velocityGraph } from '../../models/pixnerd/graph.ts';

const config: C2iConfig = {
  in_channels: 4,
  patch_size: 2,
  num_groups: 2,
  hidden_size: 16,
  hidden_size_x: 4,
  num_blocks: 2,
  num_cond_blocks: 1,
  nerf_mlpratio: 2,
  num_classes: 3,
};
const image = { height: 4, width: 6 };
const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
const weights = Object.fromEntries(
  Object.entries(parameterShapes(config)).map(([key, shape], i) => [key, philoxNormals(1, i, 0, elements(shape)).map((value) => 0.4 * value)]),
);
const x = philoxNormals(2, 0, 0, 2 * 4 * 4 * 6);

const run = (graph: Graph, batch: number, inputs: Record<string, ArrayLike<number>>): Float64Array => {
  const sizes = sizesOf(config, { batch, ...image });
  if (E.isLeft(sizes)) throw new Error(sizes.left.join());
  const bound = bindSizes(graph, sizes.right);
  expect(freeSymbols(bound)).toEqual([]);
  return evaluate(bound, { ...weights, ...inputs })['v']!.data;
};

test.each([
  ['simple', 4],
  ['c3', 3],
] as const)('%s guidance in one program', (name, guidedChannels) => {
  const [t, y, g] = [0.3, [2, 0], 2.5];
  const got = run(guidedVelocityGraph(config, name), 2, { x, t: [t], y, guidance: [g] });
  const c = run(velocityGraph(config), 2, { x, t: [t, t], y });
  const u = run(velocityGraph(config), 2, { x, t: [t, t], y: [3, 3] });
  const want = c.map((value, i) => (Math.floor(i / 24) % 4 < guidedChannels ? u[i]! + g * (value - u[i]!) : value));
  got.forEach((value, i) => expect(value).toBeCloseTo(want[i]!, 4));
});
