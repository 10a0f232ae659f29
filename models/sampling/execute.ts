/**
 * Runs a sampler's plan on a machine that knows what a tensor is.
 *
 * Invariant: a tensor handed out by the machine is released exactly once, but for the result and for what is emitted
 * while it still stands in a slot; the starting tensor is the caller's and is never released here.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Combine, Emit, Evaluate, Noise, SamplerPlan, Slot, Term } from './plan.ts';
import { X } from './plan.ts';

export interface Weighted<H> {
  readonly tensor: H;
  readonly coefficient: number;
}

/** What a step does with the velocity that it asks for: coefficient * velocity + the weighted sum of other tensors + noise. */
export interface Behind<H> {
  readonly coefficient: number;
  readonly terms: readonly Weighted<H>[];
  readonly noise: Noise | undefined;
}

/** A velocity, where the machine keeps it, and the combination behind it. */
export interface Advanced<H> {
  readonly velocity: H | undefined;
  readonly next: H;
}

/** What a machine can do; a handle H is a tensor of x's shape on it. */
export interface Machine<Failure, H> {
  /** The guided velocity; with guidance 1 it is the conditional velocity. */
  readonly velocity: (x: H, t: number, guidance: number) => TaskEither<Failure, H>;
  /** A new tensor: the weighted sum, plus `noise.coefficient` times the plan's draw number `noise.draw`. */
  readonly combine: (terms: readonly Weighted<H>[], noise: Noise | undefined) => TaskEither<Failure, H>;
  /**
   * An evaluation and the combination right behind it in one, for machines that are faster so. The velocity may be left out where the plan
   * does not read it again.
   */
  readonly advance?: (x: H, t: number, guidance: number, behind: Behind<H>) => TaskEither<Failure, Advanced<H>>;
  readonly release?: (tensor: H) => void;
}

/** Who watches the trajectory. A tensor is lent for the duration of the call. */
export interface Observer<Failure, H> {
  readonly x?: (tensor: H, index: number) => TaskEither<Failure, unknown>;
  readonly v?: (tensor: H, index: number) => TaskEither<Failure, unknown>;
}

/** The last x; or the first failure of machine or observer. */
export const execute = <Failure, H>(
  plan: SamplerPlan, start: H, machine: Machine<Failure, H>, observer: Observer<Failure, H> = {},
): TaskEither<Failure, H> => async () => {
  const slots: (H | undefined)[] = [start];
  const release = (tensor: H | undefined): void => {
    if (tensor !== undefined && tensor !== start) machine.release?.(tensor);
  };
  const read = (slot: Slot): H => {
    const tensor = slots[slot];
    if (tensor === undefined) throw new Error(`sampler plan reads slot ${slot} before it is written`);
    return tensor;
  };
  const write = (slot: Slot, tensor: H | undefined): void => {
    release(slots[slot]);
    slots[slot] = tensor;
  };
  const weighted = (terms: readonly Term[]): readonly Weighted<H>[] =>
    terms.map(({ slot, coefficient }) => ({ tensor: read(slot), coefficient }));

  const emit = async ({ list, index, terms }: Emit): Promise<E.Either<Failure, unknown>> => {
    const watch = observer[list];
    if (watch === undefined) return E.right(undefined);
    if (terms.length === 1 && terms[0]!.coefficient === 1) return watch(read(terms[0]!.slot), index)();
    const made = await machine.combine(weighted(terms), undefined)();
    if (E.isLeft(made)) return made;
    const watched = await watch(made.right, index)();
    release(made.right);
    return watched;
  };

  const advance = async ({ x, t, guidance, into }: Evaluate, { terms, noise, into: target }: Combine): Promise<E.Either<Failure, unknown>> => {
    const coefficient = terms.reduce((sum, term) => (term.slot === into ? sum + term.coefficient : sum), 0);
    const others = weighted(terms.filter((term) => term.slot !== into));
    const made = await machine.advance!(read(x), t, guidance, { coefficient, terms: others, noise })(); // asked for below
    if (E.isLeft(made)) return made;
    write(into, made.right.velocity);
    write(target, made.right.next);
    return made;
  };

  const compute = async (instruction: Evaluate | Combine): Promise<E.Either<Failure, unknown>> => {
    const made = instruction.kind === 'evaluate'
      ? await machine.velocity(read(instruction.x), instruction.t, instruction.guidance)()
      : await machine.combine(weighted(instruction.terms), instruction.noise)();
    if (E.isRight(made)) write(instruction.into, made.right);
    return made;
  };

  const run = async (): Promise<E.Either<Failure, H>> => {
    for (let i = 0; i < plan.instructions.length; i++) {
      const [instruction, following] = [plan.instructions[i]!, plan.instructions[i + 1]]; // i is below the length
      const fused = machine.advance !== undefined && instruction.kind === 'evaluate' && following?.kind === 'combine';
      const done = fused ? await advance(instruction, following) : instruction.kind === 'emit' ? await emit(instruction) : await compute(instruction);
      if (E.isLeft(done)) return done;
      if (fused) i++;
    }
    return E.right(read(X));
  };

  const result = await run();
  const kept = E.isRight(result) ? result.right : undefined;
  for (const tensor of slots) if (tensor !== kept) release(tensor);
  return result;
};
