/** Elements of tensors, from a seed. Floats are 0 or between 2^-60 and 2^60 in size: neither subnormal nor near overflow. */
import type { DType } from '../../dsl/dtype.ts';
import type { NumberArray } from '../../src/runtime/elements.ts';

/**
 * What a tensor holds: `plain` numbers around 1 with zeros among them, small whole numbers (`whole`), numbers of very different
 * sizes (`wide`; for integers all there are), numbers well above 0 (`positive`).
 */
export type Content = 'plain' | 'whole' | 'wide' | 'positive';

/** Uniform numbers in [0, 1): a Weyl sequence through a mixing function. */
export const randomNumbers = (seed: number): (() => number) => {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let x = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
  };
};

type Sample = (random: () => number) => number;
const wholeBelow =
  (limit: number): Sample =>
  (random) =>
    Math.floor(random() * limit);
const signed =
  (sample: Sample): Sample =>
  (random) =>
    (random() < 0.5 ? -1 : 1) * sample(random);

const SAMPLES: Readonly<Record<'float' | 'i32' | 'u32', Readonly<Record<Content, Sample>>>> = {
  float: {
    plain: (random) => (random() < 0.08 ? 0 : (random() + random() + random() - 1.5) * 2),
    whole: signed(wholeBelow(5)),
    wide: signed((random) => 2 ** (random() * 24 - 12)),
    positive: (random) => 0.25 + 2 * random(),
  },
  i32: {
    plain: signed(wholeBelow(8)),
    whole: signed(wholeBelow(5)),
    wide: (random) => wholeBelow(2 ** 32)(random) | 0,
    positive: (random) => 1 + wholeBelow(7)(random),
  },
  u32: { plain: wholeBelow(12), whole: wholeBelow(5), wide: wholeBelow(2 ** 32), positive: (random) => 1 + wholeBelow(7)(random) },
};

const filled = <A extends NumberArray>(target: A, sample: Sample, random: () => number): A => {
  for (let i = 0; i < target.length; i++) target[i] = sample(random);
  return target;
};

/** `count` elements; the same for the same seed. Those of float16 tensors are multiples of 1/64, which it holds exactly. */
export const elementsOf = (seed: number, count: number, dtype: DType, content: Content): NumberArray => {
  const random = randomNumbers(seed);
  if (dtype === 'bool') return filled(new Uint32Array(count), wholeBelow(2), random);
  if (dtype === 'i32') return filled(new Int32Array(count), SAMPLES.i32[content], random);
  if (dtype === 'u32') return filled(new Uint32Array(count), SAMPLES.u32[content], random);
  const sample = SAMPLES.float[dtype === 'f16' && content === 'wide' ? 'plain' : content];
  return filled(new Float32Array(count), dtype === 'f16' ? (next) => Math.round(sample(next) * 64) / 64 : sample, random);
};
