/** What safetensors files, sharded sets and checkpoints have in common: a directory of named tensors whose data is read on demand. */
import { byteWidth, toFloat32, toFloat64 } from './dtype.ts';
import type { FileDType } from './dtype.ts';
import { fail } from './errors.ts';

/** Shape and stored number format of one tensor. */
export interface TensorInfo {
  readonly shape: readonly number[];
  readonly dtype: FileDType;
}

/** An open file of named tensors. The functions that read throw FileFaults: they are for use inside `attempt`. */
export interface TensorFile {
  readonly path: string;
  readonly format: 'safetensors' | 'checkpoint';
  /** Strings that belong to the whole file: safetensors' `__metadata__`, a checkpoint's epoch, global_step and so on. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Tensors in a number format that is not read here (complex, quantised), with its name. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** The elements in row-major order, in the stored format. */
  readonly readBytes: (name: string) => Promise<Uint8Array<ArrayBuffer>>;
  readonly close: () => Promise<void>;
}

/** Number of elements of a shape (1 for a scalar); a zero wins even over sizes whose product is not a number any more. */
export const elementCount = (shape: readonly number[]): number => (shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1));

/** Bytes of a tensor's data. */
export const byteCount = ({ shape, dtype }: TensorInfo): number => elementCount(shape) * byteWidth(dtype);

/** The directory entry of a tensor, or a 'missing' fault. */
export const infoOf = (file: TensorFile, name: string): TensorInfo =>
  file.tensors.get(name) ?? fail('missing', file.path, `there is no tensor ${name} in the file (it has ${file.tensors.size} tensors)`);

/** One tensor's values as f32. */
export const readFloat32 = async (file: TensorFile, name: string): Promise<Float32Array<ArrayBuffer>> =>
  toFloat32(await file.readBytes(name), infoOf(file, name).dtype);

/** One tensor's values as f64. */
export const readFloat64 = async (file: TensorFile, name: string): Promise<Float64Array<ArrayBuffer>> =>
  toFloat64(await file.readBytes(name), infoOf(file, name).dtype);

/** A shape as it stands in messages: [2, 3]. */
export const showShape = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
