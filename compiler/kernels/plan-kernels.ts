/** From stored tensors to kernels in the loop form: for each one its expression, a schedule, and pieces where limits ask for them. */
import { byteSize, type StorageType } from '../../dsl/dtype.ts';
import { type Graph, inputName, nodesOf } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import type { OpTable } from '../../dsl/ops/table.ts';
import { flatten, ofVariable, variableSupply } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { rewriteScalar } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import { type CompileError, limitError } from '../errors.ts';
import { isLeaf } from '../fusion/facts.ts';
import { type FusionPlan, planFusion } from '../fusion/plan.ts';
import type { Profile } from '../profile.ts';
import type { Target } from '../program.ts';
import type { Schedule } from '../schedule.ts';
import type { TunedSchedules } from '../tuning/table.ts';
import { workgroupsOf } from '../targets/wgsl.ts';
import { chunked, type Piece, type Window } from './chunks.ts';
import type { Output } from './row.ts';
import { stagesOf } from '../fusion/row-programs.ts';
import { rowProgramOf, type StageSource } from './row-pattern.ts';
import { rowProgramKernel, rowRanges } from './row-program.ts';
import { type Local, localExpression } from './local-expression.ts';
import { type ScheduleChoice, scheduledKernel } from './scheduled.ts';
import type { TensorExpression } from './tensor-expression.ts';

export interface Binding {
  readonly tensor: number;
  readonly window: Window | undefined;
}

/** A tensor in memory. */
export interface StoredTensor {
  readonly id: number;
  readonly node: Node;
  readonly shape: readonly number[];
  readonly dtype: StorageType;
  readonly elements: number;
}

export interface PlannedKernel {
  readonly name: string;
  /** Scope and ops, for people. */
  readonly label: string;
  /** Its tensors are numbered in its own order; equal computations share one loop form. */
  readonly loop: LoopKernel;
  readonly workgroups: readonly [number, number, number];
  /** For each of the loop's tensors, which one it is, and the part that is bound where not all of it is. */
  readonly bindings: readonly Binding[];
  /** Nodes that are computed in this kernel. */
  readonly nodes: readonly Node[];
  /** By which schedule it runs, and who chose it; row programs have none of their own. */
  readonly choice?: ScheduleChoice | undefined;
}

export interface KernelPlan {
  readonly tensors: ReadonlyMap<number, StoredTensor>;
  readonly kernels: readonly PlannedKernel[];
  /** Tensor of each output of the graph, in order. */
  readonly outputs: readonly number[];
  /** Which input's memory an output is written to, where it takes the place of its input. */
  readonly updates: ReadonlyMap<number, number>;
  readonly fusion: FusionPlan;
}

export interface PlanOptions {
  readonly profile: Profile;
  readonly schedule: Schedule;
  /** Schedules of single kernels, which take the place of those in `schedule`. */
  readonly tuned?: TunedSchedules | undefined;
  readonly table: OpTable;
  readonly fusion: boolean;
  /** Outputs of the name of an input take its place in memory. */
  readonly inPlace?: boolean | undefined;
  /** Who shall run the kernels; their loop form depends on the schedule alone. */
  readonly target?: Target | undefined;
  /** How a tensor lies in memory; by its own dtype when left out. */
  readonly storageOf?: (node: Node) => StorageType;
}

const shapeOf = (node: Node): readonly number[] => node.shape as readonly number[]; // sizes are bound
const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A reshape keeps its elements where they are: an output that is a reshape is stored as what it reshapes. */
const peel = (node: Node): Node => (node.op === 'reshape' && !isLeaf(node.inputs[0]!) ? peel(node.inputs[0]!) : node);

/** Nodes computed inside the kernel of `root`, and the stored ones it reads. */
const kernelNodes = (root: Node, stored: (node: Node) => boolean): { readonly inside: readonly Node[]; readonly reads: readonly Node[] } => {
  const inside = new Set<Node>([root]), reads = new Set<Node>();
  for (const node of inside) for (const input of node.inputs) (stored(input) ? reads : inside).add(input);
  return { inside: [...inside], reads: [...reads] };
};

/** An inlined node to store, so that the kernel of `root` reads fewer tensors: the one that hides the most of them. */
const splitPoint = (root: Node, stored: (node: Node) => boolean, most: number): Node | undefined => {
  const candidates = kernelNodes(root, stored).inside.filter((node) => node !== root)
    .map((node) => ({ node, reads: kernelNodes(node, stored).reads.length })).filter(({ reads }) => reads >= 2 && reads < most);
  return candidates.sort((a, b) => b.reads - a.reads)[0]?.node;
};

const fitBindings = (graph: Graph, { table, schedule, profile, fusion }: PlanOptions): FusionPlan | CompileError => {
  const most = profile.limits.maxStorageBuffersPerShaderStage;
  const forced = new Map<Node, string>();
  for (;;) {
    const plan = planFusion(graph, { table, schedule, forced, bindings: most, enabled: fusion });
    const stored = (node: Node): boolean => isLeaf(node) || plan.reasons.has(node);
    const tooMany = plan.roots.filter((root) => kernelNodes(root, stored).reads.length + 1 > most);
    if (tooMany.length === 0) return plan;
    for (const root of tooMany) {
      const split = splitPoint(root, stored, most);
      if (split === undefined) {
        return { kind: 'limit', message: `${root.op} ${root.scope} reads ${kernelNodes(root, stored).reads.length} tensors, more than the adapter's maxStorageBuffersPerShaderStage of ${most} allows` };
      }
      forced.set(split, `the adapter binds at most ${most} storage buffers`);
    }
  }
};

const nameOf = (nodes: readonly Node[]): string => {
  const ops = [...new Set(nodes.map((node) => node.op).filter((op) => !['reshape', 'permute', 'expand', 'constant', 'slice', 'iota'].includes(op)))].reverse();
  return ops.length === 0 ? 'copy' : ops.slice(0, 4).join('_');
};

/** Windows start at multiples of this many elements: 256 bytes for the smallest dtype and more than enough for the others. */
const ALIGNMENT = 256;

interface Built {
  readonly loop: LoopKernel;
  readonly workgroups: readonly [number, number, number];
  readonly windows: ReadonlyMap<number, Window>;
  readonly choice?: ScheduleChoice;
}

/** The kernels that compute an expression; `tensors` lists what it reads and, last, what it writes. Undefined where limits forbid it. */
const buildKernels = (expression: TensorExpression, tensors: readonly StoredTensor[], { profile, schedule, tuned }: PlanOptions): readonly Built[] | undefined => {
  const { maxStorageBufferBindingSize: binding, maxComputeWorkgroupsPerDimension: mostGroups } = profile.limits;
  const dtypes = (tensor: number): StorageType => tensors[tensor]!.dtype;
  const target = tensors.length - 1, { shape } = tensors[target]!;
  const output: Output = { tensor: target, index: (at) => flatten(at, shape) };
  const large = {
    most: (tensor: number) => {
      const { elements, dtype } = tensors[tensor]!;
      return elements * byteSize(dtype) > binding ? Math.floor(binding / byteSize(dtype)) : undefined;
    },
    alignment: ALIGNMENT,
  };
  return chunked(expression, output, large)?.map((piece: Piece) => {
    const { loop, choice } = scheduledKernel(piece.expression, piece.output, { schedule, tuned }, dtypes);
    return { loop, workgroups: workgroupsOf(loop, mostGroups), windows: piece.windows, choice };
  });
};

/** More pieces of a row program than this are not tried. */
const MOST_PIECES = 1024;

/** The kernels of a row program: as few pieces of its groups as fit the bindings. Undefined where not even one group does. */
const buildProgram = (stages: readonly StageSource[], tensors: readonly StoredTensor[], { profile, schedule }: PlanOptions): readonly Built[] | undefined => {
  const result = tensors.length - 1, outside = result - stages.length + 1;
  const program = rowProgramOf(stages, (tensor) => (tensor < outside ? tensors[tensor]!.shape : undefined));
  if (typeof program === 'string' || schedule.rowProgram === undefined) throw new Error('invariant: the plan has a row program that is none');
  const { shape } = tensors[result]!, output: Output = { tensor: result, index: (at) => flatten(at, shape) }, groups = program.rows / program.group;
  const bytesOf = (tensor: number): number => byteSize(tensors[tensor]!.dtype);
  for (let parts = 1; parts <= Math.min(groups, MOST_PIECES); parts *= 2) {
    const size = Math.ceil(groups / parts), pieces = Array.from({ length: Math.ceil(groups / size) }, (_, i) => ({ from: i * size, groups: Math.min(size, groups - i * size) }));
    const windows = pieces.map((piece) => new Map([...rowRanges(program, piece, output)].flatMap(([tensor, [min, max]]): readonly (readonly [number, Window])[] => {
      const { elements } = tensors[tensor]!;
      if (elements * bytesOf(tensor) <= profile.limits.maxStorageBufferBindingSize) return [];
      const start = Math.floor(min / ALIGNMENT) * ALIGNMENT;
      return [[tensor, { start, count: max + 1 - start }]];
    })));
    if (windows.some((piece) => [...piece].some(([tensor, { count }]) => count * bytesOf(tensor) > profile.limits.maxStorageBufferBindingSize))) continue;
    return pieces.map((piece, i) => {
      const starts = new Map([...windows[i]!].map(([tensor, { start }]) => [tensor, start]));
      const loop = rowProgramKernel(program, { ...piece, starts }, output, schedule.rowProgram!, (tensor) => tensors[tensor]!.dtype);
      return { loop, workgroups: workgroupsOf(loop, profile.limits.maxComputeWorkgroupsPerDimension), windows: windows[i]! };
    });
  }
  return undefined;
};

/** Kernels that were made before, in this process: by schedule and limits, then by what they compute. */
const kept = new WeakMap<OpTable, Map<string, Map<string, readonly Built[] | undefined>>>();
/** As many kernels are kept for a schedule and limits; then all are forgotten. */
const MOST_KEPT = 4096;
const builderFor = ({ table, schedule, tuned, profile }: PlanOptions): ((signature: string, build: () => readonly Built[] | undefined) => readonly Built[] | undefined) => {
  const all = kept.get(table) ?? new Map<string, Map<string, readonly Built[] | undefined>>(), name = JSON.stringify([schedule, profile.limits, [...(tuned ?? [])]]);
  const known = all.get(name) ?? new Map<string, readonly Built[] | undefined>();
  kept.set(table, all.set(name, known));
  return (signature, build) => {
    if (known.has(signature)) return known.get(signature);
    if (known.size >= MOST_KEPT) known.clear();
    const made = build()?.map((one) => ({ ...one, loop: { ...one.loop, keepLoops: schedule.keepLoops } }));
    known.set(signature, made);
    return made;
  };
};

const whyNotInPlace = (output: Node, input: Node): string | undefined => {
  const typeOf = ({ dtype, shape }: Node): string => `${dtype}[${shape.join(', ')}]`;
  return countOf(shapeOf(output)) === countOf(shapeOf(input)) && output.dtype === input.dtype ? undefined : `one is ${typeOf(output)}, the other ${typeOf(input)}`;
};

/**
 * The expression of a kernel that writes its result where one of its operands lies: it reads that operand through the tensor it
 * writes. Undefined where an element needs another element of the operand, which may have been overwritten.
 */
const readingItself = (expression: TensorExpression, operand: number, result: number, shape: readonly number[]): TensorExpression | undefined => {
  const here = flatten(expression.axes.map(ofVariable), shape).key;
  let fits = true;
  const value = rewriteScalar(expression.value, (_old, e) => {
    if (e.kind !== 'load' || e.tensor !== operand) return e;
    fits &&= e.index.key === here;
    return S.load(result, e.index, e.stored, e.lanes);
  });
  return fits ? { ...expression, value } : undefined;
};

/** An input that was changed in place is not read any more. */
const readTooLate = (kernels: readonly PlannedKernel[], updates: ReadonlyMap<number, number>, tensors: ReadonlyMap<number, StoredTensor>): readonly CompileError[] =>
  [...updates].flatMap(([output, input]) => {
    const writer = kernels.findIndex(({ bindings }) => bindings.some(({ tensor }) => tensor === output));
    const late = kernels.find(({ bindings }, k) => k >= writer && bindings.some(({ tensor }) => tensor === input));
    return late === undefined ? [] : [{ kind: 'program' as const, message: `'${inputName(tensors.get(input)!.node)}' is changed in place, but ${late.label} still reads it`, at: '' }];
  });

export const planKernels = (source: Graph, options: PlanOptions): KernelPlan | readonly CompileError[] => {
  const { profile, table } = options;
  const peeled = source.outputs.map(({ name, node }) => ({ name, node: isLeaf(node) ? node : peel(node) }));
  const graph: Graph = { ...source, outputs: peeled };
  const fusion = fitBindings(graph, options);
  if ('kind' in fusion) return [fusion];

  const order = nodesOf(graph);
  const position = new Map(order.map((node, i) => [node, i]));
  const isStored = (node: Node): boolean => isLeaf(node) || fusion.reasons.has(node);
  const tensors = new Map<number, StoredTensor>();
  const addTensor = (id: number, node: Node): number => {
    tensors.set(id, { id, node, shape: shapeOf(node), dtype: options.storageOf?.(node) ?? node.dtype, elements: countOf(shapeOf(node)) });
    return id;
  };
  for (const node of order) if (isStored(node)) addTensor(position.get(node)!, node);

  const errors: CompileError[] = [];
  const binding = profile.limits.maxStorageBufferBindingSize;
  for (const { node, elements, dtype } of tensors.values()) {
    const bytes = elements * byteSize(dtype);
    if (bytes > profile.limits.maxBufferSize) {
      errors.push(limitError(`${node.op === 'input' ? inputName(node) : `${node.op} of '${node.scope}'`} [${node.shape.join(', ')}]`, bytes, 'maxBufferSize', profile.limits.maxBufferSize, 'use a smaller batch or image'));
    }
  }
  const replaces = new Map(options.inPlace !== true ? [] : graph.outputs.flatMap(({ name, node }) => {
    const input = graph.inputs.find((candidate) => inputName(candidate) === name);
    if (input === undefined) return [];
    const problem = whyNotInPlace(node, input);
    if (problem !== undefined) errors.push({ kind: 'program', message: `the output '${name}' cannot take the place of the input '${name}': ${problem}`, at: '' });
    return [[node, position.get(input)!] as const];
  }));
  const updates = new Map<number, number>();
  const kernels: PlannedKernel[] = [];
  const built = builderFor(options);
  const emit = ({ expression, signature }: Pick<Local, 'expression' | 'signature'>, reads: readonly number[], tensor: number, root: Node, inside: readonly Node[]): void => {
    const output = tensors.get(tensor)!;
    if (output.elements === 0) return;
    const all = [...reads.map((read) => tensors.get(read)!), output];
    const replaced = updates.has(tensor) ? reads.indexOf(updates.get(tensor)!) : -1;
    const own = replaced < 0 ? expression : readingItself(expression, replaced, reads.length, output.shape);
    if (own === undefined) {
      errors.push({ kind: 'program', message: `${root.op} of '${root.scope}' reads other elements of an input than those it changes in place`, at: '' });
      return;
    }
    const key = `${signature} ${JSON.stringify([all.map(({ dtype, elements }) => [dtype, elements]), output.shape])}${replaced < 0 ? '' : ` in place of ${replaced}`}`;
    addKernels(built(key, () => buildKernels(own, all, options)), root, inside, (local) => all[local]!.id);
  };
  const addKernels = (made: readonly Built[] | undefined, root: Node, inside: readonly Node[], tensorOf: (local: number) => number): void => {
    if (made === undefined) {
      errors.push(limitError(`the kernel of ${root.op} [${root.shape.join(', ')}] in '${root.scope}'`, countOf(shapeOf(root)) * byteSize(root.dtype), 'maxStorageBufferBindingSize', binding, 'no axis splits it; use a smaller batch or image'));
      return;
    }
    const name = nameOf(inside);
    for (const { loop, workgroups, windows, choice } of made) {
      if (workgroups.some((n) => n > profile.limits.maxComputeWorkgroupsPerDimension)) {
        errors.push({ kind: 'limit', message: `the kernel of ${root.op} [${root.shape.join(', ')}] in '${root.scope}' needs ${workgroups.join(' x ')} workgroups, more than the adapter's maxComputeWorkgroupsPerDimension of ${profile.limits.maxComputeWorkgroupsPerDimension}; use a smaller batch` });
      }
      const bindings = loop.tensors.map((access): Binding => ({ tensor: tensorOf(access.tensor), window: windows.get(access.tensor) }));
      const label = `${root.scope === '' ? '' : `${root.scope}: `}${name} ${root.dtype}[${root.shape.join(', ')}]`;
      kernels.push({ name: `k${kernels.length}_${name}`, label, loop, workgroups, bindings, nodes: inside, choice });
    }
  };

  const emitProgram = (root: Node, rows: readonly Node[]): void => {
    const { inside } = kernelNodes(root, isStored), { stages, reads, signature } = stagesOf(root, rows, isStored, table);
    const all = [...reads, ...rows, root].map((node) => ({ node, id: position.get(node)!, shape: shapeOf(node), elements: countOf(shapeOf(node)), dtype: tensors.get(position.get(node)!)?.dtype ?? node.dtype }));
    addKernels(built(`${signature} ${JSON.stringify(all.map(({ dtype }) => dtype))}`, () => buildProgram(stages, all, options)), root, inside, (local) => all[local]!.id);
  };
  for (const node of replaces.keys()) if (!isLeaf(node)) updates.set(position.get(node)!, replaces.get(node)!);
  for (const root of fusion.roots) {
    const rows = fusion.rowPrograms.get(root);
    if (rows !== undefined) { emitProgram(root, rows); continue; }
    const local = localExpression(root, isStored, table);
    emit(local, local.reads.map((node) => position.get(node)!), position.get(root)!, root, kernelNodes(root, isStored).inside);
  }

  // an output that is an input, or the same tensor as another output, is copied: every output has memory of its own
  const taken = new Set<number>();
  const outputs = graph.outputs.map(({ node }, i) => {
    const tensor = position.get(node)!;
    if (!isLeaf(node) && !taken.has(tensor)) { taken.add(tensor); return tensor; }
    const copy = addTensor(order.length + i, node), variable = variableSupply(), flat = [variable(Math.max(1, countOf(shapeOf(node))))];
    const expression = { axes: flat, value: S.load(0, ofVariable(flat[0]!), node.dtype), variable };
    const whole = tensors.get(copy)!;
    tensors.set(copy, { ...whole, shape: [whole.elements] });
    if (replaces.has(node) && !updates.has(tensor)) updates.set(copy, replaces.get(node)!);
    emit({ expression, signature: `copy ${node.dtype}` }, [tensor], copy, node, []);
    return copy;
  });
  errors.push(...readTooLate(kernels, updates, tensors));
  return errors.length > 0 ? errors : { tensors, kernels, outputs, updates, fusion };
};
