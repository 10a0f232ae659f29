/** A WebAssembly device: one memory and the threads that compute in it; tensors that lie there. */
import type { TaskEither } from 'fp-ts/TaskEither';
import type { ProgramDType } from '../../../compiler/program.ts';
import { dataProblem, decode, elementBytes, elementCount, encode, type NumberArray, type ReadArray } from '../elements.ts';
import { attempt, badInput, type DeviceError, fail } from '../errors.ts';
import { type Heap, makeHeap } from './memory.ts';
import { oneThread, type Threads } from './threads.ts';

export interface WasmDevice {
  readonly heap: Heap;
  readonly threads: Threads;
  /** Bytes of the memory, as it is now: it may grow, so views are made anew each time. */
  readonly view: (address: number, bytes: number) => Uint8Array;
  readonly close: () => void;
}

/** SIMD128, in a module of one constant. */
const HAS_SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);

/**
 * A device of this realm. `threadsOf` says who computes, given whether threads can share the memory.
 * Errors: `NoAdapter`, where there is no WebAssembly with SIMD128.
 */
export const openWasmDevice = (threadsOf: (isShared: boolean) => Threads): TaskEither<DeviceError, WasmDevice> =>
  attempt(async () => {
    if (typeof WebAssembly === 'undefined' || !WebAssembly.validate(HAS_SIMD)) throw fail({ _tag: 'NoAdapter', message: 'this engine has no WebAssembly with SIMD128 (Node 16.4, Chrome 91, Firefox 89 and Safari 16.4 have it)' });
    const heap = makeHeap(), threads = heap.isShared ? threadsOf(true) : oneThread();
    return { heap, threads, view: (address, bytes) => new Uint8Array(heap.memory.buffer, address, bytes), close: threads.stop };
  });

/** Memory that several tensors and runs may hold; it is free when none does. */
export interface Place {
  readonly address: number;
  readonly hold: () => void;
  readonly release: () => void;
}

export const newPlace = ({ heap }: WasmDevice, label: string, bytes: number): Place => {
  const address = heap.allocate(label, bytes);
  let holders = 1;
  return {
    address,
    hold: () => { holders++; },
    release: () => {
      holders--;
      if (holders === 0) heap.free(address);
    },
  };
};

/** A tensor in the memory. */
export interface WasmTensor {
  readonly shape: readonly number[];
  readonly dtype: ProgramDType;
  /** Its elements, in an array of their own. */
  readonly read: (options?: { readonly signal?: AbortSignal }) => TaskEither<DeviceError, ReadArray>;
  readonly dispose: () => void;
}

interface Home {
  readonly device: WasmDevice;
  readonly place: Place;
  /** Bytes from the place's address to the first element. */
  readonly offset: number;
}

const homes = new WeakMap<WasmTensor, Home>();

/** Where a tensor of a device lies; undefined where it was disposed, or lies elsewhere. */
export const homeOf = (device: WasmDevice, tensor: WasmTensor): Home | undefined => {
  const home = homes.get(tensor);
  return home?.device === device ? home : undefined;
};

const bytesOf = (dtype: ProgramDType, shape: readonly number[]): number => elementCount(shape) * elementBytes[dtype];

/** A tensor at a place, which it holds from now on without counting as a new holder. */
export const tensorAt = (device: WasmDevice, shape: readonly number[], dtype: ProgramDType, place: Place, offset = 0): WasmTensor => {
  const made: WasmTensor = {
    shape, dtype,
    read: ({ signal } = {}) =>
      attempt(async () => {
        if (signal?.aborted) throw fail({ _tag: 'Aborted', message: 'aborted' });
        if (homes.get(made) === undefined) throw fail(badInput('cannot read', ['the tensor was disposed']));
        const bytes = bytesOf(dtype, shape), copy = new Uint8Array(Math.ceil(bytes / 4) * 4);
        copy.set(device.view(place.address + offset, bytes));
        return decode(dtype, elementCount(shape), copy.buffer);
      }),
    dispose: () => {
      if (homes.delete(made)) place.release();
    },
  };
  homes.set(made, { device, place, offset });
  return made;
};

/** Writes encoded elements. */
export const write = ({ view }: WasmDevice, address: number, bytes: Uint8Array): void => view(address, bytes.length).set(bytes);

/** Puts data into the memory. Errors: `BadInput`, `OutOfMemory`. */
export const uploadTo = (device: WasmDevice, shape: readonly number[], dtype: ProgramDType, data: NumberArray): TaskEither<DeviceError, WasmTensor> =>
  attempt(async () => {
    const problem = dataProblem(dtype, shape, data);
    if (problem !== undefined) throw fail(badInput('cannot upload', [problem]));
    const bytes = encode(dtype, data), place = newPlace(device, 'uploaded data', Math.max(16, bytes.length));
    write(device, place.address, bytes);
    return tensorAt(device, shape, dtype, place);
  });

/** Elements of a tensor in a row, from `first` on, in the same memory. */
export const partOf = (device: WasmDevice, whole: WasmTensor, first: number, shape: readonly number[]): WasmTensor => {
  const home = homeOf(device, whole);
  if (home === undefined) throw new Error('invariant: a part of a tensor that was disposed or lies elsewhere');
  home.place.hold();
  return tensorAt(device, shape, whole.dtype, home.place, home.offset + first * elementBytes[whole.dtype]);
};
