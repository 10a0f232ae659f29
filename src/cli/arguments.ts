/**
 * The command line as data: a command is a record of typed options, from which parsing, checking and help come.
 *
 * Our own thin layer, because the libraries neither suggest a name for an unknown option nor report all mistakes at once.
 * Invariant: whatever is wrong is a message; nothing unknown is ignored.
 */
import * as E from 'fp-ts/Either';
import { suggestion } from './suggest.ts';

/** How the text behind an option is read. */
export interface Reader<A> {
  /** Stands for the value in help: N, FILE, a,b. */
  readonly placeholder: string;
  readonly read: (text: string) => E.Either<string, A>;
}

export interface Option<A> {
  readonly help: string;
  /** Undefined for a flag. */
  readonly reader: Reader<unknown> | undefined;
  /** The value where the option is not given; absent where it must be. */
  readonly fallback?: { readonly value: A };
  /** Whether it may be given several times; its value is then the list of them. */
  readonly repeats?: true;
}
export type Options = Readonly<Record<string, Option<unknown>>>;
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer A> ? A : never };

/** An option that may be left out. */
export const optional = <A>(reader: Reader<A>, help: string): Option<A | undefined> => ({ help, reader, fallback: { value: undefined } });
/** An option with a default. */
export const withDefault = <A>(reader: Reader<A>, value: A, help: string): Option<A> => ({ help, reader, fallback: { value } });
/** An option that may be given any number of times. */
export const repeated = <A>(reader: Reader<A>, help: string): Option<readonly A[]> =>
  // the reader is that of one value: `parseArguments` collects them
  ({ help, reader, fallback: { value: [] }, repeats: true });
export const required = <A>(reader: Reader<A>, help: string): Option<A> => ({ help, reader });
export const flag = (help: string): Option<boolean> => ({ help, reader: undefined, fallback: { value: false } });

/** What stands behind the options: at least `least` and at most `most` of them. */
export interface Operands {
  readonly placeholder: string;
  readonly least: number;
  readonly most: number;
  readonly help: string;
}

export interface CommandShape<O extends Options> {
  readonly name: string;
  readonly summary: string;
  readonly options: O;
  readonly operands?: Operands;
}

export interface Parsed<O extends Options> {
  readonly values: Values<O>;
  readonly operands: readonly string[];
  /** Names of the options that were given. */
  readonly given: ReadonlySet<string>;
}

interface Raw {
  readonly given: Map<string, readonly string[]>;
  readonly operands: string[];
  readonly problems: string[];
}

const unknown = (name: string, options: Options): string =>
  `unknown option --${name}${suggestion(name, Object.keys(options), (known) => `--${known}`)}`;

/** Splits `--name value`, `--name=value`, flags and operands; `--` ends the options. */
const split = (options: Options, tokens: readonly string[]): Raw => {
  const raw: Raw = { given: new Map(), operands: [], problems: [] };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token === '--') {
      raw.operands.push(...tokens.slice(i + 1));
      break;
    }
    if (!/^-./.test(token) || /^-[\d.]/.test(token)) {
      raw.operands.push(token);
      continue;
    }
    const [, name = '', inline] = /^--?([^=]*)(?:=(.*))?$/s.exec(token) ?? [];
    const option = token.startsWith('--') && Object.hasOwn(options, name) ? options[name] : undefined;
    if (option === undefined) {
      raw.problems.push(unknown(name, options));
      // its value would be taken for an operand, which is a second, misleading complaint
      if (inline === undefined && tokens[i + 1] !== undefined && !tokens[i + 1]!.startsWith('-')) i++;
      continue;
    }
    const before = raw.given.get(name) ?? [];
    if (before.length > 0 && !option.repeats) raw.problems.push(`--${name} is given twice`);
    const add = (value: string): unknown => raw.given.set(name, option.repeats ? [...before, value] : [value]);
    if (option.reader === undefined) {
      if (inline !== undefined) raw.problems.push(`--${name} takes no value`);
      add('');
    } else if (inline !== undefined) add(inline);
    else if (tokens[i + 1] === undefined || tokens[i + 1]!.startsWith('--'))
      raw.problems.push(`--${name} needs a value: --${name} ${option.reader.placeholder}`);
    else add(tokens[++i]!);
  }
  return raw;
};

const operandProblems = ({ operands: shape }: CommandShape<Options>, operands: readonly string[]): readonly string[] => {
  const { placeholder = '', least = 0, most = 0 } = shape ?? {};
  if (operands.length < least) return [`${placeholder} is missing`];
  return operands.length > most ? [`${JSON.stringify(operands[most])} is one argument too many${most === 0 ? ': options begin with --' : ''}`] : [];
};

/** Values of all options, or everything that is wrong. */
export const parseArguments = <O extends Options>(command: CommandShape<O>, tokens: readonly string[]): E.Either<readonly string[], Parsed<O>> => {
  const { given, operands, problems } = split(command.options, tokens);
  const values: Record<string, unknown> = {};
  for (const [name, { reader, fallback, repeats }] of Object.entries(command.options)) {
    const texts = given.get(name);
    if (texts === undefined) {
      if (fallback === undefined && !problems.some((problem) => problem.startsWith(`--${name} `)))
        problems.push(`--${name} is missing: it must be given`);
      values[name] = fallback?.value;
      continue;
    }
    const all: unknown[] = [];
    for (const text of texts) {
      const read = reader === undefined ? E.right(true) : reader.read(text);
      if (E.isLeft(read)) problems.push(`--${name} ${text}: ${read.left}`);
      else all.push(read.right);
    }
    values[name] = repeats ? all : all[0];
  }
  const all = [...problems, ...operandProblems(command, operands)];
  if (all.length > 0) return E.left(all);
  return E.right({ values: values as Values<O>, operands, given: new Set(given.keys()) }); // as: each was read by its option's reader
};

const shown = (value: unknown): string => (Array.isArray(value) ? value.join(',') : String(value));

/** The lines that explain the options, in two columns. */
export const describeOptions = (options: Options): readonly string[] => {
  const rows = Object.entries(options).map(([name, { reader, help, fallback }]) => {
    const value =
      fallback === undefined
        ? ' (must be given)'
        : fallback.value === undefined || fallback.value === false || (Array.isArray(fallback.value) && fallback.value.length === 0)
          ? ''
          : ` (default ${shown(fallback.value)})`;
    return [`--${name}${reader === undefined ? '' : ` ${reader.placeholder}`}`, `${help}${value}`] as const;
  });
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
};
