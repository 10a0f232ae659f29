/** Which run a command means: a new one from a file, or one that goes on; with everything that speaks against it. */
import { readFile } from 'node:fs/promises';
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { checkpointStore, type SavedCheckpoint } from './checkpoint.ts';
import { configDifferences, readConfig, type RunConfig, withOverrides } from './config.ts';
import { parseCommented } from './config-text.ts';
import type { Disk } from './disk.ts';

/** What was asked for: a file, a folder to go on in, or both; and `key=value`s. */
export interface Wanted {
  readonly file: string | undefined;
  readonly resume: string | undefined;
  readonly overrides: readonly string[];
}

export interface Begun {
  readonly config: RunConfig;
  /** Where a resumed run goes on. */
  readonly saved?: SavedCheckpoint;
}

type Problems = readonly string[];

const noFile = 'there is no such file; `pixnerd train --init fashion` writes one to start from';

const parsedFile = async (path: string): Promise<E.Either<Problems, unknown>> => {
  try {
    const parsed = parseCommented(await readFile(path, 'utf8'));
    return E.mapLeft((problem: string) => [`${path}: ${problem}`])(parsed);
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown)) throw thrown;
    return E.left([`${path}: ${thrown.code === 'ENOENT' ? noFile : thrown.code === 'EISDIR' ? 'this is a folder; to go on in it, use --resume' : thrown.message}`]);
  }
};

/** The configuration of parsed JSON with overrides; problems name the file. */
const configOf = (given: unknown, overrides: readonly string[], source: string): E.Either<Problems, RunConfig> => {
  const made = withOverrides(given, overrides), read = readConfig(E.isRight(made) ? made.right : given);
  const problems = [...(E.isLeft(made) ? made.left : []), ...(E.isLeft(read) ? read.left.map((problem) => `${source}: ${problem}`) : [])];
  return problems.length > 0 ? E.left(problems) : read;
};

/** The configuration that a resumed run has, or why it may not. */
const resumedConfig = (saved: SavedCheckpoint, wanted: RunConfig, folder: string): E.Either<Problems, RunConfig> => {
  const refused = configDifferences(saved.config, wanted).filter(({ isAllowed }) => !isAllowed);
  if (refused.length > 0)
    return E.left([
      `${folder} was trained with another configuration; a resumed run must have the same, but for steps, intervals and the like:`,
      ...refused.map(({ path, before, after }) => `${path}: was ${before}, is now ${after}`),
      `To change them, start a run in another folder with --from ${saved.path}`,
    ]);
  if (saved.state.step >= wanted.steps)
    return E.left([`${folder} is finished: ${saved.state.step} of ${wanted.steps} steps are done; --set steps=${2 * saved.state.step} goes on`]);
  return E.right(wanted);
};

/** The run that is meant. A resumed one goes on where its folder is now, whatever its configuration says. */
export const beginRun = ({ file, resume, overrides }: Wanted, disk: Disk): TaskEither<Problems, Begun> => async () => {
  const given = file === undefined ? undefined : await parsedFile(file);
  if (given !== undefined && E.isLeft(given)) return given;
  if (resume === undefined)
    return given === undefined || file === undefined ? E.left(['which run? Give a configuration, or a folder to go on in with --resume']) : E.map((config: RunConfig): Begun => ({ config }))(configOf(given.right, overrides, file));
  const saved = await checkpointStore(resume, disk, 1, { shapes: {}, metadata: {} }).latest()();
  if (E.isLeft(saved)) return E.left([saved.left.message]);
  const config = configOf(given?.right ?? saved.right.config, overrides, file ?? resume);
  if (E.isLeft(config)) return config;
  return E.map((agreed: RunConfig): Begun => ({ config: { ...agreed, output: resume }, saved: saved.right }))(resumedConfig(saved.right, config.right, resume));
};
