/** The command `pixnerd`: finds the command, checks its arguments, runs it, and turns every end into a message and an exit code. */
import * as E from 'fp-ts/Either';
import { nodeDevicesIdle } from '../runtime/node.ts';
import { parseArguments } from './arguments.ts';
import type { AnyCommand, Terminal } from './command.ts';
import { data } from './commands/data.ts';
import { demo } from './commands/demo.ts';
import { doctor } from './commands/doctor.ts';
import { emit } from './commands/emit.ts';
import { evaluateCommand } from './commands/evaluate.ts';
import { explainCommand } from './commands/explain.ts';
import { exportCommand } from './commands/export.ts';
import { inspect } from './commands/inspect.ts';
import { parity } from './commands/parity.ts';
import { sample } from './commands/sample.ts';
import { train } from './commands/train.ts';
import { tuneCommand } from './commands/tune.ts';
import { verify } from './commands/verify.ts';
import { CommandFailure, INTERRUPTED, MISTAKE, stop } from './failure.ts';
import { commandHelp, overview } from './help.ts';
import { nearest, suggestion } from './suggest.ts';
import { VERSION } from './version.ts';

const COMMANDS: readonly AnyCommand[] = [sample, train, data, exportCommand, evaluateCommand, parity, verify, inspect, emit, explainCommand, tuneCommand, doctor, demo];

/** A failure of ours, not the user's. */
const OUR_BUG = 70;

const FIRST_OPTIONS = ['--help', '--version'];

const chosen = (name: string): AnyCommand => {
  const found = COMMANDS.find((command) => command.name === name);
  if (found !== undefined) return found;
  const known = COMMANDS.map((command) => command.name);
  if (!name.startsWith('-')) return stop(`unknown command ${name}${suggestion(name, known)}`);
  const isMistyped = nearest(name, FIRST_OPTIONS) !== undefined;
  return stop(`unknown option ${name}${isMistyped ? suggestion(name, FIRST_OPTIONS) : `; a command comes first: ${known.join(', ')}`}`);
};

const dispatch = async (argv: readonly string[], terminal: Terminal): Promise<void> => {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) return terminal.out(overview(COMMANDS));
  if (first === '--version' || first === '-v') return terminal.out(VERSION);
  if (first === 'help') return terminal.out(commandHelp(chosen(rest[0]!)));
  const command = chosen(first);
  const options = rest.slice(0, rest.includes('--') ? rest.indexOf('--') : undefined);
  if (options.includes('--help') || options.includes('-h')) return terminal.out(commandHelp(command));
  const parsed = parseArguments(command, rest);
  if (E.isLeft(parsed)) return stop([...parsed.left, `(\`pixnerd ${command.name} --help\` shows all options and an example)`].join('\n'));
  return command.run(parsed.right as never, terminal); // parsed by the command's own options
};

const complain = (message: string): void => {
  const [first = '', ...rest] = message.split('\n');
  process.stderr.write(`pixnerd: ${[first, ...rest].join('\n  ')}\n`);
};

/** Dawn's threads keep a process alive; whoever waits for the output (a pipe) must still get all of it, and the adapter finishes what it has. */
const exit = (code: number): void => {
  process.stdout.write('', () => process.stderr.write('', () => void nodeDevicesIdle().then(() => process.exit(code))));
};

const watchInterrupts = (): AbortSignal => {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // the second one is impatience; the files that are open are removed on exit
      if (controller.signal.aborted) process.exit(INTERRUPTED);
      controller.abort();
    });
  }
  return controller.signal;
};

const codeOf = (thrown: unknown): number => {
  if (thrown instanceof CommandFailure) {
    if (thrown.message !== '') complain(thrown.message);
    return thrown.code;
  }
  const detail = thrown instanceof Error ? (process.env['DEBUG'] ? thrown.stack : thrown.message) : String(thrown);
  complain(`internal error, please report it: ${detail ?? ''}${process.env['DEBUG'] ? '' : '\n(DEBUG=1 shows where)'}`);
  return OUR_BUG;
};

const main = async (): Promise<void> => {
  // a reader that has had enough (`pixnerd ... | head`) is no error
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : MISTAKE));
  const terminal: Terminal = {
    out: (line) => void process.stdout.write(`${line}\n`),
    note: (line) => void process.stderr.write(`${line}\n`),
    isInteractive: process.stderr.isTTY ?? false,
    signal: watchInterrupts(),
  };
  try {
    await dispatch(process.argv.slice(2), terminal);
    exit(0);
  } catch (thrown) {
    exit(terminal.signal.aborted && !(thrown instanceof CommandFailure) ? INTERRUPTED : codeOf(thrown));
  }
};

void main();
