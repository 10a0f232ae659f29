/**
 * What an op is: one literal with every field, so that a forgotten one does not compile.
 *
 * `infer` is the shape rule (its twin at the type level sits beside it in `dsl/shape/rules.ts`), `reference` the meaning in
 * f64 together with its error bound, `gradient` the vector-Jacobian product, `lower` one element of the result as a scalar
 * expression, and `traits` what shared code may ask instead of asking for the op's name.
 */
import type { DType } from '../dtype.ts';
import type { Attributes, Node, TensorType } from '../graph/node.ts';
import type { Index, Variable } from '../scalar/index-expression.ts';
import type { Scalar } from '../scalar/scalar.ts';

/** A tensor of numbers in f64, row-major. Booleans are 0 and 1, integers are whole. */
export interface Dense {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: Float64Array;
}

/**
 * A value with its error bound: |computed - value| <= error for any order of evaluation in f32; `magnitude` is the value of
 * the expression with each term replaced by its absolute value, the scale of rounding after reassociation.
 */
export interface Bounded {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly value: Float64Array;
  readonly magnitude: Float64Array;
  readonly error: Float64Array;
}

export interface BoundType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Places of elements in a tensor, row-major. */
export type Places = Int32Array;

/** Some elements of a result, and which elements of the operands they are made of. */
export interface Part {
  /** For each operand, the places of the elements that are needed. */
  readonly reads: readonly Places[];
  /** The wanted elements as a tensor of one axis; operand k holds the elements at `reads[k]`, in that order. */
  readonly compute: (operands: readonly Bounded[]) => Bounded;
}

export interface PartSite {
  /** Which elements of the result are wanted. */
  readonly places: Places;
  readonly operands: readonly BoundType[];
  readonly result: BoundType;
  readonly attributes: Attributes;
  /** Elements of an operand on the spot, for an op whose reads depend on data. */
  readonly known: (operand: number, places: Places) => Bounded;
}

export interface Reference {
  /** The op's meaning, one obvious loop. */
  readonly value: (operands: readonly Dense[], result: BoundType, attributes: Attributes) => Float64Array;
  /** Magnitude and error of the result whose f64 value is `value`. */
  readonly bound: (operands: readonly Bounded[], result: BoundType, attributes: Attributes, value: Float64Array) => Omit<Bounded, 'shape' | 'dtype' | 'value'>;
  /** The same for some elements only, so that a sample of a large tensor is affordable; agrees with the whole (a law). */
  readonly part: (site: PartSite) => Part;
}

/** Makes a node, by its op's shape rule. */
export type Apply = (op: string, inputs: readonly Node[], attributes: Attributes) => Node;

/** Cotangents of the inputs, given that of the output; `undefined` where none flows (integers, booleans). */
export type Gradient = (site: { readonly apply: Apply; readonly cotangent: Node; readonly node: Node }) => readonly (Node | undefined)[];

export interface Operand extends BoundType {
  /** The element of the operand at a multi-index. */
  readonly at: (index: readonly Index[]) => Scalar;
}

export interface LowerSite {
  readonly operands: readonly Operand[];
  readonly result: BoundType;
  readonly attributes: Attributes;
  /** Which element of the result is wanted. */
  readonly index: readonly Index[];
  /** A new loop variable, for reductions. */
  readonly variable: (extent: number) => Variable;
}

export interface Traits {
  readonly arity: number | 'any';
  /** One output element depends on the elements at the same index only. */
  readonly elementwise: boolean;
  /** Moves or repeats elements without arithmetic: never worth a buffer of its own. */
  readonly view: boolean;
  readonly commutative: boolean;
  /** Rough arithmetic per output element, reductions not counted. */
  readonly cost: number;
  /** Attributes that hold dims: symbols in them are replaced when sizes are bound. */
  readonly dims: readonly string[];
}

export interface OpDefinition {
  /** Result type, or the message of the error. Works on numbers and symbols alike. */
  readonly infer: (operands: readonly TensorType[], attributes: Attributes) => TensorType | string;
  readonly reference: Reference;
  readonly gradient: Gradient | 'not differentiable';
  readonly lower: (site: LowerSite) => Scalar;
  readonly traits: Traits;
}

/** One number at every place of a tensor like the given one. */
export const uniformLike = (apply: Apply, like: TensorType, value: number): Node => {
  const one = apply('reshape', [apply('constant', [], { value, dtype: like.dtype })], { shape: like.shape.map(() => 1) });
  return apply('expand', [one], { shape: like.shape });
};

/** Value and bound of an op's result. */
export const boundedResult = ({ value, bound }: Pick<Reference, 'value' | 'bound'>, operands: readonly Bounded[], result: BoundType, attributes: Attributes): Bounded => {
  const values = value(operands.map((x) => ({ shape: x.shape, dtype: x.dtype, data: x.value })), result, attributes);
  return { ...result, value: values, ...bound(operands, result, attributes, values) };
};

/** The part of an op whose elements depend on those at the same place: the op itself, on fewer elements. */
export const elementwisePart = (reference: Pick<Reference, 'value' | 'bound'>): Reference['part'] => ({ places, operands, result, attributes }) => ({
  reads: operands.map(() => places),
  compute: (parts) => boundedResult(reference, parts, { shape: [places.length], dtype: result.dtype }, attributes),
});

/** Elements of a tensor, as a tensor of one axis. */
export const elementsAt = (x: Bounded, places: Places): Bounded => {
  const pick = (from: Float64Array): Float64Array => Float64Array.from(places, (place) => from[place]!);
  return { shape: [places.length], dtype: x.dtype, value: pick(x.value), magnitude: pick(x.magnitude), error: pick(x.error) };
};

/** Unit roundoff for any rounding direction (WGSL fixes none): 2^-23 for f32, 2^-10 for f16. */
export const unitRoundoff = (dtype: DType): number => (dtype === 'f16' ? 2 ** -10 : dtype === 'f32' ? 2 ** -23 : 0);
/** Smallest absolute error of any float operation: subnormals may be flushed to zero. */
export const flushError = (dtype: DType): number => (dtype === 'f16' ? 2 ** -14 : dtype === 'f32' ? 2 ** -126 : 0);

/** g(n) of a sum of n terms: the deterministic bound, or the probabilistic one where smaller (Higham and Mary 2019; Ipsen and Zhou, arXiv 1906.10465). */
export const sumRoundoff = (n: number, dtype: DType): number => {
  const u = unitRoundoff(dtype === 'f16' ? 'f32' : dtype);
  const deterministic = (n * u) / (1 - n * u);
  return n < 64 ? deterministic : Math.min(deterministic, 8 * Math.sqrt(n) * u);
};
