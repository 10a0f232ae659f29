/**
 * Training within a memory budget: which blocks of a model are computed again in the backward pass, as few as will do.
 *
 * Blocks are the numbered modules of the model, in the order in which they run. The first ones are chosen first: what they keep lies in
 * memory the longest. Every choice is planned, none is run.
 */
import * as E from 'fp-ts/Either';
import { withGradients } from '../../dsl/gradient/gradient-graph.ts';
import type { Regions } from '../../dsl/gradient/recompute.ts';
import { type Graph, nodesOf, type Sizes } from '../../dsl/graph/graph.ts';
import type { Node } from '../../dsl/graph/node.ts';
import type { Numbers } from '../../compiler/precision/policy.ts';
import type { Backend, BackendError, Estimate } from '../backend/backend.ts';
import type { FlatBuffer } from './flat.ts';

export interface MemoryPlan {
  /** What the backward pass computes again; left out where everything is kept. */
  readonly recompute?: Regions;
  /** Bytes of parameters, gradients, moments and averages, and of one step. */
  readonly bytes: { readonly state: number; readonly step: number };
  /** Whether both lie within the budget. */
  readonly fits: boolean;
  /** What was chosen and what it costs, in words. */
  readonly note: string;
}

/** `blocks.3` of `blocks.3.attn/softmax`: the outermost numbered module. */
const blockOf = ({ scope }: Node): string | undefined => /^(?:[^./]+\.)*?\d+(?=[./]|$)/.exec(scope)?.[0];

/** Blocks of a graph, in the order in which they begin. */
const blocksOf = (graph: Graph): readonly string[] => [...new Set(nodesOf(graph).flatMap((node) => blockOf(node) ?? []))];

const first = (blocks: readonly string[], count: number): Regions | undefined => {
  if (count === 0) return undefined;
  const chosen = new Set(blocks.slice(0, count));
  return (node) => {
    const block = blockOf(node);
    return block !== undefined && chosen.has(block) ? block : undefined;
  };
};

const GIB = 2 ** 30, MIB = 2 ** 20;
/** Bytes as people say them. */
export const showBytes = (bytes: number): string => (bytes >= GIB ? `${(bytes / GIB).toFixed(2)} GiB` : `${(bytes / MIB).toFixed(1)} MiB`);

export interface PlanRequest {
  /** Output `loss`, as the trainer will have it. */
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly layout: readonly FlatBuffer[];
  /** Flat buffers of the length of the parameters: these, gradients, moments, averages. */
  readonly copies: number;
  /** Bytes that parameters, moments and a step may take together. */
  readonly budget: number;
  /** How the step keeps its numbers, where that is not as f32. */
  readonly numbers?: Numbers;
}

/** The plan of a training step within a budget. Errors: as `Backend.load`; `limit` where the backend plans no memory. */
export const planStep = (backend: Backend, { graph, sizes, layout, copies, budget, numbers }: PlanRequest): E.Either<BackendError, MemoryPlan> => {
  const { estimate } = backend;
  if (estimate === undefined) return E.left({ kind: 'limit', message: `${backend.name} plans no memory, so no budget can be kept: leave it out` });
  const blocks = blocksOf(graph), state = layout.reduce((sum, { elements }) => sum + 4 * elements * copies, 0);
  const known = new Map<number, E.Either<BackendError, Estimate>>();
  const at = (count: number): E.Either<BackendError, Estimate> => {
    const regions = first(blocks, count), found = known.get(count)
      ?? estimate({ graph: withGradients(graph, 'loss', regions && { recompute: regions }), sizes, name: 'gradient', ...(numbers && { numbers }) });
    known.set(count, found);
    return found;
  };
  const whole = at(0);
  if (E.isLeft(whole)) return whole;
  const planned = (count: number, { bytes: step, flops }: Estimate): MemoryPlan => {
    const recompute = first(blocks, count), fits = state + step <= budget, kept = whole.right;
    const sums = `${showBytes(state)} of parameters and moments and ${showBytes(step)} a step`;
    const choice = count === 0 ? 'keeps everything' : `computes ${count} of ${blocks.length} blocks again: ${showBytes(step)} a step instead of ${showBytes(kept.bytes)}, ${((flops / kept.flops - 1) * 100).toFixed(0)} % more arithmetic`;
    const verdict = fits ? `within the budget of ${showBytes(budget)}` : `more than the budget of ${showBytes(budget)}; use smaller micro-batches and accumulate`;
    return { ...(recompute && { recompute }), bytes: { state, step }, fits, note: `memory: ${choice}; ${sums}, ${verdict}` };
  };
  if (state + whole.right.bytes <= budget || blocks.length === 0) return E.right(planned(0, whole.right));
  const most = at(blocks.length);
  if (E.isLeft(most)) return most;
  if (state + most.right.bytes > budget) return E.right(planned(blocks.length, most.right));
  let [low, high] = [0, blocks.length]; // too large, fits
  while (high - low > 1) {
    const middle = (low + high) >> 1, found = at(middle);
    if (E.isLeft(found)) return found;
    if (state + found.right.bytes <= budget) high = middle;
    else low = middle;
  }
  return E.map((found: Estimate) => planned(high, found))(at(high));
};

