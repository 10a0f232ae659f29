/**
 * How a command ends early: with a message for people and an exit code.
 *
 * Inside this folder a failure travels as an exception; `main` prints its message, without a stack, and exits. Any other exception is our bug.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';

/** The user's mistakes, and what the machine refuses. */
export const MISTAKE = 2;
/** A check that was asked for did not pass. */
export const NOT_PASSED = 1;
/** Ctrl-C, as shells report it. */
export const INTERRUPTED = 130;

export class CommandFailure extends Error {
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** Ends the command with a message. */
export const stop = (message: string, code: number = MISTAKE): never => {
  throw new CommandFailure(message, code);
};

/** Ends the command with all problems, where there are any. */
export const stopAt = (problems: readonly string[]): void => {
  if (problems.length > 0) stop(problems.join('\n'));
};

/** What an error of any folder has in common. */
interface Readable {
  readonly message: string;
  readonly kind?: string;
}

const ofError = ({ message, kind }: Readable): never =>
  kind === 'aborted' ? stop('interrupted; no file was left half-written', INTERRUPTED) : stop(message);

/** The value, or the end of the command. */
export const orStop = <A>(either: E.Either<Readable, A>): A => (E.isLeft(either) ? ofError(either.left) : either.right);

/** The value of a task, or the end of the command. */
export const settle = async <A>(task: TaskEither<Readable, A>): Promise<A> => orStop(await task());
