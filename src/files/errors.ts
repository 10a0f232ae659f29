/**
 * What can go wrong with a file, as a value: every public function of this folder returns `TaskEither<FileError, _>` or `Either<FileError, _>`.
 *
 * Inside the folder a fault travels as a `FileFault` exception, because it starts deep in loops over bytes; `attempt` and `attemptSync` turn
 * it into the value at the edge. Any other exception is our own bug and is not caught.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';

/** The classes of fault: what a caller may want to tell apart, no finer. */
export type FileErrorKind =
  /** the file or folder does not exist */
  | 'not-found'
  /** it exists, but cannot be read (rights, a folder, a device error) */
  | 'not-readable'
  /** the output folder is missing or nothing can be written there */
  | 'not-writable'
  /** the file ends before the data that it announces */
  | 'truncated'
  /** the file contradicts itself or its format */
  | 'corrupt'
  /** the file tries something that no weights need: code in a pickle, a path out of its folder, a zip bomb */
  | 'unsafe'
  /** a valid file of a kind that is not read here: an old format, an unknown dtype */
  | 'unsupported'
  /** a tensor that was asked for is not in the file */
  | 'missing'
  /** the tensors do not fit the model */
  | 'mismatch'
  /** NaN or infinity among weights */
  | 'non-finite'
  /** the caller handed over data that cannot be written: a wrong length, a duplicate name */
  | 'invalid-input'
  /** a folder, or a class of a data set, holds nothing of what is needed */
  | 'empty'
  /** something has to be fetched, and there is no network, or no program that fetches */
  | 'unreachable'
  /** stopped by the caller's AbortSignal */
  | 'aborted';

/** A fault of a file: `message` is one readable sentence that already names the path, and says what to do where something can be done. */
export interface FileError {
  readonly kind: FileErrorKind;
  readonly path: string;
  readonly message: string;
  /** For 'mismatch': the full lists, of which the message shows the beginning. */
  readonly mismatch?: Mismatch;
}

/** How a set of tensors differs from the one a model needs. */
export interface Mismatch {
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  readonly wrongShape: readonly { readonly name: string; readonly got: readonly number[]; readonly want: readonly number[] }[];
  /** Tensors of integers or truth values where floating-point numbers are needed. */
  readonly wrongDType: readonly { readonly name: string; readonly got: string }[];
}

/** The carrier of a FileError inside this folder. */
export class FileFault extends Error {
  readonly error: FileError;
  constructor(error: FileError) {
    super(error.message);
    this.name = 'FileFault';
    this.error = error;
  }
}

/** Ends the current work with a FileError; the path is put in front of the sentence. */
export const fail = (kind: FileErrorKind, path: string, sentence: string): never => {
  throw new FileFault(fileError(kind, path, sentence));
};

/** A FileError whose message starts with the path. */
export const fileError = (kind: FileErrorKind, path: string, sentence: string): FileError => ({ kind, path, message: `${path}: ${sentence}` });

/** Runs `work` when called and returns its faults, and the operating system's, as values. */
export const attempt =
  <A>(path: string, work: () => Promise<A>): TaskEither<FileError, A> =>
  () =>
    work().then(
      (value) => E.right<FileError, A>(value),
      (thrown: unknown) => E.left(faultOf(path, thrown)),
    );

/** The same for work that does not wait. */
export const attemptSync = <A>(path: string, work: () => A): E.Either<FileError, A> => {
  try {
    return E.right(work());
  } catch (thrown) {
    return E.left(faultOf(path, thrown));
  }
};

/** The FileError of something thrown; what is neither a FileFault nor a system error is thrown again. */
export const faultOf = (path: string, thrown: unknown, writing = false): FileError => {
  if (thrown instanceof FileFault) return thrown.error;
  if (isOutOfMemory(thrown)) return fileError('unsupported', path, 'a part of it is larger than the memory that can be had at once');
  if (!isSystemError(thrown)) throw thrown;
  const [kind, sentence] = systemFault(thrown, writing);
  // the system knows better which file of several it was; when writing that would be the temporary name
  return fileError(kind, writing ? path : (thrown.path ?? path), sentence);
};

// what V8 throws for a typed array that is too large
const isOutOfMemory = (thrown: unknown): boolean =>
  thrown instanceof RangeError && /allocation failed|Invalid (typed )?array (buffer )?length/.test(thrown.message);

type SystemError = Error & { readonly code: string; readonly path?: string };

const isSystemError = (thrown: unknown): thrown is SystemError =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' && 'syscall' in thrown;

const systemFault = ({ code, message }: SystemError, writing: boolean): readonly [FileErrorKind, string] => {
  const kind = writing ? 'not-writable' : 'not-readable';
  switch (code) {
    case 'ENOENT':
      return writing ? [kind, 'the folder does not exist or takes no new files; create it first'] : ['not-found', 'there is no such file'];
    case 'ENOTDIR':
      return [writing ? kind : 'not-found', 'a part of the path is a file, not a folder'];
    case 'EISDIR':
      return [kind, 'this is a folder, a file is needed'];
    case 'EACCES':
    case 'EPERM':
      return [kind, `no permission to ${writing ? 'write' : 'read'} here (${code})`];
    case 'EROFS':
      return [kind, 'the file system is read-only'];
    case 'ENOSPC':
    case 'EDQUOT':
      return [kind, `no space left (${code})`];
    default:
      return [kind, message];
  }
};
