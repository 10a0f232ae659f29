/** What a command is, and the terminal that it talks to. */
import type { CommandShape, Options, Parsed } from './arguments.ts';

/** Where a command writes, and how it hears of Ctrl-C. */
export interface Terminal {
  /** Results, a line each. */
  readonly out: (line: string) => void;
  /** Notes and progress, a line each. */
  readonly note: (line: string) => void;
  /** Whether notes are seen as they come, so that a progress bar makes sense. */
  readonly isInteractive: boolean;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface Command<O extends Options = Options> extends CommandShape<O> {
  /** Complete command lines, each with what it does. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** More to say in help. */
  readonly details?: string;
  readonly run: (parsed: Parsed<O>, terminal: Terminal) => Promise<void>;
}

/** A command among others: its options are checked where it is written. */
export interface AnyCommand extends CommandShape<Options> {
  readonly examples: Command['examples'];
  readonly details?: string;
  readonly run: (parsed: never, terminal: Terminal) => Promise<void>;
}

/** Keeps the types of the options. */
export const command = <const O extends Options>(definition: Command<O>): Command<O> => definition;
