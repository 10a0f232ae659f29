/**
 * One interface for those who compute: `wgsl` runs compiled programs on a GPU or a software driver, `wasm` on the processor, `reference`
 * interprets the graph.
 *
 * Invariant: nothing above this folder asks which of them it has; tensors stay where they were computed until `read`.
 */
import type { Either } from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Numbers } from '../../compiler/precision/policy.ts';
import type { Graph, Sizes } from '../../dsl/graph/graph.ts';
import type { DType } from '../../dsl/dtype.ts';
import type { NumberArray } from '../runtime/elements.ts';

/** Who can compute. */
export const BACKENDS = ['wgsl', 'wasm', 'reference'] as const;
export type BackendName = (typeof BACKENDS)[number];
/** What may be asked for: `auto` is `wgsl` where there is a GPU, else `wasm`. */
export const BACKEND_CHOICES = ['auto', ...BACKENDS] as const;
export type BackendChoice = (typeof BACKEND_CHOICES)[number];

/** A readable failure; `limit` (more than the adapter offers) and `memory` may go away with a smaller batch. */
export interface BackendError {
  readonly kind: 'program' | 'limit' | 'memory' | 'adapter' | 'lost' | 'aborted' | 'input' | 'device';
  readonly message: string;
}

/** Elements, row-major. The reference gives doubles. */
export type Elements = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

export interface BackendTensor {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly read: (options?: { readonly signal?: AbortSignal }) => TaskEither<BackendError, Elements>;
  /** Gives the memory back. */
  readonly dispose: () => void;
}

/** Host data, or tensors of the backend, whose elements are taken in their order where a port has another shape of the same size. */
export type Inputs = Readonly<Record<string, NumberArray | BackendTensor>>;
export type Outputs = Readonly<Record<string, BackendTensor>>;

/** Weights by name: elements, or a function that fetches them when it is their turn. Programs loaded with the same object share one copy. */
export type WeightSource = Readonly<Record<string, NumberArray | (() => NumberArray | Promise<NumberArray>)>>;

export interface LoadRequest {
  readonly graph: Graph;
  readonly sizes: Sizes;
  /** Names the program in messages. */
  readonly name: string;
  readonly weights?: WeightSource;
  /** Parameters that lie in tensors of the backend and are read there by every run, so that what trains is seen at once. Each begins at a multiple of 64 elements. */
  readonly parameters?: Readonly<Record<string, BackendTensor>>;
  /** Outputs of the name of an input take its place: a run changes that tensor instead of giving a new one. */
  readonly inPlace?: boolean;
  /** How this program keeps its numbers, where that is not how the backend's programs do. */
  readonly numbers?: Numbers;
  /** Adds every tap of the graph as an output. */
  readonly taps?: boolean;
  readonly signal?: AbortSignal;
  /** Hears of each kernel that is compiled. */
  readonly onCompiled?: (ready: number, all: number) => void;
}

/** What a program would ask of the adapter. */
export interface Estimate {
  /** Bytes of the buffers that a run has of its own: intermediate tensors, constants and host inputs; parameters and outputs not counted. */
  readonly bytes: number;
  /** Arithmetic operations of a run. */
  readonly flops: number;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** False: the result may come before the work is done, so that several runs queue up. */
  readonly wait?: boolean;
  /** Tensors that outputs are written to, by name, instead of new ones. */
  readonly into?: Readonly<Record<string, BackendTensor>>;
  /** Records the run, to be submitted together with others; its tensors can be fed on at once. Of the same backend. */
  readonly recorder?: Recorder;
}

/** Gathers runs into one submission. Reading a tensor submits what it needs. */
export interface Recorder {
  /** Everything recorded so far goes to the adapter. Errors: device; memory; lost. */
  readonly submit: () => TaskEither<BackendError, void>;
  /** Ends when what was submitted so far is computed. Errors: lost; aborted. */
  readonly done: (signal?: AbortSignal) => TaskEither<BackendError, void>;
}

/** A program with its weights, ready to run. */
export interface Executable {
  readonly run: (inputs: Inputs, options?: RunOptions) => TaskEither<BackendError, Outputs>;
  readonly dispose: () => void;
}

export interface Backend {
  readonly name: BackendName;
  /** The adapter's name, for reports. */
  readonly adapter: string;
  /** One line for people: who computes, and why. */
  readonly notice: string;
  /** Compiles, allocates, uploads. Errors: everything that is wrong with the graph; what the adapter lacks; memory; lost; aborted. */
  readonly load: (request: LoadRequest) => TaskEither<BackendError, Executable>;
  /** What a program would take, without loading it; left out where nobody plans memory. Errors: as `load`. */
  readonly estimate?: (request: LoadRequest) => Either<BackendError, Estimate>;
  /** Puts f32 data where programs find it. Errors: memory; lost. */
  readonly upload: (shape: readonly number[], data: Float32Array) => TaskEither<BackendError, BackendTensor>;
  /** Elements of a tensor in a row, from `first` on, under a shape of their own and without a copy; to be disposed like any other. */
  readonly part: (whole: BackendTensor, first: number, shape: readonly number[]) => BackendTensor;
  /** Bytes of the largest tensor that is bound whole. */
  readonly largest: number;
  /** A new recorder; left out where every run is computed at once. */
  readonly record?: () => Recorder;
  /** Gives back the memory of weights that no loaded program uses any more; left out where there is none to give back. */
  readonly forget?: (weights: WeightSource) => void;
  /** Ends the device. */
  readonly close: () => void;
}
