/**
 * int8 weights as a rewrite of the graph: `x · Wᵀ = (x · Qᵀ) · scale`, one scale for each row of W.
 *
 * Q keeps the parameter's name and lies packed in memory (storage i8); the scale is a parameter of its own, filled together with it. The
 * scale leaves the sum, so that inside the loop a weight costs its unpacking only, and never exists as a whole tensor of floats.
 * Invariant: only parameters whose every use this equation covers are packed; all others stay as they are.
 */
import { apply } from '../../dsl/graph/apply.ts';
import { type Graph, inputName, mapGraph, nodesOf } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { textAttribute } from '../../dsl/ops/attributes.ts';
import { parseContraction } from '../../dsl/ops/reduction.ts';

/** The parameter with the scales of a packed one. */
export const scaleName = (parameter: string): string => `${parameter}.int8_scale`;

/** Parameters that lie packed: those with a scale. */
export const packedParameters = (graph: Graph): ReadonlySet<Node> => {
  const names = new Set(graph.parameters.map(inputName));
  return new Set(graph.parameters.filter((node) => names.has(scaleName(inputName(node)))));
};

/** The scales of packed parameters. */
export const scaleParameters = (graph: Graph): ReadonlySet<Node> => {
  const names = new Set([...packedParameters(graph)].map((node) => scaleName(inputName(node))));
  return new Set(graph.parameters.filter((node) => names.has(inputName(node))));
};

/** How many leading axes of a weight an einsum keeps, where it sums over all that follow; undefined where rows are not contiguous. */
const keptAxes = (einsum: Node, weight: Node): number | undefined => {
  if (einsum.op !== 'einsum' || einsum.inputs[0] === einsum.inputs[1]) return undefined;
  const { left, right, result } = parseContraction(textAttribute(einsum.attributes, 'pattern'));
  const names = einsum.inputs[0] === weight ? left : right, kept = names.filter((name) => result.includes(name));
  const order = result.filter((name) => kept.includes(name));
  const inFront = kept.every((name, axis) => names[axis] === name), inOrder = kept.every((name, i) => order[i] === name);
  return kept.length > 0 && kept.length < names.length && inFront && inOrder ? kept.length : undefined;
};

const elementsOf = (node: Node): number => (node.shape as readonly number[]).reduce((a, b) => a * b, 1); // sizes are bound

/** The scale parameter of each weight that can be packed. */
const scalesFor = (graph: Graph, least: number): ReadonlyMap<Node, Node> => {
  const users = new Map<Node, Node[]>(graph.parameters.map((node) => [node, []]));
  for (const node of nodesOf(graph)) for (const input of node.inputs) users.get(input)?.push(node);
  const outputs = new Set(graph.outputs.map(({ node }) => node)), scales = new Map<Node, Node>();
  for (const [weight, einsums] of users) {
    const [kept, ...others] = new Set(einsums.map((einsum) => keptAxes(einsum, weight)));
    if (weight.dtype !== 'f32' || kept === undefined || others.length > 0 || outputs.has(weight) || elementsOf(weight) < least) continue;
    scales.set(weight, apply('input', [], { ...weight.attributes, name: scaleName(inputName(weight)), shape: weight.shape.slice(0, kept) }));
  }
  return scales;
};

/** The scale in the place of its axes in an einsum's result. */
const alignedScale = (einsum: Node, weight: Node, scale: Node): Node => {
  const { left, right, result } = parseContraction(textAttribute(einsum.attributes, 'pattern'));
  const names = einsum.inputs[0] === weight ? left : right;
  return apply('expand', [apply('reshape', [scale], { shape: einsum.shape.map((size, axis) => (names.includes(result[axis]!) ? size : 1)) })], { shape: einsum.shape });
};

/** The graph with every weight of at least that many elements that can be packed replaced by whole numbers and scales. */
export const quantiseWeights = (graph: Graph, least: number): Graph => {
  const scales = scalesFor(graph, least);
  if (scales.size === 0) return graph;
  const rewritten = mapGraph(graph, (node, inputs) => {
    const rebuilt = node.inputs.length === 0 ? node : apply(node.op, inputs, node.attributes);
    return node.op !== 'einsum' ? rebuilt : node.inputs.reduce((product, input) => {
      const scale = scales.get(input);
      return scale === undefined ? product : apply('mul', [product, alignedScale(node, input, scale)], {});
    }, rebuilt);
  });
  return { ...rewritten, parameters: graph.parameters.flatMap((node) => [node, ...(scales.has(node) ? [scales.get(node)!] : [])]) };
};
