/**
 * The law of loop-invariant work: whichever inputs change, the two parts put together again are the program, node by node, and what is kept
 * does not depend on what changes. In f32, between two programs, only the rounding of the kept values is added.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementsOf, isContraction, isReduction } from '../../compiler/fusion/facts.ts';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { separate } from '../../compiler/separate.ts';
import { type Graph, inputName, nodesOf, withInputs } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { verify } from '../../dsl/graph/verify.ts';
import { programs, type RandomProgram } from '../generators/programs.ts';
import { interpret } from '../harness/loop-interpreter.ts';
import { compiled, type Data } from '../harness/run-program.ts';
import { expectWithinBound } from '../harness/compare.ts';
import { parameters, runs } from '../harness/settings.ts';

/** A random program, and a random part of its inputs that change. */
const changes = (mode: Parameters<typeof programs>[0] = 'general') => fc.tuple(programs(mode), fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }))
  .map(([program, bits]) => ({ program, changing: program.graph.inputs.filter((_, i) => bits[i % bits.length]).map(inputName) }));

const below = (roots: readonly Node[]): ReadonlySet<Node> => {
  const found = new Set(roots);
  for (const node of found) for (const input of node.inputs) found.add(input);
  return found;
};
const dependsOn = (node: Node, names: readonly string[]): boolean => [...below([node])].some((leaf) => leaf.op === 'input' && names.includes(inputName(leaf)));

const named = (graph: Graph, data: Data): Data => Object.fromEntries([...graph.inputs, ...graph.parameters].map(inputName).map((name) => [name, data[name]!]));

test('once and each, put together, are the program', () => {
  let kept = 0;
  fc.assert(fc.property(changes(), ({ program: { graph }, changing }) => {
    const { once, each } = separate(graph, { changing });
    kept += once.outputs.length;
    expect([...verify(once), ...verify(each)]).toEqual([]);
    const together = withInputs(each, Object.fromEntries(once.outputs.map(({ name, node }) => [name, node])));
    expect(together.outputs.map(({ name, node }) => [name, node.id])).toEqual(graph.outputs.map(({ name, node }) => [name, node.id]));
    for (const { node } of once.outputs) expect(dependsOn(node, changing)).toBe(false);
    for (const graphs of [once, each]) expect(graphs.inputs.every((leaf) => nodesOf({ ...graphs, inputs: [], parameters: [] }).includes(leaf))).toBe(true);
  }), parameters('separate', runs(1)));
  expect(kept).toBeGreaterThan(0);
});

/** A kernel costs more than reading and writing this many numbers. */
const FEW = 1900;

test('a matmul or reduction of what does not change is never computed again, but for outer products that are larger than their work', () => {
  fc.assert(fc.property(changes(), ({ program: { graph }, changing }) => {
    const { once, each } = separate(graph, { changing });
    const fixed = once.outputs.map(({ name }) => name);
    const varied = each.inputs.map(inputName).filter((name) => !fixed.includes(name) && changing.includes(name));
    const again = nodesOf(each).filter((node) => (isContraction(node) || isReduction(node)) && elementsOf(node) < FEW
      && !dependsOn(node, varied) && dependsOn(node, [...fixed, ...[...each.inputs, ...each.parameters].map(inputName)]));
    expect(again.map(({ op, shape }) => `${op} [${shape.join(', ')}]`)).toEqual([]);
  }), parameters('separate: work', runs(1)));
});

const through = ({ graph, data }: RandomProgram, changing: readonly string[], run: (graph: Graph, data: Data) => Data): Data => {
  const { once, each } = separate(graph, { changing });
  return run(each, { ...data, ...run(once, named(once, data)) });
};

test('values: exact where numbers are whole, on the reference and compiled', () => {
  const onReference = (graph: Graph, data: Data): Data => Object.fromEntries(Object.entries(evaluate(graph, data)).map(([name, dense]) => [name, dense.data as never])); // doubles serve as data too
  const inLoops = (graph: Graph, data: Data): Data => (graph.outputs.length === 0 ? {} : interpret(compiled(graph, {}), named(graph, data)) as Data); // numbers by name
  fc.assert(fc.property(changes('exact'), ({ program, changing }) => {
    const want = evaluate(program.graph, program.data);
    const got = through(program, changing, onReference);
    for (const { name } of program.graph.outputs) expect([...got[name]!]).toEqual([...want[name]!.data]);
    expectWithinBound(program, through(program, changing, inLoops));
  }), parameters('separate: values', runs(0.3)));
});
