/** Nodes remember the calls that made them, where that was asked for, through every rewrite. */
import { expect, test } from 'vitest';
import { input, mul, softmax } from '../index.ts';
import { bindSizes, makeGraph, mapGraph } from './graph.ts';
import { apply } from './apply.ts';
import { sourceOf, withSources } from './node.ts';

const here = /source\.test\.ts:\d+:\d+/;

test('nothing is recorded by itself', () => {
  expect(sourceOf(mul(input('quiet', [3]), 2))).toBeUndefined();
});

test('a recorded node knows the line of its caller, one that is shared too, and rewritten ones inherit it', () => {
  const x = input('recorded', ['N']), early = mul(x, 3);
  const y = withSources(() => softmax(mul(x, 3), 0));
  expect(sourceOf(y)).toMatch(here);
  expect(sourceOf(early)).toMatch(here);
  const graph = bindSizes(makeGraph({ y }, [x]), { N: 4 }), { node } = graph.outputs[0]!;
  expect(node).not.toBe(y);
  expect(sourceOf(node)).toBe(sourceOf(y));
  const negated = mapGraph(graph, (each, inputs) => (each.op === 'exp' ? apply('neg', inputs, {}) : apply(each.op, inputs, each.attributes)));
  expect(sourceOf(negated.outputs[0]!.node)).toBe(sourceOf(y));
});

test('recording ends with its body, also by an exception', () => {
  const limit = Error.stackTraceLimit;
  expect(() => withSources(() => { throw new Error('stop'); })).toThrow('stop');
  expect(Error.stackTraceLimit).toBe(limit);
  expect(sourceOf(mul(input('after', [3]), 5))).toBeUndefined();
});
