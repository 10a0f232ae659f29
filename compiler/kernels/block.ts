/**
 * Turning scalar expressions into statements.
 *
 * `placer` keeps a stack of open blocks. Each subexpression goes to the outermost block in which all its variables are known, so
 * loop-invariant work and reductions leave the loops by themselves; what is used twice, or moved out of a loop, gets a name.
 */
import { type Index, substituteIndex, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { Statement } from '../../dsl/scalar/loop.ts';
import { freeVariables, localId, operandsOf, subexpressions, withOperands } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';

export interface Block {
  readonly statements: Statement[];
  /** Variables and locals (see `localId`) declared in this block itself. */
  readonly bound: Set<number>;
  readonly parent: Block | undefined;
  readonly isLoop: boolean;
  /** Expressions that have a name here. */
  readonly named: Map<string, Scalar>;
}

const NOTHING: ReadonlyMap<number, Index> = new Map();

const openBlock = (parent: Block | undefined, isLoop: boolean, bound: Iterable<number> = []): Block =>
  ({ statements: [], bound: new Set(bound), parent, isLoop, named: new Map() });

const bindsAll = (block: Block | undefined, ids: ReadonlySet<number>): boolean => {
  for (const id of ids) {
    let at = block;
    while (at !== undefined && !at.bound.has(id)) at = at.parent;
    if (at === undefined) return false;
  }
  return true;
};

/** The outermost block, loops only crossed outwards, in which an expression over `ids` can live. */
const homeOf = (block: Block, ids: ReadonlySet<number>): Block => {
  let home = block, at: Block = block;
  while (at.parent !== undefined && bindsAll(at.parent, ids)) {
    if (at.isLoop) home = at.parent;
    at = at.parent;
  }
  return home;
};

const isTrivial = (e: Scalar): boolean => e.kind === 'constant' || e.kind === 'local' || (e.kind === 'splat' && isTrivial(e.a))
  || (e.kind === 'lane' && isTrivial(e.a)) || (e.kind === 'index' && e.index.terms.length <= 1 && e.index.terms.every((t) => t.atom.kind === 'variable'));

export interface Placer {
  readonly root: Block;
  /** A new local number. */
  readonly local: () => number;
  readonly open: (parent: Block, isLoop: boolean, bound?: Iterable<number>) => Block;
  /** The value of an expression inside `block`; may add statements to it and to blocks around it. */
  readonly place: (e: Scalar, block: Block) => Scalar;
  readonly placeIndex: (index: Index, block: Block) => Index;
  readonly declare: (block: Block, value: Scalar) => Scalar;
  readonly push: (block: Block, statement: Statement) => void;
  /** Counts uses of all subexpressions of `roots`, before they are placed. */
  readonly expect: (roots: readonly Scalar[]) => void;
}

/** How a reduction is run: given its accumulator and loops, fills in the block. Schedules may replace the sequential one. */
export type ReduceSchedule = (placer: Placer, e: S.ScalarKind<'reduce'>, block: Block) => Scalar;

/** One thread runs the whole reduction. */
export const sequentialReduce: ReduceSchedule = (placer, e, block) => {
  const accumulator = placer.declare(block, S.constant(S.identityOf(e.monoid, e.type), e.type));
  accumulate(placer, e, block, e.over, accumulator);
  return accumulator;
};

const combineWith = (monoid: S.Monoid): ((a: Scalar, b: Scalar) => Scalar) => (monoid === 'sum' ? S.binary.bind(undefined, 'add') : S.max);

export const accumulate = (placer: Placer, e: S.ScalarKind<'reduce'>, block: Block, loops: readonly Variable[], accumulator: Scalar): void => {
  const [first, ...rest] = loops;
  if (first === undefined) {
    const value = placer.place(e.body, block);
    placer.push(block, { kind: 'assign', local: (accumulator as S.ScalarKind<'local'>).local, value: combineWith(e.monoid)(accumulator, value) });
    return;
  }
  const body = placer.open(block, true, [first.id]);
  accumulate(placer, e, body, rest, accumulator);
  placer.push(block, { kind: 'for', variable: first, body: body.statements });
};

export const placer = (bound: Iterable<number>, reduce: ReduceSchedule = sequentialReduce): Placer => {
  let nextLocal = 0;
  const uses = new Map<string, number>();
  const root = openBlock(undefined, false, bound);

  const placeIndex = (index: Index, block: Block): Index => substituteIndex(index, NOTHING, (e) => self.place(e, block));

  const rebuilt = (e: Scalar, home: Block): Scalar => {
    if (e.kind === 'reduce') return reduce(self, e, home);
    if (e.kind === 'load') return S.load(e.tensor, placeIndex(e.index, home), e.stored, e.lanes);
    if (e.kind === 'index') return S.fromIndex(placeIndex(e.index, home), e.type);
    if (e.kind === 'element') return S.element(e.array, placeIndex(e.index, home), e.after);
    return withOperands(e, operandsOf(e).map((operand) => self.place(operand, home)));
  };
  const findNamed = (block: Block, key: string): Scalar | undefined => {
    for (let at: Block | undefined = block; at !== undefined; at = at.parent) {
      const found = at.named.get(key);
      if (found !== undefined) return found;
    }
    return undefined;
  };

  const self: Placer = {
    root,
    local: () => nextLocal++,
    open: (parent, isLoop, ids = []) => openBlock(parent, isLoop, ids),
    push: (block, statement) => { block.statements.push(statement); },
    expect: (roots) => {
      for (const e of roots) uses.set(e.key, (uses.get(e.key) ?? 0) + 1);
      const seen = new Set<string>();
      for (const e of roots.flatMap(subexpressions)) {
        if (seen.has(e.key)) continue;
        seen.add(e.key);
        for (const operand of usedBy(e)) uses.set(operand.key, (uses.get(operand.key) ?? 0) + 1);
      }
    },
    declare: (block, value) => {
      const local = nextLocal++;
      block.statements.push({ kind: 'var', local, value });
      block.bound.add(localId(local));
      return S.local(local, value.type, value.lanes);
    },
    placeIndex,
    place: (e, block) => {
      if (isTrivial(e)) return e;
      const home = homeOf(block, freeVariables(e));
      const named = findNamed(home === block ? block : home, e.key);
      if (named !== undefined) return named;
      const value = rebuilt(e, home);
      if (value.kind === 'local') { home.named.set(e.key, value); return value; }
      if (isTrivial(value) || ((uses.get(e.key) ?? 0) <= 1 && home === block)) return value;
      const local = nextLocal++;
      home.statements.push({ kind: 'let', local, value });
      const name = S.local(local, value.type, value.lanes);
      home.bound.add(localId(local));
      home.named.set(e.key, name);
      return name;
    },
  };
  return self;
};

const valuesIn = (index: Index): readonly Scalar[] => index.terms.flatMap(({ atom }) =>
  atom.kind === 'value' ? [atom.of] : atom.kind === 'variable' ? [] : valuesIn(atom.of));
const usedBy = (e: Scalar): readonly Scalar[] =>
  e.kind === 'load' || e.kind === 'index' || e.kind === 'element' ? valuesIn(e.index) : operandsOf(e);

/** Places an expression that is new. */
export const placed = (p: Placer, e: Scalar, block: Block): Scalar => {
  p.expect([e]);
  return p.place(e, block);
};

/** Gives an accumulator another value. */
export const assign = (p: Placer, block: Block, local: Scalar, value: Scalar): void =>
  p.push(block, { kind: 'assign', local: (local as S.ScalarKind<'local'>).local, value }); // accumulators are declared: locals

/** The sum of a vector's lanes. */
export const lanesSum = (e: Scalar): Scalar => (e.lanes === 1 ? e : S.dot(e, S.splat(S.constant(1, 'f32'), e.lanes)));

/** Gives a value a name. */
export const named = (p: Placer, block: Block, value: Scalar): Scalar => {
  if (value.kind === 'local' || value.kind === 'constant') return value;
  const local = p.local();
  p.push(block, { kind: 'let', local, value });
  block.bound.add(localId(local));
  return S.local(local, value.type, value.lanes);
};
