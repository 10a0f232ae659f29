import { describe, expect, it } from 'vitest';
import { add, input, matmul, mul, tap } from '../index.ts';
import { bindSizes, freeSymbols, makeGraph, withTaps } from './graph.ts';
import { fromJson, toJson } from './json.ts';
import { intern } from './node.ts';
import { printGraph } from './print.ts';
import { verify } from './verify.ts';

const x = input('x', ['B', 4]), w = input('w', [4, 'N']);
const graph = makeGraph({ y: add(tap(matmul(x, w), 'product'), 1) });

describe('graphs', () => {
  it('share equal nodes', () => {
    expect(mul(x, x)).toBe(mul(x, x));
    expect(mul(x, 2)).not.toBe(mul(x, 3));
  });

  it('print the same text however they were built', () => {
    expect(printGraph(bindSizes(graph, { B: 2, N: 3 }))).toBe(printGraph(bindSizes(makeGraph({ y: add(tap(matmul(x, w), 'product'), 1) }), { N: 3, B: 2 })));
    expect(printGraph(graph)).toContain("tap(%2) {name: 'product'} : f32[B, N]");
  });

  it('come back from JSON as the very same nodes', () => {
    const back = fromJson(JSON.parse(JSON.stringify(toJson(graph))) as ReturnType<typeof toJson>);
    expect(typeof back === 'string' ? back : back.outputs[0]!.node).toBe(graph.outputs[0]!.node);
  });

  it('refuse JSON whose nodes do not fit', () => {
    const json = toJson(bindSizes(graph, { B: 2, N: 3 }));
    const nodes = json.nodes.map((node) => (node.op === 'input' && node.attributes['name'] === 'w' ? { ...node, attributes: { ...node.attributes, shape: [5, 3] } } : node));
    expect(fromJson({ ...json, nodes })).toMatch(/node \d+: einsum/);
  });

  it('know which symbols are free, and lose them when sizes are bound', () => {
    expect(freeSymbols(graph)).toEqual(['B', 'N']);
    expect(freeSymbols(bindSizes(graph, { B: 2 }))).toEqual(['N']);
    expect(bindSizes(graph, { B: 2, N: 3 }).outputs[0]!.node.shape).toEqual([2, 3]);
  });

  it('offer taps as outputs', () => {
    expect(withTaps(graph).outputs.map((output) => output.name)).toEqual(['y', 'product']);
  });

  it('are found faulty by the verifier, with the op and both types', () => {
    const wrong = intern('add', [x, x], {}, { shape: ['B', 5], dtype: 'f32' });
    expect(verify(makeGraph({ y: wrong }))[0]).toMatch(/add is f32\[B, 5\] but its rule says f32\[B, 4\]/);
  });
});
