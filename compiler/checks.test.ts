import { describe, expect, test } from 'vitest';
import * as E from 'fp-ts/Either';
import { makeGraph } from '../dsl/graph/graph.ts';
import { add, exp, input, literal, matmul, rmsNorm, softmax } from '../dsl/index.ts';
import { type Checks, unfusedChecks } from './checks.ts';
import { compile, type CompileOptions } from './compile.ts';
import { isLeaf } from './fusion/facts.ts';
import { DEFAULT_LIMITS, PROFILES } from './profile.ts';

const x = input('x', [64, 40]), w = input('w', [40, 40]), g = input('g', [40]);
const graph = makeGraph({ y: softmax(matmul(rmsNorm(x, g, 1e-6), w), -1), z: add(exp(x), literal([64, 40], Array.from({ length: 2560 }, (_, i) => i))), again: x }, [x, w, g]);

const checksOf = (options: CompileOptions = {}): Checks => {
  const made = compile(graph, { ...options, verify: true });
  if (E.isLeft(made)) throw new Error(JSON.stringify(made.left));
  return made.right.checks;
};
/** No tensor of the graph fits into one binding: every kernel is cut. */
const narrow: CompileOptions = { profile: { ...PROFILES.gpu, limits: { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 8192 } } };

describe.each([['whole kernels', {}], ['kernels in pieces', narrow], ['a kernel for each op', { fusion: false }]] as const)('steps: %s', (_, options) => {
  const { steps, plan, byNode } = checksOf(options);

  test('hold all kernels, in order', () => {
    expect(steps.flatMap(({ kernels }) => kernels)).toEqual(plan.kernels);
  });

  test('write each tensor once, and read what is there', () => {
    const there = new Set([...plan.tensors.values()].filter(({ node, id }) => isLeaf(node) && byNode.get(node)!.id === id).map(({ id }) => id));
    for (const { reads, operands, writes } of steps) {
      for (const id of [...reads, ...operands]) expect(there).toContain(id);
      for (const id of writes) {
        expect(there).not.toContain(id);
        there.add(id);
      }
    }
    expect(there).toEqual(new Set(plan.tensors.keys()));
  });

  test('are programs over those tensors, without scratch', () => {
    for (const { program, reads, writes } of steps) {
      expect(program.inputs.map(({ name }) => name)).toEqual(reads.map((id) => `t${id}`));
      expect(program.outputs.map(({ name }) => name)).toEqual(writes.map((id) => `t${id}`));
      expect(program.buffers.filter(({ kind }) => kind === 'scratch')).toEqual([]);
    }
  });
});

test('a tensor that is written in pieces is complete after one step', () => {
  const { steps } = checksOf(narrow);
  expect(steps.some(({ kernels, writes }) => kernels.length > 1 && writes.length === 1)).toBe(true);
});

test('the kernel of one stored node, op by op, has its operands as inputs', () => {
  const checks = checksOf(), { operands, writes } = checks.steps.find(({ kernels }) => kernels[0]!.nodes.length > 3)!;
  const unfused = unfusedChecks(checks, checks.plan.tensors.get(writes[0]!)!.node) as Checks; // it compiles
  expect(unfused.steps.length).toBeGreaterThan(2);
  const inputs = [...unfused.plan.tensors.values()].filter(({ node }) => node.op === 'input').map(({ node }) => node.attributes['name']);
  expect(new Set(inputs)).toEqual(new Set(operands.map((id) => `t${id}`)));
});

test('without the option a program is a program', () => {
  const made = compile(graph);
  expect(E.isRight(made) && made.right.format).toBe('pixnerd-program');
});
