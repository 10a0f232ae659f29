/** Opens a backend by its name. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { type AdapterChoice, openNodeDevice } from '../runtime/node.ts';
import type { Backend, BackendError, BackendName } from './backend.ts';
import { referenceBackend } from './reference.ts';
import { ofDeviceError, wgslBackend } from './wgsl.ts';

export interface OpenOptions {
  /** Which GPU, for `wgsl`: the best, software, or a part of its name. Default `auto`. */
  readonly adapter?: AdapterChoice;
}

/** Errors: `adapter` (there is none, with what there is), `limit`. */
export const openBackend =
  (name: BackendName, { adapter = 'auto' }: OpenOptions = {}): TaskEither<BackendError, Backend> =>
  async () => {
    if (name === 'reference') return E.right(referenceBackend());
    const opened = await openNodeDevice(adapter)();
    return E.isLeft(opened) ? E.left(ofDeviceError(opened.left)) : E.right(wgslBackend(opened.right.device, opened.right.notice));
  };
