/**
 * Where in the model a node was made: from the stack that `withSources` recorded to lines of source files, with their text.
 *
 * A bundle's positions are looked up in the source map beside it, which holds the text too, so that lines of the built-in models are shown
 * wherever the package lies. Invariant: nothing here fails; a frame that cannot be resolved is left out.
 */
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inPackage } from '../cli/package-root.ts';

/** A line of a model. */
export interface Position {
  /** As it is shown: relative to the package or to the working directory. */
  readonly file: string;
  readonly line: number;
  /** The line itself, where the file or its text is at hand. */
  readonly text: string | undefined;
}

/** Finds the lines of a recorded stack, innermost first; those of the language and of the command line are left out. */
export type Positions = (stack: string) => readonly Position[];

interface Frame {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `at f (file:///a/b.js:1:2)`, `at /a/b.ts:1:2`: the frame that V8 writes on a line. */
const frameIn = (line: string): Frame | undefined => {
  const [, file, row, column] = /^\s*at (?:.*\()?((?:file:\/\/)?[^()]+?):(\d+):(\d+)\)?$/.exec(line) ?? [];
  if (file === undefined || file.startsWith('node:')) return undefined;
  return { file: file.startsWith('file://') ? fileURLToPath(file) : file, line: Number(row), column: Number(column) };
};

interface Mapped extends Frame {
  /** Lines of the source, where they are known. */
  readonly lines: readonly string[] | undefined;
}

const readText = (path: string): string | undefined => {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  } catch {
    return undefined;
  }
};

const mapBeside = (file: string): SourceMapPayload | undefined => {
  const text = file.endsWith('.ts') ? undefined : readText(`${file}.map`);
  try {
    return text === undefined ? undefined : (JSON.parse(text) as SourceMapPayload); // the format of source maps; used inside the same `try`
  } catch {
    return undefined;
  }
};

/** Looks up the frames of one file. */
type FileReader = (frame: Frame) => Mapped | undefined;

const readerOf = (file: string, ownFile: string): FileReader => {
  const payload = mapBeside(file);
  if (payload === undefined) {
    // without its map, a bundle that holds the language cannot tell the model's frames from the language's
    if (file === ownFile && !file.endsWith('.ts')) return () => undefined;
    const lines = readText(file)?.split('\n');
    return (frame) => ({ ...frame, lines });
  }
  const map = new SourceMap(payload), texts = new Map<string, readonly string[] | undefined>();
  return ({ line, column }) => {
    const entry = map.findEntry(line - 1, column - 1);
    if (!('originalSource' in entry)) return undefined;
    const source = entry.originalSource;
    if (!texts.has(source)) texts.set(source, payload.sourcesContent?.[payload.sources.indexOf(source)]?.split('\n'));
    return { file: resolve(dirname(file), source), line: entry.originalLine + 1, column: entry.originalColumn + 1, lines: texts.get(source) };
  };
};

const isTest = (path: string): boolean => /\.test\.[jt]s$/.test(path);
/** Files of the package that no model is written in. */
const isMachinery = (path: string): boolean => !isTest(path) && /^(?:dsl|src|compiler|node_modules)\//.test(path);

/** Resolves stacks, for this package in `root` and models anywhere. Keeps what it has read. */
export const positionsFrom = (root: string = inPackage(), workingDirectory: string = process.cwd()): Positions => {
  const ownFile = fileURLToPath(import.meta.url);
  const readers = new Map<string, FileReader>(), known = new Map<string, Position | undefined>();
  const resolved = (frameLine: string): Position | undefined => {
    const frame = frameIn(frameLine);
    if (frame === undefined) return undefined;
    if (!readers.has(frame.file)) readers.set(frame.file, readerOf(frame.file, ownFile));
    const mapped = readers.get(frame.file)!(frame);
    if (mapped === undefined) return undefined;
    const inPackage = relative(root, mapped.file).replaceAll('\\', '/'), isInside = !inPackage.startsWith('..');
    if (isInside && isMachinery(inPackage)) return undefined;
    const fromHere = relative(workingDirectory, mapped.file).replaceAll('\\', '/');
    return { file: isInside ? inPackage : fromHere.startsWith('..') ? mapped.file : fromHere, line: mapped.line, text: mapped.lines?.[mapped.line - 1]?.trim() };
  };
  return (stack) => stack.split('\n').flatMap((line) => {
    if (!known.has(line)) known.set(line, resolved(line));
    const position = known.get(line);
    return position === undefined ? [] : [position];
  });
};
