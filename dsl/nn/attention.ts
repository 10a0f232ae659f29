/** Scaled dot product attention and the rotary embedding. */
import type { DType } from '../dtype.ts';
import { apply } from '../graph/apply.ts';
import { type Node, topological } from '../graph/node.ts';
import { withRule } from '../gradient/custom.ts';
import { pullback } from '../gradient/gradients.ts';
import { streamedAgain } from '../gradient/recompute.ts';
import { constantNode, countNode, first, reshapeTo, ruled, sameDType, typed } from '../language/build.ts';
import { add, div, exp, le, mul, rsqrt, select, sub } from '../language/elementwise.ts';
import { concat, slice, unsqueeze } from '../language/movement.ts';
import { batchedProduct, matmul } from '../language/product.ts';
import { max, sum } from '../language/reduction.ts';
import { iota } from '../language/source.ts';
import { divideDim } from '../shape/dim.ts';
import { attentionRule, batchedRule, maskRule, ropeRule, SIGNATURES } from '../shape/rules.ts';
import type { AttentionRule, MaskRule, RopeRule } from '../shape/rules.ts';
import type { DefinedFor, DTypeOf, Guard, IsAny, Result, SameDType, ShapeOf, T, Tensor } from '../tensor.ts';
import { composite } from './composite.ts';
import { softmax } from './normalization.ts';

// attention -------------------------------------------------------------------------------------------------------------------------

export type AttentionOf<Q extends Tensor, K extends Tensor, V extends Tensor> =
  IsAny<Q> extends true ? Q
  : IsAny<K> extends true ? K
  : IsAny<V> extends true ? V
  : SameDType<'attention', DTypeOf<Q>, DTypeOf<K>, SameDType<'attention', DTypeOf<Q>, DTypeOf<V>,
      DefinedFor<'attention', DTypeOf<Q>, 'float', AttentionRule<ShapeOf<Q>, ShapeOf<K>, ShapeOf<V>>>>>;
export type MaskOf<Q extends Tensor, K extends Tensor, M extends Tensor> =
  IsAny<Q> extends true ? Q
  : IsAny<K> extends true ? K
  : IsAny<M> extends true ? M
  : DTypeOf<M> extends 'bool' ? MaskRule<ShapeOf<Q>, ShapeOf<K>, ShapeOf<M>> : `attention: the mask must be bool, got ${DTypeOf<M>}`;

export interface AttentionOptions<Mask> {
  /** True where a query may look at a key; broadcast to the scores. A query that may look nowhere gets the mean of the values. */
  readonly mask?: Mask | undefined;
  /** Query i looks at keys 0..i only. */
  readonly causal?: boolean;
  /** Factor of the scores; 1 / sqrt(head) when left out. */
  readonly scale?: number;
}

/**
 * softmax(q kᵀ scale) v over q [.., query, head], k [.., key, head], v [.., key, out]; the axes before broadcast, so that keys with a
 * head axis of size 1 serve a group of query heads.
 */
export const attention: <Q extends Tensor, K extends Tensor, V extends Tensor, M extends Tensor = Tensor<[], 'bool'>>(
  q: Q, k: K, v: Guard<AttentionOf<Q, K, V>, V>, options?: AttentionOptions<Guard<MaskOf<Q, K, M>, M>>,
) => Result<AttentionOf<Q, K, V>, DTypeOf<Q>> = typed((q: Node, k: Node, v: Node, options: AttentionOptions<Node> = {}) => {
  const { mask } = options;
  const allowed = mask === undefined ? undefined : checkMask(q, k, mask);
  const check = first(sameDType('attention', q, k), sameDType('attention', q, v));
  const rule = attentionRule(q.shape, k.shape, v.shape);
  const operands = [q, k, v, ...(mask === undefined ? [] : [mask])];
  return composite('attention', operands, check(typeof rule === 'string' ? rule : (allowed ?? rule)), () => attend(q, k, v, options));
});

const checkMask = (q: Node, k: Node, mask: Node): string | undefined => {
  const rule = maskRule(q.shape, k.shape, mask.shape);
  return mask.dtype !== 'bool' ? `attention: the mask must be bool, got ${mask.dtype}` : typeof rule === 'string' ? rule : undefined;
};

/** The formula is written for one batch axis. */
type Scores = T<['b', 'query', 'key']>;
type Values = T<['b', 'key', 'out']>;
type Allowed = T<['query', 'key'], 'bool'>;

/** Far below every score, and finite: a row of it alone does not become NaN. */
const far = (dtype: DType): number => (dtype === 'f16' ? -6e4 : -1e30);

const attend = (q: Node, k: Node, v: Node, { mask, causal = false, scale }: AttentionOptions<Node>): Node => {
  const shape = batchedRule('attention', SIGNATURES.scores, [q.shape, k.shape]);
  return ruled([q, k], shape, (scoresShape) => {
    const factor = scale === undefined ? rsqrt(countNode(q.shape.slice(-1), q.dtype) as T<[]>) : (constantNode(scale, q.dtype) as T<[]>);
    const product = batchedProduct(q, k, scoresShape, true), scores = mul(product as Scores, factor);
    const seen = mask === undefined ? scores : select(mask as Allowed, scores, far(q.dtype));
    const past = causal ? select(causalMask(q, k), seen, far(q.dtype)) : seen;
    return q.dtype === 'f32' ? attended(q, k, contractionIn(product), past, v as Values) : matmul(softmax(past, -1), v as Values);
  });
};

/**
 * The same scores over operands that are kept apart from those of the forward pass: a compiler that streams computes them again in each
 * kernel that reads them, another sees through it and has them once.
 */
const anew = (scores: Node, product: Node, use: string): Scores => {
  const images = new Map<Node, Node>([[product, apply(product.op, product.inputs.map((input) => streamedAgain(input, use)), product.attributes)]]);
  for (const node of topological([scores])) {
    if (images.has(node) || !node.inputs.some((input) => images.has(input))) continue;
    images.set(node, apply(node.op, node.inputs.map((input) => images.get(input) ?? input), node.attributes));
  }
  return images.get(scores)! as Scores; // made of the product
};

/**
 * softmax(scores) v, with a backward pass whose scores need not be in memory: shares are made again from the rows' maxima and sums, and what
 * the softmax's gradient sums over the keys, p dp, is y dy summed over the channels of the result (Dao et al., FlashAttention, arXiv
 * 2205.14135, appendix B). `product` is the contraction inside the scores.
 */
const attended = (q: Node, k: Node, product: Node, scores: Scores, v: Values): Node => {
  const y = matmul(softmax(scores, -1), v);
  return withRule(y, [q, k, v], (cotangent) => {
    const dy = cotangent as typeof y, own = { recompute: () => undefined };
    const maximum = max(anew(scores, product, 'maximum'), -1, true), sums = sum(exp(sub(anew(scores, product, 'sum'), maximum)), -1, true);
    const sharesFor = (use: string): Scores => div(exp(sub(anew(scores, product, use), maximum)), sums);
    const along = sum(mul(y, dy), -1, true);
    /** The cotangent of the scores. */
    const slopeFor = (use: string): Scores => {
      const shares = sharesFor(use), [values, given] = [v, dy].map((x) => streamedAgain(x, use)) as [Values, typeof dy];
      const result = matmul(shares, values), [toShares] = pullback([result], [given], [shares], { ...own, derive: result }) as [Scores];
      return mul(shares, sub(toShares, along));
    };
    const [toQueries] = pullback([scores], [slopeFor('queries')], [q], own), [toKeys] = pullback([scores], [slopeFor('keys')], [k], own);
    const shares = sharesFor('values'), result = matmul(shares, v), [toValues] = pullback([result], [dy], [v], { ...own, derive: result });
    return [toQueries!, toKeys!, toValues!]; // one for each asked
  });
};

/** The contraction that a product is, or a view of. */
const contractionIn = (product: Node): Node => (product.op === 'einsum' ? product : contractionIn(product.inputs[0]!));

const causalMask = (q: Node, k: Node): Allowed => {
  const queries = iota(q.shape.at(-2) as 'query'); // as: the name of whatever dimension it is
  const keys = iota(k.shape.at(-2) as 'key');
  return le(keys, unsqueeze(queries, 1));
};

// rope ------------------------------------------------------------------------------------------------------------------------------

export type RopeOf<X extends Tensor, Cos extends Tensor, Sin extends Tensor> =
  IsAny<X> extends true ? X
  : IsAny<Cos> extends true ? Cos
  : IsAny<Sin> extends true ? Sin
  : SameDType<'rope', DTypeOf<X>, DTypeOf<Cos>, SameDType<'rope', DTypeOf<X>, DTypeOf<Sin>,
      DefinedFor<'rope', DTypeOf<X>, 'float', RopeRule<ShapeOf<X>, ShapeOf<Cos>, ShapeOf<Sin>>>>>;

/**
 * Rotary embedding of x [.., n, head]: channels 2j and 2j + 1 at place i turn by the angle whose cosine and sine are in
 * row i, column j of the tables [n, head / 2].
 */
export const rope: <X extends Tensor, Cos extends Tensor, Sin extends Tensor>(
  x: X, cos: Cos, sin: Guard<RopeOf<X, Cos, Sin>, Sin>,
) => Result<RopeOf<X, Cos, Sin>, DTypeOf<X>> = typed((x: Node, cos: Node, sin: Node) => {
  const check = first(sameDType('rope', x, cos), sameDType('rope', x, sin));
  return composite('rope', [x, cos, sin], check(ropeRule(x.shape, cos.shape, sin.shape)), () => {
    const half = divideDim(x.shape.at(-1)!, 2)!; // the rule was checked before
    const pairs = reshapeTo(x, [...x.shape.slice(0, -1), half, 2]) as Pairs;
    return reshapeTo(turn(pairs, cos as Table, sin as Table), x.shape);
  });
});

type Table = T<['n', 'j']>;
type Pairs = T<['b', 'n', 'j', 2]>;

// (a cos - b sin, b cos + a sin): the pair times cos plus the swapped pair times -sin and +sin
const turn = (pairs: Pairs, cos: Table, sin: Table): Pairs => {
  const swapped = concat([slice(pairs, -1, 1, 1), slice(pairs, -1, 0, 1)], -1);
  const sign = sub(mul(iota(2, sin.dtype), 2), 1);
  return add(mul(pairs, unsqueeze(cos, -1)), mul(swapped, mul(unsqueeze(sin, -1), sign)));
};
