/**
 * Ops of any number of operands become trees of at most as many as one kernel can bind, so that the fusion plan has places
 * to cut: `concat(a, b, c, d, e) = concat(concat(a, b, c), d, e)`.
 */
import { apply } from '../../dsl/graph/apply.ts';
import { mapGraph } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import { definitionOf } from '../../dsl/ops/table.ts';
import type { Pass } from './pass.ts';

const inGroups = (op: string, inputs: readonly Node[], attributes: Node['attributes'], most: number): Node => {
  if (inputs.length <= most || most < 2) return apply(op, inputs, attributes); // with less room the plan refuses it by the limit's name
  const groups = Array.from({ length: Math.ceil(inputs.length / most) }, (_, i) => inputs.slice(i * most, (i + 1) * most));
  return inGroups(op, groups.map((group) => (group.length === 1 ? group[0]! : apply(op, group, attributes))), attributes, most);
};

export const splitWide: Pass = {
  name: 'split wide ops',
  run: (graph, { table, maxBindings }) => mapGraph(graph, (node, inputs) =>
    definitionOf(node.op, table).traits.arity === 'any' && inputs.length > maxBindings - 1 ? inGroups(node.op, inputs, node.attributes, maxBindings - 1)
    : inputs.every((x, i) => x === node.inputs[i]) ? node : apply(node.op, inputs, node.attributes)),
};
