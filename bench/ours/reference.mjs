/** Reference outputs in double precision from the package's own interpreter, for machines without PyTorch. */
import { bindSizes, evaluate } from '../../dist/index.js';
import { graphOf } from './graphs.mjs';

/** { out: { shape, data } } of a workload. */
export const referenceOutputs = (spec, tensors) => {
  const { graph, sizes, weights, inputs } = graphOf(spec, tensors);
  const feeds = { ...weights, ...Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data])) };
  const [{ shape, data }] = Object.values(evaluate(bindSizes(graph, sizes), feeds));
  return { out: { shape, data: Float64Array.from(data) } };
};
