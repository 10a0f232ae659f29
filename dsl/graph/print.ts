/**
 * The graph as text, one node a line, numbered by position: stable from run to run and made for `diff`.
 * Example: `%3 = add(%1, %2) : f32[2, 16]`.
 */
import type { StorageType } from '../dtype.ts';
import type { Shape } from '../shape/dim.ts';
import { type Graph, nodesOf } from './graph.ts';
import type { Attribute, Node } from './node.ts';

const showAttribute = (attribute: Attribute): string =>
  typeof attribute === 'string' ? `'${attribute}'`
  : typeof attribute !== 'object' ? String(attribute)
  : 'literal' in attribute ? `<${attribute.data.length} elements ${attribute.key}>`
  : `[${attribute.map(showAttribute).join(', ')}]`;

/** ` {axes: [0, 1]}`; empty where there are none. */
export const showAttributes = (node: Pick<Node, 'attributes'>): string => {
  const parts = Object.keys(node.attributes).sort().map((name) => `${name}: ${showAttribute(node.attributes[name]!)}`);
  return parts.length === 0 ? '' : ` {${parts.join(', ')}}`;
};

export const showType = ({ dtype, shape }: { readonly dtype: StorageType; readonly shape: Shape }): string => `${dtype}[${shape.join(', ')}]`;

export interface PrintOptions { readonly scopes?: boolean }

export const printNodes = (nodes: readonly Node[], { scopes = false }: PrintOptions = {}): string => {
  const number = new Map(nodes.map((node, i) => [node, i]));
  const ref = (node: Node): string => (number.has(node) ? `%${number.get(node)}` : '%?');
  return nodes.map((node) =>
    `${ref(node)} = ${node.op}(${node.inputs.map(ref).join(', ')})${showAttributes(node)} : ${showType(node)}${scopes && node.scope !== '' ? `  # ${node.scope}` : ''}`,
  ).join('\n');
};

export const printGraph = (graph: Graph, options: PrintOptions = {}): string => {
  const nodes = nodesOf(graph);
  const outputs = graph.outputs.map(({ name, node }) => `${name} = %${nodes.indexOf(node)}`).join(', ');
  return `${printNodes(nodes, options)}\nreturn ${outputs}\n`;
};
