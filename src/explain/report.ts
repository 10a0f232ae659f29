/**
 * A compilation as a report for people: plain data that the page and the terminal show.
 *
 * Invariant: it says nothing that the compilation does not; every kernel of the plan is in it once, in the order in which they run.
 */
import type { StorageType } from '../../dsl/dtype.ts';
import { costsOf, intensityOf, operationsOnce } from '../../compiler/analysis/cost.ts';
import { type Neighbours, neighboursOf, portsOf, reasonFor } from '../../compiler/analysis/neighbours.ts';
import { type Occupancy, occupancyOf } from '../../compiler/analysis/occupancy.ts';
import type { Compilation } from '../../compiler/compile.ts';
import { isContraction, isLeaf, isReduction } from '../../compiler/fusion/facts.ts';
import type { PlannedKernel, StoredTensor } from '../../compiler/kernels/plan-kernels.ts';
import { printLoop } from '../../compiler/kernels/print.ts';
import { bufferBytes } from '../../compiler/memory.ts';
import { inputName, nodesOf } from '../../dsl/graph/graph.ts';
import { type Node, sourceOf } from '../../dsl/graph/node.ts';
import { printNodes, showAttributes, showType } from '../../dsl/graph/print.ts';
import { definitionOf } from '../../dsl/ops/table.ts';
import { showCount } from './format.ts';
import { commonPath, modulePaths, placeOf, stepsOf, where } from './places.ts';
import type { Position, Positions } from './positions.ts';

/** A tensor that a kernel binds. */
export interface PortReport {
  /** The variable in the kernel's text. */
  readonly variable: string;
  readonly written: boolean;
  readonly kind: 'weight' | 'input' | 'constant' | 'tensor';
  /** A weight's or input's name, else what made the tensor and where. */
  readonly name: string;
  readonly type: string;
  /** Bytes of the whole tensor, and those that this kernel touches. */
  readonly bytes: number;
  readonly touched: number;
  /** Kernels that wrote it. */
  readonly producers: readonly number[];
}

/** A line of the model, and the ops of a kernel that it made. */
export interface SourceLine extends Position {
  readonly ops: readonly string[];
}

/** A node of the graph after the passes, numbered as `emit --stage graph` numbers it. */
export interface NodeReport {
  readonly number: number;
  readonly op: string;
  /** Numbers of what it is computed from. */
  readonly inputs: readonly number[];
  readonly attributes: string;
  readonly type: string;
  /** Its module; '' for the model itself. */
  readonly path: string;
  /** Kernels that compute it; several where it is cheaper to compute than to store. */
  readonly kernels: readonly number[];
  readonly isStored: boolean;
}

export interface KernelReport {
  readonly index: number;
  readonly name: string;
  /** Innermost module that its main work comes from; '' for the model itself. */
  readonly path: string;
  /** The same for people; of a kernel that reaches over several blocks, the first and the last of them. */
  readonly place: string;
  /** In a few words: `matrix product [256, 1024] · [3072, 1024], with silu`. */
  readonly what: string;
  readonly kind: Kind;
  readonly type: string;
  readonly flops: number;
  /** Of these, about how many compute again what another thread, or another kernel of the same tensor, has computed. */
  readonly again: number;
  readonly bytes: number;
  readonly intensity: number;
  /** The first kernel with the same text, workgroups and costs: it and its repeats differ in the tensors that they bind. */
  readonly sameAs: number;
  readonly threads: number;
  readonly workgroups: string;
  readonly ports: readonly PortReport[];
  /** Why what it writes is stored, as fusion said it. */
  readonly reason: string;
  /** Why its product, which follows a softmax, is no streamed attention; undefined where there is nothing to explain. */
  readonly notStreamed: string | undefined;
  readonly wgsl: string;
  readonly loop: string;
  /** The nodes that it computes, one a line. */
  readonly nodes: string;
  readonly sources: readonly SourceLine[];
  /** Where the model calls the module that the last of them is in, the nearest call first. */
  readonly callers: readonly Position[];
}

export interface StageReport {
  readonly name: string;
  readonly nodes: number;
  readonly milliseconds: number;
  /** How many nodes of each op there are. */
  readonly ops: ReadonlyMap<string, number>;
}

export interface NeighbourReport extends Neighbours {
  /** The tensor between them. */
  readonly type: string;
  /** What storing it costs here: what the consumer reads of it, and, for the first consumer, writing it. */
  readonly bytes: number;
}

/** A weight of the model: its state_dict name, its dtype and shape. */
export interface Weight {
  readonly name: string;
  readonly type: string;
}

export interface Report {
  readonly model: string;
  /** What goes in and what comes out: `x f32[1, 3, 256, 256]`. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly parameters: { readonly count: number; readonly weights: readonly Weight[] };
  readonly adapter: string;
  readonly kernels: readonly KernelReport[];
  readonly neighbours: readonly NeighbourReport[];
  readonly memory: Occupancy;
  /** Bytes of all buffers, and the largest binding. */
  readonly peakBytes: number;
  readonly largestBinding: number;
  readonly stages: readonly StageReport[];
  readonly graph: readonly NodeReport[];
  readonly flops: number;
  readonly again: number;
  readonly bytes: number;
}

/** What a kernel is built around. */
export type Kind = 'attention' | 'layers' | 'matrix product' | 'row reduction' | 'lookup' | 'element by element' | 'copy';

/** Nodes that compute nothing of their own: views, constants, what puts tensors together. */
const onlyMoves = (node: Node): boolean =>
  node.inputs.length === 0 || (definitionOf(node.op).traits.cost === 0 && !isContraction(node) && !isReduction(node));
const isLookup = ({ op }: Node): boolean => op === 'take';

const kindOf = (nodes: readonly Node[]): Kind => {
  const products = nodes.filter(isContraction).length;
  if (products >= 2 && nodes.some(({ op }) => op === 'reduceMax')) return 'attention';
  if (products > 0) return 'matrix product';
  if (nodes.some(isReduction)) return 'row reduction';
  if (!nodes.every(onlyMoves)) return 'element by element';
  return nodes.some(isLookup) ? 'lookup' : 'copy';
};

const shapeText = ({ shape }: Pick<Node, 'shape'>): string => `[${shape.join(', ')}]`;
const unique = <A>(values: readonly A[]): readonly A[] => [...new Set(values)];
/** More steps than this are not named. */
const MOST_STEPS = 6;

/** What people call a node: the composite that it is a part of, else its op. */
const namesIn = (modules: ReadonlySet<string>) => (node: Node): string => placeOf(node.scope, modules).composites.at(-1) ?? (isLookup(node) ? 'table lookup' : node.op);

/** What a kernel does, in a few words; composites by their names, since those are what the model's author wrote. */
const whatOf = (kind: Kind, nodes: readonly Node[], nameOf: (node: Node) => string): string => {
  const products = nodes.filter(isContraction), shapes = unique((kind === 'attention' ? products.slice(0, 1) : products).map(({ inputs }) => inputs.map(shapeText).join(' · '))).slice(0, 2).join(' and ');
  const names = unique(products.map(nameOf)).filter((name) => name !== 'einsum');
  const steps = unique(nodes.filter((node) => (!onlyMoves(node) || isLookup(node)) && !isContraction(node)).map(nameOf)).filter((name) => !names.includes(name) && !(kind === 'attention' && name === 'softmax'));
  const listed = `${steps.slice(0, MOST_STEPS).join(', ')}${steps.length > MOST_STEPS ? ', …' : ''}`;
  switch (kind) {
    case 'attention': return `attention ${shapes}${listed === '' ? '' : `, with ${listed}`}`;
    case 'layers': return `${products.length} small layers in one, row by row: ${shapes}${products.length > 2 ? ', …' : ''}${listed === '' ? '' : `, with ${listed}`}`;
    case 'matrix product': return `matrix product${names.length > 0 ? ` of ${names.join(', ')}` : ''} ${shapes}${listed === '' ? '' : `, with ${listed}`}`;
    case 'row reduction': return `${listed}: along rows`;
    case 'element by element': return `${listed}: element by element`;
    case 'lookup': return 'rows out of a table';
    case 'copy': return `moves elements: ${unique(nodes.filter(({ op, inputs }) => inputs.length > 0 && op !== 'reshape').map(({ op }) => op)).slice(0, MOST_STEPS).join(', ') || 'a copy'}`;
  }
};

/** Where a kernel comes from; one that reaches over several blocks has none in common. */
const placeText = (path: string, paths: readonly string[]): string => {
  const blocks = unique(paths.map((each) => stepsOf(each)[0]).filter((block) => block !== undefined));
  return path !== '' || blocks.length < 2 ? where(path) : `${blocks[0]} … ${blocks.at(-1)}`;
};

const portKind = ({ op, attributes }: Node): PortReport['kind'] =>
  op === 'literal' ? 'constant' : op !== 'input' ? 'tensor' : attributes['role'] === 'parameter' ? 'weight' : 'input';

const portName = (node: Node): string =>
  node.op === 'input' ? inputName(node) : node.op === 'literal' ? `table of ${node.scope === '' ? 'the model' : node.scope}` : `${node.op}${node.scope === '' ? '' : ` of ${node.scope}`}`;

/**
 * The lines of the model that made the nodes, innermost call of each, in order. Lines that only move elements are left out where others
 * compute: equal views and constants are one node however many lines ask for them.
 */
const sourcesOf = (nodes: readonly Node[], positions: Positions, nameOf: (node: Node) => string): readonly SourceLine[] => {
  const lines = new Map<string, Position & { readonly ops: Set<string> }>();
  for (const node of nodes) {
    if (node.inputs.length === 0) continue;
    const stack = sourceOf(node), position = stack === undefined ? undefined : positions(stack)[0];
    if (position === undefined) continue;
    const key = `${position.file}:${position.line}`, known = lines.get(key) ?? { ...position, ops: new Set<string>() };
    lines.set(key, known);
    if (!onlyMoves(node)) known.ops.add(nameOf(node));
  }
  const all = [...lines.values()].map((line) => ({ ...line, ops: [...line.ops] })), computing = all.filter(({ ops }) => ops.length > 0);
  return computing.length > 0 ? computing : all;
};

/** The calls that lead to the one that made a node, the nearest first. */
const callersOf = (node: Node | undefined, positions: Positions): readonly Position[] => {
  const stack = node === undefined ? undefined : sourceOf(node);
  const [own, ...others] = stack === undefined ? [] : positions(stack);
  return others.filter(({ file, line }, i) => !(file === own?.file && line === own.line) && others.findIndex((other) => other.file === file && other.line === line) === i);
};

/** Nodes as they are computed, behind what they read: the kernel's part of the graph, numbered on its own, so that repeats read the same. */
const nodeLines = (inside: readonly Node[], variableOf: (node: Node) => string | undefined): string => {
  const own = new Set(inside), read = [...new Set(inside.flatMap(({ inputs }) => inputs))].filter((node) => !own.has(node));
  return printNodes([...read, ...inside]).split('\n')
    .map((line, i) => (i < read.length ? `%${i} = ${variableOf(read[i]!) ?? 'in memory'} : ${showType(read[i]!)}` : line)).join('\n');
};

const stagesOf = ({ stages }: Compilation): readonly StageReport[] => stages.map(({ name, graph, milliseconds }) => {
  const nodes = nodesOf(graph), ops = new Map<string, number>();
  for (const { op } of nodes) ops.set(op, (ops.get(op) ?? 0) + 1);
  return { name, nodes: nodes.length, milliseconds, ops };
});

const graphOf = ({ stages, kernels: { kernels, fusion } }: Compilation, modules: ReadonlySet<string>): readonly NodeReport[] => {
  const nodes = nodesOf(stages.at(-1)!.graph), numbers = new Map(nodes.map((node, i) => [node, i]));
  const homes = new Map<Node, number[]>();
  kernels.forEach(({ nodes: inside }, k) => {
    for (const node of inside) {
      const known = homes.get(node);
      if (known === undefined) homes.set(node, [k]);
      else if (known.at(-1) !== k) known.push(k);
    }
  });
  return nodes.map((node, number) => ({
    number, op: node.op, inputs: node.inputs.map((input) => numbers.get(input)!), attributes: showAttributes(node).trim(), type: showType(node),
    path: node.op === 'input' ? inputName(node).split('.').slice(0, -1).join('.') : placeOf(node.scope, modules).path,
    kernels: isLeaf(node) ? [] : homes.get(node) ?? [], isStored: fusion.reasons.has(node) && !isLeaf(node), // a node's inputs are nodes of its graph
  }));
};

export interface ReportOptions {
  readonly adapter: string;
  /** Finds lines of source in recorded stacks; without it no lines are shown. */
  readonly positions?: Positions;
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Everything that the page and the terminal show of a compilation. */
export const reportOf = (made: Compilation, { adapter, positions = () => [] }: ReportOptions): Report => {
  const { kernels: plan, memory, program } = made;
  const modules = modulePaths(program.parameters.map(({ name }) => name));
  const nameOf = namesIn(modules), costs = costsOf(plan);
  const writers = new Map<number, number[]>();
  plan.kernels.forEach((kernel, k) => { for (const tensor of portsOf(kernel).writes) writers.set(tensor, [...(writers.get(tensor) ?? []), k]); }); // a few pieces at most
  const firstOf = new Map<string, number>();

  const portsOfKernel = ({ loop, bindings }: PlannedKernel, k: number): readonly PortReport[] => bindings.map(({ tensor }, i) => {
    const stored: StoredTensor = plan.tensors.get(tensor)!, written = loop.tensors[i]!.access === 'read_write'; // a binding for each of the loop's tensors
    return {
      variable: written ? 'y' : `x${i}`, written, kind: portKind(stored.node), name: portName(stored.node), type: showType(stored),
      bytes: bufferBytes(stored), touched: costs[k]!.traffic[i]!, producers: (writers.get(tensor) ?? []).filter((writer) => writer !== k),
    };
  });

  const kernelReport = (kernel: PlannedKernel, k: number): KernelReport => {
    const { loop, workgroups, name } = kernel, { flops, bytes } = costs[k]!;
    const nodes = [...new Set(kernel.nodes)].sort((a, b) => a.id - b.id); // inputs have smaller ids than their users
    const computed = nodes.filter((node) => !isLeaf(node));
    const written = portsOf(kernel).writes[0], root = written === undefined ? undefined : plan.tensors.get(written)?.node;
    const products = nodes.filter(isContraction), main = products.length > 0 ? products : root === undefined ? [] : [root];
    const kind = root !== undefined && plan.fusion.rowPrograms.has(root) ? 'layers' : kindOf(computed);
    const paths = main.map(({ scope }) => placeOf(scope, modules).path), path = commonPath(paths);
    const pieces = written === undefined ? [] : writers.get(written)!;
    const part = pieces.length > 1 ? `; part ${pieces.indexOf(k) + 1} of ${pieces.length}` : '';
    const shader = program.dispatches[k]!.kernel, ports = portsOfKernel(kernel, k);
    const text = `${shader} ${flops} ${bytes}`;
    if (!firstOf.has(text)) firstOf.set(text, k);
    return {
      index: k, name, kind, path, place: placeText(path, paths), what: whatOf(kind, computed, nameOf) + part,
      type: root === undefined ? '' : showType(root), flops, again: Math.max(0, Math.round(flops - operationsOnce(computed) / Math.max(1, pieces.length))), bytes, intensity: intensityOf({ flops, bytes }), sameAs: firstOf.get(text)!,
      threads: loop.workgroupSize.reduce((a, b) => a * b, 1), workgroups: workgroups.filter((n, i) => n > 1 || i === 0).map(showCount).join(' × '),
      ports, reason: written === undefined ? 'a copy' : reasonFor(plan, written), notStreamed: products.map((node) => plan.fusion.notStreamed.get(node)).find((why) => why !== undefined),
      wgsl: program.kernels[shader]!.wgsl, loop: printLoop(loop).join('\n'), nodes: nodeLines(computed, (node) => ports.find((_, i) => plan.tensors.get(kernel.bindings[i]!.tensor)!.node === node)?.variable), sources: sourcesOf(computed, positions, nameOf), callers: callersOf(main[0], positions),
    };
  };

  const kernels = plan.kernels.map(kernelReport);
  const traffic = (k: number, of: number): number => total(plan.kernels[k]!.bindings.map(({ tensor }, i) => (tensor === of ? costs[k]!.traffic[i]! : 0)));
  const charged = new Set<string>(); // each piece is written once, and read by each consumer once
  const once = (key: string, bytes: () => number): number => {
    if (charged.has(key)) return 0;
    charged.add(key);
    return bytes();
  };
  const neighbours = neighboursOf(plan).map((pair): NeighbourReport => {
    const { producer, consumer, tensor } = pair;
    const written = once(`write ${producer} ${tensor}`, () => traffic(producer, tensor)), read = once(`read ${consumer} ${tensor}`, () => traffic(consumer, tensor));
    return { ...pair, type: showType(plan.tensors.get(tensor)!), bytes: written + read };
  });
  const typeOf = ({ name, dtype, shape }: { readonly name: string; readonly dtype: StorageType; readonly shape: readonly number[] }): string => `${name} ${showType({ dtype, shape })}`;
  return {
    model: program.name, adapter, kernels, neighbours, memory: occupancyOf(plan, memory), stages: stagesOf(made), graph: graphOf(made, modules),
    inputs: program.inputs.map(typeOf), outputs: program.outputs.map(typeOf),
    parameters: { weights: program.parameters.map(({ name, dtype, shape }) => ({ name, type: showType({ dtype, shape }) })), count: total(program.parameters.map(({ shape }) => shape.reduce((a, b) => a * b, 1))) },
    peakBytes: total(program.buffers.map(({ bytes }) => bytes)),
    largestBinding: Math.max(0, ...program.dispatches.flatMap(({ bindings }) => bindings.map(({ bytes }) => bytes))),
    flops: total(kernels.map(({ flops }) => flops)), again: total(kernels.map(({ again }) => again)), bytes: total(kernels.map(({ bytes }) => bytes)),
  };
};
