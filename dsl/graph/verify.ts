/** The verifier: what must hold of every graph, between any two passes. Its findings are our bugs, not the user's. */
import { definitionOf, isOpName, type OpTable, OPS } from '../ops/table.ts';
import { type Graph, inputName, nodesOf } from './graph.ts';
import type { Node } from './node.ts';
import { printNodes, showType } from './print.ts';

const checkNode = (node: Node, table: OpTable): string | undefined => {
  if (!isOpName(node.op)) return `there is no op '${node.op}'`;
  const { infer, traits } = definitionOf(node.op, table);
  if (traits.arity !== 'any' && node.inputs.length !== traits.arity) return `${node.op} takes ${traits.arity} operands, has ${node.inputs.length}`;
  const type = infer(node.inputs, node.attributes);
  if (typeof type === 'string') return type;
  const same = type.dtype === node.dtype && type.shape.join() === node.shape.join();
  return same ? undefined : `${node.op} is ${showType(node)} but its rule says ${showType(type)}`;
};

const duplicates = (names: readonly string[]): readonly string[] => [...new Set(names.filter((name, i) => names.indexOf(name) !== i))];

/** Nodes that were found right before: they are immutable, so they stay right. */
const rightNodes = new WeakMap<OpTable, WeakSet<Node>>();

/** Messages, each with the graph around the fault; empty when all is well. */
export const verify = (graph: Graph, table: OpTable = OPS): readonly string[] => {
  const problems: string[] = [];
  const right = rightNodes.get(table) ?? new WeakSet<Node>();
  rightNodes.set(table, right);
  for (const node of nodesOf(graph)) {
    if (right.has(node)) continue;
    const problem = checkNode(node, table);
    if (problem === undefined) right.add(node);
    else problems.push(`${problem}\n${printNodes([...node.inputs, node])}`);
  }
  for (const name of duplicates([...graph.inputs, ...graph.parameters].map(inputName))) problems.push(`two inputs or parameters are named '${name}'`);
  for (const name of duplicates(graph.outputs.map((output) => output.name))) problems.push(`two outputs are named '${name}'`);
  return problems;
};
