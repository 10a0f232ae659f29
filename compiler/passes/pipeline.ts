/** The only place where the order of graph passes lives. */
import { type Graph } from '../../dsl/graph/graph.ts';
import { printGraph } from '../../dsl/graph/print.ts';
import { verify } from '../../dsl/graph/verify.ts';
import { algebra } from './algebra.ts';
import { quantiseWeights } from '../precision/quantise.ts';
import { foldConstants } from './fold-constants.ts';
import type { Pass, PassContext } from './pass.ts';
import { splitWide } from './split-wide.ts';

/**
 * Common subexpressions need no pass: nodes are hash-consed, and `algebra` puts commutative operands in one order, so equal
 * parts are one node after every pass.
 */
export const PASSES: readonly Pass[] = [
  { name: 'quantise weights', run: (graph, { packFrom }) => (packFrom === undefined ? graph : quantiseWeights(graph, packFrom)) }, // first: a weight is read by einsums alone here
  algebra, // drops taps, so that folding sees through them
  foldConstants,
  { ...algebra, name: 'algebra after folding' }, // folding makes zeros and ones
  splitWide, // last: algebra would see through nothing here, and folding would undo it
];

export interface Stage {
  readonly name: string;
  readonly graph: Graph;
  /** The time that the pass took, its verification not counted. */
  readonly milliseconds: number;
}

const after = (pass: Pass, graph: Graph, context: PassContext): Stage => {
  const start = performance.now(), changed = pass.run(graph, context), milliseconds = performance.now() - start;
  return { name: pass.name, graph: changed, milliseconds };
};

/** The last graph is verified; only if it is wrong are those before it, to name the pass that broke it. */
const refuseFaults = (stages: readonly Stage[], { table }: PassContext): void => {
  if (verify(stages[stages.length - 1]!.graph, table).length === 0) return;
  for (const { name, graph } of stages) {
    const [problem] = verify(graph, table);
    if (problem !== undefined) throw new Error(`invariant: after pass '${name}': ${problem}`);
  }
};

/** The graph before the first pass and after each. Throws where a pass made a graph that no longer holds together. */
export const runPasses = (graph: Graph, context: PassContext, passes: readonly Pass[] = PASSES): readonly Stage[] => {
  const stages: Stage[] = [{ name: 'input', graph, milliseconds: 0 }];
  for (const pass of passes) stages.push(after(pass, stages[stages.length - 1]!.graph, context));
  refuseFaults(stages, context);
  return stages;
};

export const printStages = (stages: readonly Stage[]): string => stages.map(({ name, graph }) => `== ${name} ==\n${printGraph(graph)}`).join('\n');
