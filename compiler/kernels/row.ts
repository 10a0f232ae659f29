/**
 * The row schedule: every kernel that is no tiled matmul.
 *
 * Axes that a reduction depends on are spread over threads (or workgroups); the others are walked inside, after the reductions,
 * which are computed once a row. Without reductions every element has a thread of its own.
 */
import { clampIndex, type Index, ofVariable, plus, times, unflatten, type Variable } from '../../dsl/scalar/index-expression.ts';
import type { LoopKernel } from '../../dsl/scalar/loop.ts';
import { extentOf, freeVariables, reductionsIn, substitute } from '../../dsl/scalar/rewrite.ts';
import * as S from '../../dsl/scalar/scalar.ts';
import type { Scalar } from '../../dsl/scalar/scalar.ts';
import type { Schedule } from '../schedule.ts';
import { accessesOf } from './access.ts';
import { type Block, type Placer, placer, type ReduceSchedule, sequentialReduce } from './block.ts';
import type { TensorExpression } from './tensor-expression.ts';
import { splitThread } from './thread.ts';

export interface Output {
  readonly tensor: number;
  readonly index: (at: readonly Index[]) => Index;
}
type DTypes = Parameters<typeof accessesOf>[1];

/** Axes whose value some reduction depends on; all axes where nothing is reduced. */
export const rowAxes = ({ axes, value }: TensorExpression): readonly Variable[] => {
  const reductions = reductionsIn(value);
  return reductions.length === 0 ? axes : axes.filter((axis) => reductions.some((e) => freeVariables(e).has(axis.id)));
};

interface Rows {
  readonly flat: Variable;
  readonly value: Scalar;
  readonly inner: readonly Variable[];
  /** Position in the output, given positions of the inner axes. */
  readonly position: (inner: ReadonlyMap<number, Index>) => Index;
}

const rowsOf = (expression: TensorExpression, output: Output): Rows => {
  const rows = rowAxes(expression);
  const flat = expression.variable(extentOf(rows));
  const at = splitThread(ofVariable(flat), rows);
  return {
    flat, value: substitute(expression.value, at), inner: expression.axes.filter((axis) => !rows.includes(axis)),
    position: (inner) => output.index(expression.axes.map((axis) => at.get(axis.id) ?? inner.get(axis.id) ?? ofVariable(axis))),
  };
};

const nest = (p: Placer, block: Block, loops: readonly Variable[], store: (block: Block) => void): void => {
  const [first, ...rest] = loops;
  if (first === undefined) { store(block); return; }
  const body = p.open(block, true, [first.id]);
  nest(p, body, rest, store);
  p.push(block, { kind: 'for', variable: first, body: body.statements });
};

const byThread = (expression: TensorExpression, output: Output, workgroup: number, dtypes: DTypes): LoopKernel => {
  const { flat, value, inner, position } = rowsOf(expression, output);
  const p = placer([flat.id]);
  p.expect([value]);
  nest(p, p.root, inner, (block) =>
    p.push(block, { kind: 'store', tensor: output.tensor, index: p.placeIndex(position(new Map()), block), value: p.place(value, block) }));
  return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread: [flat], lane: undefined, workgroupSize: [workgroup, 1, 1], body: p.root.statements };
};

/** Threads of a workgroup take every `workgroup`-th element; what lies beyond the end counts as the identity. */
const sharedReduce = (lane: Variable, workgroup: number, variable: TensorExpression['variable']): ReduceSchedule => (p, e, block) => {
  // threads that reduce different rows cannot share one
  if (block !== p.root || freeVariables(e).has(lane.id)) return sequentialReduce(p, e, block);
  const count = extentOf(e.over);
  const step = variable(Math.ceil(count / workgroup));
  const flat = plus(times(ofVariable(step), workgroup), ofVariable(lane));
  const positions = unflatten(clampIndex(flat, 0, count - 1), e.over.map((v) => v.extent));
  const value = substitute(e.body, new Map(e.over.map((v, i) => [v.id, positions[i]!])));
  p.expect([value]); // its parts are new: the substitution made them
  const accumulator = p.declare(block, S.constant(S.identityOf(e.monoid, e.type), e.type));
  const body = p.open(block, true, [step.id]);
  const counted = S.select(S.indexBelow(flat, count), p.place(value, body), S.constant(S.identityOf(e.monoid, e.type), e.type));
  const { local } = accumulator as S.ScalarKind<'local'>; // declare makes locals
  p.push(body, { kind: 'assign', local, value: S.binary(e.monoid === 'sum' ? 'add' : 'max', accumulator, counted) });
  p.push(block, { kind: 'for', variable: step, body: body.statements });
  p.push(block, { kind: 'combine', local, type: e.type, monoid: e.monoid });
  return accumulator;
};

const byWorkgroup = (expression: TensorExpression, output: Output, workgroup: number, dtypes: DTypes): LoopKernel => {
  const { flat, value, inner, position } = rowsOf(expression, output);
  const { variable } = expression;
  const lane = variable(workgroup);
  const p = placer([flat.id, lane.id], sharedReduce(lane, workgroup, variable));
  const count = extentOf(inner), step = variable(Math.ceil(count / workgroup));
  const at = plus(times(ofVariable(step), workgroup), ofVariable(lane));
  const positions = unflatten(clampIndex(at, 0, count - 1), inner.map((axis) => axis.extent));
  const innerAt = new Map(inner.map((axis, i) => [axis.id, positions[i]!]));
  const placed = substitute(value, innerAt);
  p.expect([placed]);
  const loop = p.open(p.root, true, [step.id]);
  const stored = p.place(placed, loop);
  const inside = S.indexBelow(at, count);
  const store = { kind: 'store' as const, tensor: output.tensor, index: p.placeIndex(position(innerAt), loop), value: stored };
  p.push(loop, inside.kind === 'constant' ? store : { kind: 'if', condition: inside, body: [store] });
  p.push(p.root, { kind: 'for', variable: step, body: loop.statements });
  return { tensors: accessesOf(p.root.statements, dtypes, output.tensor), thread: [flat], lane, workgroupSize: [workgroup, 1, 1], body: p.root.statements };
};

export const rowKernel = (expression: TensorExpression, output: Output, schedule: Schedule, dtypes: DTypes): LoopKernel => {
  const reductions = reductionsIn(expression.value);
  if (reductions.length === 0) return byThread(expression, output, schedule.elementwise, dtypes);
  const longest = Math.max(...reductions.map((e) => extentOf(e.over)));
  const shared = schedule.row.by === 'workgroup' && longest >= schedule.cooperativeFrom;
  return shared ? byWorkgroup(expression, output, schedule.row.workgroup, dtypes) : byThread(expression, output, schedule.row.workgroup, dtypes);
};
