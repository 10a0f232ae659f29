/** Layers: modules with weights of their own, under the names that torch gives them. Import them by name, or all as `layers`. */
import { linear as linearOf } from '../language/product.ts';
import { add } from '../language/elementwise.ts';
import { embedding as embeddingOf } from '../language/movement.ts';
import type { EmbeddingOf } from '../language/movement.ts';
import type { LinearOf } from '../language/product.ts';
import { typed } from '../language/build.ts';
import { module, param } from '../module.ts';
import type { Module, Parameter } from '../module.ts';
import type { CanonicalDim, Dim } from '../shape/dim.ts';
import type { LiteralDim } from '../shape/rules.ts';
import type { DTypeOf, Guard, Result, T, Tensor } from '../tensor.ts';
import { layerNorm as layerNormOf, rmsNorm as rmsNormOf } from './normalization.ts';
import type { LayerNormOf, RmsNormOf } from './normalization.ts';

/** A weight as the rules see it. */
type Weight<S extends readonly Dim[]> = Tensor<S, 'f32'>;
/** A dimension written by hand. */
type Written<D extends Dim> = Guard<LiteralDim<'layer', D>, D>;

// Named interfaces: errors in a pipe show the name instead of the whole signature.
export interface LinearFunction<Out extends Dim, In extends Dim> {
  <X extends Tensor>(x: Guard<LinearOf<X, Weight<[Out, In]>>, X>): Result<LinearOf<X, Weight<[Out, In]>>, DTypeOf<X>>;
}
export interface RmsNormFunction<D extends Dim> {
  <X extends Tensor>(x: Guard<RmsNormOf<X, Weight<[D]>>, X>): Result<RmsNormOf<X, Weight<[D]>>, DTypeOf<X>>;
}
export interface LayerNormFunction<D extends Dim> {
  <X extends Tensor>(x: Guard<LayerNormOf<X, Weight<[D]>>, X>): Result<LayerNormOf<X, Weight<[D]>>, DTypeOf<X>>;
}
export interface EmbeddingFunction<Count extends Dim, D extends Dim> {
  <I extends Tensor>(indices: Guard<EmbeddingOf<Weight<[Count, D]>, I>, I>): Result<EmbeddingOf<Weight<[Count, D]>, I>, 'f32'>;
}

/** The bodies are written for these sizes; the names stand for whatever dimensions the layer has. */
type Input = T<['n', 'in']>;

type LinearSpec<Out extends Dim, In extends Dim> = { readonly weight: Parameter<[Out, In]> };
type Affine<Out extends Dim, In extends Dim> = LinearSpec<Out, In> & { readonly bias: Parameter<[Out]> };

/** x Wᵀ + b, with weight [out, in] and bias [out]. */
export const linear: <const In extends Dim, const Out extends Dim>(
  from: Written<In>, to: Written<Out>,
) => Module<Affine<CanonicalDim<Out>, CanonicalDim<In>>, LinearFunction<CanonicalDim<Out>, CanonicalDim<In>>> = typed(
  (from: 'in', to: 'out') => module({ weight: param(to, from), bias: param(to) }, (p) => (x: Input) => add(linearOf(x, p.weight), p.bias)),
);

/** x Wᵀ, with weight [out, in]. */
export const linearNoBias: <const In extends Dim, const Out extends Dim>(
  from: Written<In>, to: Written<Out>,
) => Module<LinearSpec<CanonicalDim<Out>, CanonicalDim<In>>, LinearFunction<CanonicalDim<Out>, CanonicalDim<In>>> = typed(
  (from: 'in', to: 'out') => module({ weight: param(to, from) }, (p) => (x: Input) => linearOf(x, p.weight)),
);

/** RMS norm over the last axis, with weight [size]. */
export const rmsNorm: <const D extends Dim>(
  size: Written<D>, eps?: number,
) => Module<{ readonly weight: Parameter<[CanonicalDim<D>]> }, RmsNormFunction<CanonicalDim<D>>> = typed((size: 'in', eps?: number) =>
  module({ weight: param(size) }, (p) => (x: Input) => rmsNormOf(x, p.weight, eps)));

/** Layer norm over the last axis, with weight and bias [size]. */
export const layerNorm: <const D extends Dim>(
  size: Written<D>, eps?: number,
) => Module<
  { readonly weight: Parameter<[CanonicalDim<D>]>; readonly bias: Parameter<[CanonicalDim<D>]> }, LayerNormFunction<CanonicalDim<D>>
> = typed((size: 'in', eps?: number) =>
  module({ weight: param(size), bias: param(size) }, (p) => (x: Input) => layerNormOf(x, p.weight, p.bias, eps)));

/** Rows of a table [count, size] by index. */
export const embedding: <const Count extends Dim, const D extends Dim>(
  count: Written<Count>, size: Written<D>,
) => Module<{ readonly weight: Parameter<[CanonicalDim<Count>, CanonicalDim<D>]> }, EmbeddingFunction<CanonicalDim<Count>, CanonicalDim<D>>> = typed(
  (count: 'out', size: 'in') => module({ weight: param(count, size) }, (p) => (indices: T<['n'], 'i32'>) => embeddingOf(p.weight, indices)),
);
