/**
 * Canonical form and algebra. Each rule is an equation from left to right; one bottom-up walk tries the rules of a node's op
 * until none fits. All of them are exact in floating point, so the result keeps its error bound.
 */
import { apply } from '../../dsl/graph/apply.ts';
import { asksForStream } from '../../dsl/gradient/recompute.ts';
import { mapGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { printNodes } from '../../dsl/graph/print.ts';
import { definitionOf } from '../../dsl/ops/table.ts';
import type { Pass, PassContext } from './pass.ts';

interface Rule {
  /** The equation, for the log. */
  readonly name: string;
  readonly rewrite: (node: Node) => Node | undefined;
}

const same = (a: readonly unknown[], b: readonly unknown[]): boolean => a.length === b.length && a.every((x, i) => x === b[i]);
const input = (node: Node, i = 0): Node => node.inputs[i]!;
const numbers = (node: Node, name: string): readonly number[] => node.attributes[name] as readonly number[]; // the verifier checked them

/** The number that all elements of a tensor are, if it is a broadcast constant. */
export const uniformValue = (node: Node): number | undefined =>
  node.op === 'constant' ? (node.attributes['value'] as number)
  : node.op === 'expand' || node.op === 'reshape' || node.op === 'permute' ? uniformValue(input(node)) : undefined;

const identityWith = (value: number, side: 'left' | 'right') => (node: Node): Node | undefined =>
  uniformValue(input(node, side === 'left' ? 0 : 1)) === value ? input(node, side === 'left' ? 1 : 0) : undefined;
const whenSameShape = (node: Node): Node | undefined => (same(node.shape, input(node).shape) ? input(node) : undefined);

const RULES: Readonly<Record<string, readonly Rule[]>> = {
  tap: [{ name: 'tap(x) = x', rewrite: (node) => input(node) }],
  stopGradient: [{ name: 'stopGradient(x) = x', rewrite: (node) => input(node) }],
  add: [{ name: 'x + 0 = x', rewrite: identityWith(0, 'right') }, { name: '0 + x = x', rewrite: identityWith(0, 'left') }],
  sub: [{ name: 'x - 0 = x', rewrite: identityWith(0, 'right') }],
  mul: [{ name: 'x · 1 = x', rewrite: identityWith(1, 'right') }, { name: '1 · x = x', rewrite: identityWith(1, 'left') }],
  div: [{ name: 'x / 1 = x', rewrite: identityWith(1, 'right') }],
  neg: [{ name: '-(-x) = x', rewrite: (node) => (input(node).op === 'neg' ? input(input(node)) : undefined) }],
  not: [{ name: 'not not x = x', rewrite: (node) => (input(node).op === 'not' ? input(input(node)) : undefined) }],
  cast: [{ name: 'cast(x) = x of the same dtype', rewrite: (node) => (node.dtype === input(node).dtype ? input(node) : undefined) }],
  max: [{ name: 'max(x, x) = x', rewrite: (node) => (input(node) === input(node, 1) ? input(node) : undefined) }],
  min: [{ name: 'min(x, x) = x', rewrite: (node) => (input(node) === input(node, 1) ? input(node) : undefined) }],
  select: [{ name: 'select(c, x, x) = x', rewrite: (node) => (input(node, 1) === input(node, 2) ? input(node, 1) : undefined) }],
  reshape: [
    { name: 'reshape(x) = x of the same shape', rewrite: whenSameShape },
    {
      name: 'reshape(reshape(x)) = reshape(x)',
      rewrite: (node) => (input(node).op === 'reshape' ? apply('reshape', [input(input(node))], node.attributes) : undefined),
    },
  ],
  expand: [
    { name: 'expand(x) = x of the same shape', rewrite: whenSameShape },
    { name: 'expand(expand(x)) = expand(x)', rewrite: (node) => (input(node).op === 'expand' ? apply('expand', [input(input(node))], node.attributes) : undefined) },
  ],
  permute: [
    { name: 'permute(x) = x in the same order', rewrite: (node) => (numbers(node, 'axes').every((axis, i) => axis === i) ? input(node) : undefined) },
    {
      name: 'permute(permute(x)) = permute(x)',
      rewrite: (node) => {
        if (input(node).op !== 'permute') return undefined;
        const inner = numbers(input(node), 'axes');
        return apply('permute', [input(input(node))], { axes: numbers(node, 'axes').map((axis) => inner[axis]!) });
      },
    },
  ],
  slice: [{
    name: 'slice(x) = x when it takes all',
    rewrite: (node) => (same(node.shape, input(node).shape) && numbers(node, 'steps').every((step) => step === 1) ? input(node) : undefined),
  }],
  pad: [{ name: 'pad(x) by nothing = x', rewrite: whenSameShape }],
  concat: [{ name: 'concat of one = x', rewrite: (node) => (node.inputs.length === 1 ? input(node) : undefined) }],
  sum: [{
    name: 'sum over axes of size 1 = reshape',
    rewrite: (node) => (numbers(node, 'axes').every((axis) => input(node).shape[axis] === 1) ? apply('reshape', [input(node)], { shape: node.shape }) : undefined),
  }],
};

/** Operands of a commutative op in one order, constants last: the same sum written twice becomes one node. */
const ordered = (node: Node, context: PassContext): Node => {
  if (!definitionOf(node.op, context.table).traits.commutative) return node;
  const [a, b] = node.inputs as readonly [Node, Node];
  const rank = (x: Node): number => (uniformValue(x) === undefined ? x.id : Infinity);
  return rank(a) <= rank(b) ? node : apply(node.op, [b, a], node.attributes);
};

const simplify = (node: Node, context: PassContext): Node => {
  let current = node;
  for (let fuel = 100; fuel > 0; fuel--) {
    let next: Node | undefined;
    for (const rule of RULES[current.op] ?? []) {
      next = rule.rewrite(current);
      if (next !== undefined) {
        context.log?.({ pass: 'algebra', rule: rule.name, before: printNodes([...current.inputs, current]), after: printNodes([next]) });
        break;
      }
    }
    if (next === undefined) return ordered(current, context);
    current = next;
  }
  throw new Error(`invariant: the algebra rules do not end on ${node.op}`);
};

export const algebra: Pass = {
  name: 'algebra',
  run: (graph, context) => mapGraph(graph, (node, inputs) => {
    const rebuilt = inputs.every((x, i) => x === node.inputs[i]) ? node : apply(node.op, inputs, node.attributes);
    return context.streams !== true && asksForStream(rebuilt) ? input(rebuilt) : simplify(rebuilt, context);
  }),
};
