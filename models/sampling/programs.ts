/**
 * The arithmetic of a sampler's step in the language, so that it runs where the network runs: the guided velocity, and the
 * weighted sum that every step is.
 */
import { makeGraph, type Graph } from '../../dsl/graph/graph.ts';
import { add, chunk, index, input, iota, lt, mul, reshape, select, sub, type T } from '../../dsl/index.ts';
import type { GuidanceName } from './plan.ts';

/** Velocities of a doubled batch, the unconditional half first; n pixels in each channel. */
type Both = T<['2*B', 'C', 'n']>;
type Half = T<['B', 'C', 'n']>;

/** u + g (c - u). */
export const guide = (both: Both, scale: T<[]>): Half => {
  const [unconditional, conditional] = chunk(both, 2, 0);
  return add(unconditional, mul(sub(conditional, unconditional), scale));
};

/** Guides the first three channels; the others are the conditional ones. */
export const guideThreeChannels = (both: Both, scale: T<[]>): Half => {
  const [, conditional] = chunk(both, 2, 0);
  const isGuided = lt(reshape(iota('C'), ['C', 1]), 3);
  return select(isGuided, guide(both, scale), conditional);
};

const GUIDANCE = { simple: guide, c3: guideThreeChannels } as const satisfies Record<GuidanceName, typeof guide>;

/** Inputs `both` [2*B, C, n] and `scale` []; output `v` [B, C, n]. */
export const guidanceGraph = (name: GuidanceName): Graph => {
  const both = input('both', ['2*B', 'C', 'n']);
  const scale = input('scale', []);
  return makeGraph({ v: GUIDANCE[name](both, scale) }, [both, scale]);
};

/** Inputs `x0`, `x1`, ... [n] and `coefficients` [count]; output `x`, their weighted sum: the step of every sampler, noise being one of the terms. */
export const combineGraph = (count: number): Graph => {
  const coefficients = input('coefficients', ['k']);
  const tensors = Array.from({ length: count }, (_, i) => input(`x${i}`, ['n']));
  const [first, ...rest] = tensors.map((tensor, i): T<['n']> => mul(tensor, index(coefficients, 0, i)));
  return makeGraph({ x: rest.reduce((sum, term) => add(sum, term), first!) }, [...tensors, coefficients]);
};
