/**
 * Which keys the rows of a tile can see, read off the masks of a score: `select(key <= row, s, far)` and what is like it.
 *
 * Tiles outside contribute nothing, because their scores are far below every other one; so they are skipped where every row provably
 * sees some key. (A row that sees none has the mean of all values, and must see all tiles.)
 */
import { clampIndex, type Index, integer, ofVariable, plus, plusConstant, quotient, substituteIndex, times } from '../../dsl/scalar/index-expression.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import type { Stream } from './stream-pattern.ts';

/** Scores from here down count as masked. */
const FAR = -1e4;

/** A whole number that is linear in loop variables; undefined where it is not. */
const linear = (e: Scalar): Index | undefined => {
  if (e.type !== 'i32') return undefined;
  if (e.kind === 'index') return e.index;
  if (e.kind === 'constant') return integer(e.value);
  if (e.kind === 'unary' && e.op === 'neg') { const a = linear(e.a); return a && times(a, -1); }
  if (e.kind !== 'binary' || (e.op !== 'add' && e.op !== 'sub')) return undefined;
  const a = linear(e.a), b = linear(e.b);
  return a && b && plus(a, times(b, e.op === 'add' ? 1 : -1));
};

/** Differences that are at least 0 wherever the condition holds; parts that are not understood are left out. */
const differences = (condition: Scalar): readonly Index[] => {
  if (condition.kind !== 'binary') return [];
  const { op } = condition;
  if (op === 'and') return [...differences(condition.a), ...differences(condition.b)];
  if (op !== 'le' && op !== 'lt') return [];
  const a = linear(condition.a), b = linear(condition.b);
  return a === undefined || b === undefined ? [] : [plusConstant(plus(b, times(a, -1)), op === 'lt' ? -1 : 0)];
};
const conditionsOf = (score: Scalar): readonly Index[] => {
  if (score.kind !== 'select' || score.b.kind !== 'constant' || score.b.value > FAR) return [];
  return [...differences(score.condition), ...conditionsOf(score.a)];
};

/** The tile of rows for which the range is wanted. */
export interface RowTile {
  readonly rowTile: Index;
  readonly threads: number;
  readonly rowCount: number;
  readonly keysPerTile: number;
  readonly keyCount: number;
}
export interface KeyRange { readonly start?: Scalar; readonly end?: Scalar }

export const keyRange = ({ score, keys, rows }: Stream, { rowTile, threads, rowCount, keysPerTile, keyCount }: RowTile): KeyRange => {
  const [key, ...moreKeys] = keys, [row, ...moreRows] = rows;
  if (key === undefined || row === undefined || moreKeys.length > 0 || moreRows.length > 0) return {};
  const bounds = conditionsOf(score).flatMap((difference) => {
    const ofKey = difference.terms.find(({ atom }) => atom.kind === 'variable' && atom.id === key.id)?.coefficient;
    if (ofKey !== 1 && ofKey !== -1) return [];
    const rest = plus(difference, times(ofVariable(key), -ofKey)), limit = ofKey === -1 ? rest : times(rest, -1);
    // the first and the last row of a tile have the extreme limits only if limits grow with the row
    const grows = limit.terms.every(({ atom, coefficient }) => atom.kind === 'variable' && atom.id === row.id && coefficient > 0);
    return grows ? [{ upper: ofKey === -1, limit }] : [];
  });
  const uppers = bounds.filter(({ upper }) => upper).map(({ limit }) => limit), lowers = bounds.filter(({ upper }) => !upper).map(({ limit }) => limit);
  const someKey = uppers.every(({ min }) => min >= 0) && lowers.every(({ max }) => max <= keyCount - 1)
    && uppers.every((upper) => lowers.every((lower) => plus(upper, times(lower, -1)).min >= 0));
  if (!someKey) return {};
  const first = times(rowTile, threads), last = clampIndex(plusConstant(first, threads - 1), 0, rowCount - 1);
  const tileAt = (limit: Index, at: Index): Index => quotient(clampIndex(substituteIndex(limit, new Map([[row.id, at]]), (e) => e), 0, keyCount - 1), keysPerTile);
  const start = lowers.map((limit) => S.fromIndex(tileAt(limit, first), 'i32')), end = uppers.map((limit) => S.fromIndex(plusConstant(tileAt(limit, last), 1), 'i32'));
  return { ...(start.length > 0 && { start: start.reduce(S.max) }), ...(end.length > 0 && { end: end.reduce(S.min) }) };
};
