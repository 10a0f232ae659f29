/** The backward pass of a graph: its outputs, and the gradient of one of them with respect to every parameter. */
import { type Graph, inputName, makeGraph } from '../graph/graph.ts';
import { backwardOrder, type GradientOptions, gradients } from './gradients.ts';

/** The output that holds the gradient of a parameter. */
export const gradientName = (parameter: string): string => `grad.${parameter}`;

/**
 * The graph with an output `grad.NAME` for each parameter: the gradient of the output `loss`, a float of shape []. They come in an order
 * in which little of the forward pass has to be kept for long; run programs in it. Throws where there is no such output.
 */
export const withGradients = (graph: Graph, loss = 'loss', options: GradientOptions = {}): Graph => {
  const found = graph.outputs.find(({ name }) => name === loss);
  if (found === undefined) throw new Error(`invariant: the graph has no output '${loss}', only ${graph.outputs.map(({ name }) => `'${name}'`).join(', ')}`);
  const slopes = gradients(found.node, graph.parameters, options), order = backwardOrder(found.node, graph.parameters);
  const added = order.map((k) => [gradientName(inputName(graph.parameters[k]!)), slopes[k]!] as const);
  return makeGraph(Object.fromEntries([...graph.outputs.map(({ name, node }) => [name, node] as const), ...added]), [...graph.inputs, ...graph.parameters]);
};
