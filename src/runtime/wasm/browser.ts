/**
 * The runtime of WebAssembly for browsers, and the entry of its bundle: no compiler, no language, no Node.
 *
 *     const opened = await openSavedWasmProgram(await (await fetch('model.json')).text())();
 *     if (opened._tag === 'Left') throw new Error(opened.left.message);
 *     const result = await opened.right.session.run({ x: new Float32Array(16) })();
 *
 * A page has threads where it is isolated: served with the headers `Cross-Origin-Opener-Policy: same-origin` and
 * `Cross-Origin-Embedder-Policy: require-corp`.
 */
import type { TaskEither } from 'fp-ts/TaskEither';
import { attempt, type DeviceError, fail } from '../errors.ts';
import { parseWasmProgram } from '../saved-program.ts';
import { browserThreads } from './browser-threads.ts';
import { openWasmDevice, type WasmDevice } from './device.ts';
import { loadWasm, type WasmSession } from './session.ts';

export { openWasmDevice, partOf, uploadTo, type WasmDevice, type WasmTensor } from './device.ts';
export { browserThreads } from './browser-threads.ts';
export { oneThread, type Threads } from './threads.ts';
export { loadWasm, makeWasmParameterStore, type WasmInputs, type WasmOutputs, type WasmParameterSource, type WasmRunOptions, type WasmSession } from './session.ts';
export { parseWasmProgram, programProblems } from '../saved-program.ts';

export interface OpenedWasmProgram {
  readonly device: WasmDevice;
  readonly session: WasmSession;
}

const unwrap = async <A>(task: TaskEither<DeviceError, A>): Promise<A> => {
  const result = await task();
  if (result._tag === 'Left') throw fail(result.left);
  return result.right;
};

/** Reads a saved program and loads it, on as many threads as the browser has, or as asked. Errors: `BadProgram`, `NoAdapter`, `OutOfMemory`, `Validation`. */
export const openSavedWasmProgram = (saved: string, { threads }: { readonly threads?: number } = {}): TaskEither<DeviceError, OpenedWasmProgram> =>
  attempt(async () => {
    const program = await unwrap(async () => parseWasmProgram(saved));
    const device = await unwrap(openWasmDevice((isShared) => browserThreads(isShared, threads)));
    try {
      return { device, session: await unwrap(loadWasm(device, program)) };
    } catch (thrown) {
      device.close();
      throw thrown;
    }
  });
