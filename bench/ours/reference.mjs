/** Reference outputs in double precision from the package's own interpreter, for machines without PyTorch. */
import { bindSizes, evaluate } from '../../dist/index.js';
import { graphOf } from './graphs.mjs';

/** { out: { shape, data } } of a workload, with `grad.NAME` where it trains. */
export const referenceOutputs = (spec, tensors) => {
  const { graph, sizes, weights, inputs, outputs } = graphOf(spec, tensors);
  const feeds = { ...weights, ...Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data])) };
  return Object.fromEntries(Object.entries(evaluate(bindSizes(graph, sizes), feeds)).map(([name, { shape, data }]) => [outputs[name], { shape, data: Float64Array.from(data) }]));
};
