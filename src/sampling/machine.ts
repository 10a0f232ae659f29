/**
 * The machine that runs a sampler's plan on a backend: a program for what is known before the steps, one for a step (network, guidance and
 * weighted sum in one), and small ones for the sums in between.
 *
 * Invariant: image data stays with the backend from the starting noise to the result; what a step reads from the host is its coefficients
 * and, if it draws, its noise. Steps may be recorded and not yet submitted when their tensors are handed out: reading one submits it.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Graph } from '../../dsl/graph/graph.ts';
import { type C2iConfig, type ImageSize, nullClass, sizesOf } from '../../models/pixnerd/config.ts';
import type { Advanced, Behind, Machine, Weighted } from '../../models/sampling/execute.ts';
import type { Noise, SamplerPlan } from '../../models/sampling/plan.ts';
import { combineGraph } from '../../models/sampling/programs.ts';
import { otherName } from '../../models/sampling/step-graph.ts';
import type { Backend, BackendError, BackendTensor, Executable, Inputs, Outputs, WeightSource } from '../backend/backend.ts';
import { type AheadRun, makeAheadRun } from './ahead.ts';
import { makePace } from './pace.ts';
import { isGuided, reads, runGraphs, type RunGraphs } from './run-graphs.ts';
import { makeSubmission, type Submission } from './submission.ts';

export interface MachineRequest {
  readonly backend: Backend;
  readonly config: C2iConfig;
  readonly graph: Graph;
  readonly weights: WeightSource;
  readonly plan: SamplerPlan;
  readonly size: ImageSize;
  readonly batch: number;
  readonly signal?: AbortSignal;
  readonly onCompiled?: (ready: number, all: number) => void;
}

/** What changes from batch to batch. */
export interface BatchInputs {
  readonly labels: readonly number[];
  /** The plan's normal draw of that number for the whole batch. */
  readonly draw: (index: number) => Float32Array;
  /** Hears of every network call that is done; some come together. */
  readonly onVelocity?: () => void;
}

type Result<A> = Promise<E.Either<BackendError, A>>;

export interface SamplingMachine extends Machine<BackendError, BackendTensor> {
  /** Ends when everything is computed. */
  readonly finish: TaskEither<BackendError, void>;
}

/** Programs of one batch size, loaded. */
export interface Programs {
  readonly batch: number;
  readonly machine: (inputs: BatchInputs) => SamplingMachine;
  readonly dispose: () => void;
}

/** Loads small programs when they are first needed, and keeps them. */
const makeShelf = (load: (name: string, graph: Graph, sizes: Readonly<Record<string, number>>) => TaskEither<BackendError, Executable>) => {
  const held = new Map<string, Executable>();
  return {
    take: async (name: string, graph: () => Graph, sizes: Readonly<Record<string, number>>): Result<Executable> => {
      const known = held.get(name);
      if (known !== undefined) return E.right(known);
      const loaded = await load(name, graph(), sizes)();
      if (E.isRight(loaded)) held.set(name, loaded.right);
      return loaded;
    },
    dispose: (): void => held.forEach((executable) => executable.dispose()),
  };
};

interface Parts {
  readonly graphs: RunGraphs;
  readonly step: Executable;
  readonly ahead: AheadRun | undefined;
  readonly shelf: ReturnType<typeof makeShelf>;
  readonly batch: number;
  readonly config: C2iConfig;
  readonly pixels: number;
  readonly submission: Submission;
  readonly signal: AbortSignal | undefined;
}

/** Compiles and loads the programs of a batch (the network's has twice as many rows where guidance needs it). */
export const loadPrograms =
  (request: MachineRequest): TaskEither<BackendError, Programs> =>
  async () => {
    const { backend, config, graph, weights, plan, size, batch, signal, onCompiled } = request;
    const sizes = sizesOf(config, { batch: isGuided(plan) ? 2 * batch : batch, ...size });
    if (E.isLeft(sizes)) return E.left<BackendError>({ kind: 'input', message: sizes.left.join('; ') });
    const abort = signal && { signal };
    const graphs = runGraphs(graph, sizes.right, plan);
    const step = await backend.load({ graph: graphs.step, sizes: sizes.right, name: 'pixnerd', weights, ...abort, ...(onCompiled && { onCompiled }) })();
    if (E.isLeft(step)) return step;
    const once = graphs.ahead && (await backend.load({ graph: graphs.ahead.graph, sizes: graphs.ahead.sizes, name: 'pixnerd, before the steps', weights, ...abort })());
    if (once !== undefined && E.isLeft(once)) {
      step.right.dispose();
      return once;
    }
    const shelf = makeShelf((name, small, bound) => backend.load({ name, graph: small, sizes: bound, ...abort }));
    const ahead = graphs.ahead && once && makeAheadRun(backend, graphs, graphs.ahead, once.right, signal);
    const submission = makeSubmission(backend.record?.(), makePace(madeBytes(graphs.step)), signal);
    const parts: Parts = { graphs, step: step.right, ahead, shelf, batch, config, pixels: size.height * size.width, submission, signal };
    return E.right({
      batch,
      machine: (inputs) => machineOf(parts, inputs),
      dispose: () => {
        ahead?.dispose();
        if (once !== undefined) once.right.dispose();
        step.right.dispose();
        shelf.dispose();
      },
    });
  };

/** Bytes that a step hands out. */
const madeBytes = (step: Graph): number => step.outputs.reduce((bytes, { node }) => bytes + 4 * (node.shape as readonly number[]).reduce((a, b) => a * b, 1), 0); // f32, sizes are bound

/** A class for each row; guided, the unconditional half comes first. */
const classesOf = ({ graphs: { rows }, batch, config }: Parts, labels: readonly number[]): Int32Array =>
  Int32Array.from(rows === batch ? labels : [...labels.map(() => nullClass(config)), ...labels]);

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** What stands behind a call under the names of the step's inputs; places that a sum does not need hold x, zero times. */
const behindOf = ({ graphs: { kind } }: Parts, x: BackendTensor, { coefficient, terms, noise }: Behind<BackendTensor>, draw: BatchInputs['draw']): Inputs => {
  const others: readonly { readonly tensor: BackendTensor | Float32Array; readonly coefficient: number }[] = [
    ...terms.filter(({ tensor }) => tensor !== x), ...(noise === undefined ? [] : [{ tensor: draw(noise.draw), coefficient: noise.coefficient }]),
  ];
  const filled = Array.from({ length: kind.others }, (_, i) => others[i] ?? { tensor: x, coefficient: 0 });
  const ofX = sum(terms.filter(({ tensor }) => tensor === x).map((term) => term.coefficient));
  return {
    coefficients: Float32Array.from([ofX, coefficient, ...filled.map((other) => other.coefficient)]),
    ...Object.fromEntries(filled.map(({ tensor }, i) => [otherName(i), tensor])),
  };
};

const NOTHING_BEHIND: Behind<BackendTensor> = { coefficient: 0, terms: [], noise: undefined };

const machineOf = (parts: Parts, { labels, draw, onVelocity = () => undefined }: BatchInputs): SamplingMachine => {
  const { graphs, step, ahead, shelf, batch, config, pixels, submission } = parts;
  const classes = classesOf(parts, labels);

  const advance = async (x: BackendTensor, t: number, guidance: number, behind: Behind<BackendTensor>): Result<Advanced<BackendTensor>> => {
    const kept: E.Either<BackendError, Outputs> = ahead === undefined ? E.right({}) : await ahead.at(t, classes, submission.submit);
    if (E.isLeft(kept)) return kept;
    const own = { t: new Float32Array(graphs.rows).fill(t), y: classes, scale: Float32Array.of(guidance) };
    const needed = Object.fromEntries(Object.entries(own).filter(([name]) => reads(graphs.step, name)));
    const made = await submission.step(step, { x, ...needed, ...behindOf(parts, x, behind, draw), ...kept.right }, onVelocity);
    for (const tensor of Object.values(kept.right)) tensor.dispose();
    return E.map(({ next, velocity }: Outputs): Advanced<BackendTensor> => ({ next: next!, velocity }))(made); // the graph is ours
  };

  const combine = async (terms: readonly Weighted<BackendTensor>[], noise: Noise | undefined): Result<BackendTensor> => {
    const tensors = [...terms.map(({ tensor }) => tensor), ...(noise === undefined ? [] : [draw(noise.draw)])];
    const coefficients = [...terms.map(({ coefficient }) => coefficient), ...(noise === undefined ? [] : [noise.coefficient])];
    const count = tensors.length;
    const program = await shelf.take(`sum of ${count} terms`, () => combineGraph(count), { k: count, n: batch * config.in_channels * pixels });
    if (E.isLeft(program)) return program;
    const inputs = Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor]));
    const made = await submission.between(program.right, { ...inputs, coefficients: Float32Array.from(coefficients) });
    return E.map((outputs: Outputs) => outputs['x']!)(made); // the graph is ours
  };

  return {
    advance: (x, t, guidance, behind) => () => advance(x, t, guidance, behind),
    velocity: (x, t, guidance) => async () => {
      const made = await advance(x, t, guidance, NOTHING_BEHIND);
      if (E.isLeft(made)) return made;
      const { next, velocity } = made.right;
      next.dispose();
      if (velocity === undefined) throw new Error('invariant: a plan with a lone network call keeps its velocities');
      return E.right(velocity);
    },
    combine: (terms, noise) => () => combine(terms, noise),
    release: (tensor) => tensor.dispose(),
    finish: submission.finish,
  };
};
