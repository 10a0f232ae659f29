/**
 * The matmul schedule: any contraction `sum over k of a(m, k) · b(n, k)`, with whatever is computed around it.
 *
 * A thread keeps a tile of rows x columns of the result in registers. Operands may be any expressions (views, casts, norms);
 * they are read as short vectors along k, or along n, where their indices prove that contiguous. No workgroup memory.
 */
import { clampIndex, type Index, integer, ofVariable, plusConstant, times, unflatten, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { freeVariables, reductionsIn, rewriteScalar, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Lanes, Scalar } from '../../dsl/scalar/scalar.ts';
import type { MatmulSchedule } from '../schedule.ts';
import { type Block, type Placer, placer } from './block.ts';
import { accessesOf } from './access.ts';
import { splitThread } from './thread.ts';
import type { TensorExpression } from './tensor-expression.ts';
import { widen } from './widen.ts';

export interface Contraction {
  readonly reduce: S.ScalarKind<'reduce'>;
  /** The factor that depends on `row`, and the one that depends on `column`. */
  readonly left: Scalar;
  readonly right: Scalar;
  readonly row: Variable | undefined;
  readonly column: Variable | undefined;
  /** All other axes of the result. */
  readonly batch: readonly Variable[];
}

/** An id that no variable or local has. */
const NO_VARIABLE = -1e9;

const last = <A>(items: readonly A[]): A | undefined => items[items.length - 1];

/** Finds the one contraction of an expression, if it is one that tiles: each axis belongs to one factor or to both. */
export const contractionOf = ({ axes, value }: TensorExpression): Contraction | undefined => {
  const [reduce, ...others] = reductionsIn(value);
  if (reduce === undefined || others.length > 0 || reduce.monoid !== 'sum' || reduce.body.kind !== 'binary' || reduce.body.op !== 'mul') return undefined;
  const { a, b } = reduce.body;
  const inA = freeVariables(a), inB = freeVariables(b);
  const wide = axes.filter((axis) => axis.extent > 1);
  if (wide.some((axis) => !inA.has(axis.id) && !inB.has(axis.id))) return undefined;
  const onlyA = wide.filter((axis) => inA.has(axis.id) && !inB.has(axis.id)), onlyB = wide.filter((axis) => inB.has(axis.id) && !inA.has(axis.id));
  // columns are the axis along which the result is contiguous
  const swap = last(wide) !== undefined && last(onlyA) === last(wide);
  const [left, right, row, column] = swap ? [b, a, last(onlyB), last(onlyA)] : [a, b, last(onlyA), last(onlyB)];
  if (row === undefined && column === undefined) return undefined; // a dot product for each element: nothing to share in a tile
  return { reduce, left, right, row, column, batch: axes.filter((axis) => axis !== row && axis !== column) };
};

const divides = (by: number, extent: number): boolean => extent % by === 0;
/** The widest of the allowed widths that divides the extent. */
const widthFor = (extent: number, most: number): Lanes => (most >= 4 && divides(4, extent) ? 4 : most >= 2 && divides(2, extent) ? 2 : 1);
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

const isWideLoad = (e: Scalar): boolean => (e.lanes > 1 && e.kind === 'load') || (e.kind === 'cast' && isWideLoad(e.a));

export const matmulKernel = (expression: TensorExpression, contraction: Contraction, output: { readonly tensor: number; readonly index: (at: readonly Index[]) => Index },
  schedule: MatmulSchedule, dtypes: Parameters<typeof accessesOf>[1]): LoopKernel => {
  const { axes, value, variable } = expression;
  const { reduce, left, right, row, column, batch } = contraction;
  const inner = last(reduce.over);
  const depth = widthFor(inner?.extent ?? 1, schedule.depth);
  // along k when that is contiguous for the right factor, else along the columns
  const neighbours = column !== undefined && column === last(axes.filter((axis) => axis.extent > 1)); // in the result's memory
  const columnLanes = !neighbours ? 1 : widthFor(column.extent, Math.min(4, tileFor(column.extent, schedule.columns)));
  const alongK = inner !== undefined && depth > 1 && isWideLoad(widen(right, inner.id, Array.from({ length: depth }, (_, i) => plusConstant(times(ofVariable(inner), depth), i))));
  const rows = tileOf(row, schedule.rows, 1);
  const columns = tileOf(column, schedule.columns, columnLanes);

  const grid = gridOf(columns.count, rows.count, batch, schedule.workgroup, variable);
  const { tileX, tileY, batchAt } = grid;
  const p = placer(grid.thread.map((axis) => axis.id));
  const at = (more: readonly (readonly [Variable | undefined, Index])[]): ReadonlyMap<number, Index> =>
    new Map([...batchAt, ...more.flatMap(([axis, index]) => (axis === undefined ? [] : [[axis.id, index] as const]))]);

  const zero = S.constant(0, reduce.type);
  const scalarAccumulators = alongK || columns.lanes === 1;
  const perGroup = scalarAccumulators ? columns.lanes : 1;
  const accumulators = Array.from({ length: rows.groups }, () => Array.from({ length: columns.groups * perGroup }, () =>
    p.declare(p.root, scalarAccumulators ? zero : S.splat(zero, columns.lanes))));

  contractedLoops(p, p.root, reduce.over, depth, variable, (block, ks) => {
    const kId = inner?.id ?? NO_VARIABLE;
    const named = Array.from({ length: rows.groups }, (_, i) => {
      const e = substitute(left, at([[row, rows.positions(tileY, i)[0]!]]));
      return nameIt(p, block, placed(p, ks.length === 0 ? e : widen(e, kId, ks), block));
    });
    if (scalarAccumulators) {
      for (let j = 0; j < columns.groups * perGroup; j++) {
        const position = columns.positions(tileX, Math.floor(j / perGroup))[j % perGroup]!;
        const e = substitute(right, at([[column, position]]));
        const part = nameIt(p, block, placed(p, ks.length === 0 ? e : widen(e, kId, ks), block));
        named.forEach((a, i) => addTo(p, block, accumulators[i]![j]!, S.dot(a, part)));
      }
      return;
    }
    for (const [k, position] of (ks.length === 0 ? [undefined] : ks).entries()) {
      for (let j = 0; j < columns.groups; j++) {
        const e = substitute(right, at(position === undefined ? [] : [[inner, position]]));
        const part = nameIt(p, block, placed(p, widen(e, column!.id, columns.positions(tileX, j)), block));
        named.forEach((a, i) => addTo(p, block, accumulators[i]![j]!, S.mul(S.splat(S.lane(a, k), columns.lanes), part)));
      }
    }
  });

  // the epilogue: the expression around the contraction, with the accumulator in its place
  const standIn = p.local();
  const around = rewriteScalar(value, (e, rebuilt) => (e.key === reduce.key ? S.local(standIn, reduce.type) : rebuilt));
  for (let i = 0; i < rows.groups; i++) {
    const rowAt = rows.positions(tileY, i)[0]!;
    for (let j = 0; j < columns.groups; j++) {
      const accumulator = scalarAccumulators ? S.vector(accumulators[i]!.slice(j * perGroup, (j + 1) * perGroup)) : accumulators[i]![j]!;
      const columnAt = columns.positions(tileX, j);
      const here = at([[row, rowAt]]);
      const e = widen(substitute(around, here), column?.id ?? NO_VARIABLE, columnAt, new Map([[standIn, accumulator]]));
      const inside = S.both(rows.inside(tileY, i), columns.inside(tileX, j));
      const target = inside.kind === 'constant' ? p.root : p.open(p.root, false);
      const stored = placed(p, e, target);
      const position = output.index(axes.map((axis) => (axis === column ? columnAt[0]! : axis === row ? rowAt : here.get(axis.id) ?? integer(0))));
      p.push(target, { kind: 'store', tensor: output.tensor, index: position, value: stored });
      if (target !== p.root) p.push(p.root, { kind: 'if', condition: inside, body: target.statements });
    }
  }
  return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread: grid.thread, lane: undefined, workgroupSize: grid.workgroupSize, body: p.root.statements };
};

interface Grid {
  readonly thread: readonly Variable[];
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
    return { thread, workgroupSize: [wx, wy, 1], tileX: ofVariable(thread[0]), tileY: ofVariable(thread[1]), batchAt: splitThread(ofVariable(thread[2]), batch) };
  }
  const flat = variable(columns * rows * count);
  const [z, y, x] = unflatten(ofVariable(flat), [count, rows, columns]) as readonly [Index, Index, Index]; // one for each extent
  return { thread: [flat], workgroupSize: [wx * wy, 1, 1], tileX: x, tileY: y, batchAt: splitThread(z, batch) };
};

const addTo = (p: Placer, block: Block, accumulator: Scalar, value: Scalar): void =>
  p.push(block, { kind: 'assign', local: (accumulator as S.ScalarKind<'local'>).local, value: S.binary('add', accumulator, value) });
const placed = (p: Placer, e: Scalar, block: Block): Scalar => {
  p.expect([e]);
  return p.place(e, block);
};
/** Gives a fragment a name, so that the products share one load. */
const nameIt = (p: Placer, block: Block, value: Scalar): Scalar => {
  if (value.kind === 'local') return value;
  const local = p.local();
  p.push(block, { kind: 'let', local, value });
  return S.local(local, value.type, value.lanes);
};
