/**
 * Choices: a generator reads them one by one from a list of numbers, so that fast-check can shrink what it made by shrinking
 * numbers. Zero is always the simplest choice, and what follows the end of the list.
 */
import fc from 'fast-check';

export interface Draw {
  /** A whole number in [0, n). */
  readonly below: (n: number) => number;
  /** A whole number in [low, high]. */
  readonly between: (low: number, high: number) => number;
  readonly pick: <A>(items: readonly A[]) => A;
  /** True in `percent` of 100 cases; false is the simplest. */
  readonly chance: (percent: number) => boolean;
  /** The items in some order; the simplest is the given one. */
  readonly shuffled: <A>(items: readonly A[]) => readonly A[];
}

const MOST = 0xffff;

/** The numbers that a `Draw` reads. */
export const choices = (count: number): fc.Arbitrary<readonly number[]> =>
  fc.array(fc.nat(MOST), { minLength: count, maxLength: count, size: 'max' });

export const drawFrom = (numbers: readonly number[]): Draw => {
  let next = 0;
  const below = (n: number): number => (numbers[next++] ?? 0) % n;
  const pick = <A>(items: readonly A[]): A => items[below(items.length)]!;
  const shuffled = <A>(items: readonly A[]): readonly A[] => {
    const rest = [...items];
    return items.map(() => rest.splice(below(rest.length), 1)[0]!);
  };
  return { below, between: (low, high) => low + below(high - low + 1), pick, chance: (percent) => below(100) >= 100 - percent, shuffled };
};
