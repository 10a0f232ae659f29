/**
 * What makes two kernels alike for a schedule: family, sizes, storage. As a text that people can read, and that a table is searched by.
 *
 * Sizes that come with the batch or the image count as the next power of two; those that the weights fix count exactly.
 * Example: `matmul 512x3456x1152 f32` is at most 512 (and more than 256) rows times a weight of 3456 columns, over 1152.
 */
import type { StorageType } from '../../dsl/dtype.ts';
import type { Variable } from '../../dsl/scalar/index-expression.ts';
import { extentOf, reductionsIn, subexpressions } from '../../dsl/scalar/rewrite.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import type { Contraction } from '../kernels/matmul.ts';
import { rowAxes } from '../kernels/row.ts';
import type { Stream } from '../kernels/stream-pattern.ts';
import type { TensorExpression } from '../kernels/tensor-expression.ts';
import { FAMILIES, type Family } from './schedules.ts';

export type KernelKey = string;
type DTypes = (tensor: number) => StorageType;

/** The next power of two. */
export const bucket = (count: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, count)));

/** How what an expression loads lies in memory: `f32`, `f16+f32`. */
const storageOf = (e: Scalar, dtypes: DTypes): string =>
  [...new Set([...subexpressions(e)].flatMap((part) => (part.kind === 'load' ? [dtypes(part.tensor)] : [])))].sort().join('+') || 'none';

/** Entries of a batch, where there are several. */
const batched = (batch: readonly Variable[]): string => (extentOf(batch) > 1 ? `${bucket(extentOf(batch))}*` : '');

/** Rows, columns, contracted elements; `2 of` where two products share their left factor. */
export const matmulKey = ({ terms, left, over, row, column, batch }: Contraction, dtypes: DTypes): KernelKey => {
  const [a, b] = [storageOf(left, dtypes), [...new Set(terms.map(({ right }) => storageOf(right, dtypes)))].join('+')];
  return `matmul ${terms.length > 1 ? `${terms.length} of ` : ''}${batched(batch)}${bucket(row?.extent ?? 1)}x${column?.extent ?? 1}x${extentOf(over)} ${a === b ? a : `${a}*${b}`}`;
};

/** Rows, and the length of what is reduced; without a reduction the number of elements. */
export const rowKey = (expression: TensorExpression, dtypes: DTypes): KernelKey => {
  const reductions = reductionsIn(expression.value), storage = storageOf(expression.value, dtypes);
  if (reductions.length === 0) return `elementwise ${bucket(extentOf(expression.axes))} ${storage}`;
  return `row ${bucket(extentOf(rowAxes(expression)))}x${Math.max(...reductions.map((e) => extentOf(e.over)))} ${storage}`;
};

/** Queries, keys, what their inner products run over, elements of a value. */
export const streamKey = ({ rows, keys, products, column, batch }: Stream, value: Scalar, dtypes: DTypes): KernelKey =>
  `stream ${batched(batch)}${bucket(extentOf(rows))}x${bucket(extentOf(keys))}x${products.reduce((n, { depth }) => n + depth.extent, 0)}x${column?.extent ?? 1} ${storageOf(value, dtypes)}`;

/** The family that a key begins with. */
export const familyOf = (key: KernelKey): Family | undefined => FAMILIES.find((family) => key.startsWith(`${family} `));
