/**
 * Trains the parameters of any graph that has an output `loss`: gradients, global norm and optimiser step on a backend, one submit a step.
 *
 * Invariant: parameters, moments and averages stay with the backend; a step reads from the host its batch and the numbers of the optimiser,
 * and nothing is read back until a report or the state is asked for. Steps are computed in the order in which they were given.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Graph, Sizes } from '../../dsl/graph/graph.ts';
import { inputName, makeGraph } from '../../dsl/graph/graph.ts';
import { gradientName, withGradients } from '../../dsl/gradient/gradient-graph.ts';
import type { Regions } from '../../dsl/gradient/recompute.ts';
import { add, input, mul, reshape } from '../../dsl/index.ts';
import type { Tensor } from '../../dsl/tensor.ts';
import type { Optimizer } from '../../models/training/optimizer.ts';
import { normGraph, normSizes } from '../../models/training/norm.ts';
import type { Backend, BackendError, BackendTensor, Executable, Inputs, Recorder } from '../backend/backend.ts';
import { planStep } from './budget.ts';
import { type FlatBuffer, flatLayout, flattened, unflattened } from './flat.ts';

/** Everything that a run continues from, by the names of parameters. */
export interface TrainingState {
  /** Optimiser steps that were done. */
  readonly step: number;
  readonly parameters: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
  readonly ema: Readonly<Record<string, Float32Array<ArrayBuffer>>>;
  /** What the loss is multiplied with before the backward pass, in mixed precision. */
  readonly lossScale?: number;
  /** The optimiser's states: by state, then by parameter. */
  readonly moments: Readonly<Record<string, Readonly<Record<string, Float32Array<ArrayBuffer>>>>>;
}

export interface StepReport {
  readonly step: number;
  /** The mean over the micro-batches. */
  readonly loss: number;
  /** Of the gradient before clipping. */
  readonly gradientNorm: number;
}

export interface TrainerOptions {
  /** Output `loss` [] over its inputs and parameters. */
  readonly graph: Graph;
  readonly sizes: Sizes;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly optimizer: Optimizer;
  /** Micro-batches of a step; their gradients are averaged. */
  readonly accumulate?: number;
  readonly state: TrainingState;
  /**
   * `mixed`: activations and their gradients lie as f16, everything else as f32; the adapter must have f16. Gradients are computed of the
   * loss times a scale, which follows them: stores to f16 saturate instead of overflowing, so no step is lost, and the scale keeps the
   * whole gradient's length at about 2^10, far from both ends of f16.
   */
  readonly precision?: 'f32' | 'mixed';
  /** What the backward pass computes again instead of keeping it; with a budget, the trainer chooses. */
  readonly recompute?: Regions;
  /** Bytes that parameters, moments and a step may take together. */
  readonly budget?: number;
  readonly signal?: AbortSignal;
  readonly onCompiled?: (ready: number, all: number) => void;
}

export interface Trainer {
  /** One optimiser step over as many micro-batches as `accumulate` says; it is queued when this ends. Errors: input, memory, lost, device. */
  readonly step: (batches: readonly Inputs[]) => TaskEither<BackendError, void>;
  /** Losses and norms of the steps since the last report, in order; waits for them. */
  readonly report: () => TaskEither<BackendError, readonly StepReport[]>;
  /** What the run can be continued from; waits for the last step. */
  readonly state: () => TaskEither<BackendError, TrainingState>;
  /** The parameters where they are, for programs of the same backend: `ema` where averages are kept. They change with every step. */
  readonly tensors: (which: 'parameters' | 'ema') => Readonly<Record<string, BackendTensor>>;
  /** What was chosen to keep the budget, in words. */
  readonly notes: readonly string[];
  readonly dispose: () => void;
}

/** Steps between two reports at most: as many losses and norms find room. */
const MOST_UNREPORTED = 4096;
/** Elements from one loss to the next: where kernels may write them. */
const STRIDE = 64;
/** Steps that may wait for the adapter. */
const MOST_WAITING = 2;

/** A run of tasks each of which may fail; throws the failure, for `attempted` to catch. */
const done = async <A>(task: TaskEither<BackendError, A>): Promise<A> => {
  const result = await task();
  if (E.isLeft(result)) throw new Failure(result.left);
  return result.right;
};
class Failure extends Error {
  readonly reason: BackendError;
  constructor(reason: BackendError) {
    super(reason.message);
    this.reason = reason;
  }
}
const attempted = <A>(work: () => Promise<A>): TaskEither<BackendError, A> => async () => {
  try { return E.right(await work()); } catch (thrown) {
    if (thrown instanceof Failure) return E.left(thrown.reason);
    throw thrown;
  }
};

/** grad times a number, in its place. */
const scaleGraph = (): Graph => {
  const [grad, factor] = [input('grad', ['n']), input('factor', [1])];
  return makeGraph({ grad: mul(grad, reshape(factor, [])) }, [grad, factor]);
};

/** Parameters stay f32: they are what is trained. */
const MIXED = { precision: 'mixed', weights: 'f32' } as const;
/** Steps from one change of the scale to the next, counted from the first of all: what is computed does not depend on who looks when. */
const RESCALED_EVERY = 16;
const [FIRST_SCALE, MOST_SCALE, WANTED_LENGTH] = [2 ** 10, 2 ** 24, 2 ** 10];
/** The power of two that brings a gradient of this length to about the wanted one. */
const scaleFor = (length: number): number => (Number.isFinite(length) && length > 0 ? Math.min(MOST_SCALE, Math.max(1, 2 ** Math.floor(Math.log2(WANTED_LENGTH / length)))) : 1);

/** grad + more, in the place of `grad`. */
const accumulateGraph = (): Graph => {
  const [grad, more] = [input('grad', ['n']), input('more', ['n'])];
  return makeGraph({ grad: add(grad, more) }, [grad, more]);
};

/** The tensors of one flat buffer. */
interface Place {
  readonly buffer: FlatBuffer;
  /** `param`, `grad`, `more` (with several micro-batches), `ema`, and the states. */
  readonly tensors: Readonly<Record<string, BackendTensor>>;
}

const open = async (backend: Backend, options: TrainerOptions): Promise<Trainer> => {
  const { graph, sizes, shapes, optimizer, accumulate = 1, state, signal } = options;
  const layout = flatLayout(shapes, Math.floor(backend.largest / 4)), mixed = options.precision === 'mixed', loss = onlyLoss(graph, accumulate, mixed), plan = planned(backend, options, loss, layout), held: { dispose: () => void }[] = [];
  const keep = <A extends { readonly dispose: () => void }>(made: A): A => { held.push(made); return made; };
  try {
    const uploaded = async (buffer: FlatBuffer, values: Readonly<Record<string, ArrayLike<number>>>) => keep(await done(backend.upload([buffer.elements], flattened(buffer, values))));
    const places: Place[] = [];
    for (const buffer of layout) {
      const tensors: Record<string, BackendTensor> = { param: await uploaded(buffer, state.parameters), grad: await uploaded(buffer, {}) };
      if (accumulate > 1) tensors['more'] = await uploaded(buffer, {});
      if (optimizer.ema) tensors['ema'] = await uploaded(buffer, state.ema);
      for (const name of optimizer.states) tensors[name] = await uploaded(buffer, state.moments[name] ?? {});
      places.push({ buffer, tensors });
    }
    /** The parts of flat buffers that hold one parameter each, under names made of the parameters'. */
    const partsFor = (which: string, named = (name: string): string => name): Readonly<Record<string, BackendTensor>> =>
      Object.fromEntries(places.flatMap(({ buffer, tensors }) => buffer.members.map(({ name, first, shape }) => [named(name), keep(backend.part(tensors[which]!, first, shape))] as const)));
    const parameters = partsFor('param'), averages = optimizer.ema ? partsFor('ema') : parameters;
    const gradientsAt = (which: string) => partsFor(which, gradientName);
    const targets = accumulate > 1 ? [gradientsAt('grad'), gradientsAt('more')] : [gradientsAt('grad')];
    const log = keep(await done(backend.upload([MOST_UNREPORTED * STRIDE], new Float32Array(MOST_UNREPORTED * STRIDE))));

    const common = { ...(signal && { signal }), ...(options.onCompiled && { onCompiled: options.onCompiled }) };
    const loaded = async (name: string, program: Graph, bound: Sizes, inPlace = false): Promise<Executable> => keep(await done(backend.load({ graph: program, sizes: bound, name, inPlace, ...common })));
    const training = withoutOutput(withGradients(loss, mixed ? SCALED : 'loss', plan.recompute && { recompute: plan.recompute }), SCALED);
    const gradient = keep(await done(backend.load({ graph: training, sizes, name: 'gradient', parameters, ...(mixed && { numbers: MIXED }), ...common })));
    const norm = await loaded('norm', normGraph(layout.length), normSizes(layout.map(({ elements }) => elements)));
    const updates = new Map<number, Executable>(), sums = new Map<number, Executable>(), scalings = new Map<number, Executable>();
    for (const { elements } of layout) {
      if (!updates.has(elements)) updates.set(elements, await loaded('optimiser', optimizer.graph, { n: elements, k: optimizer.hyper(1).length }, true));
      if (mixed && !scalings.has(elements)) scalings.set(elements, await loaded('loss scaling', scaleGraph(), { n: elements }, true));
      if (accumulate > 1 && !sums.has(elements)) sums.set(elements, await loaded('accumulation', accumulateGraph(), { n: elements }, true));
    }
    return running({ backend, options, accumulate, places, targets, parameters, averages, log, gradient, norm, updates, sums, scalings, notes: plan.notes, dispose: () => held.toReversed().forEach((one) => one.dispose()) });
  } catch (thrown) {
    held.toReversed().forEach((one) => one.dispose());
    throw thrown;
  }
};

/** How the memory budget is kept; throws where it cannot be. */
const planned = (backend: Backend, { optimizer, accumulate = 1, sizes, budget, recompute, precision }: TrainerOptions, graph: Graph, layout: readonly FlatBuffer[]): { readonly recompute?: Regions; readonly notes: readonly string[] } => {
  if (budget === undefined) return { ...(recompute && { recompute }), notes: [] };
  const copies = 2 + optimizer.states.length + (optimizer.ema ? 1 : 0) + (accumulate > 1 ? 1 : 0), found = planStep(backend, { graph, sizes, layout, copies, budget, ...(precision === 'mixed' && { numbers: MIXED }) });
  if (E.isLeft(found)) throw new Failure(found.left);
  if (!found.right.fits) throw new Failure({ kind: 'memory', message: found.right.note });
  return { ...(found.right.recompute && { recompute: found.right.recompute }), notes: [found.right.note] };
};

/** The graph of the loss alone, as a part of the mean over the micro-batches of a step. */
const onlyLoss = (graph: Graph, accumulate: number, mixed: boolean): Graph => {
  const loss = graph.outputs.find(({ name }) => name === 'loss');
  if (loss === undefined) throw new Error("invariant: a graph to train has an output 'loss'");
  const share = accumulate === 1 ? loss.node : mul(loss.node as Tensor<[], 'f32'>, 1 / accumulate); // `gradients` checks the shape
  const scale = input('scale', [1]), scaled = mul(share as Tensor<[], 'f32'>, reshape(scale, []));
  return mixed ? makeGraph({ loss: share, [SCALED]: scaled }, [...graph.inputs, scale, ...graph.parameters]) : makeGraph({ loss: share }, [...graph.inputs, ...graph.parameters]);
};
/** The output whose gradient is taken in mixed precision; nobody reads it. */
const SCALED = 'scaled loss';
const withoutOutput = (graph: Graph, name: string): Graph => ({ ...graph, outputs: graph.outputs.filter((output) => output.name !== name) });

interface Machine {
  readonly backend: Backend;
  readonly options: TrainerOptions;
  readonly accumulate: number;
  readonly places: readonly Place[];
  /** Where gradients go: of the first micro-batch, and of the others. */
  readonly targets: readonly Readonly<Record<string, BackendTensor>>[];
  readonly parameters: Readonly<Record<string, BackendTensor>>;
  readonly averages: Readonly<Record<string, BackendTensor>>;
  readonly log: BackendTensor;
  readonly gradient: Executable;
  readonly norm: Executable;
  readonly updates: ReadonlyMap<number, Executable>;
  readonly sums: ReadonlyMap<number, Executable>;
  /** In mixed precision, what takes the scale of the loss out of the gradient again. */
  readonly scalings: ReadonlyMap<number, Executable>;
  readonly notes: readonly string[];
  readonly dispose: () => void;
}

const running = (machine: Machine): Trainer => {
  const { backend, options: { optimizer, state, signal }, accumulate, places, targets, log, gradient, norm, updates, sums, scalings } = machine;
  const slots = accumulate + 1;
  const mixed = scalings.size > 0;
  let step = state.step, reported = state.step, lossScale = state.lossScale ?? FIRST_SCALE;
  const waiting: Promise<E.Either<BackendError, void>>[] = [];
  const abort = signal && { signal };

  const record = async (batches: readonly Inputs[], at: number, recorder: Recorder | undefined): Promise<void> => {
    const how = recorder === undefined ? { ...abort } : { recorder, ...abort };
    const slot = (k: number, shape: readonly number[]) => backend.part(log, (at * slots + k) * STRIDE, shape);
    const run = async (executable: Executable, inputs: Inputs, into?: Readonly<Record<string, BackendTensor>>): Promise<void> => {
      await done(executable.run(inputs, { ...how, ...(into && { into }) }));
    };
    for (const [k, batch] of batches.entries()) {
      const loss = slot(k, []);
      await run(gradient, mixed ? { ...batch, scale: Float32Array.of(lossScale) } : batch, { ...targets[Math.min(k, 1)]!, loss });
      loss.dispose();
      if (k > 0) for (const { buffer, tensors: { grad, more } } of places) await run(sums.get(buffer.elements)!, { grad: grad!, more: more! });
    }
    for (const { buffer, tensors: { grad } } of mixed ? places : []) await run(scalings.get(buffer.elements)!, { grad: grad!, factor: Float32Array.of(1 / lossScale) });
    const length = slot(accumulate, [1]);
    await run(norm, Object.fromEntries(places.map(({ tensors }, i) => [`grad${i}`, tensors['grad']!])), { norm: length });
    const hyper = optimizer.hyper(step + 1);
    for (const { buffer, tensors: { more: _, ...tensors } } of places) await run(updates.get(buffer.elements)!, { ...tensors, hyper, norm: length });
    length.dispose();
  };

  const finished = async (count: number): Promise<void> => {
    while (waiting.length > count) {
      const result = await waiting.shift()!;
      if (E.isLeft(result)) throw new Failure(result.left);
    }
  };

  const stepWith = async (batches: readonly Inputs[]): Promise<void> => {
    if (batches.length !== accumulate) throw new Error(`invariant: a step has ${accumulate} micro-batches, ${batches.length} were given`);
    const at = step - reported;
    if ((at + 1) * slots > MOST_UNREPORTED) throw new Error(`invariant: ${at} steps without a report; at most ${Math.floor(MOST_UNREPORTED / slots)} find room`);
    await finished(MOST_WAITING - 1);
    const recorder = backend.record?.();
    await record(batches, at, recorder);
    if (recorder !== undefined) {
      await done(recorder.submit());
      waiting.push(recorder.done(signal)());
    }
    step += 1;
    if (mixed && step % RESCALED_EVERY === 0) lossScale = scaleFor(await lengthAt(at));
  };
  /** The gradient's length of a step that was not reported yet. */
  const lengthAt = async (at: number): Promise<number> => {
    await finished(0);
    const slot = backend.part(log, (at * slots + accumulate) * STRIDE, [1]), [length] = await done(slot.read(abort));
    slot.dispose();
    return length!; // one element
  };

  const reports = async (): Promise<readonly StepReport[]> => {
    await finished(0);
    const count = step - reported;
    if (count === 0) return [];
    const used = backend.part(log, 0, [count * slots * STRIDE]), numbers = await done(used.read(abort));
    used.dispose();
    const at = (i: number, k: number): number => numbers[(i * slots + k) * STRIDE]!;
    const found = Array.from({ length: count }, (_, i): StepReport => {
      const losses = Array.from({ length: accumulate }, (_loss, k) => at(i, k));
      return { step: reported + i + 1, loss: losses.reduce((a, b) => a + b, 0), gradientNorm: at(i, accumulate) };
    });
    reported = step;
    return found;
  };

  const read = async (which: string): Promise<Readonly<Record<string, Float32Array<ArrayBuffer>>>> =>
    Object.assign({}, ...(await Promise.all(places.map(async ({ buffer, tensors }) => unflattened(buffer, await done(tensors[which]!.read(abort)))))));
  const whole = async (): Promise<TrainingState> => {
    await finished(0);
    const parameters = await read('param'), ema = optimizer.ema ? await read('ema') : parameters;
    const moments: Record<string, Readonly<Record<string, Float32Array<ArrayBuffer>>>> = {};
    for (const name of optimizer.states) moments[name] = await read(name);
    return { step, parameters, ema, moments, ...(mixed && { lossScale }) };
  };

  return {
    step: (batches) => attempted(() => stepWith(batches)),
    report: () => attempted(reports),
    state: () => attempted(whole),
    tensors: (which) => (which === 'ema' ? machine.averages : machine.parameters),
    notes: machine.notes,
    dispose: machine.dispose,
  };
};

/** Compiles the programs of a training run and puts its state on the backend. Errors: everything that is wrong with the graph; limits; memory; lost. */
export const openTrainer = (backend: Backend, options: TrainerOptions): TaskEither<BackendError, Trainer> => attempted(() => open(backend, options));
/** The names and shapes of a graph's parameters at its sizes, for `TrainerOptions`; sizes are numbers already. */
export const shapesOf = (graph: Graph): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries(graph.parameters.map((node) => [inputName(node), node.shape as readonly number[]]));
