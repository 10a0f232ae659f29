/** The laws of graphs: shapes are what was inferred, and writing, printing and binding sizes lose nothing. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, freeSymbols, type Graph, inputName, makeGraph, nodesOf } from '../../dsl/graph/graph.ts';
import { fromJson, toJson } from '../../dsl/graph/json.ts';
import { printGraph } from '../../dsl/graph/print.ts';
import { verify } from '../../dsl/graph/verify.ts';
import { elementsOf } from '../generators/elements.ts';
import { programs } from '../generators/programs.ts';
import { symbolicPrograms } from '../generators/symbolic.ts';
import { countOf, shapeOf } from '../generators/workshop.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data } from '../harness/run-program.ts';
import { parameters, runs } from '../harness/settings.ts';

/** The same graph with every node as an output. */
const allOutputs = (graph: Graph): Graph =>
  makeGraph(Object.fromEntries(nodesOf(graph).map((node, i) => [`n${i}`, node])), [...graph.inputs, ...graph.parameters]);

describe('random programs', () => {
  test('have the inferred shape at run time, node by node and port by port', () => {
    fc.assert(
      fc.property(programs(), ({ graph, data }) => {
        const all = allOutputs(graph),
          values = evaluate(all, data);
        for (const { name, node } of all.outputs) {
          expect(values[name]!.shape).toEqual(node.shape);
          expect(values[name]!.data.length).toBe(countOf(shapeOf(node)));
        }
        const compilation = compiled(graph, {}),
          results = interpret(compilation, data);
        for (const [i, { name, node }] of graph.outputs.entries()) {
          expect(compilation.program.outputs[i]).toMatchObject({ name, shape: node.shape, dtype: node.dtype });
          expect(results[name]!.length).toBe(countOf(shapeOf(node)));
        }
      }),
      parameters('run-time shape = inferred shape', runs(0.4)),
    );
  });

  test('are the same nodes after a round trip through JSON', () => {
    fc.assert(
      fc.property(programs(), ({ graph }) => {
        const text = JSON.stringify(toJson(graph)),
          back = fromJson(JSON.parse(text));
        if (typeof back === 'string') throw new Error(back);
        expect(back.outputs.map(({ name, node }) => [name, node.id])).toEqual(graph.outputs.map(({ name, node }) => [name, node.id]));
        expect([...back.inputs, ...back.parameters].map(inputName)).toEqual([...graph.inputs, ...graph.parameters].map(inputName));
        expect(printGraph(back)).toBe(printGraph(graph));
        expect(JSON.stringify(toJson(back))).toBe(text);
      }),
      parameters('JSON round trip', runs(1)),
    );
  });

  test('pass the verifier', () => {
    fc.assert(
      fc.property(programs(), ({ graph }) => {
        expect(verify(graph)).toEqual([]);
      }),
      parameters('verifier', runs(1)),
    );
  });
});

const dataFor = (graph: Graph): Data =>
  Object.fromEntries(
    [...graph.inputs, ...graph.parameters].map((node, i) => [inputName(node), elementsOf(i, countOf(shapeOf(node)), node.dtype, 'plain')]),
  );

test('a program over symbols, bound to sizes, is the program over these sizes', () => {
  fc.assert(
    fc.property(symbolicPrograms, ({ symbolic, sizes, concrete }) => {
      const bound = bindSizes(symbolic, sizes);
      expect(verify(symbolic)).toEqual([]);
      expect(verify(bound)).toEqual([]);
      expect(freeSymbols(bound)).toEqual([]);
      expect(bound.outputs.map(({ node }) => node.shape)).toEqual(concrete.outputs.map(({ node }) => node.shape));
      const data = dataFor(concrete),
        want = evaluate(concrete, data),
        got = evaluate(bound, data);
      for (const { name } of concrete.outputs) expect(got[name]!.data).toEqual(want[name]!.data);
    }),
    parameters('bindSizes', runs(1)),
  );
});
