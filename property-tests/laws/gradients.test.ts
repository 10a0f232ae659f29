/**
 * Each gradient of the op table against finite differences, both through the reference in f64. Ops that have none are listed; the
 * table decides, so a gradient that is added is tested without a change here.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { apply } from '../../dsl/graph/apply.ts';
import { makeGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { verify } from '../../dsl/graph/verify.ts';
import type { Gradient } from '../../dsl/ops/definition.ts';
import { type OpName, OPS } from '../../dsl/ops/table.ts';
import { elementsOf, randomNumbers } from '../generators/elements.ts';
import { programsOf, type RandomProgram } from '../generators/programs.ts';
import { countOf, shapeOf } from '../generators/workshop.ts';
import { runs, SEED } from '../harness/settings.ts';

type Values = Readonly<Record<string, ArrayLike<number>>>;

/** One application of an op to inputs of its own, at the numbers that a random program had there. */
interface Site {
  readonly node: Node;
  readonly values: Values;
}

const siteOf = ({ graph, data }: RandomProgram): Site => {
  const { node } = graph.outputs[0]!;
  const operands = evaluate(makeGraph(Object.fromEntries(node.inputs.map((input, i) => [`a${i}`, input]))), data);
  const leaves = node.inputs.map(({ shape, dtype }, i) => apply('input', [], { name: `a${i}`, role: 'input', shape, dtype }));
  const values = Object.fromEntries(Object.entries(operands).map(([name, { data: elements }]) => [name, Float32Array.from(elements)]));
  return { node: apply(node.op, leaves, node.attributes), values };
};

const cotangentOf = (node: Node): { readonly input: Node; readonly elements: ArrayLike<number> } => ({
  input: apply('input', [], { name: 'cotangent', role: 'input', shape: node.shape, dtype: node.dtype }),
  elements: elementsOf(7, countOf(shapeOf(node)), 'f32', 'plain'),
});

/** Σ cotangent · result, with one element of one operand replaced; and the sum of the absolute values, which rounding goes by. */
const lossAt = ({ node, values }: Site, cotangent: ArrayLike<number>, operand: string, element: number, by: number): { readonly sum: number; readonly size: number } => {
  const moved = { ...values, [operand]: Float32Array.from(values[operand]!, (x, i) => (i === element ? by : x)) };
  const terms = evaluate(makeGraph({ y: node }), moved)['y']!.data.map((y, i) => y * cotangent[i]!);
  return { sum: terms.reduce((sum, term) => sum + term, 0), size: terms.reduce((size, term) => size + Math.abs(term), 0) };
};

type Loss = ReturnType<typeof lossAt>;

interface Slopes {
  readonly left: number;
  readonly right: number;
  readonly both: number;
  /** What the rounding of sums of large terms leaves uncertain. */
  readonly noise: number;
}
const slopesAt = (site: Site, cotangent: ArrayLike<number>, operand: string, element: number): Slopes => {
  const x = site.values[operand]![element]!,
    step = Math.max(2 ** -12, 2 ** -20 * Math.abs(x)); // small beside a period of sin, and some steps of f32 wide
  const low = Math.fround(x - step),
    high = Math.fround(x + step);
  const [before, here, after] = [low, x, high].map((at) => lossAt(site, cotangent, operand, element, at)) as [Loss, Loss, Loss]; // three in, three out
  const noise = (2 ** -48 * here.size) / step;
  return { left: (here.sum - before.sum) / (x - low), right: (after.sum - here.sum) / (high - x), both: (after.sum - before.sum) / (high - low), noise };
};

const MOST_ELEMENTS = 6;
/** A few elements of a tensor, all of a small one. */
const sampled = (count: number): readonly number[] => {
  const random = randomNumbers(count);
  return count <= MOST_ELEMENTS
    ? Array.from({ length: count }, (_, i) => i)
    : Array.from({ length: MOST_ELEMENTS }, () => Math.floor(random() * count));
};

/** Where the slopes of both sides differ there is a kink, and no derivative to compare with. */
const isKink = ({ left, right, noise }: Slopes, scale: number): boolean => Math.abs(left - right) > 0.02 * scale + 2 * noise;

/** Compares a gradient with differences at some elements; the number of elements that were comparable. */
const compareSlopes = (site: Site, cotangent: ArrayLike<number>, operand: string, gradient: Float64Array): number => {
  let compared = 0;
  for (const element of sampled(gradient.length)) {
    const slopes = slopesAt(site, cotangent, operand, element),
      scale = Math.max(1e-3, Math.abs(gradient[element]!), Math.abs(slopes.both));
    if (isKink(slopes, scale)) continue;
    compared++;
    if (Math.abs(slopes.both - gradient[element]!) > 1e-3 * scale + slopes.noise) {
      throw new Error(`d/d${operand}[${element}] of ${site.node.op} is ${gradient[element]}, the difference quotient ${slopes.both}`);
    }
  }
  return compared;
};

const checkSite = (gradient: Gradient, site: Site): number => {
  const { input, elements } = cotangentOf(site.node),
    parts = gradient({ apply, cotangent: input, node: site.node });
  expect(
    parts.map((part) => part !== undefined),
    'gradients flow to float operands only',
  ).toEqual(site.node.inputs.map(({ dtype }) => dtype === 'f32'));
  const flowing = parts.flatMap((part, i) => (part === undefined ? [] : [[`a${i}`, part] as const])),
    graph = makeGraph(Object.fromEntries(flowing));
  expect(verify(graph)).toEqual([]);
  const gradients = evaluate(graph, { ...site.values, cotangent: elements });
  return flowing.reduce((compared, [name, part]) => {
    expect([part.dtype, ...part.shape]).toEqual(['f32', ...site.node.inputs[Number(name.slice(1))]!.shape]);
    return compared + compareSlopes(site, elements, name, gradients[name]!.data);
  }, 0);
};

const names = Object.keys(OPS) as OpName[];
const withGradient = names.filter((op) => typeof OPS[op].gradient === 'function');

describe('the gradient of', () => {
  const listed = (word: string): string => names.filter((op) => OPS[op].gradient === word).join(', ');
  console.log(
    `gradients: ${withGradient.length} ops tested; ` +
      `not differentiable: ${listed('not differentiable')}; PIXNERD_SEED=${SEED}`,
  );

  test.each(withGradient)('%s is its difference quotient', (op) => {
    let compared = 0;
    const gradient = OPS[op].gradient as Gradient; // filtered above
    const differentiable = programsOf(op).filter(
      ({ graph }) => graph.outputs[0]!.node.dtype === 'f32' && graph.outputs[0]!.node.inputs.some(({ dtype }) => dtype === 'f32'),
    );
    fc.assert(
      fc.property(differentiable, (program) => {
        compared += checkSite(gradient, siteOf(program));
      }),
      { seed: SEED, numRuns: runs(0.07, 8) },
    );
    expect(compared, 'no element could be compared').toBeGreaterThan(10);
  });
});
