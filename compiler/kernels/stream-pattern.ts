/**
 * Recognising a streamed softmax: sums over keys of `exp(score - maximum) · weight`, where the maximum runs over the same keys.
 *
 * Attention is the case with two such sums, `Σ e` and `Σ e · v`. The score may be any expression of queries and keys whose inner products
 * separate into a factor of the row and a factor of the key: scale, bias, mask, soft cap, norms and rotations are part of it.
 *
 * Without a maximum of its own, one sum (or maximum) over keys of `share · weight`, where the share is made of inner products: the backward
 * pass of attention, whose shares are known from the statistics of the rows, and those statistics themselves.
 */
import { type Index, ofVariable, type Variable } from '../../dsl/scalar/index-expression.ts';
import { canonical, ofProduct, productOf, pulledOut, splitProduct } from '../../dsl/scalar/product.ts';
import { extentOf, freeVariables, outermostReductions, reductionsIn, rewriteScalar, subexpressions, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import type { TensorExpression } from './tensor-expression.ts';

type Reduce = S.ScalarKind<'reduce'>;

/** `Σ over keys of e · weight`; without weight, the sum of `e` alone. */
export interface StreamedSum {
  readonly local: number;
  readonly weight: Scalar | undefined;
}

/** An inner product inside the score: `Σ over depth of query · key`. Its value is the local in `score`. */
export interface InnerProduct {
  readonly local: number;
  readonly depth: Variable;
  readonly query: Scalar;
  readonly key: Scalar;
}

/** A reduction that depends on the key alone, such as the length of a key vector. Its value is the local in scores, keys and weights. */
export interface KeyValue {
  readonly local: number;
  readonly value: Scalar;
}

export interface Stream {
  /** The result, over locals: one for each sum, and one for the maximum. */
  readonly around: Scalar;
  /** The local of the running maximum; undefined where there is none, and `score` is the share of a key itself. */
  readonly maximum: number | undefined;
  /** How keys are folded where there is no running maximum. */
  readonly fold: S.Monoid;
  readonly sums: readonly StreamedSum[];
  readonly keys: readonly Variable[];
  /** The score of a row and a key, over locals for inner products and values of keys. */
  readonly score: Scalar;
  readonly products: readonly InnerProduct[];
  readonly keyValues: readonly KeyValue[];
  /** Axes of queries alone, of values alone, and the rest. */
  readonly rows: readonly Variable[];
  readonly column: Variable | undefined;
  readonly batch: readonly Variable[];
}

const reads = (e: Scalar, variables: readonly Variable[]): boolean => variables.some((v) => freeVariables(e).has(v.id));

/** The same body over other variables of the same extents. */
const bodyOver = ({ over, body }: Reduce, variables: readonly Variable[]): Scalar =>
  substitute(body, new Map<number, Index>(over.map((v, i) => [v.id, ofVariable(variables[i]!)])));
const sameExtents = (a: readonly Variable[], b: readonly Variable[]): boolean => a.length === b.length && a.every((v, i) => v.extent === b[i]!.extent);

/** Replaces expressions by key. */
const replaced = (e: Scalar, by: ReadonlyMap<string, Scalar>): Scalar => rewriteScalar(e, (old, rebuilt) => by.get(old.key) ?? by.get(rebuilt.key) ?? rebuilt);

/** Why an expression is no stream. */
export type NoStream = string;

/** Stand-ins for what a schedule keeps in registers; counted down, so that they do not meet a kernel's own locals. */
const localSupply = (): ((type: S.ScalarType) => S.ScalarKind<'local'>) => {
  let next = 1_000_000;
  return (type) => S.local(next++, type) as S.ScalarKind<'local'>; // local makes locals
};
type NewLocal = ReturnType<typeof localSupply>;

interface Sums {
  readonly around: Scalar;
  readonly sums: readonly StreamedSum[];
}

/** Every sum that the maximum is in, as a sum of `e · weight`. */
const sumsOf = (value: Scalar, maximum: Reduce, fresh: NewLocal): Sums | NoStream => {
  const keys = maximum.over, score = maximum.body;
  const e = S.exp(S.sub(score, maximum));
  const found: StreamedSum[] = [];
  const known = new Map<string, Scalar>();
  const involved = reductionsIn(value).filter((r) => r !== maximum && r.key !== maximum.key && subexpressions(r.body).some((part) => part.key === maximum.key));
  for (const sum of involved) {
    if (sum.monoid !== 'sum' || sum.type !== 'f32' || !sameExtents(sum.over, keys)) return 'a reduction over other axes uses the maximum';
    // sums are met inner ones first: those inside this one's body are locals already
    const { inside, outside } = splitProduct(productOf(replaced(bodyOver(sum, keys), known)), keys);
    if (inside.under.length > 0) return 'the weights are divided by something that depends on the key';
    const own = inside.over.findIndex((factor) => factor.key === e.key);
    const weights = inside.over.filter((_, i) => i !== own);
    if (own < 0) return 'a sum is not of exp(score - maximum)';
    if (weights.some((w) => subexpressions(w).some((part) => part.key === maximum.key || part.key === e.key))) return 'a weight uses the maximum';
    const weight = weights.length === 0 ? undefined : ofProduct({ over: weights, under: [] });
    const twin = found.find((other) => other.weight?.key === weight?.key);
    const local = twin === undefined ? fresh('f32') : S.local(twin.local, 'f32');
    if (twin === undefined) found.push({ local: (local as S.ScalarKind<'local'>).local, weight });
    known.set(sum.key, ofProduct({ over: [local, ...outside.over], under: outside.under }));
  }
  return { around: replaced(value, known), sums: found };
};

interface Parts {
  readonly score: Scalar;
  readonly products: readonly InnerProduct[];
}

/** Separates the inner products of a score. */
const productsOf = (score: Scalar, keys: readonly Variable[], fresh: NewLocal): Parts | NoStream => {
  const products: InnerProduct[] = [];
  const known = new Map<string, Scalar>();
  for (const sum of outermostReductions(score)) {
    if (!reads(sum, keys)) continue;
    const parts = sum.monoid === 'sum' && sum.type === 'f32' ? productOf(sum.body) : { over: [sum.body], under: [] };
    const { inside: ofDepth, outside } = splitProduct(parts, sum.over);
    const { inside: key, outside: query } = splitProduct(ofDepth, keys);
    const isInner = sum.over.length === 1 && sum.monoid === 'sum' && key.over.length > 0 && query.over.length > 0;
    if (!isInner) continue; // a value of the key, perhaps
    const local = fresh('f32');
    products.push({ local: local.local, depth: sum.over[0]!, query: ofProduct(query), key: ofProduct(key) });
    known.set(sum.key, ofProduct({ over: [local, ...outside.over], under: outside.under }));
  }
  return products.length === 0 ? 'the score has no inner product' : { score: replaced(score, known), products };
};

/** Reductions over keys that are left: they must depend on nothing else of the output's axes but `allowed`. */
const keyValuesOf = (parts: readonly Scalar[], keys: readonly Variable[], allowed: (id: number) => boolean, fresh: NewLocal): readonly (KeyValue & { readonly key: string })[] | NoStream => {
  const found = new Map<string, KeyValue & { readonly key: string }>();
  for (const part of parts) {
    for (const r of outermostReductions(part)) {
      if (!reads(r, keys) || found.has(r.key)) continue;
      if (![...freeVariables(r)].every((id) => allowed(id) || keys.some((k) => k.id === id))) return 'a reduction depends on the row and the key, and is no inner product';
      found.set(r.key, { key: r.key, local: fresh(r.type).local, value: r });
    }
  }
  return [...found.values()];
};

const wide = (variables: readonly Variable[]): readonly Variable[] => variables.filter((v) => v.extent > 1);

const found = new WeakMap<Scalar, Stream | NoStream>();
/** The stream of an expression, or why there is none. Asked for while planning and again when the kernel is made. */
export const streamOf = (expression: TensorExpression): Stream | NoStream => {
  const known = found.get(expression.value) ?? findStream(expression);
  found.set(expression.value, known);
  return known;
};

const findStream = ({ axes, value }: TensorExpression): Stream | NoStream => {
  const whole = canonical(value);
  const maxima = reductionsIn(whole).filter((r) => r.monoid === 'max' && r.type === 'f32' && r.over.length > 0);
  const maximum = maxima.find((r) => subexpressions(whole).some((part) => part.kind === 'unary' && part.op === 'exp' && part.a.kind === 'binary' && part.a.op === 'sub' && part.a.b.key === r.key));
  if (maximum === undefined) return findFold(axes, whole);
  const fresh = localSupply(), keys = maximum.over;
  const summed = sumsOf(whole, maximum, fresh);
  if (typeof summed === 'string') return summed;
  const top = fresh('f32'), around = replaced(summed.around, new Map([[maximum.key, top]]));
  if (reductionsIn(around).some((r) => subexpressions(r.body).some((part) => part.kind === 'local'))) return 'a reduction is made over the result';
  const parts = productsOf(maximum.body, keys, fresh);
  if (typeof parts === 'string') return parts;
  const weights = summed.sums.flatMap(({ weight }) => (weight === undefined ? [] : [weight]));
  const ofKeys = [...parts.products.map(({ key }) => key), ...weights];
  const column = wide(axes).filter((axis) => !freeVariables(maximum.body).has(axis.id));
  const rows = wide(axes).filter((axis) => freeVariables(maximum.body).has(axis.id) && !ofKeys.some((e) => freeVariables(e).has(axis.id)));
  if (column.length > 1) return 'the values have several axes of their own';
  if (rows.length === 0) return 'every row has keys of its own';
  const scored = pulledThrough(parts.score);
  const values = keyValuesOf([scored, ...ofKeys], keys, (id) => axes.some((axis) => axis.id === id && !rows.includes(axis) && !column.includes(axis)), fresh);
  if (typeof values === 'string') return values;
  const names = new Map(values.map(({ key, local, value: v }) => [key, S.local(local, v.type)]));
  return {
    around, maximum: top.local, fold: 'sum', sums: summed.sums.map((s) => ({ ...s, weight: s.weight && replaced(s.weight, names) })), keys,
    score: replaced(scored, names), products: parts.products.map((p) => ({ ...p, key: replaced(p.key, names) })), keyValues: values.map(({ local, value: v }) => ({ local, value: v })),
    rows, column: column[0], batch: axes.filter((axis) => !rows.includes(axis) && !column.includes(axis)),
  };
};

/** A single fold over keys whose share holds inner products of rows and keys. */
const findFold = (axes: readonly Variable[], whole: Scalar): Stream | NoStream => {
  const folds = outermostReductions(whole), [fold, ...others] = folds;
  if (fold === undefined || others.length > 0 || fold.type !== 'f32' || fold.over.length === 0) return 'there is no softmax';
  const keys = fold.over, hasProduct = (e: Scalar): boolean => outermostReductions(e).some((r) => reads(r, keys) && wide(axes).some((axis) => freeVariables(r).has(axis.id)));
  const parts = fold.monoid === 'sum' ? productOf(fold.body) : { over: [fold.body], under: [] }, { inside, outside } = splitProduct(parts, keys);
  const core = inside.over.filter(hasProduct);
  if (core.length === 0) return 'there is no softmax';
  const ofCore = (axis: Variable): boolean => core.some((factor) => freeVariables(factor).has(axis.id));
  const column = wide(axes).filter((axis) => !ofCore(axis) && inside.over.some((factor) => freeVariables(factor).has(axis.id)));
  const weights = inside.over.filter((factor) => !core.includes(factor) && reads(factor, column)), shares = inside.over.filter((factor) => !weights.includes(factor));
  if (column.length > 1) return 'the values have several axes of their own';
  if (inside.under.some((factor) => reads(factor, column))) return 'the weights are divided by something of their column';
  const fresh = localSupply(), found = productsOf(ofProduct({ over: shares, under: inside.under }), keys, fresh);
  if (typeof found === 'string') return found;
  const weight = weights.length === 0 ? undefined : ofProduct({ over: weights, under: [] }), ofKeys = [...found.products.map(({ key }) => key), ...(weight === undefined ? [] : [weight])];
  const rows = wide(axes).filter((axis) => !column.includes(axis) && found.products.some(({ query }) => freeVariables(query).has(axis.id)) && !ofKeys.some((e) => freeVariables(e).has(axis.id)));
  if (rows.length === 0) return 'every row has keys of its own';
  const scored = pulledThrough(found.score);
  const values = keyValuesOf([scored, ...ofKeys], keys, (id) => axes.some((axis) => axis.id === id && !rows.includes(axis) && !column.includes(axis)), fresh);
  if (typeof values === 'string') return values;
  const names = new Map(values.map(({ key, local, value: v }) => [key, S.local(local, v.type)])), result = fresh('f32');
  return {
    around: replaced(whole, new Map([[fold.key, ofProduct({ over: [result, ...outside.over], under: outside.under })]])), maximum: undefined, fold: fold.monoid,
    sums: [{ local: result.local, weight: weight && replaced(weight, names) }], keys, score: replaced(scored, names),
    products: found.products.map((p) => ({ ...p, key: replaced(p.key, names) })), keyValues: values.map(({ local, value: v }) => ({ local, value: v })),
    rows, column: column[0], batch: axes.filter((axis) => !rows.includes(axis) && !column.includes(axis)),
  };
};

/** Sums with what does not depend on their variables in front. */
const pulledThrough = (e: Scalar): Scalar => rewriteScalar(e, (_old, rebuilt) => (rebuilt.kind === 'reduce' ? pulledOut(rebuilt) : rebuilt));

/** Elements of one row that a thread keeps: its queries and its results. */
export const streamRegisters = ({ products, sums, column }: Stream): number =>
  products.reduce((n, { depth }) => n + depth.extent, 0) + sums.reduce((n, { weight }) => n + (weight !== undefined && column !== undefined && reads(weight, [column]) ? column.extent : 1), 0);

export const keyCount = ({ keys }: Stream): number => extentOf(keys);
