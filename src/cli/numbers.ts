/** The options that say how a program keeps its numbers, for every command that compiles. */
import { type Numbers, PRECISIONS, WEIGHT_FORMATS } from '../../compiler/precision/policy.ts';
import { optional, withDefault } from './arguments.ts';
import { choice } from './readers.ts';

export const NUMBER_OPTIONS = {
  precision: withDefault(choice(...PRECISIONS), 'f32', 'how tensors lie in memory (mixed: weights and activations as f16); arithmetic is f32'),
  'weights-as': optional(choice(...WEIGHT_FORMATS), "how the weights of matrix products lie in memory (default: the precision's)"),
} as const;

/** The choice in those options. */
export const numbersOf = (values: { readonly precision: Numbers['precision']; readonly 'weights-as': Numbers['weights'] }): Numbers => ({
  ...(values.precision !== undefined && { precision: values.precision }),
  ...(values['weights-as'] !== undefined && { weights: values['weights-as'] }),
});

/** What has no meaning for a backend that computes in doubles. */
export const misplacedNumbers = (backend: string, given: ReadonlySet<string>): readonly string[] =>
  backend !== 'reference'
    ? []
    : Object.keys(NUMBER_OPTIONS)
        .filter((option) => given.has(option))
        .map((option) => `--${option} has no meaning for --backend ${backend}, which computes in doubles; it is for wgsl and wasm`);
