/**
 * One kernel of a plan by itself, as a program that can be checked and timed under any schedule.
 *
 * The computation of its result is planned again from the tensors that the kernel reads, with its prologue and epilogue; the kernels with
 * the wanted key are what is looked at. Invariant: what it reads lies in memory as in the plan.
 */
import type { StorageType } from '../../dsl/dtype.ts';
import { type Graph, inputName } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { type Checks, isolated, makeChecks, portOf, type Step } from '../checks.ts';
import { showCompileError, type CompileError } from '../errors.ts';
import { type KernelPlan, type PlannedKernel, planKernels, type PlanOptions, type StoredTensor } from '../kernels/plan-kernels.ts';
import type { KernelKey } from './key.ts';
import type { KernelSchedule } from './schedules.ts';

/** A computation and how it is planned. */
export interface Subject {
  readonly graph: Graph;
  readonly options: PlanOptions;
  readonly key: KernelKey;
}

export interface Alone {
  /** The program; its inputs are tensors of `checks.plan`, under the names of `portOf`. */
  readonly step: Step;
  readonly checks: Checks;
  /** The tensor that it writes. */
  readonly result: StoredTensor;
  /** Kernels of the step that have the key. */
  readonly kernels: readonly PlannedKernel[];
}

const writtenBy = ({ loop, bindings }: PlannedKernel): number => bindings[loop.tensors.findIndex(({ access }) => access === 'read_write')]!.tensor; // each kernel writes

/** The computation of a kernel of a plan, apart from the rest of the program; a reason where it cannot be taken out. */
export const subjectOf = ({ plan, options, byNode }: Checks, kernel: PlannedKernel): Subject | string => {
  const root = plan.tensors.get(writtenBy(kernel))!;
  if (kernel.choice === undefined || byNode.get(root.node)?.id !== root.id) return 'it has no schedule of its own';
  const graph = isolated(root.node, byNode);
  const given = new Map([...plan.tensors.values()].map((tensor) => [portOf(tensor.id), tensor.dtype]));
  const storage = new Map<Node, StorageType>([...graph.inputs.map((node) => [node, given.get(inputName(node))!] as const), [graph.outputs[0]!.node, root.dtype]]); // names are those of the plan's tensors
  if ([...storage.values()].includes('i8')) return 'it reads int8 weights, which no exact data is made for';
  return { graph, key: kernel.choice.key, options: { ...options, tuned: undefined, storageOf: (node) => storage.get(node) ?? node.dtype } };
};

/** The same computation over another graph with the same inputs and the same result, storage included. */
export const withGraph = (subject: Subject, graph: Graph): Subject => {
  const { storageOf = (node: Node): StorageType => node.dtype } = subject.options, [before, after] = [subject.graph.outputs[0]!.node, graph.outputs[0]!.node];
  return { ...subject, graph, options: { ...subject.options, storageOf: (node) => (node === after ? storageOf(before) : storageOf(node)) } };
};

/** The program of a subject, under the heuristic's schedule or another one for its key; a reason where there is none. */
export const aloneWith = ({ graph, options, key }: Subject, schedule?: KernelSchedule): Alone | string => {
  const tuned = schedule && new Map([[key, { ...schedule, by: 'given' as const }]]);
  const made = planKernels(graph, { ...options, tuned });
  if (Array.isArray(made)) return (made as readonly CompileError[]).map(showCompileError).join('; ');
  const checks = makeChecks(made as KernelPlan, { ...options, tuned }); // it is one or the other
  const step = checks.steps.find(({ kernels }) => kernels.some(({ choice }) => choice?.key === key));
  if (step === undefined) return `by itself it has no kernel '${key}'`;
  return { step, checks, result: checks.plan.tensors.get(step.writes[0]!)!, kernels: step.kernels.filter(({ choice }) => choice?.key === key) }; // a step writes
};
