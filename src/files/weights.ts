/**
 * Weights of a model, whatever file they come from: names as in the authors' state_dict, values as f32.
 *
 * A training checkpoint holds several copies (averaged `ema_denoiser.`, plain `denoiser.`) beside the trainer's own tensors, a golden file has
 * `param.` beside inputs and outputs: one prefix is chosen and stripped, and the tensors under other prefixes are not part of the weights.
 */
import type { TaskEither } from 'fp-ts/TaskEither';
import { attempt, fail } from './errors.ts';
import type { FileError } from './errors.ts';
import { infoOf, readFloat32, showShape } from './tensor-file.ts';
import type { TensorFile, TensorInfo } from './tensor-file.ts';

/** The prefixes that are known, in the order in which they are looked for; then come plain names. */
export const weightPrefixes = ['ema_denoiser.', 'denoiser.', 'param.'] as const;

/** One of the known prefixes. */
export type WeightPrefix = (typeof weightPrefixes)[number];

/** Which weights, and how they are read. */
export interface WeightsOptions {
  /** Insist on this copy of the weights, instead of the first that is there. */
  readonly prefix?: WeightPrefix;
  /** Do not look for NaN and infinities while reading. */
  readonly allowNonFinite?: boolean;
}

/** An open set of weights. */
export interface Weights {
  readonly path: string;
  readonly format: TensorFile['format'];
  /** What was stripped from the names in the file; '' for plain names. */
  readonly prefix: WeightPrefix | '';
  /** How many tensors the file has under which prefix, those that are not part of these weights included; for plain names one group ''. */
  readonly groups: ReadonlyMap<string, number>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Names without prefix, in file order. */
  readonly names: () => readonly string[];
  /** Shape and stored format, or undefined for an unknown name. */
  readonly info: (name: string) => TensorInfo | undefined;
  /** The values as f32. Errors: missing, truncated, not-readable, non-finite. */
  readonly read: (name: string) => TaskEither<FileError, Float32Array<ArrayBuffer>>;
  readonly close: () => Promise<void>;
}

/** The weights in an open file; throws a FileFault where there are none. */
export const weightsOf = (file: TensorFile, { prefix, allowNonFinite = false }: WeightsOptions = {}): Weights => {
  const groups = countByPrefix(file);
  const chosen = prefix ?? weightPrefixes.find((known) => groups.has(known)) ?? '';
  if (!groups.has(chosen)) fail('missing', file.path, `there are no tensors ${chosen}* in the file; it has ${showGroups(groups)}`);
  for (const [name, dtype] of file.unreadable)
    if (name.startsWith(chosen)) fail('unsupported', file.path, `tensor ${name}: ${dtype} is not a number format that is read here`);
  const names = [...file.tensors.keys()].filter((name) => name.startsWith(chosen)).map((name) => name.slice(chosen.length));
  return {
    path: file.path,
    format: file.format,
    prefix: chosen,
    groups,
    metadata: file.metadata,
    names: () => names,
    info: (name) => file.tensors.get(chosen + name),
    read: (name) => attempt(file.path, async () => readChecked(file, chosen + name, allowNonFinite)),
    close: () => file.close(),
  };
};

const countByPrefix = (file: TensorFile): ReadonlyMap<string, number> => {
  const names = [...file.tensors.keys(), ...file.unreadable.keys()];
  const plain = !names.some((name) => weightPrefixes.some((prefix) => name.startsWith(prefix)));
  const groups = new Map<string, number>();
  for (const name of names) {
    const group = plain ? '' : name.slice(0, name.indexOf('.') + 1);
    groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  return groups;
};

const showGroups = (groups: ReadonlyMap<string, number>): string =>
  [...groups].map(([group, count]) => `${count} tensors ${group === '' ? 'without a prefix' : `${group}*`}`).join(', ') || 'no tensors at all';

const readChecked = async (file: TensorFile, name: string, allowNonFinite: boolean): Promise<Float32Array<ArrayBuffer>> => {
  const { shape } = infoOf(file, name);
  const values = await readFloat32(file, name);
  const at = allowNonFinite ? -1 : firstNonFinite(values);
  if (at >= 0)
    fail(
      'non-finite',
      file.path,
      `tensor ${name} has the value ${values[at]} at ${showIndex(at, shape)} (not finite in 32 bits); the weights are damaged`,
    );
  return values;
};

// a plain loop: findIndex takes ten times as long over hundreds of millions of values
const firstNonFinite = (values: Float32Array): number => {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
};

/** A flat position as an index: [1, 4]. */
const showIndex = (position: number, shape: readonly number[]): string => {
  const index: number[] = [];
  let rest = position;
  for (const size of shape.toReversed()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return showShape(index);
};
