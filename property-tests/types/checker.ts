/** Asks the TypeScript compiler of the project what it thinks of a list of expressions: the inferred type, or the message. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const ROOT = new URL('../../', import.meta.url).pathname;
const TSC = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

export interface Verdict {
  /** As in a declaration file. */
  readonly type: string;
  /** The text after the first line break is kept; undefined when there is no error. */
  readonly error: string | undefined;
}

const CONFIG = {
  extends: '../../tsconfig.json',
  compilerOptions: { noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: 'emit', rootDir: '../..' },
  include: ['*.ts'],
  exclude: [],
};

/** Runs tsc on a project folder; its output, errors and all. */
export const runTsc = (project: string): string =>
  spawnSync(process.execPath, [TSC, '-p', project, '--pretty', 'false'], { encoding: 'utf8' }).stdout;

/** Error texts by line of `file`; continuation lines are kept. */
export const errorsByLine = (output: string, file: string): ReadonlyMap<number, string> => {
  const errors = new Map<number, string>();
  const pattern = /^(\S+?)\((\d+),\d+\): error TS\d+: ((?:.*)(?:\n +.*)*)/gm;
  for (const [, path, line, message] of output.matchAll(pattern)) if (path!.endsWith(file)) errors.set(Number(line), message!);
  return errors;
};

/**
 * Type-checks one constant per expression, which may use the given exports of the language, and loads the same file:
 * the verdict on each expression, and what it gives at run time.
 */
export const checkAndRun = async (expressions: readonly string[], names: readonly string[]): Promise<readonly (Verdict & { readonly value: unknown })[]> => {
  const name = `types-${process.pid}`;
  const folder = join(ROOT, '.cache', name);
  mkdirSync(folder, { recursive: true });
  try {
    const lines = [`import { ${names.join(', ')} } from '../../dsl/index.ts';`, ...expressions.map((code, i) => `export const v${i} = ${code};`)];
    writeFileSync(join(folder, 'calls.ts'), `${lines.join('\n')}\n`);
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(CONFIG));
    const errors = errorsByLine(runTsc(folder), 'calls.ts');
    const declared = readFileSync(join(folder, 'emit', '.cache', name, 'calls.d.ts'), 'utf8');
    const types = new Map([...declared.matchAll(/^export declare const v(\d+): ([\s\S]*?);$/gm)].map(([, i, type]) => [Number(i), type!]));
    const values = (await import(join(folder, 'calls.ts'))) as Readonly<Record<string, unknown>>; // the constants above
    return expressions.map((_, i) => ({ type: types.get(i) ?? '', error: errors.get(i + 2), value: values[`v${i}`] }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
