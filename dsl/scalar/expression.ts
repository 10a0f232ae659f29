/**
 * The types of the scalar form: what one element is (`Scalar`), and where in memory it lies (`Index`).
 *
 * They refer to each other, so they share a file; the arithmetic is in `scalar.ts` and `index-expression.ts`.
 */
import type { DType } from '../dtype.ts';

/** A loop variable that runs over [0, extent). Two variables are the same when their ids are. */
export interface Variable {
  readonly kind: 'variable';
  readonly id: number;
  readonly extent: number;
}

export type Atom =
  | Variable
  | { readonly kind: 'quotient'; readonly of: Index; readonly by: number }
  | { readonly kind: 'remainder'; readonly of: Index; readonly by: number }
  | { readonly kind: 'clamp'; readonly of: Index; readonly min: number; readonly max: number }
  | { readonly kind: 'value'; readonly of: Scalar; readonly min: number; readonly max: number };

export interface Term {
  readonly atom: Atom;
  readonly key: string;
  readonly coefficient: number;
}

export interface Index {
  readonly terms: readonly Term[];
  readonly constant: number;
  /** Smallest and largest value, both reached at most. */
  readonly min: number;
  readonly max: number;
  /** Equal keys mean equal values. */
  readonly key: string;
}

/** f16 exists in memory only: loads widen it to f32. */
export type ScalarType = Exclude<DType, 'f16'>;

export type UnaryScalarOp = 'neg' | 'abs' | 'exp' | 'sqrt' | 'rsqrt' | 'floor' | 'not' | 'bitsToFloat' | 'floatToBits';
export type BinaryScalarOp = 'add' | 'sub' | 'mul' | 'div' | 'max' | 'min' | 'eq' | 'lt' | 'le' | 'and' | 'or'
  | 'bitAnd' | 'bitOr' | 'bitXor' | 'shiftLeft' | 'shiftRight';
export type Monoid = 'sum' | 'max';

/** How many neighbouring elements one expression stands for. Ops lower to 1; schedules widen. */
export type Lanes = 1 | 2 | 4;

/** An array that belongs to a kernel: one for each thread, or one for the threads of a workgroup together. Its elements are vectors of `lanes`. */
export interface LocalArray {
  readonly id: number;
  readonly space: 'thread' | 'workgroup';
  readonly type: ScalarType;
  readonly lanes: Lanes;
  readonly length: number;
}

export type Scalar = { readonly type: ScalarType; readonly lanes: Lanes; readonly key: string } & (
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'load'; readonly tensor: number; readonly index: Index; readonly stored: DType }
  | { readonly kind: 'index'; readonly index: Index }
  | { readonly kind: 'unary'; readonly op: UnaryScalarOp; readonly a: Scalar }
  | { readonly kind: 'binary'; readonly op: BinaryScalarOp; readonly a: Scalar; readonly b: Scalar }
  | { readonly kind: 'select'; readonly condition: Scalar; readonly a: Scalar; readonly b: Scalar }
  | { readonly kind: 'cast'; readonly a: Scalar }
  | { readonly kind: 'reduce'; readonly monoid: Monoid; readonly over: readonly Variable[]; readonly body: Scalar }
  | { readonly kind: 'local'; readonly local: number }
  /** A vector of an array. `after` is a local that only exists behind the writes it must see, so that it cannot be moved before them. */
  | { readonly kind: 'element'; readonly array: LocalArray; readonly index: Index; readonly after: number }
  | { readonly kind: 'splat'; readonly a: Scalar }
  | { readonly kind: 'vector'; readonly parts: readonly Scalar[] }
  | { readonly kind: 'lane'; readonly a: Scalar; readonly lane: number }
  | { readonly kind: 'dot'; readonly a: Scalar; readonly b: Scalar }
);
export type ScalarKind<K extends Scalar['kind']> = Extract<Scalar, { readonly kind: K }>;
