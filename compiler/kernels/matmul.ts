/**
 * The matmul schedule: any contraction `sum over k of a(m, k) · b(n, k)`, with whatever is computed around it.
 *
 * A thread keeps a tile of rows x columns of the result in registers. Operands may be any expressions (views, casts, norms);
 * they are read as short vectors along k, or along n, where their indices prove that contiguous. No workgroup memory.
 * Several contractions that share their left factor (the two halves of a gated layer) share its loads and the loop.
 */
import { clampIndex, type Index, ofVariable, plus, plusConstant, times, unflatten, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { ofProduct, productOf, splitProduct } from '../../dsl/scalar/product.ts';
import { freeVariables, localId, outermostReductions, reductionsIn, rewriteScalar, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Lanes, Scalar } from '../../dsl/scalar/scalar.ts';
import { LEAST_SUBGROUP, type MatmulSchedule } from '../schedule.ts';
import { type Block, named, placed, type Placer, placer } from './block.ts';
import { accessesOf } from './access.ts';
import { addTo, areNeighbours, aroundSums, NO_VARIABLE, storePart } from './epilogue.ts';
import type { Output } from './row.ts';
import { splitThread } from './thread.ts';
import type { TensorExpression } from './tensor-expression.ts';
import { isWideLoad, widen } from './widen.ts';

export interface Contraction {
  /** The whole expression, with what does not depend on the contracted elements in front of the sums. */
  readonly value: Scalar;
  /** Each sum with the factor that depends on `column`, over the variables in `over`. */
  readonly terms: readonly { readonly reduce: S.ScalarKind<'reduce'>; readonly right: Scalar }[];
  /** The factor that depends on `row`, common to all terms. */
  readonly left: Scalar;
  readonly over: readonly Variable[];
  readonly row: Variable | undefined;
  readonly column: Variable | undefined;
  /** All other axes of the result. */
  readonly batch: readonly Variable[];
}

type DTypes = Parameters<typeof accessesOf>[1];

const last = <A>(items: readonly A[]): A | undefined => items[items.length - 1];

type Factors = readonly [Scalar, Scalar];
interface TiledAxes { readonly swap: boolean; readonly row: Variable | undefined; readonly column: Variable | undefined }
/** The factors of a sum of products, over other variables of the same extents. */
const factorsOver = (reduce: S.ScalarKind<'reduce'>, over: readonly Variable[]): Factors | undefined => {
  const { monoid, body } = reduce;
  if (monoid !== 'sum' || body.kind !== 'binary' || body.op !== 'mul') return undefined;
  if (reduce.over.length !== over.length || reduce.over.some((v, i) => v.extent !== over[i]!.extent)) return undefined;
  if (reduce.over === over) return [body.a, body.b];
  const by = new Map(reduce.over.map((v, i) => [v.id, ofVariable(over[i]!)]));
  return [substitute(body.a, by), substitute(body.b, by)];
};

/** Which axes belong to one factor alone: the last of each is tiled. Undefined where none is alone. Axes of neither repeat the product, as a batch. */
const tiledAxes = ([a, b]: Factors, axes: readonly Variable[]): TiledAxes | undefined => {
  const inA = freeVariables(a), inB = freeVariables(b);
  const wide = axes.filter((axis) => axis.extent > 1);
  const onlyA = last(wide.filter((axis) => inA.has(axis.id) && !inB.has(axis.id))), onlyB = last(wide.filter((axis) => inB.has(axis.id) && !inA.has(axis.id)));
  if (onlyA === undefined && onlyB === undefined) return undefined; // a dot product for each element: nothing to share in a tile
  // columns are the axis along which the result is contiguous
  const swap = onlyA !== undefined && onlyA === last(wide);
  return swap ? { swap, row: onlyB, column: onlyA } : { swap, row: onlyA, column: onlyB };
};

/** Whether the reductions inside depend on none of the variables: they are made before the loop, a row at a time. */
const areApart = (e: Scalar, variables: readonly (Variable | undefined)[]): boolean =>
  reductionsIn(e).every((inner) => variables.every((v) => v === undefined || !freeVariables(inner).has(v.id)));

/** Both factors of each sum of products without what is the same for all of its terms, which goes in front: a constant, the norm of a row. */
const withoutCommonFactors = (value: Scalar): Scalar => rewriteScalar(value, (_old, e) => {
  if (e.kind !== 'reduce' || e.monoid !== 'sum' || e.type !== 'f32' || e.body.kind !== 'binary' || e.body.op !== 'mul') return e;
  const parts = [e.body.a, e.body.b].map((factor) => splitProduct(productOf(factor), e.over));
  const isBare = ({ inside }: (typeof parts)[number]): boolean => inside.over.length === 0;
  if (parts.some(isBare) || parts.every(({ outside }) => outside.over.length + outside.under.length === 0)) return e;
  const [a, b] = parts.map(({ inside }) => ofProduct(inside)) as [Scalar, Scalar]; // two factors
  return ofProduct({ over: [S.reduce('sum', e.over, S.mul(a, b)), ...parts.flatMap(({ outside }) => outside.over)], under: parts.flatMap(({ outside }) => outside.under) });
});

/** Finds the contractions of an expression, if they tile together. */
export const contractionOf = (expression: TensorExpression): Contraction | undefined => {
  const { axes } = expression, value = withoutCommonFactors(expression.value);
  const outer = outermostReductions(value);
  const tiledOf = (e: S.ScalarKind<'reduce'>): { readonly factors: Factors; readonly tiled: TiledAxes } | undefined => {
    const factors = factorsOver(e, e.over), tiled = factors && tiledAxes(factors, axes);
    return factors && tiled && { factors, tiled };
  };
  const reduce = outer.find((e) => tiledOf(e) !== undefined), found = reduce && tiledOf(reduce);
  if (reduce === undefined || found === undefined) return undefined;
  const { over } = reduce, { factors } = found, others = outer.filter((e) => e !== reduce);
  const { swap, row, column } = found.tiled, [left, right] = swap ? [factors[1], factors[0]] : factors;
  if (!areApart(left, [...over, column]) || !areApart(right, [...over, row, column])) return undefined;
  const terms = [{ reduce, right }];
  for (const other of others) {
    const more = factorsOver(other, over), theirs = more && tiledAxes(more, axes);
    const [a, b] = more === undefined ? [] : theirs?.swap === true ? [more[1], more[0]] : more;
    const isTerm = a !== undefined && b !== undefined && a.key === left.key && theirs?.row === row && theirs?.column === column && areApart(b, [...over, row, column]);
    // what is reduced apart from the columns is made once a row, before the loop
    if (!isTerm && (column === undefined || freeVariables(other).has(column.id))) return undefined;
    if (!isTerm) continue;
    terms.push({ reduce: other, right: b });
  }
  return { value, terms, left, over, row, column, batch: axes.filter((axis) => axis !== row && axis !== column) };
};

const divides = (by: number, extent: number): boolean => extent % by === 0;
/** The widest of the allowed widths that divides the extent. */
export const widthFor = (extent: number, most: number): Lanes => (most >= 4 && divides(4, extent) ? 4 : most >= 2 && divides(2, extent) ? 2 : 1);
const tileFor = (extent: number, most: number): number => (extent >= most ? most : extent >= 4 ? 4 : extent >= 2 ? 2 : 1);

interface Tile {
  /** Number of tiles along the axis. */
  readonly count: number;
  readonly groups: number;
  readonly lanes: Lanes;
  /** Positions of group `g`: clamped, so that a tail repeats the last group. */
  readonly positions: (tile: Index, g: number) => readonly Index[];
  /** Whether group `g` lies inside; a constant when it always does. */
  readonly inside: (tile: Index, g: number) => Scalar;
}
const tileOf = (axis: Variable | undefined, most: number, lanes: Lanes): Tile => {
  const extent = axis?.extent ?? 1, size = tileFor(extent, most), width = lanes <= size ? lanes : 1;
  const groups = size / width, total = Math.ceil(extent / width);
  const groupAt = (tile: Index, g: number): Index => plusConstant(times(tile, groups), g);
  return {
    count: Math.ceil(total / groups), groups, lanes: width,
    positions: (tile, g) => {
      const start = times(clampIndex(groupAt(tile, g), 0, total - 1), width);
      return Array.from({ length: width }, (_, i) => plusConstant(start, i));
    },
    inside: (tile, g) => S.indexBelow(groupAt(tile, g), total),
  };
};

/** Loops over all contracted axes; the innermost in steps of `width`. */
const contractedLoops = (p: Placer, block: Block, over: readonly Variable[], width: number, fresh: TensorExpression['variable'],
  inner: (block: Block, positions: readonly Index[]) => void): void => {
  const [first, ...rest] = over;
  if (first === undefined) { inner(block, []); return; }
  const loop = rest.length > 0 ? first : fresh(first.extent / width);
  const body = p.open(block, true, [loop.id]);
  if (rest.length > 0) contractedLoops(p, body, rest, width, fresh, inner);
  else inner(body, Array.from({ length: width }, (_, i) => plusConstant(times(ofVariable(loop), width), i)));
  p.push(block, { kind: 'for', variable: loop, body: body.statements });
};

/** How the tile of one thread is read and summed. */
interface Shape {
  readonly rows: Tile;
  readonly columns: Tile;
  /** Elements along the innermost contracted axis taken at once. */
  readonly depth: Lanes;
  /** Right factors are read along k and multiplied as dot products; else along the columns. */
  readonly alongK: boolean;
}

const tileShape = ({ terms, over, row, column }: Contraction, index: Index, schedule: MatmulSchedule): Shape => {
  const inner = last(over), depth = widthFor(inner?.extent ?? 1, schedule.depth);
  const columnLanes = column === undefined || !areNeighbours(index, column) ? 1 : widthFor(column.extent, Math.min(4, tileFor(column.extent, schedule.columns)));
  const alongK = inner !== undefined && depth > 1 && terms.every(({ right }) =>
    isWideLoad(widen(right, inner.id, Array.from({ length: depth }, (_, i) => plusConstant(times(ofVariable(inner), depth), i)))));
  return { rows: tileOf(row, schedule.rows, 1), columns: tileOf(column, schedule.columns, columnLanes), depth, alongK };
};

export const matmulKernel = (expression: TensorExpression, contraction: Contraction, output: Output, schedule: MatmulSchedule, dtypes: DTypes): LoopKernel => {
  const { axes, variable } = expression;
  const { value, terms, left, over, row, column, batch } = contraction;
  const index = output.index(axes.map(ofVariable));
  const broadcast = (row?.extent ?? 1) >= (schedule.broadcast?.rows ?? Infinity) ? schedule.broadcast : undefined;
  const { rows, columns, depth, alongK } = tileShape(contraction, index, { ...schedule, ...(broadcast && { rows: broadcast.rows, columns: broadcast.columns }) });
  const { thread, lane, subgroup, workgroupSize, tileX, tileY, batchAt } = broadcast === undefined ? gridOf(columns.count, rows.count, batch, schedule.workgroup, variable)
    : sharedRowsGrid(columns.count, rows.count, batch, broadcast.threads, variable);
  const p = placer([...thread, ...(lane ? [lane] : []), ...(subgroup ? [subgroup] : [])].map((axis) => axis.id));
  const at = (more: readonly (readonly [Variable | undefined, Index])[]): ReadonlyMap<number, Index> =>
    new Map([...batchAt, ...more.flatMap(([axis, index]) => (axis === undefined ? [] : [[axis.id, index] as const]))]);
  const rowAt = (i: number): Index => rows.positions(tileY, i)[0]!;

  // sums lie in scalars where factors are read along k, else in vectors along the columns
  const inScalars = alongK || columns.lanes === 1, perGroup = inScalars ? columns.lanes : 1;
  const grid = <A>(make: () => A): readonly (readonly A[])[] =>
    Array.from({ length: rows.groups }, () => Array.from({ length: columns.groups * perGroup }, make));
  const sums = terms.map(({ reduce }) => {
    const zero = S.constant(0, reduce.type);
    return grid(() => p.declare(p.root, inScalars ? zero : S.splat(zero, columns.lanes)));
  });

  const inner = last(over), k = inner?.id ?? NO_VARIABLE;
  contractedLoops(p, p.root, over, depth, variable, (block, ks) => {
    const fragment = (e: Scalar, along: number, positions: readonly Index[]): Scalar =>
      named(p, block, placed(p, positions.length === 0 ? e : widen(e, along, positions), block));
    const leftAt = (position: Index): Scalar => fragment(substitute(left, at([[row, position]])), k, ks);
    const lefts = subgroup === undefined || row === undefined ? Array.from({ length: rows.groups }, (_, i) => leftAt(rowAt(i)))
      : sharedAmong(p, block, subgroup, rows.groups, (part) => leftAt(clampIndex(plus(times(tileY, rows.groups), part), 0, row.extent - 1)));
    terms.forEach(({ right }, term) => {
      if (inScalars) {
        for (let j = 0; j < columns.groups * perGroup; j++) {
          const position = columns.positions(tileX, Math.floor(j / perGroup))[j % perGroup]!;
          const part = fragment(substitute(right, at([[column, position]])), k, ks);
          lefts.forEach((a, i) => addTo(p, block, sums[term]![i]![j]!, S.dot(a, part)));
        }
        return;
      }
      (ks.length === 0 ? [undefined] : ks).forEach((position, step) => {
        const here = substitute(right, at(position === undefined ? [] : [[inner, position]]));
        for (let j = 0; j < columns.groups; j++) {
          const part = fragment(here, column!.id, columns.positions(tileX, j));
          lefts.forEach((a, i) => addTo(p, block, sums[term]![i]![j]!, S.mul(S.splat(S.lane(a, step), columns.lanes), part)));
        }
      });
    });
  });

  const epilogue = { row, column, batchAt, tensor: output.tensor, index, around: aroundSums(p, value, terms.map(({ reduce }) => reduce)) };
  for (let i = 0; i < rows.groups; i++) {
    for (let j = 0; j < columns.groups; j++) {
      const parts = sums.map((term) => (inScalars ? S.vector(term[i]!.slice(j * perGroup, (j + 1) * perGroup)) : term[i]![j]!));
      storePart(p, epilogue, { rowAt: rowAt(i), columnAt: columns.positions(tileX, j), inside: S.both(rows.inside(tileY, i), columns.inside(tileX, j)), sums: parts });
    }
  }
  return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread, lane, ...(subgroup && { subgroup }), workgroupSize, body: p.root.statements };
};

interface Grid {
  readonly thread: readonly Variable[];
  readonly lane: Variable | undefined;
  readonly subgroup: Variable | undefined;
  readonly workgroupSize: readonly [number, number, number];
  readonly tileX: Index;
  readonly tileY: Index;
  readonly batchAt: ReadonlyMap<number, Index>;
}
/** Batch entries that the third grid axis can count. */
const MOST_Z = 65535;

/** Threads in two dimensions where the tiles fill whole workgroups, else numbered through, so that none are idle. */
const gridOf = (columns: number, rows: number, batch: readonly Variable[], [wx, wy]: MatmulSchedule['workgroup'], variable: TensorExpression['variable']): Grid => {
  const count = batch.reduce((n, axis) => n * axis.extent, 1);
  if (columns % wx === 0 && rows % wy === 0 && count <= MOST_Z) {
    const thread = [variable(columns), variable(rows), variable(count)] as const;
    return { thread, lane: undefined, subgroup: undefined, workgroupSize: [wx, wy, 1], tileX: ofVariable(thread[0]), tileY: ofVariable(thread[1]), batchAt: splitThread(ofVariable(thread[2]), batch) };
  }
  const flat = variable(columns * rows * count);
  const [z, y, x] = unflatten(ofVariable(flat), [count, rows, columns]) as readonly [Index, Index, Index]; // one for each extent
  return { thread: [flat], lane: undefined, subgroup: undefined, workgroupSize: [wx * wy, 1, 1], tileX: x, tileY: y, batchAt: splitThread(z, batch) };
};

/** Workgroups with one tile of rows each; what threads beyond the last column compute is not stored. */
const sharedRowsGrid = (columns: number, rows: number, batch: readonly Variable[], threads: number, variable: TensorExpression['variable']): Grid => {
  const count = batch.reduce((n, axis) => n * axis.extent, 1), across = Math.ceil(columns / threads);
  const group = variable(count * rows * across), lane = variable(threads), subgroup = variable(LEAST_SUBGROUP);
  const [z, y, x] = unflatten(ofVariable(group), [count, rows, across]) as readonly [Index, Index, Index]; // one for each extent
  return { thread: [group], lane, subgroup, workgroupSize: [threads, 1, 1], tileX: plus(times(x, threads), ofVariable(lane)), tileY: y, batchAt: splitThread(z, batch) };
};

/** Values 0 to `count - 1`, of which each thread of a subgroup computes every fourth and gets the others from its neighbours. */
const sharedAmong = (p: Placer, block: Block, subgroup: Variable, count: number, valueAt: (number: Index) => Scalar): readonly Scalar[] =>
  Array.from({ length: Math.ceil(count / LEAST_SUBGROUP) }, (_, part) => {
    const own = valueAt(plusConstant(ofVariable(subgroup), part * LEAST_SUBGROUP));
    return Array.from({ length: Math.min(LEAST_SUBGROUP, count - part * LEAST_SUBGROUP) }, (_, lane) => {
      const local = p.local();
      p.push(block, { kind: 'share', local, value: own, lane });
      block.bound.add(localId(local));
      return S.local(local, own.type, own.lanes);
    });
  }).flat();
