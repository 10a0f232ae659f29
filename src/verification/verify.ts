/**
 * Holds every kernel of a program against the reference, on a sample of its elements, on a device.
 *
 * Invariant: a tensor is judged by what the kernels that write it really read, taken from the device, so that errors do not add up
 * along the program and the first kernel that is named is one that is wrong.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { type Checks, isParameter, portOf, type Step, unfusedChecks } from '../../compiler/checks.ts';
import type { Verifiable } from '../../compiler/compile.ts';
import { type CompileError, showCompileError } from '../../compiler/errors.ts';
import type { StoredTensor } from '../../compiler/kernels/plan-kernels.ts';
import type { ProgramOf, WasmProgram } from '../../compiler/program.ts';
import { asStored, exactly, stored as roundedTo } from '../../compiler/reference/evaluate.ts';
import { samplePlaces } from '../../compiler/reference/places.ts';
import { demandOf, evaluateDemand, type Stored } from '../../compiler/reference/sample.ts';
import type { DType } from '../../dsl/dtype.ts';
import { inputName } from '../../dsl/graph/graph.ts';
import { literalAttribute } from '../../dsl/ops/attributes.ts';
import type { Bounded, Places } from '../../dsl/ops/definition.ts';
import { OPS, type OpTable } from '../../dsl/ops/table.ts';
import { stridesOf } from '../../dsl/scalar/index-expression.ts';
import type { WeightSource } from '../backend/backend.ts';
import type { Device } from '../runtime/device.ts';
import type { NumberArray } from '../runtime/elements.ts';
import { attempt, badInput, type DeviceError, fail } from '../runtime/errors.ts';
import type { WasmDevice } from '../runtime/wasm/device.ts';
import { gpuMachine, type Machine, type MachineSession, type MachineTensor, wasmMachine } from './machine.ts';
import { type Culprit, type Difference, isWrong, type TensorReport, type Verification, type Worst } from './report.ts';

export interface VerifyOptions {
  /** Part of each tensor's elements that is looked at (0.01); 16 at least, corners among them. */
  readonly sample?: number;
  /** Chooses the elements (0). */
  readonly seed?: number;
  /** The most elements that the reference may read or compute for one tensor (2^20): fewer elements of large sums are looked at. */
  readonly work?: number;
  /** What the ops mean, for mutation tests. */
  readonly table?: OpTable;
  readonly signal?: AbortSignal;
  /** Hears of each step that was checked. */
  readonly onProgress?: (done: number, all: number) => void;
}

type Settings = Required<Pick<VerifyOptions, 'sample' | 'seed' | 'work' | 'table'>> & Pick<VerifyOptions, 'signal' | 'onProgress'>;

const settled = async <A>(task: TaskEither<DeviceError, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw fail(result.left);
  return result.right;
};

const stoppable = ({ signal }: Pick<Settings, 'signal'>): { readonly signal?: AbortSignal } => (signal === undefined ? {} : { signal });

/** What the caller gives for an input or a parameter. */
const given = async (feeds: WeightSource, name: string): Promise<NumberArray> => {
  const value = feeds[name];
  if (value === undefined) throw fail(badInput('cannot verify', [`input ${name} is missing`]));
  if (typeof value !== 'function') return value;
  try {
    return await value();
  } catch (thrown) {
    throw fail(badInput('cannot verify', [`reading ${name} failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`]));
  }
};

// ---- tensors on the device and here ------------------------------------------------------------------------------------------------

interface Memory {
  readonly machine: Machine<unknown>;
  readonly feeds: WeightSource;
  /** Its parameters are the machine's. */
  readonly program: ProgramOf<unknown>;
  readonly onDevice: Map<number, MachineTensor>;
  /** Read back, exactly. */
  readonly here: Map<number, ArrayLike<number>>;
}

const drop = ({ onDevice, here }: Memory, tensors: Iterable<number>): void => {
  for (const id of tensors) {
    onDevice.get(id)?.dispose();
    onDevice.delete(id);
    here.delete(id);
  }
};

const noElements = (dtype: DType): NumberArray => (dtype === 'i32' ? new Int32Array(0) : dtype === 'u32' || dtype === 'bool' ? new Uint32Array(0) : new Float32Array(0));

/** A tensor on the device: there from an earlier step, or given by the caller. */
const deviceTensor = async ({ machine, feeds, onDevice }: Memory, { id, node, elements, dtype: stored }: StoredTensor): Promise<MachineTensor> => {
  const known = onDevice.get(id);
  if (known !== undefined) return known;
  if (stored === 'i8') throw new Error('invariant: only parameters are int8');
  const dtype = stored;
  const data = node.op === 'input' ? await given(feeds, inputName(node)) : noElements(dtype); // written by no kernel
  const made = await machine.upload([elements], dtype, data);
  onDevice.set(id, made);
  return made;
};

/** A parameter as the device has it, in the form in which the program stores it. */
const parameterTensor = ({ machine, program }: Memory, { node }: StoredTensor): MachineTensor => {
  const port = program.parameters.find(({ name }) => name === inputName(node)),
    tensor = port && machine.parameter(port, program.buffers[port.buffer]!.bytes);
  if (tensor === undefined) throw new Error(`invariant: parameter ${inputName(node)} was not set`);
  return tensor;
};

/** The elements of a tensor as the device has them. */
const elementsHere = async (memory: Memory, tensor: StoredTensor, settings: Settings): Promise<ArrayLike<number>> => {
  const known = memory.here.get(tensor.id);
  if (known !== undefined) return known;
  const data =
    tensor.node.op === 'literal'
      ? literalAttribute(tensor.node.attributes).data.map((x) => (tensor.dtype === 'bool' ? Number(x !== 0) : roundedTo(x, tensor.node)))
      : await settled((isParameter(tensor.node) ? parameterTensor(memory, tensor) : await deviceTensor(memory, tensor)).read(stoppable(settings)));
  const numbers = tensor.dtype === 'i8' ? new Int8Array(Uint32Array.from(data).buffer).subarray(0, tensor.elements) : data;
  memory.here.set(tensor.id, numbers);
  return numbers;
};

// ---- one tensor -----------------------------------------------------------------------------------------------------------------------

const indexOf = (place: number, shape: readonly number[]): readonly number[] => {
  let rest = place;
  return stridesOf(shape).map((stride) => {
    const part = Math.floor(rest / stride);
    rest %= stride;
    return part;
  });
};

interface Expected {
  readonly places: Places;
  readonly values: Bounded;
  readonly work: number;
}

/** What some elements of a tensor should be, by the graph. */
const expectedOf = ({ byNode }: Checks<unknown>, tensor: StoredTensor, stored: Stored, { sample: share, seed, work, table }: Settings): Expected => {
  const { node } = tensor,
    shape = node.shape as readonly number[]; // sizes are bound
  const places = (most: number): Places => samplePlaces(shape, tensor.id, { share, seed, most });
  const original = byNode.get(node);
  if (original !== undefined && original.id !== tensor.id) {
    const own = places(Infinity),
      data = stored(node)!; // a copy reads what it copies
    return { places: own, values: exactly({ shape: [own.length], dtype: node.dtype }, Float64Array.from(own, (place) => data[place]!)), work: own.length };
  }
  const wanted = places(Infinity).length,
    alone = demandOf(node, places(1), stored, table);
  // elements share what they read, so more of them are affordable than one alone lets expect: twice as many as long as they are
  let most = work / Math.max(1, alone.cost),
    own = places(most),
    demand = demandOf(node, own, stored, table);
  while (own.length < wanted && 2 * demand.cost <= work) {
    most *= 2;
    own = places(most);
    demand = demandOf(node, own, stored, table);
  }
  return { places: own, values: asStored(evaluateDemand(demand, stored), tensor.dtype), work: demand.cost };
};

/** |got - expected| in units of the bound; undefined where there is no bound. */
const ratioOf = (got: number, expected: number, bound: number): number | undefined => {
  if (!Number.isFinite(expected) || !Number.isFinite(bound)) return undefined;
  const difference = Math.abs(got - expected);
  return difference === 0 ? 0 : Number.isNaN(difference) || bound === 0 ? Infinity : difference / bound;
};

const worstOf = ({ places, values }: Expected, got: ArrayLike<number>, shape: readonly number[]): { readonly worst: Worst; readonly unbounded: number } => {
  let most = -1,
    worst = 0,
    unbounded = 0;
  places.forEach((place, i) => {
    const ratio = ratioOf(got[place]!, values.value[i]!, values.error[i]!);
    if (ratio === undefined) unbounded++;
    else if (ratio > most) [most, worst] = [ratio, i];
  });
  const place = places[worst] ?? 0;
  return {
    unbounded,
    worst: { ratio: Math.max(0, most), index: indexOf(place, shape), got: got[place] ?? NaN, expected: values.value[worst] ?? NaN, bound: values.error[worst] ?? NaN },
  };
};

const judge = (checks: Checks<unknown>, { kernels }: Step<unknown>, tensor: StoredTensor, stored: Stored, got: ArrayLike<number>, settings: Settings): TensorReport => {
  const { node, id, dtype, elements } = tensor,
    shape = node.shape as readonly number[]; // sizes are bound
  const expected = expectedOf(checks, tensor, stored, settings);
  const writers = kernels.filter(({ bindings, loop }) => bindings.some((binding, i) => binding.tensor === id && loop.tensors[i]!.access === 'read_write'));
  return {
    kernels: writers.map(({ name }) => name),
    label: writers[0]?.label ?? node.op,
    op: node.op,
    scope: node.scope,
    shape,
    dtype,
    elements,
    checked: expected.places.length,
    work: expected.work,
    ...worstOf(expected, got, shape),
  };
};

// ---- a step, all steps ---------------------------------------------------------------------------------------------------------------

const runStep = async (memory: Memory, { program, reads, writes }: Step<unknown>, { plan }: Checks<unknown>, settings: Settings): Promise<void> => {
  const inputs: Record<string, MachineTensor> = {};
  for (const id of reads) inputs[portOf(id)] = await deviceTensor(memory, plan.tensors.get(id)!);
  const session = await memory.machine.load(program, stoppable(settings));
  try {
    const outputs = await session.run(inputs, stoppable(settings));
    for (const id of writes) memory.onDevice.set(id, outputs[portOf(id)]!);
  } finally {
    session.dispose();
  }
};

/** Tensors that a step is the last to need; outputs are kept for the comparison with the whole program. */
const lastUses = ({ steps, plan }: Checks<unknown>): readonly (readonly number[])[] => {
  const last = new Map(steps.flatMap(({ reads, operands, writes }, s) => [...reads, ...operands, ...writes].map((id) => [id, s] as const)));
  return steps.map((_, s) => [...last].filter(([id, step]) => step === s && !plan.outputs.includes(id)).map(([id]) => id));
};

/** Each tensor's report, as its step is done; `see` may look at the memory before the step's last uses are dropped. */
const checkSteps = async (checks: Checks<unknown>, memory: Memory, settings: Settings, see: (report: TensorReport, tensor: StoredTensor) => Promise<void>): Promise<void> => {
  const { plan, steps, byNode } = checks,
    unneeded = lastUses(checks);
  const stored: Stored = (node) => {
    const tensor = byNode.get(node);
    return tensor === undefined ? undefined : memory.here.get(tensor.id);
  };
  for (const [s, step] of steps.entries()) {
    await runStep(memory, step, checks, settings);
    for (const id of new Set([...step.operands, ...step.writes])) await elementsHere(memory, plan.tensors.get(id)!, settings);
    for (const id of step.writes) {
      const tensor = plan.tensors.get(id)!;
      await see(judge(checks, step, tensor, stored, memory.here.get(id)!, settings), tensor);
    }
    drop(memory, unneeded[s]!);
    settings.onProgress?.(s + 1, steps.length);
  }
};

/** Runs the ops of a kernel one by one, on what the kernel read, until one of them leaves its bound. */
const culpritIn = async (checks: Checks<unknown>, tensor: StoredTensor, memory: Memory, settings: Settings): Promise<Culprit> => {
  const unfused = unfusedChecks(checks, tensor.node);
  if (Array.isArray(unfused)) return { kind: 'unknown', reason: (unfused as readonly CompileError[]).map(showCompileError).join('; ') };
  const feeds = Object.fromEntries([...memory.here].map(([id, data]) => [portOf(id), data as NumberArray])); // as they were read back
  const apart: Memory = { ...memory, feeds, onDevice: new Map(), here: new Map() }; // parameters are inputs of it
  const { onProgress: _, ...quiet } = settings;
  let first: TensorReport | undefined;
  try {
    await checkSteps(unfused as Checks<unknown>, apart, quiet, async (report) => { // not a list of errors
      first ??= isWrong(report) ? report : undefined;
    });
  } catch (thrown) {
    if (settings.signal?.aborted === true || !(thrown instanceof Error)) throw thrown;
    return { kind: 'unknown', reason: thrown.message };
  } finally {
    drop(apart, [...apart.onDevice.keys()]);
  }
  return first === undefined ? { kind: 'fusion' } : { kind: 'op', report: first };
};

// ---- the whole -----------------------------------------------------------------------------------------------------------------------

const firstDifference = (output: string, shape: readonly number[], got: ArrayLike<number>, expected: ArrayLike<number>): readonly Difference[] => {
  for (let place = 0; place < expected.length; place++) {
    const [a, b] = [got[place]!, expected[place]!];
    if (a !== b && !(Number.isNaN(a) && Number.isNaN(b))) return [{ output, index: indexOf(place, shape), got: a, expected: b }];
  }
  return [];
};

const outputsOf = async (session: MachineSession, feeds: WeightSource, settings: Settings): Promise<ReadonlyMap<string, ArrayLike<number>>> => {
  const data: Record<string, NumberArray> = {};
  for (const { name } of session.program.inputs) data[name] = await given(feeds, name);
  const outputs = await session.run(data, stoppable(settings)),
    read = new Map<string, ArrayLike<number>>();
  for (const [name, tensor] of Object.entries(outputs)) {
    read.set(name, await settled(tensor.read(stoppable(settings))));
    tensor.dispose();
  }
  return read;
};

/** The program as it is run otherwise, in its own buffers: the very same numbers are expected of the same kernels. */
const wholeDifferences = async (session: MachineSession, { plan }: Checks<unknown>, memory: Memory, settings: Settings): Promise<readonly Difference[]> => {
  const got = await outputsOf(session, memory.feeds, settings),
    differences: Difference[] = [];
  for (const [i, { name, shape }] of session.program.outputs.entries()) {
    const expected = await elementsHere(memory, plan.tensors.get(plan.outputs[i]!)!, settings);
    differences.push(...firstDifference(name, shape, got.get(name)!, expected));
  }
  return differences;
};

const verified = async <P extends ProgramOf<unknown>>(machine: Machine<P>, { program, checks }: Verifiable<P>, feeds: WeightSource, settings: Settings): Promise<Verification> => {
  const memory: Memory = { machine: machine as Machine<unknown>, feeds, program, onDevice: new Map(), here: new Map() }; // its programs are those of the checks
  const tensors: TensorReport[] = [];
  let failure: Verification['failure'], whole: MachineSession | undefined;
  try {
    whole = await machine.load(program, stoppable(settings));
    const source = program.parameters.flatMap(({ name }) => (feeds[name] === undefined ? [] : [[name, feeds[name]] as const]));
    await whole.setParameters(Object.fromEntries(source), stoppable(settings)); // says which ones are missing
    await checkSteps(checks, memory, settings, async (report, tensor) => {
      tensors.push(report);
      if (failure === undefined && isWrong(report)) failure = { report, culprit: await culpritIn(checks, tensor, memory, settings) };
    });
    return { tensors, failure, differences: await wholeDifferences(whole, checks, memory, settings) };
  } finally {
    drop(memory, [...memory.onDevice.keys()]);
    whole?.dispose();
    machine.dispose();
  }
};

const settingsOf = (options: VerifyOptions): Settings => ({ sample: 0.01, seed: 0, work: 2 ** 20, table: OPS, ...options });

/**
 * Runs a program that was compiled with `verify: true` kernel by kernel and compares each result with the reference; `feeds` are its
 * inputs and parameters by name. What is wrong is in the answer; errors are those of the device, and `BadInput`.
 */
export const verifyProgram = (device: Device, verifiable: Verifiable, feeds: WeightSource, options: VerifyOptions = {}): TaskEither<DeviceError, Verification> =>
  attempt(() => verified(gpuMachine(device), verifiable, feeds, settingsOf(options)));

/** The same for a program for WebAssembly. */
export const verifyWasmProgram = (device: WasmDevice, verifiable: Verifiable<WasmProgram>, feeds: WeightSource, options: VerifyOptions = {}): TaskEither<DeviceError, Verification> =>
  attempt(() => verified(wasmMachine(device), verifiable, feeds, settingsOf(options)));
