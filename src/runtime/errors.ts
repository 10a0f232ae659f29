/**
 * What can go wrong between a program and a device, as plain values.
 *
 * Invariant: every error has a `message` that can be printed as it is; the other fields are for programs.
 * Inside this folder a failure travels as an exception (`fail`); `attempt` turns it into a `Left` at every public edge,
 * and lets everything else (a bug of ours) through.
 */

import type { Either, Left, Right } from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';

/** A limit that the adapter or device does not reach; `where` names the kernel or buffer that needs it, if one does. */
export interface MissingLimit {
  readonly name: string;
  readonly needed: number;
  readonly offered: number;
  readonly where?: string;
}

/** Everything that opening a device, loading a program and running it can answer instead of a result. */
export type DeviceError =
  | { readonly _tag: 'NoAdapter'; readonly message: string }
  | {
      readonly _tag: 'MissingLimits';
      readonly message: string;
      readonly limits: readonly MissingLimit[];
      readonly features: readonly string[];
    }
  | { readonly _tag: 'Lost'; readonly message: string; readonly reason: string }
  | { readonly _tag: 'OutOfMemory'; readonly message: string; readonly label: string; readonly bytes: number }
  /** `kernel` is the name of the kernel, or of the buffer, that the device refused. */
  | { readonly _tag: 'Validation'; readonly message: string; readonly kernel: string }
  | { readonly _tag: 'Aborted'; readonly message: string }
  | { readonly _tag: 'BadInput'; readonly message: string; readonly problems: readonly string[] }
  | { readonly _tag: 'BadProgram'; readonly message: string; readonly problems: readonly string[] };

export const left = <A>(error: DeviceError): Left<DeviceError> & Either<DeviceError, A> => ({ _tag: 'Left', left: error });
export const right = <A>(value: A): Right<A> & Either<DeviceError, A> => ({ _tag: 'Right', right: value });

const list = (lines: readonly string[]): string => lines.map((line) => `\n  - ${line}`).join('');
const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e5) / 10} MB`;

export const noAdapter = (why: string): DeviceError => ({ _tag: 'NoAdapter', message: `no WebGPU adapter: ${why}` });

export const missingLimits = (limits: readonly MissingLimit[], features: readonly string[]): DeviceError => ({
  _tag: 'MissingLimits',
  message:
    'this adapter cannot run the program:' +
    list([
      ...limits.map(
        ({ name, needed, offered, where }) => `limit ${name}: ${needed} needed${where ? ` by ${where}` : ''}, ${offered} offered`,
      ),
      ...features.map((feature) => `feature ${feature}: needed, not offered`),
    ]) +
    '\nCompile for the profile of this adapter, or choose another adapter.',
  limits,
  features,
});

export const lost = (reason: string, detail: string): DeviceError => ({
  _tag: 'Lost',
  message: `the GPU device was lost (${reason})${detail ? `: ${detail}` : ''}. Open a device and load the program again.`,
  reason,
});

export const outOfMemory = (label: string, bytes: number, detail: string): DeviceError => ({
  _tag: 'OutOfMemory',
  message: `out of GPU memory for ${label} (${megabytes(bytes)}): ${detail}. A smaller batch or size needs less.`,
  label,
  bytes,
});

/** The message for a cap on the memory of one device. */
export const overCap = (label: string, bytes: number, used: number, cap: number): DeviceError =>
  outOfMemory(label, bytes, `${megabytes(used)} of the ${megabytes(cap)} allowed are in use`);

export const validation = (kernel: string, detail: string): DeviceError => ({
  _tag: 'Validation',
  message: `the device refused ${kernel}: ${detail.trim()}`,
  kernel,
});

export const aborted = (): DeviceError => ({ _tag: 'Aborted', message: 'aborted' });

export const badInput = (what: string, problems: readonly string[]): DeviceError => ({
  _tag: 'BadInput',
  message: `${what}:${list(problems)}`,
  problems,
});

export const badProgram = (problems: readonly string[]): DeviceError => ({
  _tag: 'BadProgram',
  message: `not a program that can run:${list(problems)}`,
  problems,
});

/** Carries a `DeviceError` from where it is found to the public edge, an `attempt`; never leaves that. */
class Failure extends Error {
  readonly error: DeviceError;
  constructor(error: DeviceError) {
    super(error.message);
    this.error = error;
  }
}

/** The exception for a user's error; to be thrown inside an `attempt` only. */
export const fail = (error: DeviceError): Error => new Failure(error);

/** The error that `fail` made this exception from, if it did. */
export const failureOf = (thrown: unknown): DeviceError | undefined => (thrown instanceof Failure ? thrown.error : undefined);

/** Runs `work` when called; a `fail` inside becomes a `Left`, any other exception rejects, since it is a bug. */
export const attempt =
  <A>(work: () => Promise<A>): TaskEither<DeviceError, A> =>
  async () => {
    try {
      return right(await work());
    } catch (thrown) {
      const error = failureOf(thrown);
      if (error) return left(error);
      throw thrown;
    }
  };
