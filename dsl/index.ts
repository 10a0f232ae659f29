/** The language: everything a model needs. */
export * from './dtype.ts';
export type { Dim, Shape } from './shape/dim.ts';
export type { DTypeOf, ShapeOf, T, Tensor } from './tensor.ts';
export * from './language/elementwise.ts';
export * from './language/movement.ts';
export * from './language/product.ts';
export * from './language/random.ts';
export * from './language/reduction.ts';
export * from './language/source.ts';
export * from './module.ts';
export * from './nn/activation.ts';
export * from './nn/attention.ts';
export * as layers from './nn/layers.ts';
export { l2Normalize, layerNorm, logSumExp, rmsNorm, softmax } from './nn/normalization.ts';
export * as on from './language/data-last.ts';
