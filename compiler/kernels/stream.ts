/**
 * The streamed schedule: attention and its relatives with an online softmax, so that scores are never in memory
 * (M. Milakov and N. Gimelshein, arXiv 1805.02867; T. Dao et al., FlashAttention, arXiv 2205.14135).
 *
 * A thread owns a row: its queries and its sums lie in registers. Keys come in tiles. For each tile the scores are computed, the sums are
 * scaled to the new maximum, and the tile is added. On adapters with fast workgroup memory the threads of a workgroup load a tile
 * together, and whatever is computed from keys alone (norms, rotations) is computed there, once for all rows of the workgroup.
 */
import { clampIndex, type Index, integer, ofVariable, plus, plusConstant, quotient, remainder, times, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { extentOf, freeVariables, rewriteScalar, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Lanes, LocalArray, Scalar } from '../../dsl/scalar/scalar.ts';
import { powerOfTwoFrom, type StreamSchedule } from '../schedule.ts';
import { accessesOf } from './access.ts';
import { assign, type Block, lanesSum, named, placed, type Placer, placer } from './block.ts';
import { keyRange } from './key-range.ts';
import type { Output } from './row.ts';
import { type Stream, type StreamedSum, streamRegisters } from './stream-pattern.ts';
import type { TensorExpression } from './tensor-expression.ts';
import { splitThread } from './thread.ts';
import { widthFor } from './matmul.ts';
import { distance, positionsOf, widen } from './widen.ts';
import { mark, meet, together } from './workgroup.ts';

type DTypes = Parameters<typeof accessesOf>[1];

/** Where a running maximum starts: far below every score, and no overflow when another one is subtracted. */
const LOWEST = -1.7e38;

/** Replaces locals by what they stand for. */
const withLocals = (e: Scalar, values: ReadonlyMap<number, Scalar>): Scalar =>
  rewriteScalar(e, (_old, rebuilt) => (rebuilt.kind === 'local' ? values.get(rebuilt.local) ?? rebuilt : rebuilt));

const f32 = (value: number): Scalar => S.constant(value, 'f32');

/** Sizes of one kernel, from the schedule and what the adapter and the problem allow. */
interface Tiles {
  /** Threads of a workgroup, each with a row. */
  readonly threads: number;
  /** Keys of a tile. */
  readonly keys: number;
}
const tilesOf = (stream: Stream, { rows, keys, staging, sharedBytes: most }: StreamSchedule): Tiles => {
  const tiles = { threads: Math.min(rows, powerOfTwoFrom(extentOf(stream.rows))), keys: Math.max(1, Math.min(keys, extentOf(stream.keys))) };
  while (tiles.keys > 1 && sharedBytes(stream, tiles, staging) > most) tiles.keys = Math.ceil(tiles.keys / 2);
  return tiles;
};
/** Whether a schedule can run a stream at all. */
export const streamFits = (stream: Stream, schedule: StreamSchedule): boolean =>
  streamRegisters(stream) <= schedule.registers && sharedBytes(stream, tilesOf(stream, schedule), schedule.staging) <= schedule.sharedBytes;

/** Workgroup memory that the tiles of keys and values take, in bytes. */
const sharedBytes = (stream: Stream, tiles: Tiles, staging: StreamSchedule['staging']): number => {
  if (staging === 'none') return 4 * tiles.keys * tiles.threads;
  const { products, sums, column, keyValues } = stream;
  const perKey = products.reduce((n, { depth }) => n + depth.extent, 0) + sums.reduce((n, sum) => n + (isColumn(sum, column) ? column!.extent : 0), 0);
  return 4 * tiles.keys * (perKey + keyValues.length + tiles.threads);
};

const isColumn = ({ weight }: StreamedSum, column: Variable | undefined): boolean => weight !== undefined && column !== undefined && freeVariables(weight).has(column.id);


/** Everything that the parts of one kernel share. */
interface Site {
  readonly p: Placer;
  readonly stream: Stream;
  readonly tiles: Tiles;
  readonly variable: TensorExpression['variable'];
  readonly lane: Variable;
  readonly newArray: (space: LocalArray['space'], length: number, lanes: Lanes) => LocalArray;
  /** Positions of the batch axes. */
  readonly batchAt: ReadonlyMap<number, Index>;
  /** Positions of batch and rows. */
  readonly rowAt: ReadonlyMap<number, Index>;
}

/** A factor of the key: in workgroup memory for the keys of a tile, or computed where it is asked for. */
interface Fragments {
  /** Vector `i` of key `j` of the tile. */
  readonly at: (j: Index, i: number) => Scalar;
}


/** Key number `j` of the tile, by variable; beyond the end it is the last one. */
const keyAt = ({ stream, tiles }: Site, tile: Index, j: Index): ReadonlyMap<number, Index> => {
  const count = extentOf(stream.keys);
  return splitThread(clampIndex(plus(times(tile, tiles.keys), j), 0, count - 1), stream.keys);
};

/** A factor of the key in workgroup memory, for the keys of a tile; `values` are those of an item's key. */
const stagedFragments = (site: Site, block: Block, tile: Index, value: Scalar, along: Variable, values: (j: Index) => ReadonlyMap<number, Scalar>, after: () => number): Fragments => {
  const { p, tiles, batchAt } = site, lanes = widthFor(along.extent, 4), count = along.extent / lanes;
  const array = site.newArray('workgroup', tiles.keys * count, lanes);
  together(site, block, tiles.keys * count, (inner, item) => {
    const j = quotient(item, count), here = new Map([...batchAt, ...keyAt(site, tile, j)]);
    const wide = widen(withLocals(substitute(value, here), values(j)), along.id, positionsOf(lanes, remainder(item, count)));
    p.push(inner, { kind: 'put', array, index: p.placeIndex(item, inner), value: placed(p, wide, inner) });
  });
  return { at: (j, i) => S.element(array, plusConstant(times(j, count), i), after()) };
};

/** Values of keys, such as their lengths, in workgroup memory: a thread for each key of the tile. */
const stagedKeyValues = (site: Site, block: Block, tile: Index): ReadonlyMap<number, (j: Index) => Scalar> => {
  const { p, stream, tiles } = site;
  const arrays = stream.keyValues.map(({ local, value }) => ({ local, value, array: site.newArray('workgroup', tiles.keys, 1) }));
  for (const { value, array } of arrays) {
    together(site, block, tiles.keys, (inner, item) => {
      const here = new Map([...site.batchAt, ...keyAt(site, tile, item)]);
      p.push(inner, { kind: 'put', array, index: p.placeIndex(item, inner), value: placed(p, substitute(value, here), inner) });
    });
  }
  const after = arrays.length > 0 ? meet(p, block) : mark(p, block);
  return new Map(arrays.map(({ local, array }) => [local, (j: Index) => S.element(array, j, after)]));
};

/** Where nothing is shared, every thread computes what it needs of a key. */
const directFragments = (site: Site, tile: Index, value: Scalar, along: Variable, values: (j: Index) => ReadonlyMap<number, Scalar>): Fragments => {
  const lanes = widthFor(along.extent, 4);
  return { at: (j, i) => {
    const here = new Map([...site.batchAt, ...keyAt(site, tile, j)]);
    return widen(withLocals(substitute(value, here), values(j)), along.id, positionsOf(lanes, integer(i)));
  } };
};

interface Accumulator {
  readonly sum: StreamedSum;
  readonly parts: readonly Scalar[];
  readonly lanes: Lanes;
}

export const streamKernel = (expression: TensorExpression, stream: Stream, output: Output, schedule: StreamSchedule, dtypes: DTypes): LoopKernel => {
  const { variable } = expression, { rows, batch, column, keys, sums, products } = stream;
  const tiles = tilesOf(stream, schedule), staged = schedule.staging === 'workgroup';
  const rowCount = extentOf(rows), rowTiles = Math.ceil(rowCount / tiles.threads), keyCount = extentOf(keys);
  const lane = variable(tiles.threads);
  // the threads of one workgroup share keys: its number gives batch and tile of rows
  const group = variable(extentOf(batch) * rowTiles), groupAt = ofVariable(group);
  const batchAt = splitThread(quotient(groupAt, rowTiles), batch), rowTile = remainder(groupAt, rowTiles);
  const rowNumber = plus(times(rowTile, tiles.threads), ofVariable(lane)), row = clampIndex(rowNumber, 0, rowCount - 1);
  const rowAt = new Map([...batchAt, ...splitThread(row, rows)]);
  const p = placer([group.id, lane.id]);
  let arrays = 0;
  const newArray: Site['newArray'] = (space, length, lanes) => ({ id: arrays++, space, type: 'f32', lanes, length });
  const site: Site = { p, stream, tiles, variable, lane, newArray, batchAt, rowAt };

  // queries and accumulators, in registers
  const queries = products.map(({ query, depth }) => {
    const lanes = widthFor(depth.extent, 4);
    return Array.from({ length: depth.extent / lanes }, (_, i) => named(p, p.root, placed(p, widen(substitute(query, rowAt), depth.id, positionsOf(lanes, integer(i))), p.root)));
  });
  const maximum = stream.maximum === undefined ? undefined : p.declare(p.root, f32(LOWEST));
  const accumulators: readonly Accumulator[] = sums.map((sum) => {
    const lanes = isColumn(sum, column) ? widthFor(column!.extent, 4) : 1;
    const count = isColumn(sum, column) ? column!.extent / lanes : 1;
    return { sum, lanes, parts: Array.from({ length: count }, () => p.declare(p.root, S.splat(f32(stream.fold === 'max' ? LOWEST : 0), lanes))) };
  });

  // tiles of keys
  const tileVariable = variable(Math.ceil(keyCount / tiles.keys)), tile = ofVariable(tileVariable);
  const block = p.open(p.root, true, [tileVariable.id]);
  if (staged) p.push(block, { kind: 'barrier' });
  const keyValues = staged ? stagedKeyValues(site, block, tile) : new Map<number, (j: Index) => Scalar>(stream.keyValues.map(({ local, value }) =>
    [local, (j: Index) => substitute(value, new Map([...batchAt, ...keyAt(site, tile, j)]))]));
  const valuesAt = (j: Index): ReadonlyMap<number, Scalar> => new Map([...keyValues].map(([local, at]) => [local, at(j)]));
  let loaded = -1;
  const fragmentsOf = (value: Scalar, along: Variable): Fragments =>
    (staged ? stagedFragments(site, block, tile, value, along, valuesAt, () => loaded) : directFragments(site, tile, value, along, valuesAt));
  const keyFragments = products.map(({ key, depth }) => fragmentsOf(key, depth));
  const weightFragments = sums.map((sum) => (isColumn(sum, column) ? fragmentsOf(sum.weight!, column!) : undefined));
  loaded = staged ? meet(p, block) : mark(p, block);

  const inTile = variable(tiles.keys), j = ofVariable(inTile);
  const inner = new Map(products.map(({ local }, t) => [local, () => lanesSum(queries[t]!.map((q, i) => S.mul(q, keyFragments[t]!.at(j, i))).reduce(S.add))]));
  const innerValues = (): ReadonlyMap<number, Scalar> => new Map([...inner].map(([local, value]) => [local, value()]));
  const here = new Map([...rowAt, ...keyAt(site, tile, j)]);
  const exists = S.indexBelow(plus(times(tile, tiles.keys), j), keyCount);
  const scoreAt = (): Scalar => withLocals(withLocals(substitute(stream.score, here), innerValues()), valuesAt(j));
  /** Adds the share of key `at` of the tile to every sum. */
  const add = (adding: Block, e: Scalar, at: Index, there: ReadonlyMap<number, Index>): void => accumulators.forEach(({ sum, parts, lanes }, s) => {
    const fragments = weightFragments[s];
    const plain = sum.weight === undefined || fragments !== undefined ? undefined : withLocals(substitute(sum.weight, there), valuesAt(at));
    parts.forEach((part, i) => {
      const weight = fragments === undefined ? plain : fragments.at(at, i);
      const term = weight === undefined ? e : S.mul(S.splat(e, lanes), placed(p, weight, adding));
      assign(p, adding, part, stream.fold === 'max' ? S.max(part, term) : S.add(part, term));
    });
  });

  if (maximum === undefined) {
    // the share of a key is known at once
    const adding = p.open(block, true, [inTile.id]);
    const e = named(p, adding, placed(p, S.select(exists, scoreAt(), f32(stream.fold === 'max' ? LOWEST : 0)), adding));
    add(adding, e, j, here);
    p.push(block, { kind: 'for', variable: inTile, body: adding.statements });
    p.push(p.root, { kind: 'for', variable: tileVariable, body: block.statements });
    storeResult(site, expression, output, accumulators, undefined, S.indexBelow(rowNumber, rowCount));
    return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread: [group], lane, workgroupSize: [tiles.threads, 1, 1], body: p.root.statements };
  }

  // scores of the tile, and the new maximum. Scores lie in workgroup memory, each thread's in a place of their own: drivers would unroll
  // loops over an array in registers until it is gone, which takes some of them a minute
  const scores = newArray('workgroup', tiles.keys * tiles.threads, 1);
  const placeOf = (key: Index): Index => plus(times(key, tiles.threads), ofVariable(lane));
  const highest = p.declare(block, maximum);
  const scoring = p.open(block, true, [inTile.id]);
  const score = S.select(exists, scoreAt(), f32(LOWEST));
  const scoreNow = named(p, scoring, placed(p, score, scoring));
  p.push(scoring, { kind: 'put', array: scores, index: p.placeIndex(placeOf(j), scoring), value: scoreNow });
  assign(p, scoring, highest, S.max(highest, scoreNow));
  p.push(block, { kind: 'for', variable: inTile, body: scoring.statements });
  const scale = named(p, block, S.exp(S.sub(maximum, highest)));
  for (const { parts, lanes } of accumulators) for (const part of parts) assign(p, block, part, S.mul(part, S.splat(scale, lanes)));
  assign(p, block, maximum, highest);

  // the tile's share of the sums
  const scored = mark(p, block), again = variable(tiles.keys), k = ofVariable(again);
  const adding = p.open(block, true, [again.id]);
  const e = named(p, adding, S.exp(S.sub(S.element(scores, p.placeIndex(placeOf(k), adding), scored), highest)));
  add(adding, e, k, new Map([...rowAt, ...keyAt(site, tile, k)]));
  p.push(block, { kind: 'for', variable: again, body: adding.statements });
  const range = keyRange(stream, { rowTile, threads: tiles.threads, rowCount, keysPerTile: tiles.keys, keyCount });
  p.push(p.root, { kind: 'for', variable: tileVariable, ...range, body: block.statements });

  storeResult(site, expression, output, accumulators, maximum, S.indexBelow(rowNumber, rowCount));
  return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread: [group], lane, workgroupSize: [tiles.threads, 1, 1], body: p.root.statements };
};

const storeResult = ({ p, stream, rowAt }: Site, { axes }: TensorExpression, output: Output, accumulators: readonly Accumulator[], maximum: Scalar | undefined, inside: Scalar): void => {
  const { column, around } = stream;
  const lanes = column === undefined ? 1 : widthFor(column.extent, 4);
  const target = inside.kind === 'constant' ? p.root : p.open(p.root, false);
  const positionAt = (at: Index): Index => output.index(axes.map((axis) => (axis === column ? at : rowAt.get(axis.id) ?? integer(0))));
  const neighbours = lanes > 1 && distance(positionAt(integer(0)), positionAt(integer(1))) === 1;
  for (let i = 0; i < (column === undefined ? 1 : column.extent / lanes); i++) {
    const found = new Map<number, Scalar>([...(stream.maximum === undefined || maximum === undefined ? [] : [[stream.maximum, S.splat(maximum, lanes)] as const]),
      ...accumulators.map(({ sum, parts, lanes: own }) => [sum.local, own === lanes && parts.length > 1 ? parts[i]! : parts.length === 1 ? S.splat(parts[0]!, lanes) : parts[i]!] as const)]);
    const at = positionsOf(lanes, integer(i));
    const value = placed(p, widen(substitute(around, rowAt), column?.id ?? -1e9, at, found), target);
    if (neighbours || lanes === 1) p.push(target, { kind: 'store', tensor: output.tensor, index: p.placeIndex(positionAt(at[0]!), target), value });
    else {
      const whole = named(p, target, value);
      at.forEach((position, l) => p.push(target, { kind: 'store', tensor: output.tensor, index: p.placeIndex(positionAt(position), target), value: S.lane(whole, l) }));
    }
  }
  if (target !== p.root) p.push(p.root, { kind: 'if', condition: placed(p, inside, p.root), body: target.statements });
};
