/**
 * A step of a sampler as one graph: the network on both halves of a guided batch, the guided velocity, and the weighted sum behind it, so
 * that the compiler sees all of it at once.
 *
 * Invariant: whatever the network's graph reads besides x (weights, time, class, values kept from before) is read by the step under the
 * same name.
 */
import { apply } from '../../dsl/graph/apply.ts';
import { bindSizes, type Graph, inputName, makeGraph, withInputs } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import type { GuidanceName, StepKind } from './plan.ts';
import { combineGraph, guidanceGraph } from './programs.ts';

const reshaped = (node: Node, shape: readonly number[]): Node => apply('reshape', [node], { shape });
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The same images again behind themselves: the unconditional half, then the conditional. */
const twice = (images: Node, shape: readonly number[]): Node =>
  reshaped(apply('expand', [reshaped(images, [1, ...shape])], { shape: [2, ...shape] }), [2 * shape[0]!, ...shape.slice(1)]); // a batch has an axis for it

const outputOf = (graph: Graph): Node => graph.outputs[0]!.node; // of graphs with one output

/** The name of the input that holds another tensor: the combination's first two are x and the velocity. */
export const otherName = (i: number): string => `x${i + 2}`;

/**
 * From the graph of the velocity (input x [rows, C, height, width], sizes bound) to that of a step. Inputs besides the network's: `x`, now
 * one row per image; `coefficients` of x, of the velocity and of the others, and the others (see `otherName`); with guidance `scale`, and
 * rows are twice the images. Outputs: `next`, and `velocity` if it is kept.
 */
export const stepGraph = (network: Graph, guidance: GuidanceName | undefined, { others, keepsVelocity }: StepKind): Graph => {
  const rows = network.inputs.find((node) => inputName(node) === 'x')!.shape as readonly number[]; // the network has it, bound
  const shape = guidance === undefined ? rows : [rows[0]! / 2, ...rows.slice(1)];
  const [batch = 1, channels = 1] = shape;
  const image = (name: string): Node => apply('input', [], { name, role: 'input', shape, dtype: 'f32' });
  const x = image('x');
  const found = outputOf(withInputs(network, { x: guidance === undefined ? x : twice(x, shape) }));

  const guided = (name: GuidanceName): Node => {
    const n = product(shape) / (batch * channels);
    const graph = bindSizes(guidanceGraph(name), { B: batch, C: channels, n });
    return reshaped(outputOf(withInputs(graph, { both: reshaped(found, [2 * batch, channels, n]) })), shape);
  };
  const velocity = guidance === undefined ? found : guided(guidance);

  const terms = [x, velocity, ...Array.from({ length: others }, (_, i) => image(otherName(i)))];
  const sum = bindSizes(combineGraph(terms.length), { k: terms.length, n: product(shape) });
  const flat = Object.fromEntries(terms.map((node, i) => [`x${i}`, reshaped(node, [product(shape)])]));
  const next = reshaped(outputOf(withInputs(sum, flat)), shape);
  return makeGraph({ next, ...(keepsVelocity && { velocity }) }, [x, ...terms.slice(2)]);
};
