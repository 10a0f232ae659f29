/**
 * `Program`: what the compiler makes and the runtime runs. Plain JSON data: it can be saved to a file and run by a
 * bundle that contains neither the language nor the compiler. `src/runtime` imports the types of this file only.
 */

export type ProgramDType = 'f32' | 'f16' | 'i32' | 'u32' | 'bool';

/** A tensor that crosses the border of the program. Row-major; a bool element is a u32 that is 0 or 1. */
export interface PortPlan {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: ProgramDType;
  /** Index into `Program.buffers`. */
  readonly buffer: number;
}

/** A weight, which the caller gives by its name. `i8` elements, four to a word, are made from floats while they are uploaded. */
export interface ParameterPlan extends Omit<PortPlan, 'dtype'> {
  readonly dtype: ProgramDType | 'i8';
  /** Of an i8 parameter: the f32 parameter that gets the scale of each row, which the caller does not give. It has an element for each row. */
  readonly scale?: string;
}

/**
 * A GPU buffer. `input` and `parameter` buffers are filled by the caller, `constant` buffers from `data`;
 * `scratch` buffers are reused by several tensors whose lifetimes do not overlap; `output` buffers are new for every run.
 */
export interface BufferPlan {
  readonly kind: 'input' | 'parameter' | 'constant' | 'scratch' | 'output';
  /** Tensor (or tensors, for scratch) that live here, for error messages. */
  readonly label: string;
  /** A multiple of 16. */
  readonly bytes: number;
  /** Constants: little-endian element bytes in base64, as stored in the buffer. */
  readonly data?: string;
}

export interface Kernel {
  /** Unique in the program, a WGSL identifier that names what it computes, e.g. `k12_matmul_add`. */
  readonly name: string;
  /** A complete WGSL module; entry point `main`; all bindings in group 0, numbered from 0. */
  readonly wgsl: string;
  readonly workgroupSize: readonly [number, number, number];
  /** Access of each binding, in order. */
  readonly bindings: readonly ('read' | 'read_write')[];
}

export interface Dispatch {
  readonly kernel: number;
  readonly bindings: readonly { readonly buffer: number; readonly offset: number; readonly bytes: number }[];
  readonly workgroups: readonly [number, number, number];
  /** Where in the model this comes from, for errors and profiles. */
  readonly label: string;
}

/** What programs of all targets have; `K` is how the target writes a kernel down. */
export interface ProgramOf<K> {
  readonly format: 'pixnerd-program';
  readonly version: 1;
  readonly name: string;
  readonly inputs: readonly PortPlan[];
  readonly parameters: readonly ParameterPlan[];
  readonly outputs: readonly PortPlan[];
  /** Inputs, by name, that a run changes: afterwards they hold the output of the same name, which is then not among `outputs`. */
  readonly updates?: readonly string[];
  readonly buffers: readonly BufferPlan[];
  readonly kernels: readonly K[];
  readonly dispatches: readonly Dispatch[];
  /** Adapter limits that the program needs (WebGPU names), e.g. `maxStorageBufferBindingSize`. */
  readonly limits: Readonly<Record<string, number>>;
  /** WebGPU feature names that the program needs, e.g. `shader-f16`. */
  readonly features: readonly string[];
}

/** A program for WebGPU. */
export type Program = ProgramOf<Kernel>;

/** A function of the module, `(first, last, scratch, ...bindings)`: it runs the workgroups from `first` to before `last`, each of which is one thread. */
export interface WasmKernel {
  /** Unique in the program; the name of the export. */
  readonly name: string;
  readonly bindings: readonly ('read' | 'read_write')[];
}

/** A program for WebAssembly with SIMD128. Bindings are addresses in the one memory that the module imports as `env.memory`. */
export interface WasmProgram extends ProgramOf<WasmKernel> {
  readonly target: 'wasm';
  /** The module's bytes in base64. */
  readonly module: string;
  /** Memory of its own that each thread gives the kernels. */
  readonly scratchBytes: number;
}

/** Who can run a program. */
export const TARGETS = ['wgsl', 'wasm'] as const;
export type Target = (typeof TARGETS)[number];

export interface ProgramSummary {
  readonly kernels: number;
  readonly dispatches: number;
  /** Largest sum of the bytes of all buffers alive at once, parameters included. */
  readonly peakBytes: number;
  readonly largestBinding: number;
}

export const summarize = (program: ProgramOf<unknown>): ProgramSummary => ({
  kernels: program.kernels.length,
  dispatches: program.dispatches.length,
  peakBytes: program.buffers.reduce((sum, buffer) => sum + buffer.bytes, 0),
  largestBinding: Math.max(0, ...program.dispatches.flatMap((dispatch) => dispatch.bindings.map((binding) => binding.bytes))),
});
