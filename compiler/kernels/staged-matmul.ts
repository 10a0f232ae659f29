/**
 * The staged matmul schedule, for hardware GPUs: the threads of a workgroup load blocks of both factors into workgroup memory
 * together, with whatever is computed in front of the product applied there, once for each element of the tile.
 *
 * The left block lies along k and the right blocks along the columns, whichever way their tensors lie: a factor that lies the other way is
 * read along its own direction and turned in registers. A thread keeps rows x columns sums; its columns are vectors that alternate with
 * those of its neighbours, so that neighbouring threads read neighbouring vectors of workgroup memory and store neighbouring vectors.
 * What lies beyond the contracted axes is zero in the left block; rows and columns beyond the end repeat the last ones and are not stored.
 */
import { clampIndex, type Index, integer, ofVariable, plus, plusConstant, quotient, remainder, substituteIndex, times, unflatten, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel, Statement } from '../../dsl/scalar/loop.ts';
import { extentOf, freeVariables, subexpressions, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Lanes, LocalArray, Scalar } from '../../dsl/scalar/scalar.ts';
import { type MatmulSchedule, sharingOf } from '../schedule.ts';
import { accessesOf } from './access.ts';
import { type Block, named, placed, type Placer, placer } from './block.ts';
import { addTo, areNeighbours, type Around, aroundSums, storePart } from './epilogue.ts';
import { type Contraction, widthFor } from './matmul.ts';
import { tileFor } from './matmul-tile.ts';
import type { Output } from './row.ts';
import { computeRowValues, numbersPerRow, type RowSite, type RowValues, rowValuesIn, withRowLocals } from './row-values.ts';
import type { TensorExpression } from './tensor-expression.ts';
import { splitThread } from './thread.ts';
import { widen } from './widen.ts';
import { meet, namedIndex, type Team, together } from './workgroup.ts';

type DTypes = Parameters<typeof accessesOf>[1];

/** Axes of a contraction that are walked together, as one: those of the rows, say, in all images of a batch. */
interface Joined {
  /** Numbers their positions. */
  readonly axis: Variable;
  /** Position along each of them. */
  readonly at: ReadonlyMap<number, Index>;
  /** Elements of the innermost one. */
  readonly inner: number;
}
const joinAxes = (axes: readonly Variable[], variable: TensorExpression['variable']): Joined => {
  const axis = variable(extentOf(axes));
  return { axis, at: splitThread(ofVariable(axis), axes), inner: axes[axes.length - 1]?.extent ?? 1 };
};

/** One side of a block: `size` elements of an axis, from `tile * size` on. */
interface Side {
  readonly axis: Variable;
  readonly size: number;
  readonly tile: Index;
}
/** The widest vectors along a side that never straddle its end. */
const vectorsOf = ({ axis, size }: Side, most: number): Lanes => widthFor(axis.extent, Math.min(most, size));
const vectorNumber = ({ size, tile }: Side, vector: Index, lanes: number): Index => plus(times(tile, size / lanes), vector);
/** Positions of a vector of the block; beyond the end, those of the last one. */
const positionsAt = (side: Side, vector: Index, lanes: number): readonly Index[] => {
  const start = times(clampIndex(vectorNumber(side, vector, lanes), 0, side.axis.extent / lanes - 1), lanes);
  return Array.from({ length: lanes }, (_, l) => plusConstant(start, l));
};
const exists = (side: Side, vector: Index, lanes: number): Scalar => S.indexBelow(vectorNumber(side, vector, lanes), side.axis.extent / lanes);
const fixedAt = ({ axis }: Side, position: Index): ReadonlyMap<number, Index> => new Map([[axis.id, position]]);

/** A factor, and the array that its blocks are staged in: vectors of `array.lanes` along `inner`, `stride` of them for each position of `outer`. */
interface Factor {
  readonly value: Scalar;
  readonly outer: Side;
  readonly inner: Side;
  /** The left factor has rows on its outer side, may use their values, and is zero beyond the contracted axes. */
  readonly isLeft: boolean;
  readonly array: LocalArray;
  readonly stride: number;
}

/** Loads whose elements lie side by side along an axis. */
const contiguousLoads = (value: Scalar, axis: Variable): number =>
  subexpressions(value).filter((e) => e.kind === 'load' && areNeighbours(e.index, axis)).length;
/** Whether a factor lies in memory along its outer side. */
const isTurned = (value: Scalar, outer: Variable, inner: Variable): boolean => contiguousLoads(value, outer) > contiguousLoads(value, inner);

const lanesOf = (e: Scalar): readonly Scalar[] => Array.from({ length: e.lanes }, (_, i) => S.lane(e, i));
const joined = (parts: readonly Scalar[]): Scalar => (parts.length === 1 ? parts[0]! : S.vector(parts.flatMap(lanesOf)));
const slice = (e: Scalar, from: number, lanes: Lanes): Scalar => (lanes === e.lanes ? e : S.vector(lanesOf(e).slice(from, from + lanes)));
/** One vector of scalars that may all be the same. */
const spread = (parts: readonly Scalar[]): Scalar => (parts.every(({ key }) => key === parts[0]!.key) ? S.splat(parts[0]!, parts.length as Lanes) : S.vector(parts)); // 1, 2 or 4 of them
const orZero = (exist: Scalar, e: Scalar): Scalar =>
  S.select(exist.kind === 'constant' ? exist : S.splat(exist, e.lanes), e, S.splat(S.constant(0, e.type), e.lanes));

type RowLocals = (row: Index) => ReadonlyMap<number, Scalar>;

/** Values at several positions of one axis; `rows` are their rows in the tile. */
const readAt = (value: Scalar, axis: Variable, positions: readonly Index[], rows: readonly Index[], localsOf: RowLocals): Scalar => {
  const each = rows.map(localsOf);
  const locals = new Map([...each[0]!.keys()].map((local) => [local, spread(each.map((values) => values.get(local)!))]));
  return widen(value, axis.id, positions, locals);
};

/** Loads the block of a factor that lies along the inner side: a thread a vector. */
const stage = (team: Team, block: Block, { value, outer, inner, isLeft, array, stride }: Factor, localsOf: RowLocals): void => {
  const count = inner.size / array.lanes, lanes = vectorsOf(inner, array.lanes), parts = array.lanes / lanes;
  together(team, block, outer.size * count, (body, item) => {
    const i = remainder(item, count), o = quotient(item, count);
    const fixed = substitute(value, fixedAt(outer, positionsAt(outer, o, 1)[0]!)), rows = Array.from({ length: lanes }, () => (isLeft ? o : integer(0)));
    const vectors = Array.from({ length: parts }, (_, part) => {
      const vector = plusConstant(times(i, parts), part), read = readAt(fixed, inner.axis, positionsAt(inner, vector, lanes), rows, localsOf);
      return isLeft ? orZero(exists(inner, vector, lanes), read) : read;
    });
    team.p.push(body, { kind: 'put', array, index: team.p.placeIndex(plus(times(o, stride), i), body), value: placed(team.p, joined(vectors), body) });
  });
};
/** Loads the block of a factor that lies along the outer side: a thread a square of vectors, turned in registers. */
const stageTurned = (team: Team, block: Block, { value, outer, inner, isLeft, array, stride }: Factor, localsOf: RowLocals): void => {
  const lanes = vectorsOf(outer, 4), count = outer.size / lanes;
  together(team, block, inner.size / array.lanes * count, (body, item) => {
    const o = remainder(item, count), i = quotient(item, count), positions = positionsAt(outer, o, lanes);
    const rows = positions.map((_, l) => (isLeft ? plusConstant(times(o, lanes), l) : integer(0)));
    const vectors = Array.from({ length: array.lanes }, (_, l) => {
      const at = plusConstant(times(i, array.lanes), l);
      const read = readAt(substitute(value, fixedAt(inner, positionsAt(inner, at, 1)[0]!)), outer.axis, positions, rows, localsOf);
      return named(team.p, body, placed(team.p, isLeft ? orZero(exists(inner, at, 1), read) : read, body));
    });
    for (let l = 0; l < lanes; l++) {
      const index = plus(times(plusConstant(times(o, lanes), l), stride), i);
      team.p.push(body, { kind: 'put', array, index: team.p.placeIndex(index, body), value: joined(vectors.map((vector) => S.lane(vector, l))) });
    }
  });
};

/**
 * Tiles in bands of up to this many rows of tiles; within a band, columns are outside. Workgroups start in order of their numbers, so
 * those that run together read few rows and few columns of tiles, which the cache of the GPU keeps, instead of one row and all columns.
 */
const BAND = 8;

interface Place {
  readonly group: Variable;
  readonly batch: Index;
  readonly rowTile: Index;
  readonly columnTile: Index;
}
/** The tile of each workgroup. A few workgroups of the last band may have none: their `rowTile` is `rowTiles` or more. */
const placesOf = (batch: number, rowTiles: number, columnTiles: number, variable: TensorExpression['variable']): Place => {
  const bands = Math.ceil(rowTiles / BAND), height = Math.ceil(rowTiles / bands);
  const group = variable(batch * bands * columnTiles * height);
  const [entry, band, columnTile, inBand] = unflatten(ofVariable(group), [batch, bands, columnTiles, height]) as readonly [Index, Index, Index, Index]; // one for each extent
  return { group, batch: entry, rowTile: plus(times(band, height), inBand), columnTile };
};

/** A contraction over three joined axes, and what is left over for the batch. */
interface Problem {
  readonly rows: Joined;
  readonly columns: Joined;
  readonly depth: Joined;
  readonly batch: readonly Variable[];
  readonly left: Scalar;
  readonly rights: readonly Scalar[];
  readonly around: Around;
  readonly rowValues: RowValues;
  /** Where an element of the result lies. */
  readonly index: Index;
}
const problemOf = (p: Placer, { axes, variable }: TensorExpression, { left, terms, value, over }: Contraction, output: Output): Problem => {
  const isIn = (axis: Variable, e: Scalar): boolean => freeVariables(e).has(axis.id);
  const wide = axes.filter((axis) => axis.extent > 1), rowAxes = wide.filter((axis) => terms.every(({ right }) => !isIn(axis, right)));
  const columnAxes = wide.filter((axis) => !rowAxes.includes(axis) && !isIn(axis, left)), batch = axes.filter((axis) => !rowAxes.includes(axis) && !columnAxes.includes(axis));
  const rows = joinAxes(rowAxes, variable), columns = joinAxes(columnAxes, variable), depth = joinAxes(over, variable);
  const at = new Map([...rows.at, ...columns.at, ...depth.at]), around = aroundSums(p, value, terms.map(({ reduce }) => reduce));
  const whole = substitute(around.value, at), factors = [left, ...terms.map(({ right }) => right)].map((e) => substitute(e, at));
  const rowValues = rowValuesIn([...factors, whole], new Set([...batch, rows.axis].map(({ id }) => id)), p.local);
  const [first, ...rights] = factors.map((e) => withRowLocals(e, rowValues)) as [Scalar, ...Scalar[]]; // the left one is there
  return {
    rows, columns, depth, batch, left: first, rights, around: { ...around, value: withRowLocals(whole, rowValues) }, rowValues,
    index: substituteIndex(output.index(axes.map(ofVariable)), at, (e) => e),
  };
};

/** What the parts of one kernel share. */
interface Site extends RowSite {
  readonly problem: Problem;
  readonly tile: MatmulSchedule;
  readonly batchAt: ReadonlyMap<number, Index>;
  readonly sides: { readonly rows: Side; readonly columns: Side };
  /** Lanes of the sums, and how many of them a thread has in a row. */
  readonly lanes: Lanes;
  readonly vectors: number;
  /** Row `i` and vector of columns `j` of a thread, in the tile. */
  readonly rowOf: (i: number) => Index;
  readonly vectorOf: (j: number) => Index;
  readonly localsOf: RowLocals;
}

/** Loads the block of a factor that `deep` says. */
const load = (site: Site, block: Block, value: Scalar, deep: Side, isLeft: boolean): Factor => {
  const [outer, inner, lanes] = isLeft ? [site.sides.rows, deep, site.tile.depth] as const : [deep, site.sides.columns, site.lanes] as const;
  const turned = isTurned(value, outer.axis, inner.axis);
  // a vector of padding, so that the threads which turn squares write to different banks
  const stride = inner.size / lanes + (turned ? 1 : 0);
  const factor = { value: substitute(value, site.batchAt), outer, inner, isLeft, array: site.newArray(outer.size * stride, value.type, lanes), stride };
  (turned ? stageTurned : stage)(site, block, factor, site.localsOf);
  return factor;
};

/** Sums of each term, row and vector of columns. */
type Sums = readonly (readonly (readonly Scalar[])[])[];

/** Adds the products of the blocks that were loaded. */
const multiply = (site: Site, block: Block, a: Factor, bs: readonly Factor[], sums: Sums, loaded: number): void => {
  const { p, tile: { rows, depth, blockDepth }, lanes, vectors, rowOf, vectorOf } = site;
  const variable = site.variable(blockDepth / depth), step = ofVariable(variable), body = p.open(block, true, [variable.id]);
  const lefts = Array.from({ length: rows }, (_, i) => named(p, body, S.element(a.array, plus(times(rowOf(i), a.stride), step), loaded)));
  for (let d = 0; d < depth; d++) {
    bs.forEach((b, term) => {
      for (let j = 0; j < vectors; j++) {
        const right = named(p, body, S.element(b.array, plus(times(plusConstant(times(step, depth), d), b.stride), vectorOf(j)), loaded));
        lefts.forEach((left, i) => addTo(p, body, sums[term]![i]![j]!, S.mul(S.splat(S.lane(left, d), lanes), right)));
      }
    });
  }
  p.push(block, { kind: 'for', variable, body: body.statements });
};

const storeTile = ({ p, problem: { rows, columns, around, index }, tile, batchAt, sides, vectors, rowOf, vectorOf, localsOf, ...site }: Site, sums: Sums, tensor: number): void => {
  const epilogue = { row: rows.axis, column: columns.axis, batchAt, tensor, index, around };
  const lanes = areNeighbours(index, columns.axis) ? widthFor(columns.inner, site.lanes) : 1, parts = site.lanes / lanes;
  for (let i = 0; i < tile.rows; i++) {
    const others = new Map([...localsOf(rowOf(i))].map(([local, value]) => [local, S.splat(value, lanes)]));
    for (let j = 0; j < vectors * parts; j++) {
      const part = j % parts, whole = (j - part) / parts, vector = plusConstant(times(vectorOf(whole), parts), part);
      storePart(p, epilogue, {
        rowAt: positionsAt(sides.rows, rowOf(i), 1)[0]!, columnAt: positionsAt(sides.columns, vector, lanes), others,
        inside: S.both(exists(sides.rows, rowOf(i), 1), exists(sides.columns, vector, lanes)),
        sums: sums.map((term) => slice(term[i]![whole]!, part * lanes, lanes)),
      });
    }
  }
};

/** Undefined where workgroup memory is too small. */
export const stagedMatmulKernel = (expression: TensorExpression, contraction: Contraction, output: Output, schedule: MatmulSchedule, dtypes: DTypes): LoopKernel | undefined => {
  const { variable } = expression, p = placer([]), problem = problemOf(p, expression, contraction, output), { rows, columns, depth, batch, rowValues } = problem;
  const tile = tileFor(schedule, {
    rows: rows.axis.extent, columns: columns.axis.extent, depth: depth.axis.extent, batch: extentOf(batch), terms: problem.rights.length, rowValues: numbersPerRow(rowValues),
  });
  if (tile === undefined) return undefined;

  const { workgroup: [wx, wy] } = tile, { rows: height, columns: width } = sharingOf(tile), lane = variable(wx * wy), rowTiles = Math.ceil(rows.axis.extent / height);
  const place = placesOf(extentOf(batch), rowTiles, Math.ceil(columns.axis.extent / width), variable);
  for (const { id } of [place.group, lane]) p.root.bound.add(id);
  const name = (index: Index, below?: number): Index => namedIndex(p, p.root, index, below);
  const batchAt = splitThread(name(place.batch), batch), sides = { rows: { axis: rows.axis, size: height, tile: name(place.rowTile, rowTiles) }, columns: { axis: columns.axis, size: width, tile: name(place.columnTile) } };
  const tx = name(remainder(ofVariable(lane), wx)), ty = name(quotient(ofVariable(lane), wx)), lanes = Math.min(4, tile.columns) as Lanes; // columns are 1, 2, 4 or 8
  let arrays = 0;
  const rowSite: RowSite = {
    p, lane, variable, rows: height, at: (row) => new Map([...batchAt, ...fixedAt(sides.rows, positionsAt(sides.rows, row, 1)[0]!)]),
    newArray: (length, type, width) => ({ id: arrays++, space: 'workgroup', type, lanes: width, length }),
  };
  const site: Site = {
    ...rowSite, problem, tile, batchAt, sides, lanes, vectors: tile.columns / lanes, localsOf: computeRowValues(rowSite, p.root, rowValues),
    rowOf: (i) => plusConstant(ty, i * wy), vectorOf: (j) => plusConstant(tx, j * wx),
  };

  const sums: Sums = contraction.terms.map(({ reduce }) => Array.from({ length: tile.rows }, () => Array.from({ length: site.vectors }, () =>
    p.declare(p.root, S.splat(S.constant(0, reduce.type), lanes)))));
  const blockNumber = variable(Math.ceil(depth.axis.extent / tile.blockDepth)), block = p.open(p.root, true, [blockNumber.id]);
  const deep: Side = { axis: depth.axis, size: tile.blockDepth, tile: ofVariable(blockNumber) };
  p.push(block, { kind: 'barrier' });
  const left = load(site, block, problem.left, deep, true), rights = problem.rights.map((right) => load(site, block, right, deep, false));
  multiply(site, block, left, rights, sums, meet(p, block));
  p.push(p.root, { kind: 'for', variable: blockNumber, body: block.statements });
  storeTile(site, sums, output.tensor);

  // this is what bounds `rowTile` in the body
  const hasTile = S.indexBelow(place.rowTile, rowTiles), { statements } = p.root;
  const body: readonly Statement[] = hasTile.kind === 'constant' ? statements : [{ kind: 'if', condition: hasTile, body: statements }];
  return { tensors: accessesOf(body, dtypes, output.tensor), thread: [place.group], lane, workgroupSize: [wx * wy, 1, 1], body };
};
