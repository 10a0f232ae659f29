/**
 * The schedule of row programs: a thread computes its row through all stages, with every stage's result in registers.
 *
 * The threads of a workgroup have rows of one group, which share their weights: what depends on weights alone (the lengths of their
 * columns) is computed by all of them together, once, into workgroup memory, and used on results instead of weights. A layer is computed
 * hidden unit by hidden unit: the unit's value, then its share of every place of the row, so a hidden layer is never stored either.
 */
import { clampIndex, type Index, integer, ofVariable, plus, plusConstant, quotient, remainder, substituteIndex, times, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel, Statement } from '../../dsl/scalar/loop.ts';
import { extentOf, freeVariables, localId, outermostReductions, rewriteScalar, subexpressions, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Lanes, Scalar } from '../../dsl/scalar/scalar.ts';
import { powerOfTwoFrom, type RowProgramSchedule } from '../schedule.ts';
import { accessesOf } from './access.ts';
import { assign, type Block, lanesSum, named, placed, type Placer, placer } from './block.ts';
import { NO_VARIABLE } from './epilogue.ts';
import { widthFor } from './matmul.ts';
import type { Output } from './row.ts';
import { type Layer, type RowProgram, type Stage } from './row-pattern.ts';
import { distance, isWideLoad, positionsOf, widen } from './widen.ts';
import { together } from './workgroup.ts';

type Reduce = S.ScalarKind<'reduce'>;
type DTypes = Parameters<typeof accessesOf>[1];


/** A row in registers: vectors of `lanes` places. */
interface Registers { readonly lanes: Lanes; readonly parts: readonly Scalar[] }

/** Registers that a thread needs at once: the rows that a stage reads, its own, and its sums. */
export const rowRegisters = (stages: readonly Stage[]): number => {
  const widths = new Map(stages.map(({ tensor, width }) => [tensor, width]));
  const needs = stages.map(({ value, width, layers, tensor }) => {
    const read = new Set(subexpressions(value).flatMap((e) => (e.kind === 'load' && e.tensor !== tensor && widths.has(e.tensor) ? [e.tensor] : [])));
    return [...read].reduce((n, t) => n + widths.get(t)!, width * Math.max(1, layers.length));
  });
  return Math.max(...needs);
};

/** Statements of one thread are about as many as it has products outside loops; software drivers and compilers suffer from too many. */
export const rowStatements = (stages: readonly Stage[]): number => {
  const widths = new Map(stages.map(({ tensor, width }) => [tensor, width]));
  const readsRows = (e: Scalar): boolean => subexpressions(e).some((part) => part.kind === 'load' && widths.has(part.tensor));
  return stages.reduce((n, { width, layers }) => n + layers.reduce((m, { left, depth, right }) => {
    const nested = outermostReductions(left).reduce((k, r) => k + (readsRows(r.body) ? extentOf(r.over) : 1), 0);
    return m + (readsStatically(left, depth, widths) || readsStatically(right, depth, widths) ? depth.extent / 4 : 1) * (width + nested);
  }, width / 4), 0);
};
/** Whether places of rows depend on the variable, outside of inner sums: then its loop is written out. */
const readsStatically = (e: Scalar, v: Variable, widths: ReadonlyMap<number, number>): boolean =>
  subexpressions(e).some((part) => part.kind === 'load' && widths.has(part.tensor) && freeVariables(S.fromIndex(part.index, 'i32')).has(v.id));

const joinOf = (monoid: S.Monoid): ((a: Scalar, b: Scalar) => Scalar) => (monoid === 'sum' ? S.add : S.max);
const lanesJoined = (monoid: S.Monoid, e: Scalar): Scalar =>
  (monoid === 'sum' && e.type === 'f32' ? lanesSum(e) : Array.from({ length: e.lanes }, (_, l) => S.lane(e, l)).reduce(joinOf(monoid)));

interface Site {
  readonly p: Placer;
  /** Where weights are summed up before the stages; its statements come first. */
  readonly before: Block;
  readonly lane: Variable;
  readonly fresh: (extent: number) => Variable;
  /** Variables that all threads of the workgroup have in common. */
  readonly common: ReadonlySet<number>;
  readonly rows: Map<number, Registers>;
  readonly widths: ReadonlyMap<number, number>;
  /** Sums over weights in workgroup memory, by what they are. */
  readonly shared: Map<string, S.LocalArray>;
  /** The local that only exists behind the barrier after `before`. */
  readonly after: number;
  /** Values of a row that are known already, by what they are. */
  readonly known: Map<string, Scalar>;
}

/** Loads of rows become the registers that hold them. */
const fromRegisters = ({ rows, widths }: Site, e: Scalar): Scalar => rewriteScalar(e, (_old, rebuilt) => {
  const width = rebuilt.kind === 'load' ? widths.get(rebuilt.tensor) : undefined;
  if (rebuilt.kind !== 'load' || width === undefined) return rebuilt;
  const place = remainder(rebuilt.index, width), { lanes, parts } = rows.get(rebuilt.tensor)!;
  if (place.terms.length > 0) throw new Error('invariant: the place of a row is not known');
  if (rebuilt.lanes === lanes && place.constant % lanes === 0) return parts[place.constant / lanes]!;
  return S.vector(Array.from({ length: rebuilt.lanes }, (_, l) => S.lane(parts[Math.floor((place.constant + l) / lanes)]!, (place.constant + l) % lanes)));
});
const readsRows = ({ widths }: Site, e: Scalar): boolean => subexpressions(e).some((part) => part.kind === 'load' && widths.has(part.tensor));
const reads = (e: Scalar, v: Variable | undefined): boolean => v !== undefined && freeVariables(e).has(v.id);

/** What `e` is at the positions of `v`, as one vector; its sums are computed before, in `block`. */
const vectorOf = (site: Site, block: Block, e: Scalar, v: Variable | undefined, positions: readonly Index[], given: ReadonlyMap<string, Scalar> = new Map()): Scalar => {
  const { p } = site;
  const standIns = new Map<string, Scalar>(), values = new Map<number, Scalar>();
  for (const sum of outermostReductions(e)) {
    const value = given.get(sum.key) ?? (reads(sum, v) ? vectorSum(site, block, sum, v!, positions) : rowSum(site, block, sum));
    const local = p.local();
    standIns.set(sum.key, S.local(local, sum.type));
    values.set(local, value);
  }
  const bare = rewriteScalar(e, (old, rebuilt) => standIns.get(old.key) ?? rebuilt);
  const wide = widen(bare, v?.id ?? NO_VARIABLE, positions, new Map([...values].map(([local, value]) => [local, S.splat(value, positions.length as Lanes)])));
  const ready = fromRegisters(site, wide);
  return placed(p, ready, block);
};

/** A sum that is the same for all places: once a row. */
const rowSum = (site: Site, block: Block, sum: Reduce): Scalar => {
  const { p, known } = site;
  if (!readsRows(site, sum)) return placed(p, sum, block);
  const found = known.get(sum.key);
  if (found !== undefined) return found;
  const [first, ...more] = sum.over;
  const parts: Scalar[] = [];
  const lanes = widthFor(first!.extent, 4);
  if (more.length > 0) throw new Error('invariant: a sum over several axes of a row');
  const target = isConstantIn(sum, site) ? p.root : block;
  for (let i = 0; i < first!.extent / lanes; i++) parts.push(vectorOf(site, target, sum.body, first, positionsOf(lanes, integer(i))));
  const value = named(p, target, lanesJoined(sum.monoid, named(p, target, parts.reduce(joinOf(sum.monoid)))));
  if (target === p.root) known.set(sum.key, value);
  return value;
};
/** Depends on nothing but the row. */
const isConstantIn = (sum: Reduce, { p }: Site): boolean => [...freeVariables(sum)].every((id) => p.root.bound.has(id));

/** A sum that depends on `v`, at several of its positions at once. */
const vectorSum = (site: Site, block: Block, sum: Reduce, v: Variable, positions: readonly Index[]): Scalar => {
  const { p } = site, lanes = positions.length as Lanes;
  if ([...freeVariables(sum)].every((id) => id === v.id || site.common.has(id))) {
    const array = sharedSums(site, sum, v);
    return S.vector(positions.map((position) => S.element(array, position, site.after)));
  }
  const total = p.declare(block, S.splat(S.constant(S.identityOf(sum.monoid, sum.type), sum.type), lanes));
  const add = (inner: Block, at: ReadonlyMap<number, Index>): void =>
    assign(p, inner, total, joinOf(sum.monoid)(total, vectorOf(site, inner, substitute(sum.body, at), v, positions)));
  if (readsRows(site, sum.body)) {
    for (let i = 0; i < extentOf(sum.over); i++) add(block, new Map([[sum.over[0]!.id, integer(i)]]));
    return total;
  }
  const loops = sum.over.map((over) => site.fresh(over.extent));
  const nest = (outer: Block, rest: readonly Variable[]): void => {
    const [first, ...more] = rest;
    if (first === undefined) { add(outer, new Map(sum.over.map((over, i) => [over.id, ofVariable(loops[i]!)]))); return; }
    const inner = p.open(outer, true, [first.id]);
    nest(inner, more);
    p.push(outer, { kind: 'for', variable: first, body: inner.statements });
  };
  nest(block, loops);
  return total;
};

/** A sum over weights for every value of `v`, by the threads of the workgroup together. */
const sharedSums = (site: Site, sum: Reduce, v: Variable): S.LocalArray => {
  const { p, before, lane, fresh, shared } = site;
  const name = substitute(sum, new Map([[v.id, ofVariable({ ...v, id: 1 })]])).key; // the same sum over another variable is the same
  const known = shared.get(name);
  if (known !== undefined) return known;
  const array: S.LocalArray = { id: shared.size, space: 'workgroup', type: sum.type, lanes: 1, length: v.extent };
  shared.set(name, array);
  together({ p, lane, variable: fresh }, before, v.extent, (block, item) => {
    p.push(block, { kind: 'put', array, index: p.placeIndex(item, block), value: placed(p, substitute(sum, new Map([[v.id, item]])), block) });
  });
  return array;
};

/** How the sums of a layer lie: vectors along the places, or a scalar for each place and vectors along the summed axis. */
const isAlongDepth = ({ right, depth }: Layer, place: Variable): boolean => {
  if (outermostReductions(right).length > 0) return false; // computed, not read
  const wide = (v: Variable): boolean => widthFor(v.extent, 4) > 1 && isWideLoad(widen(right, v.id, positionsOf(widthFor(v.extent, 4), ofVariable({ ...v, extent: v.extent / widthFor(v.extent, 4) }))));
  return !wide(place) && wide(depth);
};

/** The sums of a layer for all places of the row. */
const layerSums = (site: Site, layer: Layer, place: Variable): Registers => {
  const { p, fresh, widths } = site, { left, right, depth } = layer;
  const along = isAlongDepth(layer, place), lanes: Lanes = along ? 1 : widthFor(place.extent, 4), width = widthFor(depth.extent, 4);
  const sums = Array.from({ length: place.extent / lanes }, () => p.declare(p.root, S.splat(S.constant(0, 'f32'), lanes)));
  const step = (block: Block, at: Index): void => {
    const positions = positionsOf(width, at);
    const units = named(p, block, vectorOf(site, block, left, depth, positions));
    if (along) {
      sums.forEach((sum, f) => assign(p, block, sum, S.add(sum, S.dot(units, vectorOf(site, block, substitute(right, new Map([[place.id, integer(f)]])), depth, positions)))));
      return;
    }
    positions.forEach((position, l) => {
      const here = substitute(right, new Map([[depth.id, position]]));
      sums.forEach((sum, f) => assign(p, block, sum, S.add(sum, S.mul(S.splat(S.lane(units, l), lanes), vectorOf(site, block, here, place, positionsOf(lanes, integer(f)))))));
    });
  };
  if (readsStatically(left, depth, widths) || readsStatically(right, depth, widths)) {
    for (let i = 0; i < depth.extent / width; i++) step(p.root, integer(i));
  } else {
    const v = fresh(depth.extent / width), block = p.open(p.root, true, [v.id]);
    step(block, ofVariable(v));
    p.push(p.root, { kind: 'for', variable: v, body: block.statements });
  }
  return { lanes, parts: sums };
};

/** Vector `i` of a row that lies in registers of another width. */
const regroup = ({ lanes, parts }: Registers, wanted: Lanes, i: number): Scalar => (lanes === wanted ? parts[i]!
  : S.vector(Array.from({ length: wanted }, (_, l) => S.lane(parts[Math.floor((i * wanted + l) / lanes)]!, (i * wanted + l) % lanes))));

const stageRow = (site: Site, { place, width, value, layers }: Stage): Registers => {
  const lanes = widthFor(width, 4), sums = layers.map((layer) => [layer.reduce.key, layerSums(site, layer, place!)] as const);
  const parts = Array.from({ length: width / lanes }, (_, i) => {
    const given = new Map(sums.map(([key, registers]) => [key, regroup(registers, lanes, i)]));
    return named(site.p, site.p.root, vectorOf(site, site.p.root, value, place, positionsOf(lanes, integer(i)), given));
  });
  return { lanes, parts };
};

/** Part of the groups of a program, for one kernel; loads and stores of large tensors are relative to `starts`. */
export interface RowPiece {
  readonly from: number;
  readonly groups: number;
  readonly starts: ReadonlyMap<number, number>;
}

const groupRow = ({ group }: RowProgram, from: number, of: Variable, within: Index): Index => plus(times(plusConstant(ofVariable(of), from), group), within);

/** Ranges of positions that groups `from` and the `groups - 1` after it reach in each tensor outside the program, and in the result. */
export const rowRanges = (program: RowProgram, { from, groups }: Pick<RowPiece, 'from' | 'groups'>, output: Output): ReadonlyMap<number, readonly [number, number]> => {
  const { stages, row, group, fresh } = program, own = new Set(stages.map(({ tensor }) => tensor));
  const at = new Map([[row.id, groupRow(program, from, fresh(groups), ofVariable(fresh(group)))]]);
  const ranges = new Map<number, readonly [number, number]>();
  const note = (tensor: number, { min, max }: Index): void => { ranges.set(tensor, [Math.min(ranges.get(tensor)?.[0] ?? min, min), Math.max(ranges.get(tensor)?.[1] ?? max, max)]); };
  for (const { value } of stages) {
    for (const e of subexpressions(substitute(value, at))) if (e.kind === 'load' && !own.has(e.tensor)) note(e.tensor, e.index);
  }
  const last = stages[stages.length - 1]!;
  note(last.tensor, output.index(last.axes.map((axis) => substituteIndex(axis, at, (e) => e))));
  return ranges;
};

const relative = (e: Scalar, starts: ReadonlyMap<number, number>): Scalar => (starts.size === 0 ? e : rewriteScalar(e, (_old, rebuilt) => {
  const start = rebuilt.kind === 'load' ? starts.get(rebuilt.tensor) : undefined;
  return rebuilt.kind === 'load' && start !== undefined ? S.load(rebuilt.tensor, plusConstant(rebuilt.index, -start), rebuilt.stored, rebuilt.lanes) : rebuilt;
}));

export const rowProgramKernel = (program: RowProgram, piece: RowPiece, output: Output, schedule: RowProgramSchedule, dtypes: DTypes): LoopKernel => {
  const { stages, row, group, fresh } = program;
  const threads = Math.min(schedule.threads, powerOfTwoFrom(group)), tiles = Math.ceil(group / threads);
  const number = fresh(piece.groups * tiles), lane = fresh(threads);
  const item = quotient(ofVariable(number), tiles), tile = remainder(ofVariable(number), tiles);
  const within = plus(times(tile, threads), ofVariable(lane)), last = stages[stages.length - 1]!;
  const at = new Map([[row.id, plus(times(plusConstant(item, piece.from), group), clampIndex(within, 0, group - 1))]]);
  const p = placer([number.id, lane.id]), before = p.open(p.root, false), after = p.local();
  p.root.bound.add(localId(after));
  const widths = new Map(stages.slice(0, -1).map(({ tensor, width }) => [tensor, width]));
  const site: Site = { p, before, lane, fresh, common: new Set([number.id]), rows: new Map(), widths, shared: new Map(), after, known: new Map() };
  const here = (e: Scalar): Scalar => relative(substitute(e, at), piece.starts);
  const located = (stage: Stage): Stage => ({ ...stage, value: here(stage.value), layers: stage.layers.map((layer) => {
    const reduce = here(layer.reduce) as Reduce; // substitution and new positions keep a sum a sum
    return { reduce, depth: layer.depth, left: here(layer.left), right: here(layer.right) };
  }) });
  for (const stage of stages.slice(0, -1)) site.rows.set(stage.tensor, stageRow(site, located(stage)));
  const result = stageRow(site, located(last));
  const inside = S.indexBelow(within, group), target = inside.kind === 'constant' ? p.root : p.open(p.root, false);
  storeRow(p, target, result, last, output, at, piece.starts.get(last.tensor) ?? 0);
  if (target !== p.root) p.push(p.root, { kind: 'if', condition: placed(p, inside, p.root), body: target.statements });
  const shared: readonly Statement[] = before.statements.length === 0 ? [] : [...before.statements, { kind: 'barrier' }];
  const body = [...shared, ...p.root.statements];
  return { tensors: accessesOf(body, dtypes, output.tensor), thread: [number], lane, workgroupSize: [threads, 1, 1], body };
};

const storeRow = (p: Placer, block: Block, { lanes, parts }: Registers, { axes, place }: Stage, output: Output, at: ReadonlyMap<number, Index>, start: number): void => {
  const positionAt = (i: number): Index => plusConstant(output.index(axes.map((axis) => substituteIndex(axis, new Map([...at, ...(place === undefined ? [] : [[place.id, integer(i)] as const])]), (e) => e))), -start);
  const neighbours = lanes === 1 || distance(positionAt(0), positionAt(1)) === 1;
  parts.forEach((part, i) => {
    if (neighbours) p.push(block, { kind: 'store', tensor: output.tensor, index: p.placeIndex(positionAt(i * lanes), block), value: part });
    else for (let l = 0; l < lanes; l++) p.push(block, { kind: 'store', tensor: output.tensor, index: p.placeIndex(positionAt(i * lanes + l), block), value: S.lane(part, l) });
  });
};
