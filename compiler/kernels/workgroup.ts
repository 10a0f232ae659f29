/** Threads of a workgroup that work together: sharing out items, and reading what all have written. */
import { clampIndex, type Index, ofScalar, ofVariable, plus, times, type Variable } from '../../dsl/scalar/index-expression.ts';
import { localId } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import { type Block, named, placed, type Placer } from './block.ts';

export interface Team {
  readonly p: Placer;
  /** A thread's number in its workgroup. */
  readonly lane: Variable;
  readonly variable: (extent: number) => Variable;
}

/** Gives an index a name, so that what is made of it stays short; `below` is a bound that its reader knows of. */
export const namedIndex = (p: Placer, block: Block, index: Index, below = Infinity): Index =>
  index.terms.length === 0 ? index : ofScalar(named(p, block, S.fromIndex(p.placeIndex(index, block), 'i32')), index.min, Math.min(index.max, below - 1));

/** The threads take every `lane.extent`-th of `count` items. */
export const together = ({ p, lane, variable }: Team, block: Block, count: number, act: (block: Block, item: Index) => void): void => {
  const step = variable(Math.ceil(count / lane.extent));
  const item = plus(times(ofVariable(step), lane.extent), ofVariable(lane)), exists = S.indexBelow(item, count);
  const loop = step.extent === 1 ? block : p.open(block, true, [step.id]); // a loop of one round is none
  const body = exists.kind === 'constant' ? loop : p.open(loop, false);
  act(body, clampIndex(item, 0, count - 1));
  if (body !== loop) p.push(loop, { kind: 'if', condition: placed(p, exists, loop), body: body.statements });
  if (loop !== block) p.push(block, { kind: 'for', variable: step, body: loop.statements });
};

/** A local that exists only from here on: what is read behind it cannot move before it. */
export const mark = (p: Placer, block: Block): number => {
  const local = p.local();
  block.bound.add(localId(local));
  return local;
};

/** A barrier, and a mark behind it. */
export const meet = (p: Placer, block: Block): number => {
  p.push(block, { kind: 'barrier' });
  return mark(p, block);
};
