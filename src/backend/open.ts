/** Opens a backend by its name. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { needsHalf, numberMistakes, type Numbers, showNumbers } from '../../compiler/precision/policy.ts';
import { adapterName } from '../runtime/adapter-profile.ts';
import type { Device } from '../runtime/device.ts';
import { type AdapterChoice, nodeAdapters, openNodeDevice } from '../runtime/node.ts';
import { tuningHere } from '../tuning/here.ts';
import { nodeThreads } from '../runtime/wasm/node-threads.ts';
import { openWasmDevice } from '../runtime/wasm/device.ts';
import type { Backend, BackendChoice, BackendError, BackendName } from './backend.ts';
import { referenceBackend } from './reference.ts';
import { wasmBackend } from './wasm.ts';
import { ofDeviceError, wgslBackend } from './wgsl.ts';

/** How tensors are kept counts for `wgsl`; the reference computes in doubles. */
export interface OpenOptions extends Numbers {
  /** Which GPU, for `wgsl`: the best, software, or a part of its name. Default `auto`. */
  readonly adapter?: AdapterChoice;
  /** False: schedules by the heuristics alone, whatever was tuned. Default: the shipped table, then the user's (`pixnerd tune`). */
  readonly tuning?: boolean;
  /** How many threads, for `wasm`. Default: as many as the machine runs at once. */
  readonly threads?: number | undefined;
}

/** Refused before anything is compiled: no batch is small enough for a feature that is not there. */
const lackOf = ({ profile }: Device, numbers: Numbers): BackendError | undefined =>
  needsHalf(numbers) && !profile.features.includes('shader-f16')
    ? { kind: 'limit', message: `${showNumbers(numbers)} stores tensors as f16, but ${adapterName(profile)} lacks the feature shader-f16; use f32, int8 weights alone, or another adapter` }
    : undefined;

/** A GPU where there is one, else WebAssembly; who names an adapter wants WebGPU. Software drivers are taken by name only. */
const chosen = async (adapter: AdapterChoice): Promise<BackendName> => {
  if (adapter !== 'auto') return 'wgsl';
  const adapters = await nodeAdapters()();
  return E.isRight(adapters) && adapters.right.some((profile) => profile.class === 'gpu') ? 'wgsl' : 'wasm';
};

/** Errors: `program` (there are no such numbers), `adapter` (there is none, with what there is), `limit`. */
export const openBackend =
  (choice: BackendChoice, { adapter = 'auto', tuning = true, threads, ...numbers }: OpenOptions = {}): TaskEither<BackendError, Backend> =>
  async () => {
    const mistakes = numberMistakes(numbers);
    if (mistakes.length > 0) return E.left({ kind: 'program', message: mistakes.join('\n') });
    const name = choice === 'auto' ? await chosen(adapter) : choice;
    if (name === 'reference') return E.right(referenceBackend());
    if (name === 'wasm') {
      const device = await openWasmDevice(() => nodeThreads(threads))();
      return E.isLeft(device) ? E.left(ofDeviceError(device.left)) : E.right(wasmBackend(device.right, numbers));
    }
    const opened = await openNodeDevice(adapter)();
    if (E.isLeft(opened)) return E.left(ofDeviceError(opened.left));
    const { device, notice } = opened.right, lack = lackOf(device, numbers);
    if (lack !== undefined) {
      device.destroy();
      return E.left(lack);
    }
    const { tuned, problems } = tuning ? await tuningHere(device.profile) : { tuned: undefined, problems: [] };
    return E.right(wgslBackend(device, [notice, ...problems].join('\n'), { ...numbers, ...(tuned && { tuned }) }));
  };
