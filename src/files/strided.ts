/** Strided windows of PyTorch: element [i, j, ...] is at offset + i * stride[0] + j * stride[1] + ...; strides are never negative. */
import { elementCount } from './tensor-file.ts';

/** Position of the last element of a window, or -1 where the window is empty. */
export const lastElement = (shape: readonly number[], stride: readonly number[], offset: number): number =>
  elementCount(shape) === 0 ? -1 : shape.reduce((position, size, axis) => position + (size - 1) * stride[axis]!, offset);

/** Whether the elements lie one after the other in row-major order; axes of size 1 may have any stride. */
export const isContiguous = (shape: readonly number[], stride: readonly number[]): boolean => {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && stride[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
};

/** Copies a window that starts at byte 0 of `source` into row-major order. */
export const gather = (source: Uint8Array, shape: readonly number[], stride: readonly number[], width: number): Uint8Array<ArrayBuffer> => {
  const result = new Uint8Array(elementCount(shape) * width);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < result.length; to += width) {
    for (let byte = 0; byte < width; byte++) result[to + byte] = source[from * width + byte]!;
    from += advance(index, shape, stride);
  }
  return result;
};

/** Moves the index to the next element in row-major order and returns the change of position. */
const advance = (index: number[], shape: readonly number[], stride: readonly number[]): number => {
  let change = 0;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    change += stride[axis]!;
    index[axis]! += 1;
    if (index[axis]! < shape[axis]!) return change;
    change -= index[axis]! * stride[axis]!;
    index[axis] = 0;
  }
  return change;
};
