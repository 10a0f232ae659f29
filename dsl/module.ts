/**
 * Modules: a tree of parameters, whose paths are the state_dict names, and a pure function of it.
 *
 * A body is written once over symbols and checked once for all sizes. Binding a module makes its parameters and gives its
 * function; the nodes that a child makes carry its path in their scope.
 */
import { apply, invalid } from './graph/apply.ts';
import { leavesOf, type Tree } from './gradient/tree.ts';
import { makeGraph } from './graph/graph.ts';
import type { Graph } from './graph/graph.ts';
import { inScopeOf } from './graph/node.ts';
import type { Node } from './graph/node.ts';
import { canonical, substitute } from './shape/dim.ts';
import type { Canonical, Dim, Shape, Substitute, Substitution } from './shape/dim.ts';
import { literalRule } from './shape/rules.ts';
import type { LiteralDim } from './shape/rules.ts';
import type { DType } from './dtype.ts';
import type { Tensor } from './tensor.ts';

// The tree ----------------------------------------------------------------------------------------------------------------------------

/** One weight, float32. */
export interface Parameter<S extends Shape = Shape> {
  readonly kind: 'parameter';
  readonly shape: S;
}
export interface Module<S extends Spec, F> {
  readonly kind: 'module';
  readonly spec: S;
  readonly body: (parts: Bound<S>) => F;
}
/** `count` modules of one type, numbered from 0. */
export interface Repeat<M extends Entry = Entry> {
  readonly kind: 'repeat';
  readonly count: number;
  readonly of: M;
}
/** Several repeats under one name; the numbers continue. */
export interface Stack<Rs extends readonly Repeat[] = readonly Repeat[]> {
  readonly kind: 'stack';
  readonly parts: Rs;
}
/** Any module: its body asks for no less than its own parts, hence `never`. */
export interface AnyModule {
  readonly kind: 'module';
  readonly spec: Spec;
  readonly body: (parts: never) => unknown;
}
export type Entry = Parameter | AnyModule | Repeat | Stack;
export interface Spec {
  readonly [name: string]: Entry;
}

type FunctionOf<M> = M extends { readonly body: (parts: never) => infer F } ? F : never;
type BoundEntry<E> =
  E extends Parameter<infer S> ? Tensor<S, 'f32'>
  : E extends Stack<infer Rs> ? { readonly [K in keyof Rs]: BoundEntry<Rs[K]> }
  : E extends Repeat<infer M> ? readonly BoundEntry<M>[]
  : FunctionOf<E>;
/** What a body gets: tensors for parameters, functions for modules, lists of functions for repeats. */
export type Bound<S extends Spec> = { readonly [K in keyof S]: BoundEntry<S[K]> };

/** A weight of the given shape. Every dimension must be one literal. */
export const param = <const S extends Shape>(...shape: { [K in keyof S]: LiteralDim<'param', S[K] & Dim> }): Parameter<Canonical<S>> => ({
  kind: 'parameter',
  shape: canonical(shape) as Canonical<S>, // the run-time twin of the type
});
/** A module: the names of its parts, and its function of the bound parts. */
export const module = <const S extends Spec, F>(spec: S, body: (parts: Bound<S>) => F): Module<S, F> => ({ kind: 'module', spec, body });
export const repeat = <M extends Entry>(count: number, of: M): Repeat<M> => ({ kind: 'repeat', count, of });
export const stack = <const Rs extends readonly Repeat[]>(...parts: Rs): Stack<Rs> => ({ kind: 'stack', parts });

// Types of a model -------------------------------------------------------------------------------------------------------------------

type Path<Parent extends string, Key> = Parent extends '' ? `${Key & (string | number)}` : `${Parent}.${Key & (string | number)}`;
/** The union of the state_dict names: `blocks.${number}.attn.qkv.weight | ...`. */
export type Names<E, Parent extends string = ''> =
  E extends Parameter ? Parent
  : E extends Repeat<infer M> ? Names<M, `${Parent}.${number}`>
  : E extends Stack<infer Rs> ? Names<Rs[number], Parent>
  : E extends { readonly kind: 'module'; readonly spec: infer S } ? { [K in keyof S]: Names<S[K], Path<Parent, K>> }[keyof S]
  : never;
/** The tree of parameters, with the symbols of `Sizes` replaced. */
export type Params<E, Sizes extends Substitution = {}> =
  E extends Parameter<infer S> ? Tensor<Substitute<S, Sizes>, 'f32'>
  : E extends Repeat<infer M> ? readonly Params<M, Sizes>[]
  : E extends Stack<infer Rs> ? { readonly [K in keyof Rs]: Params<Rs[K], Sizes> }
  : E extends { readonly kind: 'module'; readonly spec: infer S } ? { readonly [K in keyof S]: Params<S[K], Sizes> }
  : never;
type TensorAt<X, Sizes extends Substitution> = X extends Tensor<infer S, infer D extends DType> ? Tensor<Substitute<S, Sizes>, D> : X;
/** A function over symbols at given sizes. */
export type At<F, Sizes extends Substitution> =
  F extends (...inputs: infer Inputs) => infer Output
    ? (...inputs: { [K in keyof Inputs]: TensorAt<Inputs[K], Sizes> }) => TensorAt<Output, Sizes>
    : never;

// Run time ---------------------------------------------------------------------------------------------------------------------------

const join = (parent: string, name: string | number): string => (parent === '' ? String(name) : `${parent}.${name}`);

/** The numbered modules of a repeat or stack, in order, in the groups of the stack. */
const numbered = (parts: readonly Repeat[], path: string): readonly (readonly (readonly [string, Entry])[])[] => {
  let next = 0;
  return parts.map((part) => Array.from({ length: part.count }, () => [join(path, next++), part.of] as const));
};

/** The state_dict name and shape of every parameter, in order. Symbols in `sizes` are replaced. */
export const parameters = (entry: Entry, sizes: Substitution = {}, path = ''): readonly (readonly [string, Shape])[] => {
  switch (entry.kind) {
    case 'parameter': return [[path, substitute(entry.shape, sizes)]];
    case 'repeat': return numbered([entry], path).flat().flatMap(([name, child]) => parameters(child, sizes, name));
    case 'stack': return numbered(entry.parts, path).flat().flatMap(([name, child]) => parameters(child, sizes, name));
    case 'module': return Object.entries(entry.spec).flatMap(([name, child]) => parameters(child, sizes, join(path, name)));
  }
};

const parameterNode = (name: string, shape: Shape): Node => {
  const rule = literalRule(name, shape);
  return typeof rule === 'string' ? invalid(rule) : apply('input', [], { name, role: 'parameter', shape, dtype: 'f32' });
};

/** A bound function makes its nodes in the scope of its path. */
const inScope = (path: string, bound: unknown): unknown =>
  typeof bound === 'function' ? (...inputs: unknown[]) => inScopeOf({ scope: path }, () => bound(...inputs)) : bound;

type Given = (path: string, shape: Shape) => unknown;
const bindEntry = (entry: Entry, path: string, given: Given): unknown => {
  switch (entry.kind) {
    case 'parameter': return given(path, entry.shape);
    case 'repeat': return numbered([entry], path).flat().map(([name, child]) => bindEntry(child, name, given));
    case 'stack': return numbered(entry.parts, path).map((group) => group.map(([name, child]) => bindEntry(child, name, given)));
    case 'module': {
      const parts = Object.fromEntries(Object.entries(entry.spec).map(([name, child]) => [name, bindEntry(child, join(path, name), given)]));
      return inScope(path, entry.body(parts as never)); // the parts are made from the spec that types them
    }
  }
};

/** The function of a module, over parameters with their state_dict names. */
export const bind = <F>(model: { readonly kind: 'module'; readonly spec: Spec; readonly body: (parts: never) => F }): F =>
  bindEntry(model, '', parameterNode) as F; // bindEntry of a module is its function

const treeOf = (entry: Entry, path: string, given: Given): unknown => {
  switch (entry.kind) {
    case 'parameter': return given(path, entry.shape);
    case 'repeat': return numbered([entry], path).flat().map(([name, child]) => treeOf(child, name, given));
    case 'stack': return numbered(entry.parts, path).map((group) => group.map(([name, child]) => treeOf(child, name, given)));
    case 'module': return Object.fromEntries(Object.entries(entry.spec).map(([name, child]) => [name, treeOf(child, join(path, name), given)]));
  }
};

/** The parameters of a module under their state_dict names, as a tree of its form: what `grad` takes and gives. */
export const parametersOf = <M extends Entry>(model: M): Params<M> => treeOf(model, '', parameterNode) as Params<M>; // the tree of the spec that types it

/** The function of a module over a tree of parameters, which may be computed ones. */
export const applied = <M extends { readonly kind: 'module'; readonly spec: Spec; readonly body: (parts: never) => unknown }>(
  model: M, tree: Params<M>,
): FunctionOf<M> => {
  const names = parameters(model).map(([name]) => name), given = new Map(leavesOf(tree as Tree).map((leaf, i) => [names[i], leaf] as const)); // both in the order of the spec
  return bindEntry(model, '', (path) => given.get(path)) as FunctionOf<M>;
};

type Outputs = Tensor | Readonly<Record<string, Tensor>>;
type Traced<Inputs extends readonly Tensor[], R> =
  | ((...inputs: Inputs) => R)
  | { readonly kind: 'module'; readonly spec: Spec; readonly body: (parts: never) => (...inputs: Inputs) => R };

const isNode = (outputs: Outputs): outputs is Tensor => typeof outputs['op'] === 'string';

/**
 * The graph of a module or a function on the given inputs. A single result is the output `output`; a record of tensors gives its keys
 * as names.
 */
export const trace = <const Inputs extends readonly Tensor[]>(traced: Traced<Inputs, Outputs>, inputs: Inputs): Graph => {
  const run = typeof traced === 'function' ? traced : bind(traced);
  const outputs = run(...inputs);
  return makeGraph(isNode(outputs) ? { output: outputs } : outputs, inputs);
};
