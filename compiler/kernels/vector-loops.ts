/** Loops and places of vectors of four lanes, for the schedules of processors. */
import { type Index, plusConstant, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { Block, Placer } from './block.ts';

/** Lanes of a vector: SIMD128 has four of 32 bits. */
export const LANES = 4;
/** The places of a vector's lanes, side by side from `start`. */
export const fourFrom = (start: Index): readonly Index[] => Array.from({ length: LANES }, (_, i) => plusConstant(start, i));

/** `body` for each round of a new loop. */
export const loop = (p: Placer, block: Block, variable: Variable, body: (inner: Block) => void): void => {
  if (variable.extent === 0) return;
  const inner = p.open(block, true, [variable.id]);
  body(inner);
  p.push(block, { kind: 'for', variable, body: inner.statements });
};

/** `body` for each round of loops, one inside the other. */
export const nested = (p: Placer, block: Block, variables: readonly Variable[], body: (inner: Block) => void): void => {
  const [first, ...rest] = variables;
  if (first === undefined) body(block);
  else loop(p, block, first, (inner) => nested(p, inner, rest, body));
};
