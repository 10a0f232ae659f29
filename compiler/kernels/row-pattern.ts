/**
 * Recognising a row program: a chain of small layers in which every row of one stage is computed from the same row of the stages before.
 *
 * The hypernetwork's decode is one: a row is a pixel, and the weights of its layers belong to the pixel's patch. So is any chain of small
 * per-item layers, whatever lies between them. The stages' results stay in registers; only the last one is stored.
 */
import { type Index, integer, ofVariable, plus, quotient, remainder, substituteIndex, times, unflatten, type Variable, flatten } from '../../dsl/scalar/index-expression.ts';
import { canonical, ofProduct, productOf, pulledOut, splitProduct } from '../../dsl/scalar/product.ts';
import { freeVariables, outermostReductions, reductionsIn, rewriteScalar, subexpressions, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import type { TensorExpression } from './tensor-expression.ts';

type Reduce = S.ScalarKind<'reduce'>;

/** A tensor that is computed on the way (or, for the last stage, the result), with all its inputs numbered alike in all stages. */
export interface StageSource {
  readonly tensor: number;
  readonly shape: readonly number[];
  readonly expression: TensorExpression;
}

/** `Σ over depth of left · right`, where only `right` depends on the place within the row: the left factor is computed once for all places. */
export interface Layer {
  readonly reduce: Reduce;
  readonly depth: Variable;
  readonly left: Scalar;
  readonly right: Scalar;
}

export interface Stage {
  readonly tensor: number;
  /** Elements of a row; the last stage may have rows of one. */
  readonly width: number;
  /** The place within the row. */
  readonly place: Variable | undefined;
  /** An element, over the row's number `row` and `place`. */
  readonly value: Scalar;
  readonly layers: readonly Layer[];
  /** Positions of the stage's axes, over `row` and `place`. */
  readonly axes: readonly Index[];
}

export interface RowProgram {
  readonly stages: readonly Stage[];
  readonly row: Variable;
  readonly rows: number;
  /** Rows that share their weights; they follow each other. */
  readonly group: number;
  readonly fresh: (extent: number) => Variable;
}

/** Why stages are no row program. */
export const ROW_FAULTS = {
  counts: 'the layers have different numbers of rows',
  others: 'a layer reads other rows than its own',
  dynamic: 'a place within a row is only known when the kernel runs',
  several: 'the result reads several rows',
  parts: 'the result is not made of whole rows',
  axes: 'the result has several axes within a row',
  none: 'the result reads no layer',
  common: 'no layer has weights of its own for each item',
  own: 'every row has weights of its own',
} as const;
export type RowFault = (typeof ROW_FAULTS)[keyof typeof ROW_FAULTS];

const reads = (e: Scalar, v: Variable): boolean => freeVariables(e).has(v.id);
const loadsIn = (e: Scalar): readonly S.ScalarKind<'load'>[] => subexpressions(e).filter((part): part is S.ScalarKind<'load'> => part.kind === 'load');
const tidy = (e: Scalar): Scalar => canonical(rewriteScalar(e, (_old, rebuilt) => (rebuilt.kind === 'reduce' ? pulledOut(rebuilt) : rebuilt)));

/** Numbers of variables of row programs; below those that `canonical` gives. */
const FIRST = 500_000;

interface Placed { readonly place: Variable | undefined; readonly axes: readonly Index[]; readonly width: number }

/** A stage whose axes but the last number its rows. */
const innerStage = ({ shape }: StageSource, row: Variable, fresh: RowProgram['fresh']): Placed => {
  const width = shape[shape.length - 1] ?? 1, place = width > 1 ? fresh(width) : undefined;
  return { place, width, axes: [...unflatten(ofVariable(row), shape.slice(0, -1)), place === undefined ? integer(0) : ofVariable(place)] };
};

/** A sum of axes with the strides of a row-major position: `7·a + b` for extents 3 and 7. Returns those axes from the widest stride down. */
const mixedRadix = (index: Index, axes: readonly Variable[]): readonly Variable[] | undefined => {
  if (index.constant !== 0) return undefined;
  const terms = [...index.terms].sort((a, b) => b.coefficient - a.coefficient);
  const found = terms.map(({ atom }) => (atom.kind === 'variable' ? axes.find((axis) => axis.id === atom.id) : undefined));
  if (found.includes(undefined)) return undefined;
  const order = found as readonly Variable[]; // none is undefined
  let stride = 1;
  for (let i = order.length - 1; i >= 0; i--) {
    if (terms[i]!.coefficient !== stride) return undefined;
    stride *= order[i]!.extent;
  }
  return order;
};

/** The last stage may have its axes in any order (pixels are folded into an image): they follow from the row that it reads. */
const lastStage = ({ shape, expression }: StageSource, rowRead: Index, row: Variable, rows: number, fresh: RowProgram['fresh']): Placed | RowFault => {
  const order = mixedRadix(rowRead, expression.axes);
  const wide = expression.axes.filter((axis) => axis.extent > 1);
  const rest = wide.filter((axis) => order?.includes(axis) !== true);
  if (order === undefined || order.reduce((n, axis) => n * axis.extent, 1) !== rows) return ROW_FAULTS.parts;
  if (rest.length > 1) return ROW_FAULTS.axes;
  const positions = unflatten(ofVariable(row), order.map((axis) => axis.extent));
  const place = rest[0] && fresh(rest[0].extent);
  const at = new Map<number, Index>(order.map((axis, i) => [axis.id, positions[i]!]));
  if (place !== undefined) at.set(rest[0]!.id, ofVariable(place));
  return { place, width: place?.extent ?? 1, axes: shape.map((_, i) => at.get(expression.axes[i]!.id) ?? integer(0)) };
};

/** The sums of an expression that are layers: products whose left factor does not depend on the place. */
const layersOf = (value: Scalar, place: Variable | undefined): readonly Layer[] => {
  if (place === undefined) return [];
  return outermostReductions(value).flatMap((reduce): readonly Layer[] => {
    if (reduce.monoid !== 'sum' || reduce.type !== 'f32' || reduce.over.length !== 1 || !reads(reduce, place)) return [];
    const { inside: right, outside: left } = splitProduct(productOf(reduce.body), [place]);
    if (left.over.length === 0) return []; // a sum over weights alone, such as the length of a column
    return [{ reduce, depth: reduce.over[0]!, left: ofProduct(left), right: ofProduct(right) }];
  });
};

/** How many of the rows that follow each other read the same of `e`: all of them, one, or as many as a factor of the row number says. */
const rowsSharing = (e: Scalar, row: Variable, shape: readonly number[]): number => {
  if (!reads(e, row)) return Infinity;
  // candidates: products of trailing extents of the rows' axes
  let group = shape.reduce((a, b) => a * b, 1);
  for (const extent of [1, ...shape]) {
    group /= extent;
    if (group <= 1) break;
    const outer: Variable = { kind: 'variable', id: FIRST - 1, extent: row.extent / group }, within: Variable = { kind: 'variable', id: FIRST - 2, extent: group };
    const split = substitute(e, new Map([[row.id, plus(times(ofVariable(outer), group), ofVariable(within))]]));
    if (!reads(split, within)) return group;
  }
  return 1;
};

/** Whether every load of a stage's result reads the row that is being computed. */
const readsOwnRow = (e: Scalar, widths: ReadonlyMap<number, number>, row: Variable): boolean => loadsIn(e).every(({ tensor, index }) => {
  const width = widths.get(tensor);
  return width === undefined || quotient(index, width).key === ofVariable(row).key;
});

/** Places within a row are known while the kernel is written, so that rows lie in registers: they depend on places and summed axes alone. */
const placesAreStatic = (e: Scalar, widths: ReadonlyMap<number, number>, row: Variable): boolean => loadsIn(e).every(({ tensor, index }) => {
  const width = widths.get(tensor);
  return width === undefined || (!S.fromIndex(remainder(index, width), 'i32').key.includes('value(') && !freeVariables(S.fromIndex(remainder(index, width), 'i32')).has(row.id));
});

/** Rows in memory that stages read again and again become rows in registers, under numbers from here on. */
const COPIES = 1_000_000;

/** Tensors outside the program of which every stage reads its own row only, inside a sum: each is copied into registers first. */
const copiesOf = (stages: readonly Stage[], row: Variable, shapes: (tensor: number) => readonly number[] | undefined, fresh: RowProgram['fresh']): readonly Stage[] => {
  const outside = new Map<number, number>();
  const wrong = new Set<number>();
  for (const { value } of stages) {
    const inSums = new Set(reductionsIn(value).flatMap(({ body }) => loadsIn(body).map(({ tensor }) => tensor)));
    for (const { tensor, index, type } of loadsIn(value)) {
      const shape = shapes(tensor), width = shape?.[shape.length - 1];
      if (shape === undefined || width === undefined) continue;
      const isRow = type === 'f32' && width > 1 && shape.reduce((a, b) => a * b, 1) === width * row.extent && quotient(index, width).key === ofVariable(row).key && placesAreStatic(S.load(tensor, index, 'f32'), new Map([[tensor, width]]), row);
      if (!isRow) wrong.add(tensor);
      else if (inSums.has(tensor)) outside.set(tensor, width);
    }
  }
  return [...outside].filter(([tensor]) => !wrong.has(tensor)).map(([tensor, width]): Stage => {
    const place = fresh(width), index = plus(times(ofVariable(row), width), ofVariable(place));
    return { tensor: tensor + COPIES, width, place, value: S.load(tensor, index, 'f32'), layers: [], axes: [] };
  });
};
const fromCopies = (e: Scalar, copied: ReadonlySet<number>): Scalar => rewriteScalar(e, (_old, rebuilt) =>
  (rebuilt.kind === 'load' && copied.has(rebuilt.tensor) ? S.load(rebuilt.tensor + COPIES, rebuilt.index, rebuilt.stored, rebuilt.lanes) : rebuilt));

/** The row program of stages in order, the last one being the result; or why there is none. `shapes` are those of tensors in memory. */
export const rowProgramOf = (sources: readonly StageSource[], shapes: (tensor: number) => readonly number[] | undefined): RowProgram | RowFault => {
  let next = FIRST;
  const fresh = (extent: number): Variable => ({ kind: 'variable', id: next++, extent });
  const last = sources[sources.length - 1]!, inner = sources.slice(0, -1);
  const leading = (inner[0] ?? last).shape.slice(0, -1);
  const rows = leading.reduce((a, b) => a * b, 1), row = fresh(rows);
  const widths = new Map(inner.map(({ tensor, shape }) => [tensor, shape[shape.length - 1]!]));
  if (inner.some(({ shape }) => shape.slice(0, -1).reduce((a, b) => a * b, 1) !== rows)) return ROW_FAULTS.counts;
  const stages: Stage[] = [];
  for (const source of sources) {
    const value = tidy(source.expression.value);
    const placed = source === last && inner.length > 0 ? placedLast(source, value, widths, row, rows, fresh) : innerStage(source, row, fresh);
    if (typeof placed === 'string') return placed;
    const at = new Map<number, Index>(source.expression.axes.map((axis, i) => [axis.id, placed.axes[i]!]));
    const here = tidy(substitute(value, at));
    if (!readsOwnRow(here, widths, row)) return ROW_FAULTS.others;
    if (!placesAreStatic(here, widths, row)) return ROW_FAULTS.dynamic;
    stages.push({ tensor: source.tensor, width: placed.width, place: placed.place, value: here, layers: layersOf(here, placed.place), axes: placed.axes });
  }
  const copies = copiesOf(stages, row, shapes, fresh), copied = new Set(copies.map(({ tensor }) => tensor - COPIES));
  const groups = stages.flatMap(({ layers }) => [...layers.map(({ right }) => right), ...nestedRights(layers, widths)]).map((e) => rowsSharing(e, row, leading)).filter((n) => n !== Infinity);
  const group = Math.min(...groups);
  if (groups.length === 0) return ROW_FAULTS.common;
  if (group <= 1) return ROW_FAULTS.own;
  const reading = stages.map((stage): Stage => {
    const value = fromCopies(stage.value, copied);
    return copied.size === 0 ? stage : { ...stage, value, layers: layersOf(value, stage.place) };
  });
  return { stages: [...copies, ...reading], row, rows, group, fresh };
};

/** Right factors of sums inside left factors: a hidden layer that is computed on the fly. */
const nestedRights = (layers: readonly Layer[], widths: ReadonlyMap<number, number>): readonly Scalar[] => layers.flatMap(({ left, depth }) =>
  outermostReductions(left).flatMap((reduce) => {
    if (!reads(reduce, depth)) return [];
    const { inside } = splitProduct(productOf(reduce.body), [depth]);
    return [...inside.over, ...inside.under].filter((e) => !loadsIn(e).some(({ tensor }) => widths.has(tensor)));
  }));

const placedLast = (source: StageSource, value: Scalar, widths: ReadonlyMap<number, number>, row: Variable, rows: number, fresh: RowProgram['fresh']): Placed | RowFault => {
  const read = [...new Map(loadsIn(value).flatMap(({ tensor, index }) => {
    const width = widths.get(tensor);
    return width === undefined ? [] : [[quotient(index, width).key, quotient(index, width)] as const];
  })).values()];
  if (read.length !== 1) return read.length === 0 ? ROW_FAULTS.none : ROW_FAULTS.several;
  return lastStage(source, read[0]!, row, rows, fresh);
};

/** The flat position of a stage's element in memory. */
export const positionOf = ({ axes }: Stage, shape: readonly number[], at: ReadonlyMap<number, Index>): Index =>
  flatten(axes.map((axis) => substituteIndex(axis, at, (e) => e)), shape);
