/** Random small networks: layers with weights, norms, residual streams and attention, in sizes that no tile divides. */
import fc from 'fast-check';
import { apply } from '../../dsl/graph/apply.ts';
import { type Graph, inputName, makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { add, attention, linear, mul, rmsNorm, silu } from '../../dsl/index.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import type { Data } from '../harness/run-program.ts';
import { elementsOf } from './elements.ts';
import { countOf, shapeOf } from './workshop.ts';

export interface Network {
  readonly graph: Graph;
  readonly data: Data;
}

type Rows = Tensor<['n', 'd'], 'f32'>;
type Square = Tensor<['d', 'd'], 'f32'>;
type Vector = Tensor<['d'], 'f32'>;

/** Makes weights of new names. */
interface Weights {
  readonly square: () => Square;
  readonly vector: () => Vector;
  readonly mixing: () => Node;
}

const LAYERS: Readonly<Record<string, (x: Rows, weights: Weights) => Rows>> = {
  linear: (x, { square, vector }) => add(linear(x, square()), vector()),
  gated: (x, { square }) => mul(silu(linear(x, square())), linear(x, square())),
  residual: (x, { square, vector }) => add(x, linear(silu(linear(rmsNorm(x, vector()), square())), square())),
  attention: (x, { square, vector }) => {
    const normed = rmsNorm(x, vector());
    return add(x, attention(linear(normed, square()), linear(normed, square()), linear(normed, square()), { causal: true }));
  },
  // the weight is the left operand here, and its rows are the result's
  mixing: (x, { mixing }) => apply('einsum', [mixing(), x], { pattern: 'm n, n d -> m d' }) as Rows,
};

const build = (layers: readonly string[], rows: number, width: number, largest: number, seed: number): Network => {
  let named = 0;
  const weight = (...shape: readonly number[]): Node => apply('input', [], { name: `w${named++}`, role: 'parameter', shape, dtype: 'f32' });
  const weights: Weights = { square: () => weight(width, width) as Square, vector: () => weight(width) as Vector, mixing: () => weight(rows, rows) };
  const x = apply('input', [], { name: 'x', role: 'input', shape: [rows, width], dtype: 'f32' }) as Rows;
  const graph = makeGraph({ y: layers.reduce<Rows>((stream, layer) => LAYERS[layer]!(stream, weights), x) }, [x]);
  const elements = (node: Node, i: number): Float32Array => {
    const shape = shapeOf(node), scale = node === (x as Node) ? largest / 4 : (shape[1] ?? 1) ** -0.5;
    return Float32Array.from(elementsOf(seed + i, countOf(shape), 'f32', 'plain'), (value) => value * scale);
  };
  return { graph, data: Object.fromEntries([...graph.inputs, ...graph.parameters].map((node, i) => [inputName(node), elements(node, i)])) };
};

/** Networks of up to three layers; some are fed with numbers whose squares no float16 holds. */
export const networks: fc.Arbitrary<Network> = fc
  .record({
    layers: fc.array(fc.constantFrom(...Object.keys(LAYERS)), { minLength: 1, maxLength: 3 }),
    rows: fc.constantFrom(1, 3, 8, 17),
    width: fc.constantFrom(3, 8, 12, 33),
    largest: fc.constantFrom(4, 4, 4e4),
    seed: fc.nat(2 ** 20),
  })
  .map(({ layers, rows, width, largest, seed }) => build(layers, rows, width, largest, seed));
