/**
 * The runtime for browsers, and the entry of its bundle: device, session, saved programs. No compiler, no language, no Node.
 *
 *     const opened = await openSavedProgram(await (await fetch('model.json')).text())();
 *     if (opened._tag === 'Left') throw new Error(opened.left.message);
 *     const result = await opened.right.session.run({ x: new Float32Array(16) })();
 */

import type { TaskEither } from 'fp-ts/TaskEither';
import { openDevice } from './device.ts';
import type { Device, DeviceOptions } from './device.ts';
import { attempt, fail } from './errors.ts';
import type { DeviceError } from './errors.ts';
import { parseProgram } from './saved-program.ts';
import { load } from './session.ts';
import type { LoadOptions, Session } from './session.ts';

export { openAdapter, openDevice } from './device.ts';
export { load } from './session.ts';
export { makeParameterStore } from './parameters.ts';
export { makeRecorder } from './recorder.ts';
export { part, upload } from './tensor.ts';
export { parseProgram, printProgram, programProblems } from './saved-program.ts';
export { adapterName } from './adapter-profile.ts';
export type { AdapterProfile } from './adapter-profile.ts';
export type { Device, DeviceNeeds, DeviceOptions } from './device.ts';
export type { DeviceError, MissingLimit } from './errors.ts';
export type { NumberArray, ReadArray } from './elements.ts';
export type { KernelTiming } from './encode.ts';
export type { ParameterPort, ParameterSource, ParameterStore, ParameterValue } from './parameters.ts';
export type { Recorder } from './recorder.ts';
export type { LoadOptions, RunOptions, RunOutputs, Session } from './session.ts';
export type { RunInputs } from './run-buffers.ts';
export type { DeviceTensor } from './tensor.ts';

export interface OpenedProgram {
  readonly device: Device;
  readonly session: Session;
}

const unwrap = async <A>(task: TaskEither<DeviceError, A>): Promise<A> => {
  const result = await task();
  if (result._tag === 'Left') throw fail(result.left);
  return result.right;
};

/** Reads a saved program, opens a device that fits it (the browser's, if no other `gpu` is given) and loads it there. */
export const openSavedProgram = (
  saved: string,
  options: DeviceOptions & LoadOptions & { readonly gpu?: GPU } = {},
): TaskEither<DeviceError, OpenedProgram> =>
  attempt(async () => {
    const program = await unwrap(async () => parseProgram(saved));
    const here = globalThis as { readonly navigator?: { readonly gpu?: GPU } }; // Node and old browsers have none
    const gpu = options.gpu ?? here.navigator?.gpu;
    const device = await unwrap(openDevice(gpu, program, options));
    try {
      return { device, session: await unwrap(load(device, program, options)) };
    } catch (thrown) {
      device.destroy();
      throw thrown;
    }
  });
