/** The graph as plain JSON and back. Reading re-runs every shape rule: a file cannot smuggle in a wrong shape. */
import { textAttribute } from '../ops/attributes.ts';
import { digestWords } from '../scalar/key.ts';
import { apply } from './apply.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { type Graph, nodesOf } from './graph.ts';
import { type Attribute, type Attributes, inScopeOf, type Literal, type Node } from './node.ts';

type JsonAttribute = number | string | boolean | readonly JsonAttribute[] | { readonly literal: string } | { readonly number: string };

export interface JsonGraph {
  readonly format: 'pixnerd-graph';
  readonly version: 1;
  readonly nodes: readonly { readonly op: string; readonly inputs: readonly number[]; readonly attributes: Readonly<Record<string, JsonAttribute>>; readonly scope: string }[];
  readonly inputs: readonly number[];
  readonly parameters: readonly number[];
  readonly outputs: readonly { readonly name: string; readonly node: number }[];
}

/** A literal tensor; its key is a digest of the content. */
export const literalOf = (data: Float64Array): Literal =>
  ({ literal: true, key: `${data.length}:${digestWords(new Uint32Array(data.buffer, data.byteOffset, data.length * 2))}`, data });

const encoded = (data: Float64Array): string => toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
const decoded = (text: string): Float64Array => new Float64Array(fromBase64(text).buffer);

const writeAttribute = (attribute: Attribute): JsonAttribute =>
  Array.isArray(attribute) ? (attribute as readonly Attribute[]).map(writeAttribute)
  : typeof attribute === 'object' && 'literal' in attribute ? { literal: encoded(attribute.data) }
  : typeof attribute === 'number' && !Number.isFinite(attribute) ? { number: String(attribute) }
  : (attribute as number | string | boolean);

const readAttribute = (attribute: JsonAttribute): Attribute =>
  Array.isArray(attribute) ? (attribute as readonly JsonAttribute[]).map(readAttribute)
  : typeof attribute === 'object' && 'literal' in attribute ? literalOf(decoded(attribute.literal))
  : typeof attribute === 'object' && 'number' in attribute ? Number(attribute.number)
  : (attribute as number | string | boolean);

const mapValues = <A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));

export const toJson = (graph: Graph): JsonGraph => {
  const nodes = nodesOf(graph);
  const number = new Map(nodes.map((node, i) => [node, i]));
  return {
    format: 'pixnerd-graph', version: 1,
    nodes: nodes.map((node) => ({
      op: node.op, inputs: node.inputs.map((input) => number.get(input)!), attributes: mapValues(node.attributes, writeAttribute), scope: node.scope,
    })),
    inputs: graph.inputs.map((node) => number.get(node)!),
    parameters: graph.parameters.map((node) => number.get(node)!),
    outputs: graph.outputs.map(({ name, node }) => ({ name, node: number.get(node)! })),
  };
};

/** The graph of a JSON form, or the message of what is wrong with it. */
export const fromJson = (json: JsonGraph): Graph | string => {
  if (json.format !== 'pixnerd-graph' || json.version !== 1) return `graph: expected format 'pixnerd-graph' version 1, got '${json.format}' version ${json.version}`;
  const nodes: Node[] = [];
  for (const [i, { op, inputs, attributes, scope }] of json.nodes.entries()) {
    if (inputs.some((k) => !Number.isInteger(k) || k < 0 || k >= i)) return `graph: node ${i} (${op}) refers to a node that does not come before it`;
    const node = inScopeOf({ scope }, () => apply(op, inputs.map((k) => nodes[k]!), mapValues(attributes, readAttribute) as Attributes));
    if (node.op === 'invalid') return `graph: node ${i}: ${textAttribute(node.attributes, 'message')}`;
    nodes.push(node);
  }
  return {
    inputs: json.inputs.map((k) => nodes[k]!), parameters: json.parameters.map((k) => nodes[k]!),
    outputs: json.outputs.map(({ name, node }) => ({ name, node: nodes[node]! })),
  };
};
