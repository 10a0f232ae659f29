/**
 * The order of a data set and its flips, as functions of a seed: counter-based, so that a run can stop and go on anywhere and a batch be split in any way.
 *
 * Invariant: nothing here depends on what was asked before.
 */
import { philox4x32, type Words4 } from '../../dsl/scalar/philox.ts';
import type { Seed } from '../../models/noise/torch-random.ts';

/** What a draw is for: the last word of the counter, so that no two purposes share numbers. */
const PURPOSE = { order: 0x6f726465, flip: 0x666c6970 } as const;

type Key = readonly [number, number];
const keyOf = (seed: Seed): Key => {
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
};

/** 32-bit words, four from each counter. */
const wordsOf = (counter: (block: number) => Words4, key: Key): (() => number) => {
  let block = 0, words: readonly number[] = [];
  return () => {
    if (words.length === 0) words = philox4x32(counter(block++), key);
    const [word, ...rest] = words;
    words = rest;
    return word!; // there are some
  };
};

/** A whole number below `bound`, each equally often: words of the last, incomplete round are thrown away. */
const below = (bound: number, next: () => number): number => {
  const whole = 2 ** 32 - (2 ** 32 % bound);
  for (;;) {
    const word = next();
    if (word < whole) return word % bound;
  }
};

/** A permutation of 0 ... size-1, keyed by (seed, epoch): Fisher and Yates' shuffle. */
export const permutation = (seed: Seed, epoch: number, size: number): Uint32Array => {
  const order = Uint32Array.from({ length: size }, (_, i) => i);
  const next = wordsOf((block) => [block, epoch >>> 0, Math.floor(epoch / 2 ** 32), PURPOSE.order], keyOf(seed));
  for (let last = size - 1; last > 0; last--) {
    const chosen = below(last + 1, next), moved = order[chosen]!;
    order[chosen] = order[last]!;
    order[last] = moved;
  }
  return order;
};

/** Whether the image at place `index` of the whole batch of a step is mirrored: every second one. */
export const isFlipped = (seed: Seed, step: number, index: number): boolean =>
  (philox4x32([index, step >>> 0, Math.floor(step / 2 ** 32), PURPOSE.flip], keyOf(seed))[0] & 1) === 1;
