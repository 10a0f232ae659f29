/**
 * Tensors on a device: made by a run or an upload, fed to further runs without leaving the GPU, read back when wanted.
 *
 * Invariant: a tensor owns its buffer until `dispose`; the handle that callers see holds no buffer (`bufferOf` finds it),
 * so nobody outside can write to it.
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

/** What keeps a tensor's buffer; does not refer to the tensor, so a forgotten one can be collected. */
interface Home {
  readonly device: Device;
  readonly buffer: GPUBuffer;
  readonly release: (buffer: GPUBuffer) => void;
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

/** The buffer of a tensor on this device, or what is wrong with it there. */
export const bufferOf = (device: Device, tensor: DeviceTensor): GPUBuffer | string => {
  const home = homes.get(tensor);
  if (!home) return 'the tensor was disposed';
  return home.device === device ? home.buffer : 'the tensor lives on another device';
};

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

/** Copies `bytes` bytes of a buffer to the host, in chunks, through one staging buffer. */
const readBack = async (device: Device, source: GPUBuffer, bytes: number, signal?: AbortSignal): Promise<ArrayBuffer> => {
  const { gpu } = device;
  const target = new Uint8Array(bytes);
  const staging = await device.allocate('staging buffer', Math.min(bytes, chunkBytes), usage.mapRead | usage.copyTarget);
  try {
    for (let start = 0; start < bytes; start += chunkBytes) {
      const size = Math.min(chunkBytes, bytes - start);
      const encoder = gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(source, start, staging, 0, size);
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

/** A tensor in `buffer`; `release` gets the buffer back, once. */
export const makeTensor = (
  device: Device,
  shape: readonly number[],
  dtype: ProgramDType,
  buffer: GPUBuffer,
  release: (buffer: GPUBuffer) => void,
): DeviceTensor => {
  const count = elementCount(shape);
  const home: Home = { device, buffer, release, holds: 0, disposed: false };
  const read = async (signal?: AbortSignal): Promise<ReadArray> => {
    if (!homes.has(tensor)) throw fail(badInput('cannot read', ['the tensor was disposed']));
    const bytes = Math.ceil((count * elementBytes[dtype]) / 4) * 4;
    if (bytes === 0) return decode(dtype, 0, new ArrayBuffer(0));
    const letGo = hold(tensor);
    try {
      return decode(dtype, count, await readBack(device, buffer, bytes, signal));
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
    return makeTensor(device, shape, dtype, buffer, device.free);
  });
