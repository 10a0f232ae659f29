/**
 * Programs written once over symbols: the same choices build one graph over the symbols and one over their sizes.
 *
 * Choices look at the symbolic graph only, so that sizes that happen to be equal change nothing.
 */
import fc from 'fast-check';
import { type Graph, makeGraph, type Sizes } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { add, cast, exp, mul, neg, select, lt } from '../../dsl/language/elementwise.ts';
import { concat, expand, pad, permute, reshape, slice, stackTensors, unsqueeze } from '../../dsl/language/movement.ts';
import { linear } from '../../dsl/language/product.ts';
import { max, mean, sum } from '../../dsl/language/reduction.ts';
import { input, iota, sizeOf } from '../../dsl/language/source.ts';
import { softmax } from '../../dsl/nn/normalization.ts';
import { type Dim, multiplyDim, type Shape } from '../../dsl/shape/dim.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import { choices, type Draw, drawFrom } from './draw.ts';

/** A step: operands by their place in the pool, dims by name. */
type Build = (pool: readonly Node[], dim: (name: string) => Dim) => Node;
interface Choice {
  readonly draw: Draw;
  readonly pool: readonly Node[];
}

// shapes are known at run time only; the builders check them there
const tensor = (node: Node | undefined): Tensor<['n'], 'f32'> => node as Tensor<['n'], 'f32'>;
const SYMBOLS = ['B', 'N', 'C'] as const;

const pickNode = ({ draw, pool }: Choice, fits: (node: Node) => boolean = () => true): number | undefined => {
  const fitting = pool.flatMap((node, i) => (fits(node) ? [i] : []));
  return fitting.length === 0 ? undefined : fitting[fitting.length - 1 - draw.below(fitting.length)];
};
/** A step that works on one tensor of rank 1 or more and one of its axes. */
const onAxis =
  (build: (x: Tensor<['n'], 'f32'>, axis: -1, draw: Draw) => (x: Tensor<['n'], 'f32'>, dim: (name: string) => Dim) => Node) =>
  (choice: Choice): Build | undefined => {
    const i = pickNode(choice, (node) => node.shape.length > 0);
    if (i === undefined) return undefined;
    const axis = choice.draw.below(choice.pool[i]!.shape.length) as -1,
      made = build(tensor(choice.pool[i]), axis, choice.draw); // -1 stands for any axis in the types
    return (pool, dim) => made(tensor(pool[i]), dim);
  };
const sameShape = (a: Node, b: Node): boolean => a.shape.join() === b.shape.join();
const lowRank = (x: Node): boolean => x.shape.length < 5;

const STEPS: readonly ((choice: Choice) => Build | undefined)[] = [
  ({ draw, pool }) => {
    const names = draw.shuffled(SYMBOLS).slice(0, draw.between(1, 3)),
      name = `x${pool.length}`;
    return (_pool, dim) => input(name, names.map(dim) as ['n']);
  },
  (choice) => {
    const i = pickNode(choice),
      op = choice.draw.pick([neg, exp]);
    return i === undefined ? undefined : (pool) => op(tensor(pool[i]));
  },
  (choice) => {
    const i = pickNode(choice),
      op = choice.draw.pick([add, mul]);
    const j = i === undefined ? undefined : pickNode(choice, (node) => sameShape(node, choice.pool[i]!));
    return i === undefined || j === undefined ? undefined : (pool) => op(tensor(pool[i]), tensor(pool[j]));
  },
  (choice) => {
    const i = pickNode(choice);
    return i === undefined ? undefined : (pool) => select(lt(tensor(pool[i]), 0.25), tensor(pool[i]), 1.5);
  },
  onAxis((_x, axis, draw) => {
    const op = draw.pick([sum, max, mean]),
      keep = draw.chance(40);
    return (x) => op(x, axis, keep as false);
  }),
  onAxis((_x, axis) => (x) => softmax(x, axis)),
  onAxis((x, _axis, draw) => {
    const axes = draw.shuffled(x.shape.map((_, axis) => axis)) as unknown as [0];
    return (y) => permute(y, axes);
  }),
  onAxis(
    (x, axis) => (y) =>
      axis + 1 < x.shape.length
        ? reshape(y, (y.shape as Shape).toSpliced(axis, 2, multiplyDim((y.shape as Shape)[axis]!, (y.shape as Shape)[axis + 1]!)) as ['n'])
        : unsqueeze(y, axis),
  ),
  onAxis((x, _axis, draw) => {
    const name = draw.pick(SYMBOLS);
    return (y, dim) => (lowRank(x) ? expand(y, [dim(name), ...y.shape] as unknown as ['n', 'n']) : neg(y));
  }),
  onAxis((_x, axis) => (x) => concat([x, neg(x), x], axis)),
  onAxis((_x, axis) => (x) => slice(concat([x, x], axis), axis, 1, (x.shape as Shape)[axis]! as 'n')),
  onAxis((_x, axis, draw) => {
    const before = draw.below(3),
      after = draw.below(3);
    return (x) => pad(x, axis, before, after, 0.5);
  }),
  onAxis((x, axis) => (y) => (lowRank(x) ? stackTensors([y, exp(neg(y))], axis) : exp(y))),
  onAxis((x, _axis, draw) => {
    const out = draw.pick(SYMBOLS),
      name = `w${x.id}${out}`;
    return (y, dim) => linear(y, input(name, [dim(out), y.shape[y.shape.length - 1]!] as ['n', 'n']));
  }),
  ({ draw }) => {
    const name = draw.pick(SYMBOLS);
    return (_pool, dim) => mul(cast(iota(dim(name) as 'n'), 'f32'), sizeOf(dim(name)));
  },
];

export interface SymbolicProgram {
  /** Over the symbols B, N and C. */
  readonly symbolic: Graph;
  readonly sizes: Sizes;
  /** The same program, written with the sizes. */
  readonly concrete: Graph;
}

const choose = (steps: readonly (readonly number[])[]): readonly Build[] => {
  const builds: Build[] = [],
    pool: Node[] = [];
  for (const numbers of steps) {
    const draw = drawFrom(numbers),
      build = STEPS[draw.below(STEPS.length)]!({ draw, pool });
    if (build === undefined) continue;
    builds.push(build);
    pool.push(build(pool, (name) => name));
  }
  return builds;
};
const replay = (builds: readonly Build[], dim: (name: string) => Dim): Graph => {
  const pool = builds.reduce<readonly Node[]>((made, build) => [...made, build(made, dim)], []);
  return makeGraph(Object.fromEntries(pool.slice(-3).map((node, i) => [`y${i}`, node])));
};

const first = [0, 0, 0, 0, 2]; // an input over all symbols, so that the other steps have something to work on
export const symbolicPrograms: fc.Arbitrary<SymbolicProgram> = fc
  .tuple(
    fc.array(choices(8), { minLength: 1, maxLength: 8, size: 'max' }),
    fc.record({ B: fc.integer({ min: 1, max: 3 }), N: fc.integer({ min: 1, max: 4 }), C: fc.integer({ min: 1, max: 5 }) }),
  )
  .map(([steps, sizes]) => {
    const builds = choose([first, ...steps]);
    return { sizes, symbolic: replay(builds, (name) => name), concrete: replay(builds, (name) => sizes[name as 'B']) };
  });
