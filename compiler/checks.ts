/**
 * A program cut into steps, so that every tensor in its memory can be seen and held against the reference.
 *
 * Each step is a program of its own with the very kernels of the plan: it reads tensors that earlier steps left and gives back all
 * that it writes. What a tensor should be follows from the graph alone (its node, over the stored nodes that it is made of), not from
 * how many kernels write it, or in which loops.
 */
import type { Graph } from '../dsl/graph/graph.ts';
import { apply } from '../dsl/graph/apply.ts';
import { inScopeOf, type Node, topological } from '../dsl/graph/node.ts';
import { assemble, assembleWasm } from './assemble.ts';
import type { CompileError } from './errors.ts';
import { type KernelPlan, type PlannedKernel, planKernels, type PlanOptions, type StoredTensor } from './kernels/plan-kernels.ts';
import { planMemory } from './memory.ts';
import type { Program, WasmProgram } from './program.ts';

/** Tensor of each stored node. A second tensor of a node is a copy for an output. */
export type TensorsByNode = ReadonlyMap<Node, StoredTensor>;

export interface Step<P = Program> {
  /** Its inputs and outputs are tensors of the plan, flat, under the names of `portOf`; its parameters are those of the whole program. */
  readonly program: P;
  readonly kernels: readonly PlannedKernel[];
  /** Tensors that must be there before: no parameters, and no literals, which are in the program. */
  readonly reads: readonly number[];
  /** Tensors that the written ones are made of by the graph, literals included: a wrong kernel may not read them all. */
  readonly operands: readonly number[];
  /** Tensors that are complete after it. */
  readonly writes: readonly number[];
}

export interface Checks<P = Program> {
  readonly plan: KernelPlan;
  readonly options: PlanOptions;
  readonly byNode: TensorsByNode;
  readonly steps: readonly Step<P>[];
}

/** Name of a tensor of the plan in the programs of steps. */
export const portOf = (tensor: number): string => `t${tensor}`;

const port = (name: string, shape: readonly number[], { dtype }: Pick<StoredTensor, 'dtype'>): Node => apply('input', [], { name, role: 'input', shape, dtype });

const writesOf = ({ loop, bindings }: PlannedKernel): readonly number[] => bindings.filter((_, i) => loop.tensors[i]!.access === 'read_write').map(({ tensor }) => tensor);

/** Runs of kernels, as short as possible, so that every tensor is written within one of them. */
const groupsOf = (kernels: readonly PlannedKernel[]): readonly (readonly PlannedKernel[])[] => {
  const lastWriter = new Map(kernels.flatMap((kernel, k) => writesOf(kernel).map((tensor) => [tensor, k] as const)));
  const groups: PlannedKernel[][] = [];
  let end = -1;
  kernels.forEach((kernel, k) => {
    if (k > end) groups.push([]);
    groups[groups.length - 1]!.push(kernel);
    end = Math.max(end, ...writesOf(kernel).map((tensor) => lastWriter.get(tensor)!));
  });
  return groups;
};

/** The first tensor of each node. */
const tensorsByNode = ({ tensors }: KernelPlan): TensorsByNode => {
  const found = new Map<Node, StoredTensor>();
  for (const tensor of tensors.values()) if (!found.has(tensor.node)) found.set(tensor.node, tensor);
  return found;
};

/** Nodes between `root` and the stored ones that it is made of, and those. */
const madeOf = (root: Node, isStored: (node: Node) => boolean): { readonly inside: ReadonlySet<Node>; readonly operands: ReadonlySet<Node> } => {
  const inside = new Set<Node>([root]), operands = new Set<Node>();
  for (const node of inside) for (const input of node.inputs) (isStored(input) ? operands : inside).add(input);
  return { inside, operands };
};

/** Tensors that a tensor is made of. */
const operandsOf = (tensor: StoredTensor, byNode: TensorsByNode): readonly number[] => {
  const original = byNode.get(tensor.node)!;
  return original.id !== tensor.id ? [original.id] : [...madeOf(tensor.node, (node) => byNode.has(node)).operands].map((node) => byNode.get(node)!.id);
};

/** Filled once for all steps. */
export const isParameter = ({ op, attributes }: Node): boolean => op === 'input' && attributes['role'] === 'parameter';

/** The program of some kernels: what they read comes from outside, all that they write is an output. */
const stepOf = (kernels: readonly PlannedKernel[], plan: KernelPlan, byNode: TensorsByNode, { target }: PlanOptions): Step<Program & WasmProgram> => {
  const tensor = (id: number): StoredTensor => plan.tensors.get(id)!;
  const touched = [...new Set(kernels.flatMap(({ bindings }) => bindings.map((binding) => binding.tensor)))];
  const writes = [...new Set(kernels.flatMap(writesOf))];
  const given = touched.filter((id) => !writes.includes(id) && tensor(id).node.op !== 'literal');
  const reads = given.filter((id) => !isParameter(tensor(id).node)), weights = given.filter((id) => isParameter(tensor(id).node));
  const flat = (id: number): Node => port(portOf(id), [tensor(id).elements], tensor(id));
  const tensors = new Map(touched.map((id) => [id, reads.includes(id) ? { ...tensor(id), node: flat(id) } : tensor(id)]));
  const graph: Graph = { inputs: reads.map(flat), parameters: weights.map((id) => tensor(id).node), outputs: writes.map((id) => ({ name: portOf(id), node: flat(id) })) };
  const part: KernelPlan = { ...plan, tensors, kernels, outputs: writes };
  const operands = new Set(writes.flatMap((id) => operandsOf(tensor(id), byNode)));
  const program = (target === 'wasm' ? assembleWasm : assemble)(kernels.map(({ name }) => name).join(' '), graph, part, planMemory(part)) as Program & WasmProgram; // of the target that callers asked for
  return { program, kernels, reads, operands: [...operands], writes };
};

export const makeChecks = (plan: KernelPlan, options: PlanOptions): Checks<Program & WasmProgram> => {
  const byNode = tensorsByNode(plan);
  return { plan, options, byNode, steps: groupsOf(plan.kernels).map((kernels) => stepOf(kernels, plan, byNode, options)) };
};

/** The computation of one stored node alone: what it is made of comes in under the names of `portOf`. */
export const isolated = (root: Node, tensors: TensorsByNode): Graph => {
  const image = new Map<Node, Node>(), inputs = new Map<Node, Node>();
  const standIn = (node: Node): Node => {
    const made = inputs.get(node) ?? port(portOf(tensors.get(node)!.id), node.shape as readonly number[], node); // sizes are bound
    inputs.set(node, made);
    return made;
  };
  const { inside } = madeOf(root, (node) => tensors.has(node));
  const imageOf = (node: Node): Node => (node.op === 'literal' ? node : tensors.has(node) ? standIn(node) : image.get(node)!);
  for (const node of topological([root])) {
    if (inside.has(node)) image.set(node, inScopeOf(node, () => apply(node.op, node.inputs.map(imageOf), node.attributes)));
  }
  return { inputs: [...inputs.values()], parameters: [], outputs: [{ name: 'y', node: image.get(root)! }] };
};

/** Checks of the same computation with a kernel for each op, to find the op that is wrong in a kernel of several. */
export const unfusedChecks = ({ options, byNode }: Checks<unknown>, root: Node): Checks<Program & WasmProgram> | readonly CompileError[] => {
  const unfused = { ...options, fusion: false };
  const made = planKernels(isolated(root, byNode), unfused);
  return Array.isArray(made) ? (made as readonly CompileError[]) : makeChecks(made as KernelPlan, unfused); // it is one or the other
};

