import { describe, expect, it } from 'vitest';
import { type Graph, inputName, makeGraph } from '../dsl/graph/graph.ts';
import type { Node } from '../dsl/graph/node.ts';
import { add, expand, input, matmul, mul, parameter, silu, slice, unsqueeze } from '../dsl/index.ts';
import { minimumCut } from './min-cut.ts';
import { separate } from './separate.ts';

const names = (nodes: readonly Node[]): readonly string[] => nodes.map(inputName);
const same = (a: Graph, b: Graph): boolean => a.outputs.length === b.outputs.length && a.outputs.every(({ node }, i) => node === b.outputs[i]!.node);

describe('a minimum cut', () => {
  it('is the cheapest of all, and the nearest to the source among equals', () => {
    const arcs = [
      { from: 0, to: 1, capacity: 3 }, { from: 0, to: 2, capacity: 2 }, { from: 1, to: 2, capacity: 5 },
      { from: 1, to: 3, capacity: 2 }, { from: 2, to: 3, capacity: 4 },
    ];
    expect([...minimumCut(4, arcs, 0, 3)]).toEqual([0]);
    expect([...minimumCut(4, [{ from: 0, to: 1, capacity: 9 }, { from: 1, to: 2, capacity: 1 }, { from: 2, to: 3, capacity: 1 }], 0, 3)]).toEqual([0, 1]);
  });

  it('refuses what cannot be cut', () => {
    expect(() => minimumCut(2, [{ from: 0, to: 1, capacity: Infinity }], 0, 1)).toThrow('cannot be cut');
  });
});

describe('separate', () => {
  const x = input('x', [4, 256]), c = input('c', [4, 256]), w = parameter('w', [256, 512]);
  const modulation = matmul(silu(c), w);
  const [shift, scale] = [slice(modulation, 1, 0, 256), slice(modulation, 1, 256, 256)];

  it('keeps a matmul of what does not change, not the views and cheap operations behind it', () => {
    const { once, each } = separate(makeGraph({ y: add(mul(x, add(scale, 1)), shift) }), { changing: ['x'] });
    expect(once.outputs.map(({ node }) => node)).toEqual([modulation]);
    expect(names([...once.inputs, ...once.parameters])).toEqual(['c', 'w']);
    expect(names([...each.inputs, ...each.parameters])).toEqual(['x', 'einsum']);
  });

  it('keeps what is small before it is repeated', () => {
    const wide = expand(unsqueeze(modulation, 1), [4, 64, 512]);
    const { once } = separate(makeGraph({ y: mul(input('z', [4, 64, 512]), wide) }), { changing: ['z'] });
    expect(once.outputs.map(({ node }) => node)).toEqual([modulation]);
  });

  it('keeps nothing where computing it again is cheaper, where all changes, and where it may not', () => {
    const cheap = makeGraph({ y: add(x, mul(c, 2)) });
    expect(same(separate(cheap, { changing: ['x'] }).each, cheap)).toBe(true);
    const graph = makeGraph({ y: add(x, shift) });
    expect(separate(graph, { changing: ['x', 'c'] }).once.outputs).toEqual([]);
    expect(same(separate(graph, { changing: ['x'], mayKeep: () => false }).each, graph)).toBe(true);
  });

  it('gives every kept value a name of its own', () => {
    const v = parameter('einsum', [256, 256]);
    const graph = makeGraph({ y: mul(mul(matmul(c, parameter('u', [256, 256])), x), matmul(c, v)) });
    expect(names([...separate(graph, { changing: ['x'] }).each.inputs])).toEqual(['x', 'einsum (2)', 'einsum (3)']);
  });

  it('leaves a graph with mistakes to the compiler', () => {
    const graph = makeGraph({ y: (add as (...operands: unknown[]) => typeof x)(x, input('z', [3])) });
    expect(separate(graph, { changing: ['x'] }).each).toBe(graph);
    const open = makeGraph({ y: input('x', ['B']) });
    expect(separate(open, { changing: [] }).each).toBe(open);
  });
});
