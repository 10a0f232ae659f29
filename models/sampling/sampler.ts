/**
 * From options to a plan. The samplers are the authors': Euler with its step functions, Heun, Adams multistep.
 *
 * Invariant: the coefficients of a plan are finite.
 */
import * as E from 'fp-ts/Either';
import type { NonEmptyArray } from 'fp-ts/NonEmptyArray';
import { planAdams } from './adams.ts';
import { planEuler } from './euler.ts';
import { planHeun } from './heun.ts';
import { mistakes, type SamplerOptions } from './options.ts';
import type { Instruction, SamplerPlan } from './plan.ts';

const planned = (options: SamplerOptions): SamplerPlan => {
  switch (options.sampler) {
    case 'euler': return planEuler(options);
    case 'heun': return planHeun(options);
    case 'adams': return planAdams(options);
  }
};

const finite = (instruction: Instruction): boolean =>
  instruction.kind === 'evaluate'
    ? Number.isFinite(instruction.t)
    : instruction.terms.every(({ coefficient }) => Number.isFinite(coefficient))
      && (instruction.kind !== 'combine' || Number.isFinite(instruction.noise?.coefficient ?? 0));

const infiniteStep = (plan: SamplerPlan): string | undefined => {
  const at = plan.instructions.findIndex((instruction) => !finite(instruction));
  if (at < 0) return undefined;
  const times = plan.instructions.slice(0, at).flatMap((instruction) => (instruction.kind === 'evaluate' ? [instruction.t] : []));
  return `the step after t = ${times.at(-1) ?? 0} has no finite coefficients: `
    + 'the score of this scheduler is infinite there; use the ode step, or another scheduler or time transform';
};

const isNonEmpty = <A>(values: readonly A[]): values is NonEmptyArray<A> => values.length > 0;

/** The sampler's plan, or everything that is wrong with the options. */
export const plan = (options: SamplerOptions): E.Either<NonEmptyArray<string>, SamplerPlan> => {
  const wrong = mistakes(options);
  if (isNonEmpty(wrong)) return E.left(wrong);
  const made = planned(options);
  const infinite = infiniteStep(made);
  return infinite === undefined ? E.right(made) : E.left([infinite]);
};
