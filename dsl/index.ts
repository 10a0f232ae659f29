/** The language: everything a model needs. */
export * from './dtype.ts';
export type { DTypeOf, ShapeOf, T, Tensor } from './tensor.ts';
export * from './language/elementwise.ts';
export * from './language/movement.ts';
export * from './language/product.ts';
export * from './language/random.ts';
export * from './language/reduction.ts';
export * from './language/source.ts';
