/**
 * One element of a stored tensor as a scalar expression of elements of other stored tensors: every node in between is
 * inlined by its op's lowering.
 */
import type { Node } from '../../dsl/graph/node.ts';
import type { Operand } from '../../dsl/ops/definition.ts';
import { definitionOf, type OpTable } from '../../dsl/ops/table.ts';
import { flatten, type Index, ofVariable, type Variable, variableSupply } from '../../dsl/scalar/index-expression.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';

export interface TensorExpression {
  /** One loop variable for each axis of the result. */
  readonly axes: readonly Variable[];
  readonly value: Scalar;
  /** Makes variables that do not collide with those of `value`. */
  readonly variable: (extent: number) => Variable;
}

const boundShape = (node: Node): readonly number[] => node.shape as readonly number[]; // sizes are bound before lowering

/** `tensorOf` numbers the tensors in memory; a node for which it is undefined is computed in place. */
export const tensorExpression = (root: Node, tensorOf: (node: Node) => number | undefined, table: OpTable): TensorExpression => {
  const variable = variableSupply();
  const memo = new Map<string, Scalar>();
  const operand = (node: Node): Operand => ({ shape: boundShape(node), dtype: node.dtype, at: (index) => elementOf(node, index) });
  const elementOf = (node: Node, index: readonly Index[]): Scalar => {
    const tensor = tensorOf(node);
    if (tensor !== undefined) return S.load(tensor, flatten(index, boundShape(node)), node.dtype);
    const key = `${node.id}[${index.map((part) => part.key).join(',')}]`;
    const known = memo.get(key);
    if (known !== undefined) return known;
    const value = lowered(node, index);
    memo.set(key, value);
    return value;
  };
  const lowered = (node: Node, index: readonly Index[]): Scalar => definitionOf(node.op, table).lower({
    operands: node.inputs.map(operand), result: { shape: boundShape(node), dtype: node.dtype }, attributes: node.attributes, index, variable,
  });
  const axes = boundShape(root).map((extent) => variable(extent));
  return { axes, value: lowered(root, axes.map(ofVariable)), variable };
};
