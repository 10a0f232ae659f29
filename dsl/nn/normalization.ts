/** Normalisations: softmax, log-sum-exp, RMS and layer norm, division by the length. */
import { withRule } from '../gradient/custom.ts';
import type { Node } from '../graph/node.ts';
import { typed } from '../language/build.ts';
import { add, div, exp, log, maximum, mul, rsqrt, sqrt, square, sub } from '../language/elementwise.ts';
import { max, mean, sum } from '../language/reduction.ts';
import type { ReductionRule } from '../language/reduction.ts';
import { axisRule, reduceRule, scaleRule } from '../shape/rules.ts';
import type { AxisRule, ScaleRule } from '../shape/rules.ts';
import { sameDType, first } from '../language/build.ts';
import type { DefinedFor, DTypeOf, Guard, IsAny, Result, SameDType, ShapeOf, T, Tensor } from '../tensor.ts';
import { composite, inFloat32 } from './composite.ts';

// Formulas are written for the last axis of two; `axis as -1` is the axis that the rule has checked.
type Rows = T<['rows', 'n']>;
type OneEach = T<['rows', 1]>;

export type AlongAxisOf<Op extends string, X extends Tensor, A extends number> =
  IsAny<X> extends true ? X : DefinedFor<Op, DTypeOf<X>, 'float', AxisRule<Op, ShapeOf<X>, A>>;
type AlongAxis<Op extends string> = <X extends Tensor, const A extends number>(
  x: X, axis: Guard<AlongAxisOf<Op, X, A>, A>,
) => Result<AlongAxisOf<Op, X, A>, DTypeOf<X>>;

const alongAxis = <const Op extends string>(op: Op, formula: (x: Rows, axis: -1) => Rows): AlongAxis<Op> =>
  typed((x: Node, axis: number) =>
    composite(op, [x], axisRule(op, x.shape, axis), () => inFloat32(x, (rows) => formula(rows, axis as -1))));

/** e^x / sum(e^x) along the axis; the maximum is subtracted first, so nothing overflows. */
export const softmax = alongAxis('softmax', (x, axis) => {
  const weights = exp(sub(x, max(x, axis, true)));
  const shares = div(weights, sum(weights, axis, true));
  // y (dy - sum(y dy)): the maximum and the sum need no gradient of their own
  return withRule(shares, [x], (cotangent) => {
    const dy = cotangent as Rows;
    return [mul(shares, sub(dy, sum(mul(dy, shares), axis, true)))];
  }) as Rows;
});

const SHORTEST = 1e-12;
/** x divided by its length along the axis; shorter than 1e-12 counts as 1e-12, as in torch.nn.functional.normalize. */
export const l2Normalize = alongAxis('l2Normalize', (x, axis) => div(x, maximum(sqrt(sum(square(x), axis, true)), SHORTEST)));

type LogSumExp = <X extends Tensor, const A extends number, const Keep extends boolean = false>(
  x: X, axis: Guard<ReductionRule<'logSumExp', X, A, Keep, 'float'>, A>, keep?: Keep,
) => Result<ReductionRule<'logSumExp', X, A, Keep, 'float'>, DTypeOf<X>>;
/** log(sum(e^x)) along the axis, without overflow. */
export const logSumExp: LogSumExp = typed((x: Node, axis: number, keep = false) =>
  composite('logSumExp', [x], reduceRule('logSumExp', x.shape, axis, keep), () =>
    inFloat32(x, (rows) => logSumExpOf(rows, axis as -1, keep as true))));
const logSumExpOf = (x: Rows, axis: -1, keep: true): OneEach => {
  const largest = max(x, axis, true);
  const shifted = log(sum(exp(sub(x, largest)), axis, keep));
  return add(shifted, max(x, axis, keep));
};

type Scaled<Op extends string, X extends Tensor, W extends Tensor> =
  IsAny<X> extends true ? X
  : IsAny<W> extends true ? W
  : SameDType<Op, DTypeOf<X>, DTypeOf<W>, DefinedFor<Op, DTypeOf<X>, 'float', ScaleRule<Op, ShapeOf<X>, ShapeOf<W>>>>;
export type RmsNormOf<X extends Tensor, W extends Tensor> = Scaled<'rmsNorm', X, W>;
export type LayerNormOf<X extends Tensor, W extends Tensor> = Scaled<'layerNorm', X, W>;

type Feature = T<['n']>;
const EPS = 1e-6;

/** x / sqrt(mean(x^2) + eps) times the weight, over the last axis. eps is 1e-6 when left out. */
export const rmsNorm: <X extends Tensor, W extends Tensor>(
  x: X, weight: Guard<RmsNormOf<X, W>, W>, eps?: number,
) => Result<RmsNormOf<X, W>, DTypeOf<X>> = typed((x: Node, weight: Node, eps = EPS) =>
  composite('rmsNorm', [x, weight], first(sameDType('rmsNorm', x, weight))(scaleRule('rmsNorm', x.shape, weight.shape)), () =>
    mul(inFloat32(x, (rows) => mul(rows, rsqrt(add(mean(square(rows), -1, true), eps)))) as Rows, weight as Feature)));

const LAYER_EPS = 1e-5;
/** (x - mean) / sqrt(variance + eps) times the weight plus the bias, over the last axis. eps is 1e-5 when left out. */
export const layerNorm: <X extends Tensor, W extends Tensor, B extends Tensor>(
  x: X, weight: Guard<LayerNormOf<X, W>, W>, bias: Guard<LayerNormOf<X, B>, B>, eps?: number,
) => Result<LayerNormOf<X, W>, DTypeOf<X>> = typed((x: Node, weight: Node, bias: Node, eps = LAYER_EPS) => {
  const check = first(sameDType('layerNorm', x, weight), sameDType('layerNorm', x, bias));
  const rule = scaleRule('layerNorm', x.shape, weight.shape);
  return composite('layerNorm', [x, weight, bias], check(typeof rule === 'string' ? rule : scaleRule('layerNorm', x.shape, bias.shape)), () => {
    const standard = inFloat32(x, (rows) => {
      const centred = sub(rows, mean(rows, -1, true));
      return mul(centred, rsqrt(add(mean(square(centred), -1, true), eps)));
    });
    return add(mul(standard as Rows, weight as Feature), bias as Feature);
  });
});
