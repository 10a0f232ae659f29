/**
 * What a thread does for a run: its share of each dispatch, one dispatch after the other.
 *
 * `shareOf` and `serve` are sent to workers as text, so they use nothing but their arguments and what every realm has.
 */

/** A dispatch as threads see it. */
export interface Task {
  readonly kernel: string;
  /** Workgroups. */
  readonly total: number;
  /** Workgroups that a thread takes at once. */
  readonly chunk: number;
  readonly bindings: readonly { readonly buffer: number; readonly offset: number }[];
}

type Kernels = Readonly<Record<string, (...values: readonly number[]) => void>>;

/** A program as one thread has it. */
export interface Share {
  readonly kernels: Kernels;
  readonly tasks: readonly Task[];
  readonly scratch: number;
  readonly threads: number;
  /** Whether the run was aborted, whether a thread failed, threads that are done; then, for each task, chunks taken and threads that are done. */
  readonly control: Int32Array;
}

/** Numbers at the start of `Share.control`. */
export const CONTROL_HEAD = 4;

/** Runs tasks `from` to before `to` as far as they fall to this thread; `addresses` are those of the program's buffers. */
export const shareOf = ({ kernels, tasks, scratch, threads, control }: Share, addresses: readonly number[], from: number, to: number): void => {
  for (let t = from; t < to; t++) {
    const { kernel, total, chunk, bindings } = tasks[t]!, next = 4 + 2 * t; // CONTROL_HEAD, which workers do not know
    const run = kernels[kernel]!, places = bindings.map(({ buffer, offset }) => addresses[buffer]! + offset); // checked by `load`
    while (control[0] === 0) {
      const first = Atomics.add(control, next, 1) * chunk;
      if (first >= total) break;
      run(first, Math.min(total, first + chunk), scratch, ...places);
    }
    if (threads === 1) continue;
    if (Atomics.add(control, next + 1, 1) + 1 >= threads) {
      Atomics.notify(control, next + 1);
      continue;
    }
    // the others are done soon, unless the machine has other work too
    for (let spins = 0; spins < 4000 && Atomics.load(control, next + 1) < threads; spins++);
    for (let done = Atomics.load(control, next + 1); done < threads; done = Atomics.load(control, next + 1)) Atomics.wait(control, next + 1, done, 100);
  }
};

/** What workers are told. */
export type Order =
  | { readonly kind: 'load'; readonly id: number; readonly module: WebAssembly.Module; readonly memory: WebAssembly.Memory; readonly tasks: readonly Task[]; readonly scratch: number; readonly threads: number; readonly control: Int32Array }
  | { readonly kind: 'run'; readonly id: number; readonly run: number; readonly addresses: readonly number[] }
  | { readonly kind: 'unload'; readonly id: number };

/** What they answer: who fails says why, and the last one to finish a run says that it is over. */
export interface Answer {
  readonly run: number;
  readonly problem: string | undefined;
  readonly isOver: boolean;
}

/** A worker's life. */
export const serve = (share: typeof shareOf, answer: (message: Answer) => void): ((order: Order) => void) => {
  const shares = new Map<number, Share>();
  return (order) => {
    if (order.kind === 'unload') shares.delete(order.id);
    else if (order.kind === 'load') {
      const { exports } = new WebAssembly.Instance(order.module, { env: { memory: order.memory } });
      shares.set(order.id, { kernels: exports as unknown as Kernels, tasks: order.tasks, scratch: order.scratch, threads: order.threads, control: order.control });
    } else {
      const own = shares.get(order.id)!; // loaded before
      let problem: string | undefined;
      try {
        share(own, order.addresses, 0, own.tasks.length);
      } catch (thrown) {
        // the others must not wait for this thread
        Atomics.store(own.control, 0, 1);
        Atomics.store(own.control, 1, 1);
        for (let t = 0; t < own.tasks.length; t++) {
          Atomics.add(own.control, 4 + 2 * t + 1, own.threads);
          Atomics.notify(own.control, 4 + 2 * t + 1);
        }
        problem = thrown instanceof Error ? thrown.message : String(thrown);
      }
      const isOver = Atomics.add(own.control, 2, 1) + 1 === own.threads;
      if (isOver || problem !== undefined) answer({ run: order.run, problem, isOver });
    }
  };
};

/** The program of a worker; `wire` connects `receive(order)` and `send(answer)` to the realm's way of passing messages. */
export const workerText = (wire: string): string => `const serve = ${serve.toString()};\nconst shareOf = ${shareOf.toString()};\n${wire}`;
