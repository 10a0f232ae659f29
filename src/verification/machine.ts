/** What a verification needs of a device: WebGPU's and WebAssembly's have it alike. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { ParameterPlan, Program, ProgramDType, ProgramOf, WasmProgram } from '../../compiler/program.ts';
import type { WeightSource } from '../backend/backend.ts';
import type { Device } from '../runtime/device.ts';
import { elementCount, type NumberArray, type ReadArray } from '../runtime/elements.ts';
import { type DeviceError, fail } from '../runtime/errors.ts';
import { makeParameterStore } from '../runtime/parameters.ts';
import { load } from '../runtime/session.ts';
import { type DeviceTensor, makeTensor, upload } from '../runtime/tensor.ts';
import { tensorAt, uploadTo, type WasmDevice, type WasmTensor } from '../runtime/wasm/device.ts';
import { loadWasm, makeWasmParameterStore, storedAt } from '../runtime/wasm/session.ts';

interface Stoppable {
  readonly signal?: AbortSignal;
}

/** A tensor of either device. */
export interface MachineTensor {
  readonly read: (options?: Stoppable) => TaskEither<DeviceError, ReadArray>;
  readonly dispose: () => void;
}

/** A loaded program. */
export interface MachineSession {
  readonly program: ProgramOf<unknown>;
  readonly setParameters: (source: WeightSource, options: Stoppable) => Promise<void>;
  readonly run: (inputs: Readonly<Record<string, NumberArray | MachineTensor>>, options: Stoppable) => Promise<Readonly<Record<string, MachineTensor>>>;
  readonly dispose: () => void;
}

/** A device with the parameters of the programs that are loaded. Errors are thrown with `fail`. */
export interface Machine<P> {
  readonly upload: (shape: readonly number[], dtype: ProgramDType, data: NumberArray) => Promise<MachineTensor>;
  readonly load: (program: P, options: Stoppable) => Promise<MachineSession>;
  /** A parameter as the device has it, in the form in which the program stores it; int8 as words. Undefined where it was not set. */
  readonly parameter: (port: ParameterPlan, bytes: number) => MachineTensor | undefined;
  readonly dispose: () => void;
}

const settled = async <A>(task: TaskEither<DeviceError, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw fail(result.left);
  return result.right;
};

/** How the bytes of a port are read back. */
const readAs = ({ dtype, shape }: ParameterPlan): readonly [shape: readonly number[], dtype: ProgramDType] =>
  dtype === 'i8' ? [[Math.ceil(elementCount(shape) / 4)], 'u32'] : [[elementCount(shape)], dtype];

export const gpuMachine = (device: Device): Machine<Program> => {
  const parameters = makeParameterStore(device);
  return {
    upload: (shape, dtype, data) => settled(upload(device, shape, dtype, data)),
    load: async (program, options) => {
      const session = await settled(load(device, program, { parameters, ...options }));
      return {
        program, dispose: session.dispose,
        setParameters: (source, stoppable) => settled(session.setParameters(source, stoppable)),
        run: (inputs, stoppable) => settled(session.run(inputs as Readonly<Record<string, NumberArray | DeviceTensor>>, stoppable)), // tensors of this machine
      };
    },
    parameter: (port, bytes) => {
      const place = parameters.find(port, bytes);
      return place && makeTensor(device, ...readAs(port), { ...place, release: () => undefined }); // the store's buffer
    },
    dispose: parameters.dispose,
  };
};

export const wasmMachine = (device: WasmDevice): Machine<WasmProgram> => {
  const parameters = makeWasmParameterStore();
  return {
    upload: (shape, dtype, data) => settled(uploadTo(device, shape, dtype, data)),
    load: async (program) => {
      const session = await settled(loadWasm(device, program, { parameters }));
      return {
        program, dispose: session.dispose,
        setParameters: (source, stoppable) => settled(session.setParameters(source, stoppable)),
        run: (inputs, stoppable) => settled(session.run(inputs as Readonly<Record<string, NumberArray | WasmTensor>>, stoppable)), // tensors of this machine
      };
    },
    parameter: (port) => {
      const found = storedAt(parameters, port);
      if (found === undefined) return undefined;
      found.place.hold();
      return tensorAt(device, ...readAs(port), found.place, found.offset);
    },
    dispose: () => {
      for (const { place } of parameters.places.values()) place.release();
      parameters.places.clear();
    },
  };
};
