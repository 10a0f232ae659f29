/**
 * Tensors on a device: made by a run or an upload, fed to further runs without leaving the GPU, read back when wanted.
 *
 * Invariant: a tensor owns its buffer until `dispose`; the handle that callers see holds no buffer (`placeOf` finds it),
 * so nobody outside can write to it. Parts of a tensor keep the whole in place as long as they live.
 */

import type { TaskEither } from 'fp-ts/TaskEither';
import type { ProgramDType } from '../../compiler/program.ts';
import { usage } from './device.ts';
import type { Device } from './device.ts';
import { dataProblem, decode, elementBytes, elementCount, encode } from './elements.ts';
import type { NumberArray, ReadArray } from './elements.ts';
import { attempt, badInput, fail } from './errors.ts';
import type { DeviceError } from './errors.ts';

export interface DeviceTensor {
  readonly shape: readonly number[];
  readonly dtype: ProgramDType;
  /** The elements, row-major: Float32Array for f32 and f16, Int32Array for i32, Uint32Array for u32 and bool. Errors: `Lost`, ... */
  readonly read: (options?: { readonly signal?: AbortSignal }) => TaskEither<DeviceError, ReadArray>;
  /** Gives the memory back; the tensor can then neither be read nor fed to a run. */
  readonly dispose: () => void;
}

/** A part of a buffer, from a byte on. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** What keeps a tensor's place; does not refer to the tensor, so a forgotten one can be collected. */
interface Home extends Place {
  readonly device: Device;
  readonly release: (buffer: GPUBuffer) => void;
  /** Submits the run that makes the elements, where that is still to be done. */
  readonly settle: () => Promise<void>;
  /** Reads and runs that still need the elements. */
  holds: number;
  disposed: boolean;
}

/** Where the living tensors are. */
const homes = new WeakMap<DeviceTensor, Home>();

/** The buffer goes back when the tensor is disposed and nothing under way needs it any more. */
const releaseIfFree = (home: Home): void => {
  if (home.disposed && home.holds === 0) home.release(home.buffer);
};

const leave = (home: Home): void => {
  home.disposed = true;
  releaseIfFree(home);
};

/** Gives back the memory of tensors that were dropped without `dispose`, whenever the garbage collector gets there. */
const forgotten = new FinalizationRegistry<Home>(leave);

/** Where the elements of a tensor are on this device, or what is wrong with it there. */
export const placeOf = (device: Device, tensor: DeviceTensor): Place | string => {
  const home = homes.get(tensor);
  if (!home) return 'the tensor was disposed';
  return home.device === device ? home : 'the tensor lives on another device';
};

/** Resolves when the work that makes the tensor's elements is on the queue. */
export const settled = async (tensor: DeviceTensor): Promise<void> => homes.get(tensor)?.settle();

/** Keeps the elements of a tensor in place, disposed or not, until the answer is called (once). */
export const hold = (tensor: DeviceTensor): (() => void) => {
  const home = homes.get(tensor);
  if (!home) return () => undefined;
  home.holds++;
  return () => {
    home.holds--;
    releaseIfFree(home);
  };
};

/** Bytes that are copied to or from the GPU at a time. */
export const chunkBytes = 1 << 26;

/** Copies `bytes` bytes from a place to the host, in chunks, through one staging buffer. */
const readBack = async (device: Device, { buffer, offset }: Place, bytes: number, signal?: AbortSignal): Promise<ArrayBuffer> => {
  const { gpu } = device;
  const target = new Uint8Array(bytes);
  const staging = await device.allocate('staging buffer', Math.min(bytes, chunkBytes), usage.mapRead | usage.copyTarget);
  try {
    for (let start = 0; start < bytes; start += chunkBytes) {
      const size = Math.min(chunkBytes, bytes - start);
      const encoder = gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, offset + start, staging, 0, size);
      gpu.queue.submit([encoder.finish()]);
      await device.wait(staging.mapAsync(1, 0, size), signal); // GPUMapMode.READ
      target.set(new Uint8Array(staging.getMappedRange(0, size)), start);
      staging.unmap();
    }
  } finally {
    device.free(staging);
  }
  return target.buffer;
};

export interface TensorPlace extends Partial<Pick<Home, 'offset' | 'settle'>>, Pick<Home, 'buffer' | 'release'> {}

/** A tensor at a place, by default a whole buffer; `release` gets the buffer back, once. */
export const makeTensor = (
  device: Device,
  shape: readonly number[],
  dtype: ProgramDType,
  { buffer, release, offset = 0, settle = () => Promise.resolve() }: TensorPlace,
): DeviceTensor => {
  const count = elementCount(shape);
  const home: Home = { device, buffer, offset, release, settle, holds: 0, disposed: false };
  const read = async (signal?: AbortSignal): Promise<ReadArray> => {
    if (!homes.has(tensor)) throw fail(badInput('cannot read', ['the tensor was disposed']));
    const bytes = Math.ceil((count * elementBytes[dtype]) / 4) * 4;
    if (bytes === 0) return decode(dtype, 0, new ArrayBuffer(0));
    const letGo = hold(tensor);
    try {
      await settle();
      return decode(dtype, count, await readBack(device, home, bytes, signal));
    } finally {
      letGo();
    }
  };
  const tensor: DeviceTensor = {
    shape,
    dtype,
    read: (options) => attempt(() => read(options?.signal)),
    dispose: () => {
      forgotten.unregister(tensor);
      if (homes.delete(tensor)) leave(home);
    },
  };
  homes.set(tensor, home);
  forgotten.register(tensor, home, tensor);
  return tensor;
};

/**
 * Some of a tensor's elements, in a row from `first` on, under a shape of their own and without a copy. The part lives until it is
 * disposed, whatever happens to the whole. It must lie inside the whole and begin at a multiple of four bytes.
 */
export const part = (whole: DeviceTensor, first: number, shape: readonly number[]): DeviceTensor => {
  const home = homes.get(whole);
  if (!home) throw new Error('invariant: a part of a tensor that was disposed');
  const { device, buffer, offset, settle } = home;
  const bytes = first * elementBytes[whole.dtype];
  if (first + elementCount(shape) > elementCount(whole.shape) || bytes % 4 !== 0) {
    throw new Error(`invariant: no part [${shape.join(', ')}] of [${whole.shape.join(', ')}] begins at element ${first}`);
  }
  return makeTensor(device, shape, whole.dtype, { buffer, offset: offset + bytes, settle, release: hold(whole) });
};

/** Queues the copy of `bytes` into the start of `target`; big data waits for its copy, so that staging memory stays small. */
export const writeBytes = async (device: Device, target: GPUBuffer, bytes: Uint8Array, signal?: AbortSignal): Promise<void> => {
  const { queue } = device.gpu;
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    const chunk = bytes.subarray(start, start + chunkBytes);
    queue.writeBuffer(target, start, chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (bytes.length > chunkBytes) {
      queue.submit([]); // starts the copies that are queued
      await device.wait(queue.onSubmittedWorkDone(), signal);
    }
  }
};

/** Puts a tensor on the device, to be fed to runs. Errors: `BadInput`, `OutOfMemory`, `Lost`. */
export const upload = (
  device: Device,
  shape: readonly number[],
  dtype: ProgramDType,
  data: NumberArray,
): TaskEither<DeviceError, DeviceTensor> =>
  attempt(async () => {
    const problem = dataProblem(dtype, shape, data);
    if (problem) throw fail(badInput('cannot upload a tensor', [problem]));
    const bytes = Math.max(16, Math.ceil((data.length * elementBytes[dtype]) / 16) * 16);
    const buffer = await device.allocate('uploaded tensor', bytes, usage.storage | usage.copyTarget | usage.copySource);
    await writeBytes(device, buffer, encode(dtype, data));
    return makeTensor(device, shape, dtype, { buffer, release: device.free });
  });
