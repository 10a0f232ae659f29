/**
 * A third target of the loop form: JavaScript, with float32 rounding after every operation. It runs a compiled program on plain
 * buffers, memory plan and windows included, without a driver.
 *
 * It is stricter than a device: an access outside the tensor (or the bound part of it), a wide access that is not aligned, a
 * division of a negative index (WGSL truncates, the index algebra floors), and a dispatch that is too small all throw.
 */
import { byteSize, type StorageType } from '../../dsl/dtype.ts';
import { arraysOf, type LoopKernel } from '../../dsl/scalar/loop.ts';
import type { ScalarType } from '../../dsl/scalar/scalar.ts';
import type { Compilation } from '../../compiler/compile.ts';
import type { KernelPlan, PlannedKernel } from '../../compiler/kernels/plan-kernels.ts';
import type { Dispatch, PortPlan } from '../../compiler/program.ts';
import { bodyText, newSharedArray, passBarrier, RUNTIME, type SharedArray } from './loop-text.ts';
import { fromHalf, toHalf } from '../../src/runtime/elements.ts';
import type { Data, Results } from './run-program.ts';

type View = Float32Array | Int32Array | Uint32Array | Uint16Array | Int8Array;

interface Meeting {
  readonly monoid: 'sum' | 'max';
  readonly type: ScalarType;
  readonly value: number;
}
/** What a thread offers to its subgroup, and whose offer it takes. */
interface Sharing {
  readonly share: number | readonly number[];
  readonly from: number;
}
type Lane = Generator<Meeting | Sharing | 'barrier', void, number | readonly number[]>;

const joined = ({ monoid, type }: Meeting, a: number, b: number): number =>
  monoid === 'max' ? Math.max(a, b) : type === 'f32' ? Math.fround(a + b) : type === 'u32' ? (a + b) >>> 0 : (a + b) | 0;

/** The same tree as the kernels': the upper half onto the lower, again and again. */
const combined = (meetings: readonly Meeting[]): number => {
  const values = meetings.map((meeting) => meeting.value);
  for (let half = values.length / 2; half >= 1; half /= 2) {
    for (let i = 0; i < half; i++) values[i] = joined(meetings[0]!, values[i]!, values[i + half]!);
  }
  return values[0]!;
};

/** The arrays of a workgroup, by id. */
type Shared = Readonly<Record<number, SharedArray>>;

/** Runs all lanes from meeting to meeting; all must take the same way. */
const runTogether = (lanes: readonly Lane[], shared: Shared, subgroup: number): void => {
  for (let incoming: (lane: number) => number | readonly number[] = () => 0; ;) {
    const steps = lanes.map((lane, i) => lane.next(incoming(i)));
    const waiting = steps.flatMap((step) => (step.done === true ? [] : [step.value]));
    if (waiting.length === 0) return;
    if (waiting.length < lanes.length) throw new Error('only some threads of a workgroup reach a barrier');
    const sharing = waiting.flatMap((step) => (step !== 'barrier' && 'share' in step ? [step] : []));
    if (sharing.length > 0) {
      if (sharing.length < waiting.length || new Set(sharing.map(({ from }) => from)).size > 1) throw new Error('the threads of a subgroup meet at different places');
      incoming = (lane) => sharing[Math.floor(lane / subgroup) * subgroup + sharing[lane]!.from]!.share;
      continue;
    }
    const meetings = waiting.flatMap((step) => (step === 'barrier' || 'share' in step ? [] : [step]));
    if (meetings.length > 0 && meetings.length < waiting.length) throw new Error('the threads of a workgroup meet at different places');
    Object.values(shared).forEach(passBarrier);
    const result = meetings.length === 0 ? 0 : combined(meetings);
    incoming = () => result;
  }
};

const covers = (have: number, need: number): void => {
  if (have < need) throw new Error(`the dispatch has ${have} threads or workgroups, its kernel needs ${need}`);
};

/** Calls `run` for every thread (or workgroup) that has work. */
const forEachThread = (
  { thread, lane, workgroupSize }: LoopKernel,
  workgroups: Dispatch['workgroups'],
  run: (at: readonly number[]) => void,
): void => {
  if (thread.length === 1) {
    covers(workgroups[0] * workgroups[1] * (lane === undefined ? workgroupSize[0] : 1), thread[0]!.extent);
    for (let i = 0; i < thread[0]!.extent; i++) run([i]);
    return;
  }
  thread.forEach((axis, i) => covers(workgroups[i]! * workgroupSize[i]!, axis.extent));
  const [x, y, z] = thread;
  for (let k = 0; k < z!.extent; k++) for (let j = 0; j < y!.extent; j++) for (let i = 0; i < x!.extent; i++) run([i, j, k]);
};

interface Bound {
  /** A tensor's number in the loop. */
  readonly tensor: number;
  readonly view: View;
  /** Elements that may be touched. */
  readonly count: number;
}

const runKernel = (loop: LoopKernel, workgroups: Dispatch['workgroups'], bound: readonly Bound[]): void => {
  const counts = new Map(bound.map(({ tensor, count }) => [tensor, count]));
  const variables = [...loop.thread, ...(loop.lane === undefined ? [] : [loop.lane]), ...(loop.subgroup === undefined ? [] : [loop.subgroup])].map((v) => `v${v.id}`);
  const text = `return function${loop.lane === undefined ? '' : '*'} (shared, thread, ${variables.join(', ')}) {\n${bodyText(loop, counts)}\n}`;
  // the constructor of functions is the only way to run text; both kinds of functions share one signature here
  const make = new Function(...Object.keys(RUNTIME), ...bound.map(({ tensor }) => `t${tensor}`), text) as (
    ...values: unknown[]
  ) => (shared: Shared, thread: number, ...at: number[]) => Lane;
  const arrays = arraysOf(loop.body).filter(({ space }) => space === 'workgroup');
  const body = make(...Object.values(RUNTIME), ...bound.map(({ view }) => view));
  const subgroup = loop.subgroup?.extent ?? 1;
  forEachThread(loop, workgroups, (at) => {
    const shared: Shared = Object.fromEntries(arrays.map(({ id }) => [id, newSharedArray()]));
    if (loop.lane === undefined) body(shared, 0, ...at);
    else runTogether(Array.from({ length: loop.workgroupSize[0] }, (_, lane) => body(shared, lane, ...at, lane, lane % subgroup)), shared, subgroup);
  });
};

/** Elements as they lie in memory: f16 as its bits; i8 four to a word, whose lowest byte comes first. */
const VIEWS = { f32: Float32Array, f16: Uint16Array, i32: Int32Array, u32: Uint32Array, bool: Uint32Array, i8: Int8Array } as const;
const viewOf = (bytes: ArrayBuffer, dtype: StorageType, offset: number, length: number): View => {
  const View = VIEWS[dtype];
  return new View(bytes, offset, Math.floor(length / byteSize(dtype)));
};

const bytesOf = (text: string): ArrayBuffer => Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;

/** Runs a compiled program; scratch and output buffers start full of a pattern that no kernel writes. */
export const interpret = ({ program, kernels: plan }: Compilation, data: Data): Results => {
  const buffers = program.buffers.map(({ bytes, data: constant }) =>
    constant === undefined ? new Uint32Array(bytes / 4).fill(0x7f1234ab).buffer : bytesOf(constant),
  );
  for (const { name, buffer, dtype } of [...program.inputs, ...program.parameters]) {
    const given = data[name]!,
      view = viewOf(buffers[buffer]!, dtype, 0, program.buffers[buffer]!.bytes);
    view.set(dtype === 'f16' ? Uint16Array.from(given, toHalf) : given);
  }
  program.dispatches.forEach((dispatch, k) =>
    runKernel(plan.kernels[k]!.loop, dispatch.workgroups, boundOf(dispatch, plan.kernels[k]!, plan.tensors, buffers)),
  );
  const read = ({ buffer, dtype, shape }: PortPlan): ArrayLike<number> => {
    const view = viewOf(buffers[buffer]!, dtype, 0, program.buffers[buffer]!.bytes).slice(
      0,
      shape.reduce((a, b) => a * b, 1),
    );
    return dtype === 'f16' ? Float32Array.from(view, fromHalf) : view;
  };
  return Object.fromEntries(program.outputs.map((port) => [port.name, read(port)]));
};

const boundOf = (
  { bindings }: Dispatch,
  { loop, bindings: planned }: PlannedKernel,
  tensors: KernelPlan['tensors'],
  buffers: readonly ArrayBuffer[],
): readonly Bound[] =>
  loop.tensors.map(({ tensor, dtype }, i) => {
    const { buffer, offset, bytes } = bindings[i]!,
      stored = planned[i]!;
    const view = viewOf(buffers[buffer]!, dtype, offset, bytes);
    return { tensor, view, count: Math.min(stored.window?.count ?? tensors.get(stored.tensor)!.elements, view.length) };
  });
