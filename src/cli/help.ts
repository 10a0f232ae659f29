/** Help texts, made from the commands themselves. */
import { describeOptions } from './arguments.ts';
import type { AnyCommand } from './command.ts';

const usage = ({ name, operands }: AnyCommand): string => {
  const behind = operands === undefined ? '' : ` ${operands.placeholder}${operands.most > Math.max(1, operands.least) ? '...' : ''}`;
  return `pixnerd ${name}${operands?.least === 0 ? ` [${behind.trim()}]` : behind} [options]`;
};

const examples = (lines: AnyCommand['examples']): readonly string[] => lines.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]);

export const commandHelp = (command: AnyCommand): string =>
  [
    command.summary,
    '',
    `usage: ${usage(command)}`,
    ...(command.operands === undefined ? [] : ['', `  ${command.operands.placeholder}  ${command.operands.help}`]),
    ...(Object.keys(command.options).length === 0 ? [] : ['', 'options:', ...describeOptions(command.options)]),
    ...(command.details === undefined ? [] : ['', command.details]),
    '',
    command.examples.length === 1 ? 'example:' : 'examples:',
    ...examples(command.examples),
  ].join('\n');

export const overview = (commands: readonly AnyCommand[]): string => {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    'PixNerd: images straight in pixels, by a typed tensor language and its WGSL compiler.',
    '',
    'usage: pixnerd COMMAND [options]',
    '',
    'commands:',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    '`pixnerd COMMAND --help` explains a command; `pixnerd --version` prints the version.',
    '',
    'example:',
    ...examples([commands[0]!.examples[0]!]), // every command has one
  ].join('\n');
};
