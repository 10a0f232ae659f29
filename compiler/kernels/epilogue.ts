/**
 * The end of a matmul: what the expression has around its sums, and the stores. All matmul schedules keep sums in registers and end here.
 */
import { type Index, integer, substituteIndex, type Variable } from '../../dsl/scalar/index-expression.ts';
import { rewriteScalar, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import { type Block, placed, type Placer } from './block.ts';
import { distance, widen } from './widen.ts';

/** An id that no variable or local has. */
export const NO_VARIABLE = -1e9;

/** Whether columns lie side by side at an index of the result: a piece of a kernel may have columns that do not. */
export const areNeighbours = (index: Index, column: Variable): boolean => {
  const [first, second] = [0, 1].map((position) => substituteIndex(index, new Map([[column.id, integer(position)]]), (e) => e));
  return distance(first!, second!) === 1;
};

/** Adds to an accumulator. */
export const addTo = (p: Placer, block: Block, accumulator: Scalar, value: Scalar): void =>
  p.push(block, { kind: 'assign', local: (accumulator as S.ScalarKind<'local'>).local, value: S.binary('add', accumulator, value) }); // accumulators are declared: locals

/** An expression with locals in the places of its sums. */
export interface Around {
  readonly value: Scalar;
  /** The local of each sum, in order. */
  readonly sums: readonly number[];
}
export const aroundSums = (p: Placer, value: Scalar, sums: readonly Scalar[]): Around => {
  const locals = sums.map(() => p.local()), byKey = new Map(sums.map(({ key }, i) => [key, locals[i]!]));
  return { value: rewriteScalar(value, (e, rebuilt) => (byKey.has(e.key) ? S.local(byKey.get(e.key)!, e.type) : rebuilt)), sums: locals };
};

/** What a matmul's results are and where they go. */
export interface Epilogue {
  readonly row: Variable | undefined;
  readonly column: Variable | undefined;
  readonly batchAt: ReadonlyMap<number, Index>;
  readonly around: Around;
  readonly tensor: number;
  /** Where the element of a row, a column and a batch lies. */
  readonly index: Index;
}
/** Neighbouring elements of one row, computed and stored at once. */
export interface Part {
  readonly rowAt: Index;
  readonly columnAt: readonly Index[];
  /** Whether they exist. */
  readonly inside: Scalar;
  /** The sums, and values for other locals of the expression; each is as wide as `columnAt`. */
  readonly sums: readonly Scalar[];
  readonly others?: ReadonlyMap<number, Scalar>;
}

export const storePart = (p: Placer, { row, column, batchAt, around, tensor, index }: Epilogue, { rowAt, columnAt, inside, sums, others = new Map() }: Part): void => {
  if (inside.kind === 'constant' && inside.value === 0) return;
  const target = inside.kind === 'constant' ? p.root : p.open(p.root, false);
  const here = new Map([...batchAt, ...(row === undefined ? [] : [[row.id, rowAt] as const])]);
  const locals = new Map([...others, ...sums.map((sum, term) => [around.sums[term]!, sum] as const)]);
  const value = placed(p, widen(substitute(around.value, here), column?.id ?? NO_VARIABLE, columnAt, locals), target);
  const first = new Map([...here, ...(column === undefined ? [] : [[column.id, columnAt[0]!] as const])]);
  p.push(target, { kind: 'store', tensor, index: substituteIndex(index, first, (e) => e), value });
  if (target !== p.root) p.push(p.root, { kind: 'if', condition: inside, body: target.statements });
};
