/**
 * A sampler as plain data: which velocities to ask for, and which linear combinations of tensors and noise to take.
 *
 * Every step of every sampler here is such a combination, with coefficients known beforehand. So one plan, computed on
 * the host in double precision, drives any machine: GPU tensors, the reference interpreter, a toy field in plain arrays.
 *
 * Invariant: slot 0 holds x, at first the starting noise and at last the image; no slot is read before it is written.
 */
export type Slot = number;
export const X: Slot = 0;

export interface Term {
  readonly slot: Slot;
  readonly coefficient: number;
}
export interface Noise {
  /** Which of the plan's normal draws to add. */
  readonly draw: number;
  readonly coefficient: number;
}

/** into = the network's velocity at (x, t), guided by the effective scale: 1 where the interval excludes t. */
export interface Evaluate {
  readonly kind: 'evaluate';
  readonly x: Slot;
  readonly t: number;
  readonly guidance: number;
  readonly into: Slot;
}
/** into = sum of coefficient * tensor over the terms, plus noise. `into` may be one of the terms. */
export interface Combine {
  readonly kind: 'combine';
  readonly terms: readonly Term[];
  readonly noise?: Noise;
  readonly into: Slot;
}
/** A point of the trajectory of images (`x`, steps + 1 points) or of velocities (`v`, one per step), for who wants it. */
export interface Emit {
  readonly kind: 'emit';
  readonly list: 'x' | 'v';
  readonly index: number;
  readonly terms: readonly Term[];
}
export type Instruction = Evaluate | Combine | Emit;

export type GuidanceName = 'simple' | 'c3';

export interface SamplerPlan {
  readonly instructions: readonly Instruction[];
  /** How many tensors live at once. */
  readonly slots: number;
  /** How many normal draws of x's shape the plan takes, in the order in which the authors' sampler draws them. */
  readonly draws: number;
  /** steps + 1 times from 0 to 1. */
  readonly timesteps: readonly number[];
  readonly guidance: GuidanceName;
  /** Adams: per step the weights of the velocities, oldest first. Empty for the others. */
  readonly weights: readonly (readonly number[])[];
}

/** The times of the network calls, in order. */
export const networkTimes = (plan: SamplerPlan): readonly number[] =>
  plan.instructions.flatMap((instruction) => (instruction.kind === 'evaluate' ? [instruction.t] : []));

/** Slots that an instruction reads. */
const readBy = (instruction: Instruction): readonly Slot[] =>
  instruction.kind === 'evaluate' ? [instruction.x] : instruction.terms.map(({ slot }) => slot);

/** What the combinations right behind network calls have in common: what one program must do to serve all of them. */
export interface StepKind {
  /** The most tensors that a combination takes, noise among them, besides the x of the call and its velocity. */
  readonly others: number;
  /** Whether some velocity is read again later. */
  readonly keepsVelocity: boolean;
}

/** The kind of a plan's steps. Emitted velocities do not count. */
export const stepKindOf = ({ instructions }: SamplerPlan): StepKind => {
  const steps = instructions.flatMap((instruction, i) => (instruction.kind === 'evaluate' ? [{ call: instruction, behind: instructions[i + 1], rest: instructions.slice(i + 2) }] : []));
  const others = steps.map(({ call, behind }) => (behind?.kind !== 'combine' ? 0
    : behind.terms.filter(({ slot }) => slot !== call.x && slot !== call.into).length + (behind.noise === undefined ? 0 : 1)));
  const isReadAgain = (slot: Slot, rest: readonly Instruction[]): boolean => {
    for (const instruction of rest) {
      if (instruction.kind === 'emit' && instruction.list === 'v') continue;
      if (readBy(instruction).includes(slot)) return true;
      if (instruction.kind !== 'emit' && instruction.into === slot) return false;
    }
    return false;
  };
  return {
    others: Math.max(0, ...others),
    keepsVelocity: steps.some(({ call, behind, rest }) => behind?.kind !== 'combine' || isReadAgain(call.into, rest)),
  };
};

export const scaled = (terms: readonly Term[], factor: number): readonly Term[] =>
  terms.map(({ slot, coefficient }) => ({ slot, coefficient: coefficient * factor }));

/** The sum of several combinations, one term per slot. */
export const summed = (...parts: readonly (readonly Term[])[]): readonly Term[] => {
  const coefficients = new Map<Slot, number>();
  for (const { slot, coefficient } of parts.flat()) coefficients.set(slot, (coefficients.get(slot) ?? 0) + coefficient);
  return [...coefficients].map(([slot, coefficient]) => ({ slot, coefficient }));
};

export const only = (slot: Slot): readonly Term[] => [{ slot, coefficient: 1 }];
