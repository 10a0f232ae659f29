/**
 * The two graphs of a sampling run: what does not depend on the image, computed for many times at once, and a step.
 *
 * The times of all network calls are known before the run. What depends on time and class only (the compiler finds it) has a row for each
 * row of the network's batch, and rows do not see each other; so a batch of `times` x `rows` gives the values of many steps, and reads
 * the weights behind them once. A run goes through its times in slices, so that the kept values stay within a bound.
 *
 * Invariant: a kept tensor's leading axis is the batch; the values of one time are neighbours in memory.
 */
import { separate } from '../../compiler/separate.ts';
import { bindSizes, type Graph, inputName, type Sizes } from '../../dsl/graph/graph.ts';
import { byteSize } from '../../dsl/dtype.ts';
import { networkTimes, type SamplerPlan, type StepKind, stepKindOf } from '../../models/sampling/plan.ts';
import { stepGraph } from '../../models/sampling/step-graph.ts';

/** A value that steps read: `[rows, ...]` for each time. */
export interface KeptValue {
  readonly name: string;
  readonly shape: readonly number[];
}

/** What is computed for a slice of the run's times. */
export interface Ahead {
  /** Inputs `t` and `y` (those that matter), one for each row of each time; outputs are the kept values. */
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly values: readonly KeptValue[];
  /** Times of a slice; the last one may be filled up. */
  readonly times: number;
}

export interface RunGraphs {
  readonly plan: SamplerPlan;
  /** Rows of the network's batch: twice the images where guidance needs both halves. */
  readonly rows: number;
  /** All times of the run, each once. */
  readonly times: readonly number[];
  /** Undefined where nothing is worth keeping. */
  readonly ahead: Ahead | undefined;
  /** See `stepGraph`; sizes are bound. */
  readonly step: Graph;
  readonly kind: StepKind;
}

/**
 * Bytes of kept values at once. XL at batch 1 with guidance has 4 times in them: each slice reads the weights before the steps once more (0.8 GB),
 * and what a run has in memory beside its weights stays below 150 MB.
 */
const SLICE_BYTES = 6 * 2 ** 20;

/** Whether any step needs the unconditional velocity. */
export const isGuided = (plan: SamplerPlan): boolean =>
  plan.instructions.some((instruction) => instruction.kind === 'evaluate' && instruction.guidance !== 1);

/** Slices of nearly the same size, each of at most `most`. */
const evenSlice = (count: number, most: number): number => Math.ceil(count / Math.ceil(count / most));

const aheadOf = (once: Graph, sizes: Sizes, rows: number, count: number): Ahead | undefined => {
  if (once.outputs.length === 0) return undefined;
  const { outputs } = bindSizes(once, sizes);
  const values = outputs.map(({ name, node }) => ({ name, shape: node.shape as readonly number[] })); // sizes are bound
  const bytes = outputs.reduce((sum, { node }, i) => sum + byteSize(node.dtype) * values[i]!.shape.reduce((a, b) => a * b, 1), 0);
  const times = evenSlice(count, Math.max(1, Math.floor(SLICE_BYTES / bytes)));
  return { graph: once, sizes: { ...sizes, B: times * rows }, values, times };
};

/**
 * The graphs of a plan's run with a network of inputs `x`, `t`, `y` and one output, written over the batch `B`; `sizes` are those of the
 * network's batch. Rows of its batch must not see each other.
 */
export const runGraphs = (network: Graph, sizes: Sizes, plan: SamplerPlan): RunGraphs => {
  const { once, each } = separate(network, { changing: ['x'], sizes, mayKeep: ({ shape }) => shape[0] === 'B' });
  const times = [...new Set(networkTimes(plan))], kind = stepKindOf(plan), rows = sizes['B']!; // the network's batch
  const step = stepGraph(bindSizes(each, sizes), isGuided(plan) ? plan.guidance : undefined, kind);
  return { plan, rows, times, kind, ahead: aheadOf(once, sizes, rows, times.length), step };
};

/** Whether a graph reads an input of that name. */
export const reads = (graph: Graph, name: string): boolean => graph.inputs.some((node) => inputName(node) === name);
