/** The search for the first bad value: forward, backward, and where all is well. */
import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { makeGraph } from '../../dsl/graph/graph.ts';
import { scoped } from '../../dsl/graph/node.ts';
import * as L from '../../dsl/index.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import { referenceBackend } from '../backend/reference.ts';
import { firstBadOp, showBadOp } from './first-bad.ts';

const backend = referenceBackend();
const found = async (f: (x: Tensor<[4], 'f32'>) => Tensor<[4], 'f32'>, x: readonly number[]): Promise<string> => {
  const w = await backend.upload([4], Float32Array.from([1, 1, 1, 1]))();
  if (E.isLeft(w)) throw new Error(w.left.message);
  // a long chain before and after, so that both searches have something to do
  const chain = (from: Tensor<[4], 'f32'>, by: number) => Array.from({ length: 50 }).reduce<Tensor<[4], 'f32'>>((y, _, i) => L.add(y, by * (i + 1)), from);
  const given = L.input('x', [4]), middle = scoped('blocks.1', () => f(L.mul(chain(given, 1e-9), L.parameter('w', [4]))));
  const graph = makeGraph({ loss: L.sum(chain(middle, 1e-9), 0) }, [given]);
  const result = await firstBadOp(backend, { graph, sizes: {}, parameters: { w: w.right }, inputs: { x: Float32Array.from(x) } })();
  if (E.isLeft(result)) throw new Error(result.left.message);
  return result.right === undefined ? 'all finite' : showBadOp(result.right);
};

test('names the op and the element of the forward pass', async () => {
  expect(await found((x) => L.add(L.exp(L.mul(x, 400)), 1), [0, 1, 2, 3])).toBe('the first bad value is element 2 of exp [4] in blocks.1: Infinity');
  expect(await found((x) => L.div(1, L.sub(x, x)), [0, 1, 2, 3])).toContain('of div [4] in blocks.1: Infinity');
});
test('looks at the gradients when the loss is finite', async () => {
  expect(await found((x) => L.sqrt(L.sub(x, x)), [1, 1, 2, 3])).toMatch(/^the first bad value is element 0 of div \[4\] in blocks\.1\/gradient/);
});
test('says when all is finite', async () => expect(await found((x) => L.sin(x), [0, 1, 2, 3])).toBe('all finite'));
