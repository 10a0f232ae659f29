/** Optimiser steps against what PyTorch 1.13 computed in double precision for the same three gradients, one of them clipped. */
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes } from '../../dsl/graph/graph.ts';
import { verify } from '../../dsl/graph/verify.ts';
import { normGraph, normSizes, ROW } from './norm.ts';
import { type Optimizer, optimizerOf, type OptimizerOptions } from './optimizer.ts';

const GRADIENTS = [[0.3, -0.4, 0], [3, 1, -2], [-0.1, 0.2, 0.7]]; // the second is longer than the clip
const START = [1, -2, 0.5];
type State = Readonly<Record<string, ArrayLike<number>>>;

/** One step; `length` is that of the whole gradient, where it is more than this buffer's. */
const stepped = (optimizer: Optimizer, step: number, state: State, grad: readonly number[], length = Math.hypot(...grad)): State => {
  const graph = bindSizes(optimizer.graph, { n: grad.length, k: optimizer.hyper(1).length });
  expect(verify(graph)).toEqual([]);
  const { ema: _, ...needed } = state, feeds = { ...(optimizer.ema ? state : needed), grad, norm: [length], hyper: optimizer.hyper(step) };
  return { ...state, ...Object.fromEntries(Object.entries(evaluate(graph, feeds)).map(([name, { data }]) => [name, data])) };
};
const begun = ({ states }: Optimizer, param: readonly number[] = START): State => ({ param, ema: param, ...Object.fromEntries(states.map((name) => [name, param.map(() => 0)])) });
const trained = (optimizer: Optimizer, gradients: readonly (readonly number[])[] = GRADIENTS): State =>
  gradients.reduce((state, grad, i) => stepped(optimizer, i + 1, state, grad), begun(optimizer));
const near = (got: ArrayLike<number> | undefined, want: readonly number[], digits = 6): void => want.forEach((value, i) => expect(got![i], `[${i}]`).toBeCloseTo(value, digits));

const COMMON = { clip: 1.5, emaDecay: 0.9, weightDecay: 0.2 };
const CASES: readonly (readonly [string, OptimizerOptions, readonly number[], readonly number[]])[] = [
  ['adamw', { kind: 'adamw', ...COMMON, beta1: 0.8, beta2: 0.95, epsilon: 1e-3 }, [0.696760001199387, -1.8290219914582968, 0.5426331343174218], [0.9394990271376692, -1.956663869468317, 0.508641294206156]],
  ['sgd', { kind: 'sgd', ...COMMON }, [0.8045178238166123, -1.903255392061129, 0.47917078412225844], [0.9593677049770645, -1.9767975650076453, 0.5025411300152904]],
  ['momentum', { kind: 'sgd', ...COMMON, momentum: 0.9 }, [0.5945770497706443, -1.7694156500764517, 0.5255913001529039], [0.9343236275724677, -1.9569335908091774, 0.506373181618355]],
  ['nesterov', { kind: 'sgd', ...COMMON, momentum: 0.9, nesterov: true }, [0.4492131380239391, -1.7033725393253536, 0.5007586186507074], [0.9013704667336601, -1.939048342955447, 0.5081633399108935]],
];

describe('three steps are those of PyTorch', () => {
  for (const [name, options, param, ema] of CASES) {
    test(name, () => {
      const state = trained(optimizerOf(options, () => 0.1));
      near(state['param'], param);
      near(state['ema'], ema);
    });
  }
});

test('a program serves every step: all that changes is among the numbers', () => {
  for (const [, options] of CASES) {
    const optimizer = optimizerOf(options, (step) => 0.1 / step), names = [...optimizer.graph.outputs].map(({ name }) => name);
    expect(names.toSorted()).toEqual(['param', 'ema', ...optimizer.states].toSorted());
    expect(new Set([1, 2, 1000].map((step) => optimizer.hyper(step).length))).toEqual(new Set([optimizer.hyper(1).length]));
  }
});

test('the learning rate of each step counts', () => {
  const at = (rate: (step: number) => number) => trained(optimizerOf({ kind: 'sgd' }, rate))['param']!;
  near(at((step) => [1, 10, 100][step - 1]!), START.map((value, i) => value - GRADIENTS[0]![i]! - 10 * GRADIENTS[1]![i]! - 100 * GRADIENTS[2]![i]!), 4);
});

test('what is clipped is the whole gradient, of which a buffer may be a part', () => {
  const optimizer = optimizerOf({ kind: 'sgd', clip: 1 }, () => 1), { param } = stepped(optimizer, 1, begun(optimizer), [0.3, 0.4, 0], 5);
  near(param, [1 - 0.06, -2 - 0.08, 0.5]);
  near(stepped(optimizer, 1, begun(optimizer), [0.3, 0.4, 0], 0.5)['param'], [0.7, -2.4, 0.5]); // short enough
});

test('what is zero with zero gradients stays zero: the gaps of flat buffers', () => {
  for (const [name, options] of CASES) {
    const optimizer = optimizerOf(options, () => 0.1);
    let state = begun(optimizer, [0, 1]);
    for (const grad of [[0, 1], [0, -3], [0, 0]]) state = stepped(optimizer, 1, state, grad);
    for (const each of ['param', 'ema', ...optimizer.states]) expect(Math.abs(state[each]![0]!), `${name} ${each}`).toBe(0);
  }
});

test('no averages where none are asked for', () => {
  const { graph, ema } = optimizerOf({ kind: 'adamw' }, () => 0.1);
  expect(ema).toBe(false);
  expect(graph.outputs.map(({ name }) => name).toSorted()).toEqual(['m', 'param', 'v']);
});

test('the average of what does not move does not move, however slow', () => {
  const optimizer = optimizerOf({ kind: 'sgd', emaDecay: 0.9999 }, () => 0.1);
  let state = begun(optimizer, [1]);
  for (let i = 1; i <= 50; i++) state = stepped(optimizer, i, state, [0]);
  expect(state['ema']![0]).toBeCloseTo(1, 12); // decay and rest of it add up to one; two rounded constants would not
});

test('the norm is that of all buffers together', () => {
  const grads = [1, 3].map((rows, k) => Float32Array.from({ length: rows * ROW }, (_, i) => (i < rows * ROW - 100 ? Math.sin(i + k) : 0)));
  const graph = bindSizes(normGraph(2), normSizes(grads.map(({ length }) => length)));
  expect(verify(graph)).toEqual([]);
  const { norm } = evaluate(graph, { grad0: grads[0]!, grad1: grads[1]! });
  expect(norm!.data[0]).toBeCloseTo(Math.hypot(...grads[0]!, ...grads[1]!), 4);
});
