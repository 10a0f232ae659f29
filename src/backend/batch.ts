/** The largest batch that an adapter can run. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { BackendError } from './backend.ts';

export interface Fitted<A> {
  readonly batch: number;
  readonly loaded: A;
}

const maySmallerFit = ({ kind }: BackendError): boolean => kind === 'limit' || kind === 'memory';

/**
 * Loads for `batch`; where limits or memory do not allow it, for half of that, and so on down to 1. `onLower` hears why.
 * Errors: those of the last attempt.
 */
export const loadFitting =
  <A>(
    batch: number,
    load: (batch: number) => TaskEither<BackendError, A>,
    onLower: (batch: number, error: BackendError) => void = () => undefined,
  ): TaskEither<BackendError, Fitted<A>> =>
  async () => {
    for (let size = batch; ; size = Math.ceil(size / 2)) {
      const loaded = await load(size)();
      if (E.isRight(loaded)) return E.right({ batch: size, loaded: loaded.right });
      if (size === 1 || !maySmallerFit(loaded.left)) return loaded;
      onLower(Math.ceil(size / 2), loaded.left);
    }
  };
