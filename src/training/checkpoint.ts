/**
 * Checkpoints of a run: a folder `step-000500` each, with the weights, their average, the optimiser's moments (safetensors) and `state.json`.
 *
 * Invariant: a folder with that name is complete. It is written under a hidden name, with every file on the disk, and then renamed; older ones are
 * removed only afterwards. A process that dies, or a disk that fills up, at any moment leaves every earlier checkpoint as it was.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { attempt, fail, faultOf, FileFault, fileError } from '../files/errors.ts';
import type { FileError } from '../files/errors.ts';
import { openTensorFile } from '../files/open.ts';
import { safetensorsPieces } from '../files/safetensors-write.ts';
import { readFloat32, type TensorFile } from '../files/tensor-file.ts';
import { VERSION } from '../cli/version.ts';
import { configHash, readConfig, type RunConfig } from './config.ts';
import type { Disk, Written } from './disk.ts';
import { thinned } from './history.ts';
import type { NamedArrays, StepReport, TrainingState } from './trainer-types.ts';

/** What is saved, and comes back. */
export interface Checkpoint {
  readonly state: TrainingState;
  /** Losses up to here; of long runs, neighbours averaged. */
  readonly history: readonly StepReport[];
  readonly config: RunConfig;
  /** Seconds of training before this step, all parts of the run together. */
  readonly seconds: number;
}

export interface SavedCheckpoint extends Checkpoint {
  readonly path: string;
  /** Later checkpoints that are damaged, with what is wrong. */
  readonly damaged: readonly string[];
}

/** Shapes of the parameters, and what the files of weights say about the model. */
export interface WeightsAbout {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface CheckpointStore {
  /** Writes a checkpoint and removes the oldest beyond `keep`. The path of the new one. */
  readonly save: (checkpoint: Checkpoint) => TaskEither<FileError, string>;
  /** The latest checkpoint that is whole. Error: not-found where there is none. */
  readonly latest: () => TaskEither<FileError, SavedCheckpoint>;
  /** Paths of the checkpoints that are there, the oldest first. */
  readonly paths: () => TaskEither<FileError, readonly string[]>;
}

/** Entries of a loss history in a file. */
const MOST_REPORTS = 4096;

/** Folders sort by their step. */
export const checkpointName = (step: number): string => `step-${String(step).padStart(6, '0')}`;
const stepOf = (name: string): number | undefined => {
  const [, digits] = /^step-(\d{6,})$/.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
};
const isLeftover = (name: string): boolean => /^\.step-\d+\..*\.tmp$/.test(name);

const FILES = { model: 'model.safetensors', ema: 'ema.safetensors', moments: 'moments.safetensors' } as const;

/** state.json. */
interface StateFile {
  readonly format: 'pixnerd-checkpoint-1';
  readonly step: number;
  readonly seed: number;
  readonly seconds: number;
  readonly lossScale?: number;
  readonly config: RunConfig;
  readonly configHash: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, Written>>;
  /** [step, loss, gradient norm, learning rate]. */
  readonly history: readonly (readonly [number, number, number, number])[];
}

const tensorsOf = (arrays: NamedArrays, { shapes }: WeightsAbout, prefix = '') =>
  Object.entries(arrays).map(([name, data]) => ({ name: `${prefix}${name}`, dtype: 'F32' as const, shape: shapes[name] ?? [data.length], data: () => data }));

const bytesOf = ({ parameters, ema, moments }: TrainingState): number =>
  [parameters, ema, ...Object.values(moments)].flatMap((arrays) => Object.values(arrays)).reduce((sum, { byteLength }) => sum + byteLength, 0);

const stateFile = ({ state, history, config, seconds }: Checkpoint, files: StateFile['files']): StateFile => ({
  format: 'pixnerd-checkpoint-1',
  step: state.step,
  seed: config.seed,
  seconds,
  ...(state.lossScale !== undefined && { lossScale: state.lossScale }),
  config,
  configHash: configHash(config),
  versions: { pixnerd: VERSION, node: process.versions.node },
  files,
  history: thinned(history, MOST_REPORTS).map(({ step, loss, gradientNorm, learningRate }) => [step, loss, gradientNorm, learningRate]),
});

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e5) / 10} MB`;

/** Writes all files of a checkpoint into a folder. */
const writeInto = async (disk: Disk, folder: string, checkpoint: Checkpoint, about: WeightsAbout): Promise<void> => {
  const { parameters, ema, moments, step } = checkpoint.state;
  const metadata = { ...about.metadata, step: String(step) };
  const put = (name: string, tensors: ReturnType<typeof tensorsOf>): Promise<Written> => disk.write(join(folder, name), safetensorsPieces(name, tensors, metadata));
  const files = {
    [FILES.model]: await put(FILES.model, tensorsOf(parameters, about)),
    [FILES.ema]: await put(FILES.ema, tensorsOf(ema, about)),
    [FILES.moments]: await put(FILES.moments, Object.entries(moments).flatMap(([moment, arrays]) => tensorsOf(arrays, about, `${moment}/`))),
  };
  const text = `${JSON.stringify(stateFile(checkpoint, files), undefined, 1)}\n`;
  await disk.write(join(folder, 'state.json'), [new TextEncoder().encode(text)]);
};

/** Steps of the checkpoints in a folder, ascending. */
const stepsIn = async (disk: Disk, folder: string): Promise<readonly number[]> =>
  (await disk.list(folder)).flatMap((name) => stepOf(name) ?? []).sort((a, b) => a - b);

const save = async (disk: Disk, folder: string, keep: number, checkpoint: Checkpoint, about: WeightsAbout): Promise<string> => {
  const { step } = checkpoint.state, target = join(folder, checkpointName(step));
  if ((await stepsIn(disk, folder)).includes(step)) {
    // the same run at the same step is the same to the last bit, unless the folder is damaged
    if (E.isRight(await attempt(target, () => load(disk, target))())) return target;
    await disk.remove(target);
  }
  const needed = bytesOf(checkpoint.state), free = await disk.free(folder);
  if (free !== undefined && free < needed) fail('not-writable', target, `no space left: a checkpoint needs ${megabytes(needed)}, ${megabytes(free)} are free`);
  const temporary = join(folder, `.${checkpointName(step)}.${process.pid}.tmp`);
  try {
    await disk.remove(temporary);
    await disk.makeFolder(temporary);
    await writeInto(disk, temporary, checkpoint, about);
    await disk.rename(temporary, target);
  } catch (thrown) {
    await disk.remove(temporary).catch(() => undefined); // the first fault is the one to tell
    throw thrown instanceof FileFault ? new FileFault({ ...thrown.error, path: target, message: thrown.error.message.replaceAll(temporary, target) }) : thrown;
  }
  const all = await stepsIn(disk, folder);
  for (const old of all.filter((other) => other < step).slice(0, Math.max(0, all.filter((other) => other <= step).length - keep)))
    await disk.remove(join(folder, checkpointName(old)));
  return target;
};

const parsedState = (path: string, bytes: Uint8Array): StateFile & { readonly config: RunConfig } => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return fail('corrupt', path, 'this is no JSON');
  }
  const file = (value ?? {}) as Partial<StateFile>; // its format says who wrote it, and the rest is checked
  if (file.format !== 'pixnerd-checkpoint-1') return fail('unsupported', path, `its format is ${JSON.stringify(file.format)}; this version reads "pixnerd-checkpoint-1"`);
  const config = readConfig(file.config);
  if (E.isLeft(config)) return fail('corrupt', path, `its configuration is refused: ${config.left.join('; ')}`);
  if (!Number.isSafeInteger(file.step) || !Array.isArray(file.history) || typeof file.files !== 'object') return fail('corrupt', path, 'it lacks the step, the history or the list of files');
  return { ...(file as StateFile), config: config.right }; // as: the fields were looked at
};

const openedFile = async (path: string): Promise<TensorFile> => {
  const file = await openTensorFile(path)();
  if (E.isLeft(file)) throw new FileFault(file.left);
  return file.right;
};

const arraysIn = async (path: string): Promise<Record<string, Float32Array<ArrayBuffer>>> => {
  const file = await openedFile(path);
  try {
    const arrays: Record<string, Float32Array<ArrayBuffer>> = {};
    for (const name of file.tensors.keys()) arrays[name] = await readFloat32(file, name);
    return arrays;
  } finally {
    await file.close();
  }
};

const checkBytes = async (disk: Disk, path: string, { bytes, sha256 }: Written): Promise<void> => {
  const content = await disk.read(path);
  if (content.length !== bytes) fail('truncated', path, `it has ${content.length} bytes, ${bytes} were written`);
  if (createHash('sha256').update(content).digest('hex') !== sha256) fail('corrupt', path, 'its bytes are not those that were written');
};

const grouped = (arrays: NamedArrays): TrainingState['moments'] => {
  const moments: Record<string, Record<string, Float32Array<ArrayBuffer>>> = {};
  for (const [name, data] of Object.entries(arrays)) {
    const slash = name.indexOf('/');
    (moments[name.slice(0, slash)] ??= {})[name.slice(slash + 1)] = data;
  }
  return moments;
};

/** Reads one checkpoint and compares every byte with what was written. */
const load = async (disk: Disk, path: string): Promise<Checkpoint> => {
  const file = parsedState(join(path, 'state.json'), await disk.read(join(path, 'state.json')));
  for (const name of Object.values(FILES)) {
    const written = file.files[name];
    if (written === undefined) return fail('corrupt', path, `state.json does not list ${name}`);
    await checkBytes(disk, join(path, name), written);
  }
  return {
    state: {
      step: file.step,
      parameters: await arraysIn(join(path, FILES.model)),
      ema: await arraysIn(join(path, FILES.ema)),
      moments: grouped(await arraysIn(join(path, FILES.moments))),
      ...(file.lossScale !== undefined && { lossScale: file.lossScale }),
    },
    history: file.history.map(([step, loss, gradientNorm, learningRate]) => ({ step, loss, gradientNorm, learningRate })),
    config: file.config,
    seconds: file.seconds,
  };
};

const latest = async (disk: Disk, folder: string): Promise<SavedCheckpoint> => {
  const damaged: string[] = [];
  for (const step of [...(await stepsIn(disk, folder))].reverse()) {
    const path = join(folder, checkpointName(step));
    const loaded = await attempt(path, () => load(disk, path))();
    if (E.isRight(loaded)) return { ...loaded.right, path, damaged };
    damaged.push(loaded.left.message);
  }
  throw new FileFault(
    damaged.length > 0
      ? fileError('corrupt', folder, `no checkpoint is whole:${damaged.map((line) => `\n    ${line}`).join('')}`)
      : fileError('not-found', folder, 'there is no checkpoint in this folder (step-000500 and so on)'),
  );
};

/** The checkpoints of a run's folder. Who saves holds the lock of the folder. */
export const checkpointStore = (folder: string, disk: Disk, keep: number, about: WeightsAbout): CheckpointStore => ({
  save: (checkpoint) => () =>
    save(disk, folder, keep, checkpoint, about).then(
      (path) => E.right<FileError, string>(path),
      (thrown: unknown) => E.left(faultOf(join(folder, checkpointName(checkpoint.state.step)), thrown, true)),
    ),
  latest: () => attempt(folder, () => latest(disk, folder)),
  paths: () => attempt(folder, async () => (await stepsIn(disk, folder)).map((step) => join(folder, checkpointName(step)))),
});

/** Removes what a dead run left half-written. Needs the folder's lock. */
export const removeLeftovers = (folder: string, disk: Disk): TaskEither<FileError, readonly string[]> =>
  attempt(folder, async () => {
    const names = (await disk.list(folder)).filter(isLeftover);
    for (const name of names) await disk.remove(join(folder, name));
    return names;
  });
