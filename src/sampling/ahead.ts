/**
 * The values of a run that do not depend on the image, computed slice by slice and handed out step by step.
 *
 * Invariant: at most one slice is held; it serves every batch with the same classes.
 */
import * as E from 'fp-ts/Either';
import type { Backend, BackendError, Executable, Inputs, Outputs } from '../backend/backend.ts';
import { type Ahead, reads, type RunGraphs } from './run-graphs.ts';

type Result<A> = Promise<E.Either<BackendError, A>>;

export interface AheadRun {
  /** What the step at time t reads, for a class per row; to be disposed of when the step is recorded. `before` is called before a slice is given up. */
  readonly at: (t: number, classes: Int32Array, before: () => Result<void>) => Result<Outputs>;
  readonly dispose: () => void;
}

interface Slice {
  readonly number: number;
  readonly classes: string;
  readonly outputs: Outputs;
}

/** Each element `count` times. */
const repeated = (values: readonly number[], count: number): number[] => values.flatMap((value) => Array<number>(count).fill(value));

/** Time and class of every row of a slice's times; where the run ends, its last time fills the slice. */
const inputsOf = ({ graph, times }: Ahead, { rows, times: all }: RunGraphs, number: number, classes: Int32Array): Inputs => {
  const own = Array.from({ length: times }, (_, i) => all[Math.min(number * times + i, all.length - 1)]!); // within the run
  const feeds = { t: Float32Array.from(repeated(own, rows)), y: Int32Array.from(own.flatMap(() => [...classes])) };
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => reads(graph, name)));
};

const disposeAll = (tensors: Outputs): void => Object.values(tensors).forEach((tensor) => tensor.dispose());

/** Runs `program`, the loaded graph of `ahead`, whenever a step needs a slice that is not there. */
export const makeAheadRun = (backend: Backend, graphs: RunGraphs, ahead: Ahead, program: Executable, signal?: AbortSignal): AheadRun => {
  const position = new Map(graphs.times.map((t, i) => [t, i]));
  let slice: Slice | undefined;
  const dispose = (): void => {
    if (slice !== undefined) disposeAll(slice.outputs);
    slice = undefined;
  };
  const sliceAt = async (number: number, classes: Int32Array, before: () => Result<void>): Result<Slice> => {
    const key = classes.join();
    if (slice?.number === number && slice.classes === key) return E.right(slice);
    const ready = await before();
    if (E.isLeft(ready)) return ready;
    dispose();
    const made = await program.run(inputsOf(ahead, graphs, number, classes), { wait: false, ...(signal && { signal }) })();
    if (E.isLeft(made)) return made;
    slice = { number, classes: key, outputs: made.right };
    return E.right(slice);
  };
  return {
    at: async (t, classes, before) => {
      const i = position.get(t);
      if (i === undefined) throw new Error(`invariant: time ${t} is none of the run's`);
      const found = await sliceAt(Math.floor(i / ahead.times), classes, before);
      if (E.isLeft(found)) return found;
      const parts = ahead.values.map(({ name, shape }) => {
        const elements = shape.reduce((a, b) => a * b, 1);
        return [name, backend.part(found.right.outputs[name]!, (i % ahead.times) * elements, shape)] as const; // one output for each value
      });
      return E.right(Object.fromEntries(parts));
    },
    dispose,
  };
};
