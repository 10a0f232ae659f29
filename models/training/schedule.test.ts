import { expect, test } from 'vitest';
import { learningRateOf } from './schedule.ts';

const at = (options: Parameters<typeof learningRateOf>[0], steps: readonly number[]): readonly number[] => steps.map(learningRateOf(options));
const near = (got: readonly number[], want: readonly number[]): void => {
  expect(got.length).toBe(want.length);
  want.forEach((value, i) => expect(got[i], `[${i}]`).toBeCloseTo(value, 12));
};

test('constant, with a rise before it', () => {
  near(at({ kind: 'constant', peak: 0.4 }, [1, 2, 1e6]), [0.4, 0.4, 0.4]);
  near(at({ kind: 'constant', peak: 0.4, warmup: 4 }, [1, 2, 4, 5, 100]), [0.1, 0.2, 0.4, 0.4, 0.4]); // the first step moves already
});

test('half a cosine from the peak to the floor, where it stays', () => {
  const options = { kind: 'cosine', peak: 2, warmup: 10, steps: 110, floor: 0.1 } as const;
  near(at(options, [5, 10, 35, 60, 85, 110, 500]), [1, 2, 0.2 + 1.8 * (1 + Math.SQRT1_2) / 2, 1.1, 0.2 + 1.8 * (1 - Math.SQRT1_2) / 2, 0.2, 0.2]);
});

test('a line to the floor', () => near(at({ kind: 'linear', peak: 1, steps: 100, floor: 0.5 }, [1, 50, 100, 101]), [0.995, 0.75, 0.5, 0.5]));

test('no step has a rate that is no number, however short the run', () => {
  for (const kind of ['constant', 'cosine', 'linear'] as const) for (const warmup of [0, 1, 7]) for (const steps of [1, 2, 7, undefined]) {
    const rates = at({ kind, peak: 1, warmup, ...(steps !== undefined && { steps }) }, [1, 2, 7, 8, 100]);
    expect(rates.every((rate) => rate >= 0 && rate <= 1), `${kind} ${warmup} ${steps}`).toBe(true);
  }
});
