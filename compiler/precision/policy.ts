/**
 * Policies: in which numbers each class of tensors lies in memory. Arithmetic is f32 whatever the policy says.
 *
 * Invariant: what crosses the border of a program, tables known at compile time, scores and row statistics are f32 in every policy
 * (docs/decisions/08-precision.md says why); a policy never changes integers, booleans or tensors that the model itself made f16.
 */
export const PRECISIONS = ['f32', 'mixed', 'f16'] as const;
export type Precision = (typeof PRECISIONS)[number];

export const WEIGHT_FORMATS = ['f32', 'f16', 'int8'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** How a program keeps its numbers; what is left out is f32, or what the precision says of weights. */
export interface Numbers {
  readonly precision?: Precision;
  /** Weights that contractions read. int8: a whole number per element and a scale per row. */
  readonly weights?: WeightFormat;
  /** int8: weights of fewer elements stay as the precision says; PACK_FROM when left out. */
  readonly packFrom?: number;
}

/** Small weights stand at a model's borders (pixels in, pixels out): packing them saves nothing, and costs 7 dB of a sampled picture. */
export const PACK_FROM = 2 ** 14;

/**
 * What a float tensor in memory is to the program.
 *
 * port: an input or output · weight: a parameter that a contraction reads · vector: any other parameter (biases, norms, embeddings) ·
 * table: data known at compile time (rope, frequencies), scales of int8 weights · statistic: one number for each row, what is summed into it, and the scores under a
 * softmax · residual: the stream that blocks add to · activation: made or read by a contraction · other: the rest
 */
export type TensorClass = 'port' | 'weight' | 'vector' | 'table' | 'statistic' | 'residual' | 'activation' | 'other';
export type Policy = Readonly<Record<TensorClass, 'f32' | 'f16'>>;

const SINGLE: Policy = { port: 'f32', weight: 'f32', vector: 'f32', table: 'f32', statistic: 'f32', residual: 'f32', activation: 'f32', other: 'f32' };

/** What each precision means. */
export const POLICIES: Readonly<Record<Precision, Policy>> = {
  f32: SINGLE,
  mixed: { ...SINGLE, weight: 'f16', activation: 'f16' },
  f16: { ...SINGLE, weight: 'f16', vector: 'f16', residual: 'f16', activation: 'f16', other: 'f16' },
};

/** The format of weights under these numbers. */
export const weightFormat = ({ precision = 'f32', weights }: Numbers): WeightFormat => weights ?? POLICIES[precision].weight;

/** The policy of these numbers. int8 weights are a matter of their own: those that cannot be packed lie as the precision says. */
export const policyOf = (numbers: Numbers): Policy => {
  const policy = POLICIES[numbers.precision ?? 'f32'], format = weightFormat(numbers);
  return format === 'int8' ? policy : { ...policy, weight: format };
};

/** The choice in words: `precision mixed`, `precision f32 with f16 weights`. */
export const showNumbers = ({ precision = 'f32', weights }: Numbers): string => `precision ${precision}${weights === undefined ? '' : ` with ${weights} weights`}`;

/** Choices that are none: callers without types make them. */
export const numberMistakes = ({ precision = 'f32', weights = 'f32', packFrom = 0 }: Numbers): readonly string[] => [
  ...notAmong('precision', precision, PRECISIONS),
  ...notAmong('weights', weights, WEIGHT_FORMATS),
  ...(typeof packFrom === 'number' && packFrom >= 0 ? [] : [`packFrom is ${JSON.stringify(packFrom)}; it must be a number of elements`]),
];
const notAmong = (option: string, given: string, known: readonly string[]): readonly string[] =>
  known.includes(given) ? [] : [`${option} is ${JSON.stringify(given)}; it must be ${known.slice(0, -1).join(', ')} or ${known.at(-1)}`];

/** Whether a program with these numbers may need the adapter's feature shader-f16. */
export const needsHalf = (numbers: Numbers): boolean => Object.values(policyOf(numbers)).includes('f16');
