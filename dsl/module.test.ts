import { expect, expectTypeOf, test } from 'vitest';
import { evaluate } from '../compiler/reference/evaluate.ts';
import { bindSizes, nodesOf } from './graph/graph.ts';
import { verify } from './graph/verify.ts';
import { add, bind, input, layers, module, mul, param, parameters, repeat, silu, stack, trace } from './index.ts';
import type { At, Names, Params, T, Tensor } from './index.ts';
import { embedding, linear, linearNoBias, layerNorm, rmsNorm } from './nn/layers.ts';

type Rows = T<['B', 'D']>;
const block = module(
  { norm: rmsNorm('D'), mlp: module({ 0: linear('D', 'F'), 2: linearNoBias('F', 'D') }, (p) => (x: Rows) => p[2](silu(p[0](x)))) },
  (p) => (x: Rows) => add(x, p.mlp(p.norm(x))),
);
const gain = module({ scale: param('D') }, (p) => (x: Rows) => mul(x, p.scale));
const model = module({ blocks: stack(repeat(2, block), repeat(1, gain)), head: linear('D', 3) }, (p) => (x: Rows) => {
  const [blocks, gains] = p.blocks;
  return p.head(
    gains.reduce(
      (y, f) => f(y),
      blocks.reduce((y, f) => f(y), x),
    ),
  );
});

const NAMES = [
  'blocks.0.norm.weight',
  'blocks.0.mlp.0.weight',
  'blocks.0.mlp.0.bias',
  'blocks.0.mlp.2.weight',
  'blocks.1.norm.weight',
  'blocks.1.mlp.0.weight',
  'blocks.1.mlp.0.bias',
  'blocks.1.mlp.2.weight',
  'blocks.2.scale',
  'head.weight',
  'head.bias',
];

test('parameters have their state_dict names and shapes', () => {
  expect(parameters(model).map(([name]) => name)).toEqual(NAMES);
  expect(Object.fromEntries(parameters(model, { D: 8, F: 20 }))['blocks.1.mlp.0.weight']).toEqual([20, 8]);
  expectTypeOf<'blocks.7.mlp.2.weight'>().toExtend<Names<typeof model>>();
  expectTypeOf<'blocks.7.mlp.2.bias'>().not.toExtend<Names<typeof model>>();
  type P = Params<typeof model, { D: 8; F: 20 }>;
  expectTypeOf<P['blocks'][0][number]['mlp'][0]['weight']>().toEqualTypeOf<Tensor<[20, 8], 'f32'>>();
  expectTypeOf<At<ReturnType<typeof model.body>, { B: 4; D: 8 }>>().toEqualTypeOf<(x: Tensor<[4, 8], 'f32'>) => Tensor<[4, 3], 'f32'>>();
});

test('tracing gives a graph of the bound function, with scopes by path', () => {
  const graph = trace(model, [input('x', ['B', 'D'])]);
  expect(verify(graph)).toEqual([]);
  expect(new Set(graph.parameters.map((node) => node.attributes['name']))).toEqual(new Set(NAMES));
  expect(graph.outputs.map(({ name, node }) => [name, node.shape])).toEqual([['output', ['B', 3]]]);
  const scopes = new Set(nodesOf(graph).map((node) => node.scope));
  for (const scope of ['blocks.0.norm/rmsNorm', 'blocks.1.mlp.0', 'blocks.1.mlp/silu', 'blocks.2', 'head']) expect(scopes).toContain(scope);
});

test('a traced model computes its formula at any size', () => {
  const graph = bindSizes(trace(model, [input('x', ['B', 'D'])]), { B: 1, D: 2, F: 1 });
  const ones = Object.fromEntries(
    parameters(model, { D: 2, F: 1 }).map(([name, shape]) => [name, Array((shape as number[]).reduce((a, b) => a * b, 1)).fill(1)]),
  );
  const [got] = evaluate(graph, { ...ones, x: [3, 3] })['output']!.data;
  const feed = (v: number) => {
    const z = 2 * (v / Math.sqrt(v * v + 1e-6)) + 1;
    return v + z / (1 + Math.exp(-z));
  };
  expect(got).toBeCloseTo(2 * feed(feed(3)) + 1, 9);
});

test('a function and several outputs can be traced too', () => {
  const graph = trace((x: T<['n']>, y: T<['n']>) => ({ sum: add(x, y), product: mul(x, y) }), [input('x', ['n']), input('y', ['n'])]);
  expect(graph.outputs.map(({ name }) => name)).toEqual(['sum', 'product']);
  expect(graph.inputs.map((node) => node.attributes['name'])).toEqual(['x', 'y']);
});

test('layers under concrete sizes', () => {
  const table = bind(embedding(10, 4));
  expectTypeOf(table(input('y', ['B'], 'i32'))).toEqualTypeOf<Tensor<['B', 4], 'f32'>>();
  expectTypeOf(bind(layerNorm(4))(input('x', [2, 4]))).toEqualTypeOf<Tensor<[2, 4], 'f32'>>();
  expect(parameters(layers.layerNorm('w*h'))).toEqual([
    ['weight', ['h*w']],
    ['bias', ['h*w']],
  ]);
});
