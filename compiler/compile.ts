/**
 * The compiler: `Graph -> Either<NonEmptyArray<CompileError>, Program>`.
 *
 * tensor graph --passes--> tensor graph --fusion--> kernels in the loop form --printer--> WGSL in a `Program`.
 * Every stage is a value that can be printed; all errors of a program are reported, not the first.
 */
import * as E from 'fp-ts/Either';
import type { NonEmptyArray } from 'fp-ts/NonEmptyArray';
import { bindSizes, freeSymbols, type Graph, nodesOf, type Sizes, withTaps } from '../dsl/graph/graph.ts';
import { textAttribute } from '../dsl/ops/attributes.ts';
import { OPS, type OpTable } from '../dsl/ops/table.ts';
import { assemble, assembleWasm } from './assemble.ts';
import { type Checks, makeChecks } from './checks.ts';
import type { CompileError } from './errors.ts';
import { type KernelPlan, planKernels, type PlanOptions } from './kernels/plan-kernels.ts';
import { type MemoryPlan, planMemory } from './memory.ts';
import type { PassContext } from './passes/pass.ts';
import { runPasses, type Stage } from './passes/pipeline.ts';
import { needsHalf, numberMistakes, type Numbers, PACK_FROM, showNumbers, weightFormat } from './precision/policy.ts';
import { storageIn } from './precision/storage.ts';
import { type Profile, PROFILES } from './profile.ts';
import type { Program, Target, WasmProgram } from './program.ts';
import { type Schedule, SCHEDULES, withinLimits } from './schedule.ts';
import { whyIllegal } from './tuning/schedules.ts';
import type { TunedSchedules } from './tuning/table.ts';

export interface CompileOptions extends Numbers {
  /** Who shall run the program: WebGPU (the default) or WebAssembly. */
  readonly target?: Target;
  readonly name?: string;
  /** Values of the graph's symbols. */
  readonly sizes?: Sizes;
  /** Adapter to compile for; by default a GPU with the limits that every WebGPU adapter has. */
  readonly profile?: Profile;
  readonly schedule?: Schedule;
  /** Schedules of single kernels that were measured on the adapter, from tuning tables by `schedulesFor`. */
  readonly tuned?: TunedSchedules;
  /** Outputs of the name of an input take its place: the program changes that input instead of returning them. */
  readonly inPlace?: boolean;
  /** Off: every op has a kernel of its own, for comparison. */
  readonly fusion?: boolean;
  /** Adds every `tap` as an output. */
  readonly taps?: boolean;
  /** Also makes the `checks` with which `verify` (in the package, on a device) holds every kernel against the reference. */
  readonly verify?: boolean;
  /** Another op table, for mutation tests. */
  readonly table?: OpTable;
  readonly log?: PassContext['log'];
}

/** A program that can be held against the reference kernel by kernel. */
export interface Verifiable<P = Program> {
  readonly program: P;
  readonly checks: Checks<P>;
}

/** Everything the compiler made on the way. */
export interface Compilation<P = Program> {
  readonly stages: readonly Stage[];
  readonly kernels: KernelPlan;
  readonly memory: MemoryPlan;
  readonly program: P;
  /** Where the option `verify` asked for them. */
  readonly checks?: Checks<P>;
}

const programErrors = (graph: Graph): readonly CompileError[] => nodesOf(graph)
  .filter((node) => node.op === 'invalid' && node.attributes['message'] !== '')
  .map((node) => ({ kind: 'program', message: textAttribute(node.attributes, 'message'), at: textAttribute(node.attributes, 'at') }));

const sizeErrors = (graph: Graph): readonly CompileError[] => freeSymbols(graph).map((symbol) =>
  ({ kind: 'size', message: `the size of '${symbol}' is not known; give it in 'sizes'` }));

const LACKS_HALF = "but the adapter lacks the feature 'shader-f16'; use f32 or another adapter";
const featureErrors = (graph: Graph, profile: Profile, numbers: Numbers): readonly CompileError[] => {
  if (profile.features.includes('shader-f16')) return [];
  if (nodesOf(graph).some((node) => node.dtype === 'f16')) return [{ kind: 'limit', message: `the program uses f16 tensors, ${LACKS_HALF}` }];
  return needsHalf(numbers) ? [{ kind: 'limit', message: `${showNumbers(numbers)} stores tensors as f16, ${LACKS_HALF}` }] : [];
};

const choiceErrors = (numbers: Numbers): readonly CompileError[] => numberMistakes(numbers).map((message) => ({ kind: 'program', message }));

const tuningErrors = (tuned: TunedSchedules | undefined, profile: Profile): readonly CompileError[] => [...(tuned ?? [])].flatMap(([key, schedule]): readonly CompileError[] => {
  const illegal = whyIllegal(schedule, profile);
  return illegal === undefined ? [] : [{ kind: 'limit', message: `the tuned schedule of '${key}' does not fit the adapter: ${illegal}` }];
});

const failed = (errors: readonly CompileError[]): E.Either<NonEmptyArray<CompileError>, never> => E.left(errors as unknown as NonEmptyArray<CompileError>); // callers check the length

interface Explain {
  (graph: Graph, options: CompileOptions & { readonly target: 'wasm' }): E.Either<NonEmptyArray<CompileError>, Compilation<WasmProgram>>;
  (graph: Graph, options?: CompileOptions): E.Either<NonEmptyArray<CompileError>, Compilation>;
}

/** Compiles and keeps every stage, for printing. */
export const explain: Explain = (graph: Graph, asked?: CompileOptions): E.Either<NonEmptyArray<CompileError>, Compilation<Program & WasmProgram>> => {
  const options = asked ?? {};
  const isWasm = options.target === 'wasm', profile = options.profile ?? PROFILES[isWasm ? 'wasm' : 'gpu'], schedule = withinLimits(options.schedule ?? SCHEDULES[profile.class], profile.limits, profile.features), table = options.table ?? OPS;
  const wrong = [...choiceErrors(options), ...tuningErrors(options.tuned, profile), ...programErrors(graph)];
  if (wrong.length > 0) return failed(wrong);
  const bound = bindSizes(options.taps === true ? withTaps(graph) : graph, options.sizes ?? {});
  const problems = [...programErrors(bound), ...sizeErrors(bound), ...featureErrors(bound, profile, options)];
  if (problems.length > 0) return failed(problems);
  const stages = runPasses(bound, { table, streams: schedule.stream !== undefined && options.fusion !== false, maxBindings: profile.limits.maxStorageBuffersPerShaderStage, ...(weightFormat(options) === 'int8' && { packFrom: options.packFrom ?? PACK_FROM }), ...(options.log === undefined ? {} : { log: options.log }) });
  const final = stages[stages.length - 1]!.graph;
  const planOptions: PlanOptions = { profile, schedule, tuned: options.tuned, table, fusion: options.fusion ?? true, inPlace: options.inPlace, target: options.target, storageOf: storageIn(final, options, table) };
  const kernels = planKernels(final, planOptions);
  if (Array.isArray(kernels)) return failed(kernels as readonly CompileError[]);
  const plan = kernels as KernelPlan; // not an array of errors
  const memory = planMemory(plan);
  return E.right({ stages, kernels: plan, memory, program: (isWasm ? assembleWasm : assemble)(options.name ?? 'program', final, plan, memory) as Program & WasmProgram, ...(options.verify === true && { checks: makeChecks(plan, planOptions) }) });
};

interface Compile {
  (graph: Graph, options: CompileOptions & { readonly target: 'wasm'; readonly verify: true }): E.Either<NonEmptyArray<CompileError>, Verifiable<WasmProgram>>;
  (graph: Graph, options: CompileOptions & { readonly target: 'wasm' }): E.Either<NonEmptyArray<CompileError>, WasmProgram>;
  (graph: Graph, options: CompileOptions & { readonly verify: true }): E.Either<NonEmptyArray<CompileError>, Verifiable>;
  (graph: Graph, options?: CompileOptions): E.Either<NonEmptyArray<CompileError>, Program>;
}

/** The program of a graph, or everything that is wrong with it; with `verify: true` the program and its checks. */
export const compile: Compile = (graph: Graph, options?: CompileOptions): E.Either<NonEmptyArray<CompileError>, Program & WasmProgram & Verifiable<Program & WasmProgram>> => {
  const result = explain(graph, options) as E.Either<NonEmptyArray<CompileError>, Compilation<Program & WasmProgram>>; // each overload promises what its options gave
  if (E.isLeft(result)) return result;
  const { program, checks } = result.right;
  return E.right((checks === undefined ? program : { program, checks }) as Program & WasmProgram & Verifiable<Program & WasmProgram>); // each overload promises what its options gave
};
