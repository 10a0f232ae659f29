/**
 * Nodes of the tensor graph: plain, immutable, hash-consed data.
 *
 * Invariant: two nodes with the same op, inputs and attributes are the same object, so `===` is structural equality
 * and common subexpressions never exist twice. `scope` and `sourceOf` are notes for people (where in the model a node
 * was made); they are no part of a node's identity.
 */
import type { DType } from '../dtype.ts';
import type { Shape } from '../shape/dim.ts';

/** Attribute values are JSON, but for `Literal`, the elements of a tensor known at compile time. */
export type Attribute = number | string | boolean | readonly Attribute[] | Literal;
export type Attributes = { readonly [name: string]: Attribute };

/** The elements of a constant tensor, row-major. `key` identifies the content. */
export interface Literal {
  readonly literal: true;
  readonly key: string;
  readonly data: Float64Array;
}

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface Node extends TensorType {
  /** A key of the op table (`dsl/ops/table.ts`), or 'invalid'. */
  readonly op: string;
  readonly inputs: readonly Node[];
  readonly attributes: Attributes;
  /** Unique per process; never printed. Inputs have smaller ids than their users. */
  readonly id: number;
  /** Module path and composite in which the node was first made, e.g. `blocks.0.attn/softmax`. */
  readonly scope: string;
}

let nextId = 0;
const interned = new Map<string, WeakRef<Node>>();
const forget = new FinalizationRegistry<string>((key) => {
  if (interned.get(key)?.deref() === undefined) interned.delete(key);
});

const keyOf = (attribute: Attribute): string =>
  typeof attribute === 'number' && Object.is(attribute, -0) ? '-0'
  : typeof attribute === 'number' && !Number.isFinite(attribute) ? `#${attribute}`
  : Array.isArray(attribute) ? `[${(attribute as readonly Attribute[]).map(keyOf).join(',')}]`
  : typeof attribute === 'object' && 'literal' in attribute ? `#${attribute.key}`
  : JSON.stringify(attribute);

const attributeTexts = new WeakMap<Node, string>();
/** The attributes of a node as text: equal texts mean equal attributes. */
export const attributesKey = (node: Node): string => {
  const known = attributeTexts.get(node);
  if (known !== undefined) return known;
  const text = attributesText(node.attributes);
  attributeTexts.set(node, text);
  return text;
};
const attributesText = (attributes: Attributes): string => `{${Object.keys(attributes).sort().map((name) => `${name}:${keyOf(attributes[name]!)}`).join(',')}}`;

let scope: readonly string[] = [];
/** Runs `body`; the nodes it makes carry `name` in their scope. */
export const scoped = <A>(name: string, body: () => A): A => {
  const outer = scope;
  scope = [...outer, name];
  try { return body(); } finally { scope = outer; }
};

/** The calls that made a node, as the engine writes a stack: one line each, the innermost first, those of the language included. */
export type CallStack = string;

/** Beside the nodes, since two traces may share a node that only the second one was asked to explain. */
const sources = new WeakMap<Node, CallStack>();
let recording = false;
/** What a rewrite replaces was made there. */
let inherited: CallStack | undefined;

/** V8's; other engines keep whole stacks anyway. */
type StackError = ErrorConstructor & { stackTraceLimit?: number };
/** Deeper than modules in modules in composites are. */
const DEPTH = 60;

/** Runs `body`; the nodes it makes remember the calls that made them. Costs a stack trace for each node, hence only where it is asked for. */
export const withSources = <A>(body: () => A): A => {
  const outer = recording, errors = Error as StackError, limit = errors.stackTraceLimit;
  recording = true;
  errors.stackTraceLimit = DEPTH;
  try { return body(); } finally {
    recording = outer;
    if (limit !== undefined) errors.stackTraceLimit = limit;
  }
};

/** Where a node was made, if that was recorded; of a rewritten node, where what it replaces was made. */
export const sourceOf = (node: Node): CallStack | undefined => sources.get(node);

const noteSource = (node: Node): void => {
  if (sources.has(node)) return;
  const source = inherited ?? (recording ? new Error().stack : undefined);
  if (source !== undefined) sources.set(node, source);
};

/** Runs `body` in the scope that `node` was made in: rewrites keep the notes of what they replace. */
export const inScopeOf = <A>(node: Pick<Node, 'scope'>, body: () => A): A => {
  const outer = scope, outerSource = inherited;
  scope = node.scope === '' ? [] : [node.scope];
  inherited = sources.get(node as Node); // a WeakMap may be asked for anything
  try { return body(); } finally { scope = outer; inherited = outerSource; }
};

/** The one place where nodes come into being. Shape and dtype must be the op's inferred type. */
export const intern = (op: string, inputs: readonly Node[], attributes: Attributes, type: TensorType): Node => {
  const key = `${op}(${inputs.map((input) => input.id).join(',')})${attributesText(attributes)}${type.dtype}[${type.shape.join(',')}]`;
  const known = interned.get(key)?.deref();
  if (known !== undefined) { noteSource(known); return known; }
  const node: Node = Object.freeze({ op, inputs, attributes, shape: type.shape, dtype: type.dtype, id: nextId++, scope: scope.join('/') });
  interned.set(key, new WeakRef(node));
  forget.register(node, key);
  noteSource(node);
  return node;
};

/** Every node reachable from `roots`, inputs before users. No recursion: graphs may be deep. */
export const topological = (roots: readonly Node[]): readonly Node[] => {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack: { readonly node: Node; next: number }[] = [];
  for (const root of roots) {
    if (seen.has(root)) continue;
    seen.add(root);
    stack.push({ node: root, next: 0 });
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const input = top.node.inputs[top.next++];
      if (input === undefined) { order.push(top.node); stack.pop(); }
      else if (!seen.has(input)) { seen.add(input); stack.push({ node: input, next: 0 }); }
    }
  }
  return order;
};
