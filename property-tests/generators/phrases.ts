/** Composites as steps of a random program: what models are made of, and where fusion has most to decide. */
import { apply } from '../../dsl/graph/apply.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { add, div, exp, maximum, mul, neg, rsqrt, sub } from '../../dsl/language/elementwise.ts';
import { max, mean, sum } from '../../dsl/language/reduction.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import type { Hint } from './hints.ts';
import { keptWithin, operand, shaped, shapeOf, type Workshop } from './workshop.ts';

/** Builders take typed tensors; shapes of random programs are known at run time only, where the builders check them again. */
const typed = (node: Node): Tensor<['n'], 'f32'> => node as Tensor<['n'], 'f32'>;

const row = (workshop: Workshop): Node =>
  keptWithin(
    workshop,
    operand(workshop, ['f32'], (node) => node.shape.length > 0),
    16,
  );
/** The last axis, most of the time; -1 stands for any axis in the types. */
const axisOf = ({ draw }: Workshop, x: Node): -1 => (draw.chance(30) ? draw.below(x.shape.length) : x.shape.length - 1) as -1;

const softmax = (workshop: Workshop): Node => {
  const x = typed(row(workshop)),
    axis = axisOf(workshop, x);
  const weights = exp(sub(x, max(x, axis, true)));
  return div(weights, sum(weights, axis, true));
};
const norm = (workshop: Workshop): Node => {
  const x = typed(row(workshop)),
    axis = axisOf(workshop, x);
  const centred = workshop.draw.chance(50) ? sub(x, mean(x, axis, true)) : x;
  return mul(centred, rsqrt(add(mean(mul(centred, centred), axis, true), 0.01)));
};
const activated = (workshop: Workshop): Node => {
  const x = typed(row(workshop));
  return workshop.draw.chance(50) ? maximum(x, 0) : div(x, add(exp(neg(x)), 1));
};
/** act(x wᵀ + b) + residual, over the last axis. */
const dense = (workshop: Workshop): Node => {
  const { draw, input } = workshop,
    x = row(workshop),
    shape = shapeOf(x);
  const lead = shape
      .slice(0, -1)
      .map((_, i) => 'abcdefg'[i]!)
      .join(' '),
    out = draw.pick([1, 3, 4, 8, 12, 17]);
  const weight = input([out, shape[shape.length - 1]!], x.dtype, 'plain');
  const product = typed(apply('einsum', [x, weight], { pattern: `${lead} k, n k -> ${lead} n` }));
  const biased = typed(apply('add', [product, shaped(workshop, shapeOf(product), x.dtype)], {}));
  return draw.chance(50) ? maximum(biased, 0) : biased;
};
/** Scores of every row of x with every row of y, normalised, times y: attention with one head. */
const attended = (workshop: Workshop): Node | undefined => {
  const { input, draw } = workshop,
    x = keptWithin(
      workshop,
      operand(workshop, ['f32'], (node) => node.shape.length === 2),
      4,
    ),
    [, depth] = shapeOf(x);
  if (depth === undefined || x.shape.length !== 2) return undefined;
  const y = input([draw.between(1, 9), depth], x.dtype, 'plain');
  const scores = typed(apply('einsum', [x, y], { pattern: 'q d, k d -> q k' })),
    weights = exp(sub(scores, max(scores, 1 as -1, true)));
  return apply('einsum', [div(weights, sum(weights, 1 as -1, true)), y], { pattern: 'q k, k d -> q d' });
};

const phrase = (make: Hint['make'], weight: number): Hint => ({ make, exact: false, weight });
export const PHRASES: readonly Hint[] = [phrase(softmax, 4), phrase(norm, 4), phrase(activated, 3), phrase(dense, 5), phrase(attended, 3)];
