/** Holding results against the reference, and remembering how much of the bound they used. */
import { compareWithBound, describeExcess } from '../../compiler/reference/compare.ts';
import { isFloat } from '../../dsl/dtype.ts';
import type { Bounded } from '../../dsl/ops/definition.ts';
import type { RandomProgram } from '../generators/programs.ts';
import type { Results } from './run-program.ts';

/** How far results are from the reference, in units of the bound, for each op that made an output. */
export interface Sharpness {
  /** Worst ratio of each output tensor that has a bound above 0, in the order they came. */
  readonly ratios: number[];
  readonly worstOf: Map<string, number>;
  /** Elements compared; those of them whose bound is infinite, so that nothing was learnt. */
  elements: number;
  unbounded: number;
}

export const newSharpness = (): Sharpness => ({ ratios: [], worstOf: new Map(), elements: 0, unbounded: 0 });

const note = (sharpness: Sharpness, op: string, want: Bounded, ratio: number): void => {
  sharpness.elements += want.error.length;
  sharpness.unbounded += want.error.filter((e) => e === Infinity).length;
  if (!isFloat(want.dtype) || want.error.every((e) => e === 0)) return;
  sharpness.ratios.push(ratio);
  sharpness.worstOf.set(op, Math.max(ratio, sharpness.worstOf.get(op) ?? 0));
};

/** Throws when an element is over its bound; the message names op, shape, element and factor. */
export const expectWithinBound = (
  { graph, want }: Pick<RandomProgram, 'graph' | 'want'>,
  got: Results,
  sharpness: Sharpness = newSharpness(),
): void => {
  for (const { name, node } of graph.outputs) {
    const bounded = want[name]!,
      results = got[name]!,
      report = compareWithBound(results, bounded);
    if (results.length !== bounded.value.length)
      throw new Error(`${name}: ${results.length} elements, the shape [${node.shape.join(', ')}] has ${bounded.value.length}`);
    if (report.worst > 1) throw new Error(`${name}: ${describeExcess(node.op, bounded.shape, report)}`);
    note(sharpness, node.op, bounded, report.worst);
  }
};

/** Throws when an element is not the very number of the reference. */
export const expectExact = ({ graph, want }: Pick<RandomProgram, 'graph' | 'want'>, got: Results): void => {
  for (const { name, node } of graph.outputs) {
    want[name]!.value.forEach((value, i) => {
      if (got[name]![i] !== value)
        throw new Error(`${name} = ${node.op}: element ${i} of [${node.shape.join(', ')}] is ${got[name]![i]}, exactly ${value} was expected`);
    });
  }
};

/** Throws when two ways to compute the same differ by more than the sum of their bounds. */
export const expectSame = ({ graph, want }: Pick<RandomProgram, 'graph' | 'want'>, first: Results, second: Results): void => {
  for (const { name, node } of graph.outputs) {
    want[name]!.error.forEach((error, i) => {
      const difference = Math.abs(first[name]![i]! - second[name]![i]!);
      if (!(difference <= 2 * error))
        throw new Error(
          `${name} = ${node.op}: element ${i} of [${node.shape.join(', ')}] is ${first[name]![i]} one way and ${second[name]![i]} the other, ` +
            `bounds ${error} each`,
        );
    });
  }
};

export const medianOf = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

export const describeSharpness = (label: string, { ratios, worstOf, elements, unbounded }: Sharpness): string => {
  const perOp = [...worstOf]
    .sort(([, a], [, b]) => b - a)
    .map(([op, ratio]) => `${op} ${ratio.toPrecision(2)}`)
    .join(', ');
  const compared = `${ratios.length} tensors with rounding, ${elements} elements, ${unbounded} without a bound`;
  return `${label}: ${compared}; error/bound median ${medianOf(ratios).toPrecision(2)}, worst ${perOp}`;
};
