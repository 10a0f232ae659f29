/**
 * The expression of a stored tensor with its inputs numbered in the order in which the graph is walked, so that equal computations have
 * equal expressions, whatever their weights are called.
 *
 * A model repeats its blocks, and is compiled again with each of its sizes: what a kernel computes is described by a text (`signature`), and
 * expressions are kept by it, for each op table.
 */
import type { Node } from '../../dsl/graph/node.ts';
import { attributesKey } from '../../dsl/graph/node.ts';
import type { OpTable } from '../../dsl/ops/table.ts';
import { variableSupply } from '../../dsl/scalar/index-expression.ts';
import { tensorExpression, type TensorExpression } from './tensor-expression.ts';

export interface Local {
  readonly expression: TensorExpression;
  /** The tensors that it reads: number i of the expression is `reads[i]`. */
  readonly reads: readonly Node[];
  /** Equal texts mean equal computations. */
  readonly signature: string;
}

interface Walk {
  readonly signature: string;
  readonly reads: readonly Node[];
}

/** Describes what is computed from stored tensors on the way to `root`. */
const walk = (root: Node, isTensor: (node: Node) => boolean): Walk => {
  const reads = new Map<Node, number>(), inside = new Map<Node, number>();
  const lines: string[] = [];
  const visit = (node: Node): string => {
    if (node !== root && isTensor(node)) {
      if (!reads.has(node)) reads.set(node, reads.size);
      return `t${reads.get(node)!}:${node.dtype}[${node.shape.join()}]`;
    }
    const known = inside.get(node);
    if (known !== undefined) return `n${known}`;
    const operands = node.inputs.map(visit);
    lines.push(`${node.op}${attributesKey(node)}(${operands.join()})${node.dtype}[${node.shape.join()}]`);
    inside.set(node, inside.size);
    return `n${inside.size - 1}`;
  };
  visit(root);
  return { signature: lines.join(';'), reads: [...reads.keys()] };
};

/** As many expressions are kept for an op table; then all are forgotten. */
const MOST_KEPT = 4096;
interface Kept { readonly expression: TensorExpression; readonly variables: number }
const kept = new WeakMap<OpTable, Map<string, Kept>>();

export const localExpression = (root: Node, isTensor: (node: Node) => boolean, table: OpTable): Local => {
  const { signature, reads } = walk(root, isTensor);
  const known = kept.get(table) ?? new Map<string, Kept>();
  kept.set(table, known);
  const found = known.get(signature) ?? ((): Kept => {
    const numbers = new Map(reads.map((node, i) => [node, i]));
    const expression = tensorExpression(root, (node) => (node === root ? undefined : numbers.get(node)), table);
    return { expression, variables: expression.variable(1).id };
  })();
  if (known.size >= MOST_KEPT) known.clear();
  known.set(signature, found);
  // every user counts its variables from the same number on: what is made of an expression does not depend on who used it before
  return { expression: { ...found.expression, variable: variableSupply(found.variables) }, reads, signature };
};
