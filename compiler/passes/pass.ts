/** A pass: a named function from graph to graph. Order lives in `pipeline.ts` alone. */
import type { Graph } from '../../dsl/graph/graph.ts';
import type { OpTable } from '../../dsl/ops/table.ts';

export interface PassContext {
  readonly table: OpTable;
  /** Storage buffers that one kernel may bind. */
  readonly maxBindings: number;
  /** Weights of at least this many elements become int8; none when left out. */
  readonly packFrom?: number;
  /** Whether kernels may stream: what asks to be computed again in a stream is kept instead where they may not. */
  readonly streams?: boolean;
  readonly log?: (entry: { readonly pass: string; readonly rule: string; readonly before: string; readonly after: string }) => void;
}

export interface Pass {
  readonly name: string;
  readonly run: (graph: Graph, context: PassContext) => Graph;
}
