/**
 * The machine that runs a sampler's plan on a backend: the network's velocity, guided where asked, and weighted sums.
 *
 * Invariant: image data stays with the backend from the starting noise to the result.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Graph } from '../../dsl/graph/graph.ts';
import { makeGraph } from '../../dsl/graph/graph.ts';
import { concat, input } from '../../dsl/index.ts';
import { type C2iConfig, type ImageSize, nullClass, sizesOf } from '../../models/pixnerd/config.ts';
import type { Machine, Weighted } from '../../models/sampling/execute.ts';
import type { GuidanceName, Noise, SamplerPlan } from '../../models/sampling/plan.ts';
import { combineGraph, guidanceGraph } from '../../models/sampling/programs.ts';
import type { Backend, BackendError, BackendTensor, Executable, Inputs, WeightSource } from '../backend/backend.ts';

/** Images [B, n] twice in a row: the unconditional and the conditional half of a guided batch. */
const doublingGraph = (): Graph => {
  const x = input('x', ['B', 'n']);
  return makeGraph({ both: concat([x, x], 0) }, [x]);
};

/** Whether any step needs the unconditional velocity. */
export const isGuided = (plan: SamplerPlan): boolean =>
  plan.instructions.some((instruction) => instruction.kind === 'evaluate' && instruction.guidance !== 1);

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
  /** Hears of every network call that is done. */
  readonly onVelocity?: () => void;
}

export type SamplingMachine = Machine<BackendError, BackendTensor>;

/** Programs of one batch size, loaded. */
export interface Programs {
  readonly batch: number;
  readonly machine: (inputs: BatchInputs) => SamplingMachine;
  readonly dispose: () => void;
}

type Result<A> = Promise<E.Either<BackendError, A>>;

/** One output of a run. Only the network is waited for: the small programs before and after it queue up. */
const runFor = async (
  executable: Executable,
  output: string,
  inputs: Inputs,
  signal: AbortSignal | undefined,
  wait = false,
): Result<BackendTensor> => {
  const made = await executable.run(inputs, { wait, ...(signal && { signal }) })();
  return E.isLeft(made) ? made : E.right(made.right[output]!); // the graphs are ours
};

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

/** Compiles and loads the network for a batch (for twice as many where guidance needs it). */
export const loadPrograms =
  (request: MachineRequest): TaskEither<BackendError, Programs> =>
  async () => {
    const { backend, config, graph, weights, plan, size, batch, signal, onCompiled } = request;
    const rows = isGuided(plan) ? 2 * batch : batch;
    const sizes = sizesOf(config, { batch: rows, ...size });
    if (E.isLeft(sizes)) return E.left<BackendError>({ kind: 'input', message: sizes.left.join('; ') });
    const abort = signal && { signal };
    const network = await backend.load({ graph, sizes: sizes.right, name: 'pixnerd', weights, ...abort, ...(onCompiled && { onCompiled }) })();
    if (E.isLeft(network)) return network;
    const shelf = makeShelf((name, small, bound) => backend.load({ name, graph: small, sizes: bound, ...abort }));
    const parts: Parts = { network: network.right, shelf, rows, batch, config, pixels: size.height * size.width, guidance: plan.guidance, signal };
    return E.right({
      batch,
      machine: (inputs) => machineOf(parts, inputs),
      dispose: () => {
        network.right.dispose();
        shelf.dispose();
      },
    });
  };

interface Parts {
  readonly network: Executable;
  readonly shelf: ReturnType<typeof makeShelf>;
  readonly rows: number;
  readonly batch: number;
  readonly config: C2iConfig;
  readonly pixels: number;
  readonly guidance: GuidanceName;
  readonly signal: AbortSignal | undefined;
}

/** The velocity of every row of the network's batch; guided, the unconditional half comes first. */
const velocities = async (parts: Parts, x: BackendTensor, t: number, labels: readonly number[]): Result<BackendTensor> => {
  const { network, shelf, rows, batch, config, pixels, signal } = parts;
  const inputs = { t: new Float32Array(rows).fill(t) };
  if (rows === batch) return runFor(network, 'v', { ...inputs, x, y: Int32Array.from(labels) }, signal, true);
  const doubling = await shelf.take('doubling', doublingGraph, { B: batch, n: config.in_channels * pixels });
  if (E.isLeft(doubling)) return doubling;
  const both = await runFor(doubling.right, 'both', { x }, signal);
  if (E.isLeft(both)) return both;
  const y = Int32Array.from([...labels.map(() => nullClass(config)), ...labels]);
  const found = await runFor(network, 'v', { ...inputs, x: both.right, y }, signal, true);
  both.right.dispose();
  return found;
};

const guided = async (parts: Parts, x: BackendTensor, t: number, scale: number, labels: readonly number[]): Result<BackendTensor> => {
  const { shelf, rows, batch, config, pixels, guidance, signal } = parts;
  const found = await velocities(parts, x, t, labels);
  if (E.isLeft(found) || rows === batch) return found;
  const guide = await shelf.take('guidance', () => guidanceGraph(guidance), { B: batch, C: config.in_channels, n: pixels });
  if (E.isLeft(guide)) return guide;
  const v = await runFor(guide.right, 'v', { both: found.right, scale: Float32Array.of(scale) }, signal);
  found.right.dispose();
  return v;
};

const combined = async (
  parts: Parts,
  terms: readonly Weighted<BackendTensor>[],
  noise: Noise | undefined,
  draw: BatchInputs['draw'],
): Result<BackendTensor> => {
  const { shelf, batch, config, pixels, signal } = parts;
  const tensors = [...terms.map(({ tensor }) => tensor), ...(noise === undefined ? [] : [draw(noise.draw)])];
  const coefficients = [...terms.map(({ coefficient }) => coefficient), ...(noise === undefined ? [] : [noise.coefficient])];
  const count = tensors.length;
  const step = await shelf.take(`step of ${count} terms`, () => combineGraph(count), { k: count, n: batch * config.in_channels * pixels });
  if (E.isLeft(step)) return step;
  const inputs = Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor]));
  return runFor(step.right, 'x', { ...inputs, coefficients: Float32Array.from(coefficients) }, signal);
};

const machineOf = (parts: Parts, { labels, draw, onVelocity }: BatchInputs): SamplingMachine => ({
  velocity: (x, t, guidance) => async () => {
    const v = await guided(parts, x, t, guidance, labels);
    if (E.isRight(v)) onVelocity?.();
    return v;
  },
  combine: (terms, noise) => () => combined(parts, terms, noise, draw),
  release: (tensor) => tensor.dispose(),
});
