/**
 * What a training step draws for each image, on the host: its time, whether its label is dropped, the key of its noise.
 *
 * Invariant: a draw depends on (seed, step, place of the image in the whole batch of the step) alone: not on micro-batches, restarts or
 * adapters. Counter-based: Philox4x32-10 with the place and the step as counter.
 */
import { philox4x32 } from '../../dsl/scalar/philox.ts';
import { boxMuller } from '../noise/philox.ts';

export interface DrawOptions {
  readonly seed: number;
  /** `lognormal`: the sigmoid of a standard normal; `uniform` between 0 and 1. */
  readonly time: 'lognormal' | 'uniform';
  /** t becomes t / (t + (1 - t) shift), as in the authors' trainer. */
  readonly timeshift?: number;
  /** The share of labels that become the null class. */
  readonly labelDrop: number;
}

export interface Draw {
  /** Rounded to float32; never 0 or 1, where alpha or sigma would be zero: weights divide by them. */
  readonly t: number;
  readonly dropped: boolean;
  /** Two words, for `normal` of the language. */
  readonly key: readonly [number, number];
}

const WORD = 2 ** -32;
/** Tells these draws from others of the same seed. */
const [TIMES, NOISE] = [0x74696d65, 0x6e6f6973];

/** The place nearest to t that is between 0 and 1 and not at an end, in float32. */
const inside = (t: number): number => Math.min(1 - 2 ** -24, Math.max(2 ** -24, Math.fround(t)));
const shifted = (t: number, shift: number): number => t / (t + (1 - t) * shift);

/** The draws of image `index` of step `step`, both counted from 0. */
export const drawOf = ({ seed, time, timeshift = 1, labelDrop }: DrawOptions, step: number, index: number): Draw => {
  const key: readonly [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0], counter = [index >>> 0, step >>> 0, Math.floor(step / 2 ** 32) >>> 0] as const;
  const [a, b, c] = philox4x32([...counter, TIMES], key), [first, second] = philox4x32([...counter, NOISE], key);
  const [normal] = boxMuller(a, b);
  const raw = time === 'uniform' ? a * WORD : 1 / (1 + Math.exp(-normal));
  return { t: inside(shifted(raw, timeshift)), dropped: c * WORD < labelDrop, key: [first, second] };
};

/** The draws of images `from` .. `from + labels.length` of a step, as the training graph takes them. */
export const drawBatch = (options: DrawOptions, nullClass: number, step: number, from: number, labels: ArrayLike<number>): { readonly t: Float32Array<ArrayBuffer>; readonly y: Int32Array<ArrayBuffer>; readonly keys: Uint32Array<ArrayBuffer> } => {
  const draws = Array.from({ length: labels.length }, (_, i) => drawOf(options, step, from + i));
  return {
    t: Float32Array.from(draws, ({ t }) => t),
    y: Int32Array.from(draws, ({ dropped }, i) => (dropped ? nullClass : labels[i]!)),
    keys: Uint32Array.from(draws.flatMap(({ key }) => key)),
  };
};
