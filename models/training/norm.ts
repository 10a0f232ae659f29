/**
 * The length of a gradient that lies in flat buffers, as torch.nn.utils.clip_grad_norm_ has it: of all of them together.
 *
 * Invariant: buffers are whole rows, what is beyond their last parameter is zero. Squares are summed by rows first: one long sum in f32
 * would be off by 1.7e-4 at a million elements.
 */
import { type Graph, makeGraph, type Sizes } from '../../dsl/graph/graph.ts';
import { add, input, reshape, sqrt, square, sum } from '../../dsl/index.ts';

/** Flat buffers are whole rows of this many elements, so that reductions over them go by rows. */
export const ROW = 1024;

/** Inputs `grad0`, `grad1`, ..., of `1024*r0`, `1024*r1`, ... elements; output `norm` [1]. */
export const normGraph = (buffers: number): Graph => {
  const grads = Array.from({ length: buffers }, (_, i) => input(`grad${i}`, [`${ROW}*r${i}` as '1024*r']));
  const sums = grads.map((grad, i) => sum(sum(square(reshape(grad, [`r${i}` as 'r', ROW])), 1), 0));
  return makeGraph({ norm: reshape(sqrt(sums.reduce((a, b) => add(a, b))), [1]) }, grads);
};

/** The sizes of `normGraph` for buffers of so many elements, each a multiple of `ROW`. */
export const normSizes = (elements: readonly number[]): Sizes => Object.fromEntries(elements.map((count, i) => [`r${i}`, count / ROW]));
