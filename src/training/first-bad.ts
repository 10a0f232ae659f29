/**
 * Where a loss became infinite or no number: the first op, in the order of the graph, with such an element, given the parameters and the
 * batch of that step. Forward first, then the gradients.
 *
 * Two programs for each pass over a graph: one reads every 32nd tensor, the other those between the last good and the first bad one.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { gradientName, withGradients } from '../../dsl/gradient/gradient-graph.ts';
import { bindSizes, type Graph, makeGraph, nodesOf, type Sizes } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import type { Backend, BackendError, BackendTensor, Inputs } from '../backend/backend.ts';

export interface BadOp {
  readonly op: string;
  /** Where in the model: the module path and composite. */
  readonly scope: string;
  readonly shape: readonly number[];
  /** The first such element, and what it is. */
  readonly element: number;
  readonly value: number;
}

export interface Step {
  /** Output `loss`. */
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly parameters: Readonly<Record<string, BackendTensor>>;
  readonly inputs: Inputs;
}

const STRIDE = 32;

/** The first of some nodes that has a bad element. */
const firstOf = (backend: Backend, { parameters, inputs }: Step, graph: Graph, nodes: readonly Node[]) => async (): Promise<E.Either<BackendError, { readonly at: number; readonly bad: BadOp } | undefined>> => {
  const looked = makeGraph(Object.fromEntries(nodes.map((node, i) => [`n${i}`, node])), [...graph.inputs, ...graph.parameters]);
  const loaded = await backend.load({ graph: looked, sizes: {}, name: 'search for the first bad value', parameters })();
  if (E.isLeft(loaded)) return loaded;
  const outputs = await loaded.right.run(inputs)();
  loaded.right.dispose();
  if (E.isLeft(outputs)) return outputs;
  try {
    for (const [i, node] of nodes.entries()) {
      const values = await outputs.right[`n${i}`]!.read()(); // one for each
      if (E.isLeft(values)) return values;
      const element = Array.prototype.findIndex.call(values.right, (x: unknown) => !Number.isFinite(x));
      if (element >= 0) return E.right({ at: i, bad: { op: node.op, scope: node.scope, shape: node.shape as readonly number[], element, value: values.right[element]! } });
    }
    return E.right(undefined);
  } finally {
    for (const tensor of Object.values(outputs.right)) tensor.dispose();
  }
};

const isComputed = (node: Node): boolean => node.inputs.length > 0 && (node.dtype === 'f32' || node.dtype === 'f16');

const search = async (backend: Backend, step: Step, graph: Graph): Promise<E.Either<BackendError, BadOp | undefined>> => {
  const nodes = nodesOf(graph).filter(isComputed), marks = nodes.map((_, i) => i).filter((i) => i % STRIDE === STRIDE - 1 || i === nodes.length - 1);
  const coarse = await firstOf(backend, step, graph, marks.map((i) => nodes[i]!))();
  if (E.isLeft(coarse) || coarse.right === undefined) return coarse as E.Either<BackendError, undefined>;
  const { at, bad } = coarse.right, from = at === 0 ? 0 : marks[at - 1]! + 1;
  const fine = await firstOf(backend, step, graph, nodes.slice(from, marks[at]))();
  return E.isLeft(fine) ? fine : E.right(fine.right?.bad ?? bad);
};

/** The first op of a training step that gives an element which is infinite or no number; `undefined` where all are finite. Errors: as `Backend.load`. */
export const firstBadOp = (backend: Backend, step: Step): TaskEither<BackendError, BadOp | undefined> => async () => {
  const forward = bindSizes(step.graph, step.sizes);
  const found = await search(backend, step, forward);
  if (E.isLeft(found) || found.right !== undefined) return found;
  const backward = withGradients(forward), wanted = backward.outputs.filter(({ name }) => name.startsWith(gradientName('')));
  return search(backend, step, makeGraph(Object.fromEntries(wanted.map(({ name, node }) => [name, node])), [...forward.inputs, ...forward.parameters]));
};

/** What was found, for people. */
export const showBadOp = ({ op, scope, shape, element, value }: BadOp): string =>
  `the first bad value is element ${element} of ${op} [${shape.join(', ')}]${scope === '' ? '' : ` in ${scope}`}: ${value}`;
