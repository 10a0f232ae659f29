/** A graph: named outputs over shared nodes, with its inputs and parameters in declared order. */
import { textAttribute } from '../ops/attributes.ts';
import { isOpName, OPS } from '../ops/table.ts';
import type { Dim } from '../shape/dim.ts';
import { substituteDim } from '../shape/dim.ts';
import { apply } from './apply.ts';
import { type Attribute, type Attributes, inScopeOf, type Node, topological } from './node.ts';

export interface Graph {
  /** Nodes of op `input` with role 'input'. */
  readonly inputs: readonly Node[];
  /** Nodes of op `input` with role 'parameter'; their names are the official state_dict keys. */
  readonly parameters: readonly Node[];
  readonly outputs: readonly { readonly name: string; readonly node: Node }[];
}

export const nodesOf = (graph: Graph): readonly Node[] => topological([...graph.inputs, ...graph.parameters, ...graph.outputs.map((output) => output.node)]);

const role = (node: Node): string => (node.op === 'input' ? textAttribute(node.attributes, 'role') : '');

/** A graph of the given outputs. Inputs come first in the order given, then others as they are met. */
export const makeGraph = (outputs: Readonly<Record<string, Node>>, inputs: readonly Node[] = []): Graph => {
  const named = Object.entries(outputs).map(([name, node]) => ({ name, node }));
  const all = [...new Set([...inputs, ...topological(named.map((output) => output.node))])];
  return { inputs: all.filter((node) => role(node) === 'input'), parameters: all.filter((node) => role(node) === 'parameter'), outputs: named };
};

export const inputName = (node: Node): string => textAttribute(node.attributes, 'name');

/** Rebuilds a graph bottom-up: `rewrite` sees each node once, with its new inputs. */
export const mapGraph = (graph: Graph, rewrite: (node: Node, inputs: readonly Node[]) => Node): Graph => {
  const image = new Map<Node, Node>();
  for (const node of nodesOf(graph)) {
    image.set(node, inScopeOf(node, () => rewrite(node, node.inputs.map((input) => image.get(input)!))));
  }
  return {
    inputs: graph.inputs.map((node) => image.get(node)!),
    parameters: graph.parameters.map((node) => image.get(node)!),
    outputs: graph.outputs.map(({ name, node }) => ({ name, node: image.get(node)! })),
  };
};

export type Sizes = Readonly<Record<string, number>>;

const bindAttribute = (attribute: Attribute, sizes: Sizes): Attribute =>
  Array.isArray(attribute) ? (attribute as readonly Attribute[]).map((item) => bindAttribute(item, sizes))
  : typeof attribute === 'string' ? substituteDim(attribute, sizes) : attribute;

/** Replaces symbols in the attributes that hold dims. */
const bindAttributes = (op: string, attributes: Attributes, sizes: Sizes): Attributes => {
  if (!isOpName(op)) return attributes;
  const { dims } = OPS[op].traits;
  return dims.length === 0 ? attributes
    : Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, dims.includes(name) ? bindAttribute(value, sizes) : value]));
};

/** The same graph with symbols replaced by numbers; every shape rule runs again on the numbers. */
export const bindSizes = (graph: Graph, sizes: Sizes): Graph =>
  mapGraph(graph, (node, inputs) => (node.op === 'invalid' ? node : apply(node.op, inputs, bindAttributes(node.op, node.attributes, sizes))));

/** Symbols that occur in the graph's shapes or attributes and are not bound to numbers. */
export const freeSymbols = (graph: Graph): readonly string[] => {
  const found = new Set<string>();
  const visit = (dim: Dim): void => { if (typeof dim === 'string') for (const word of dim.match(/[A-Za-z_]\w*/g) ?? []) found.add(word); };
  for (const node of nodesOf(graph)) node.shape.forEach(visit);
  return [...found].sort();
};

/** A graph whose outputs are those given plus every `tap` in it, under its name. */
export const withTaps = (graph: Graph): Graph => {
  const taps = nodesOf(graph).filter((node) => node.op === 'tap').map((node) => ({ name: inputName(node), node }));
  return { ...graph, outputs: [...graph.outputs, ...taps] };
};

/** The graph with some of its inputs replaced by nodes of the same type: what they are computed from comes before it. */
export const withInputs = (graph: Graph, replacements: Readonly<Record<string, Node>>): Graph => {
  const replaced = new Map(graph.inputs.flatMap((node) => {
    const name = inputName(node);
    return Object.hasOwn(replacements, name) ? [[node, replacements[name]!] as const] : []; // own property
  }));
  const image = mapGraph(graph, (node, inputs) => replaced.get(node) ?? (node.inputs.length === 0 || node.op === 'invalid' ? node : apply(node.op, inputs, node.attributes)));
  return makeGraph(Object.fromEntries(image.outputs.map(({ name, node }) => [name, node])), [...image.inputs.filter((node) => node.op === 'input'), ...image.parameters]);
};
