/**
 * What it takes to run a golden file: the header says what to compute, an evaluator given by the caller computes it.
 *
 * So the same run serves every backend, and models stay free of files and devices.
 */
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Graph, Sizes } from '../../dsl/graph/graph.ts';

export interface TensorHeader {
  /** As safetensors writes it: F32, F64, I64, U8. */
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** A golden without its data. */
export interface GoldenHeader {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Readonly<Record<string, TensorHeader>>;
}

/** Elements, row-major. */
export type Numbers = ArrayLike<number>;
export type Feeds = Readonly<Record<string, Numbers>>;

/** One evaluation: a graph over symbols, their sizes, and the data of its inputs and parameters. */
export interface Call {
  /** The same graph object each time the same computation is asked for, so that an evaluator can keep what it compiled. */
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly inputs: Feeds;
  /** The same object as long as the weights are the same, so that an evaluator can keep them where they are. */
  readonly parameters: Feeds;
}
/** The parameters of graphs that have none: one object, as `Call` asks. */
export const NO_WEIGHTS: Feeds = {};

export type Evaluate<Failure> = (call: Call) => TaskEither<Failure, Feeds>;

/** Which weights of a checkpoint. */
export type WeightSet = 'ema' | 'denoiser';

export interface Sources<Failure> {
  readonly evaluate: Evaluate<Failure>;
  /** The data of one of the file's own tensors, by its full name. */
  readonly tensor: (name: string) => Numbers;
  /** Weights of the checkpoint that the metadata names, by official key; asked for where `needsCheckpoint`. */
  readonly weights: (set: WeightSet) => TaskEither<Failure, Feeds>;
}

export interface GoldenRun {
  /** Whether the weights lie in a checkpoint beside the file. */
  readonly needsCheckpoint: boolean;
  /** Values for the file's `out.`, `out64.` and `mid.` tensors (and `param.` of checkpoints), by their full names. */
  readonly run: <Failure>(sources: Sources<Failure>) => TaskEither<Failure, Feeds>;
}

export const shapeOf = (header: GoldenHeader, name: string): readonly number[] | undefined => header.tensors[name]?.shape;

/** Names with a prefix, without it. */
export const namesUnder = (header: GoldenHeader, prefix: string): readonly string[] =>
  Object.keys(header.tensors).filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));

/** The file's tensors under a prefix, by the rest of their names. */
export const dataUnder = (header: GoldenHeader, prefix: string, tensor: (name: string) => Numbers): Feeds =>
  Object.fromEntries(namesUnder(header, prefix).map((name) => [name, tensor(`${prefix}${name}`)]));

export const elementsOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

export const configOf = (header: GoldenHeader): Readonly<Record<string, unknown>> =>
  JSON.parse(header.metadata['config'] ?? '{}') as Record<string, unknown>; // the format says that it is an object

export const casesOf = (header: GoldenHeader): readonly Readonly<Record<string, unknown>>[] =>
  JSON.parse(header.metadata['cases'] ?? '[]') as Record<string, unknown>[]; // the format says that it is a list of objects
