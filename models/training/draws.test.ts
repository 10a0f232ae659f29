/** What a step draws: distributions, and that nothing but (seed, step, place) counts. */
import { describe, expect, test } from 'vitest';
import { type DrawOptions, drawBatch, drawOf } from './draws.ts';

const LOGNORMAL: DrawOptions = { seed: 11, time: 'lognormal', labelDrop: 0.1 };
const UNIFORM: DrawOptions = { ...LOGNORMAL, time: 'uniform' };
const STEPS = 250, BATCH = 80;
/** As a run draws them: step by step. */
const drawn = (options: DrawOptions) => Array.from({ length: STEPS * BATCH }, (_, i) => drawOf(options, Math.floor(i / BATCH), i % BATCH));

/** Largest distance between the distribution of some numbers and the one wanted (Kolmogorov and Smirnov), times the root of their count: over 2.2 once in 8000 seeds. */
const distance = (values: readonly number[], below: (x: number) => number): number => {
  const sorted = values.toSorted((a, b) => a - b), n = sorted.length;
  return Math.sqrt(n) * sorted.reduce((most, x, i) => Math.max(most, Math.abs(below(x) - i / n), Math.abs(below(x) - (i + 1) / n)), 0);
};
/** Abramowitz and Stegun 26.2.17, within 7.5e-8. */
const normalBelow = (x: number): number => {
  const t = 1 / (1 + 0.2316419 * Math.abs(x)), tail = (Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI)) * t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return x < 0 ? tail : 1 - tail;
};
const logit = (t: number): number => Math.log(t / (1 - t));
const correlation = (a: readonly number[], b: readonly number[]): number => {
  const mean = (x: readonly number[]): number => x.reduce((sum, v) => sum + v, 0) / x.length, [ma, mb] = [mean(a), mean(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number): number => x.reduce((sum, v, i) => sum + (v - mx) * (y[i]! - my), 0);
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
};

describe('distributions', () => {
  const [logs, uniforms] = [drawn(LOGNORMAL), drawn(UNIFORM)];
  test('the time is the sigmoid of a normal, or uniform', () => {
    expect(distance(logs.map(({ t }) => logit(t)), normalBelow)).toBeLessThan(2.2);
    expect(distance(uniforms.map(({ t }) => t), (t) => t)).toBeLessThan(2.2);
  });
  test('labels are dropped as often as is asked, never for 0, always for 1', () => {
    const count = logs.filter(({ dropped }) => dropped).length, n = logs.length;
    expect(Math.abs(count - 0.1 * n)).toBeLessThan(5 * Math.sqrt(0.09 * n));
    expect(drawn({ ...LOGNORMAL, labelDrop: 0 }).some(({ dropped }) => dropped)).toBe(false);
    expect(drawn({ ...LOGNORMAL, labelDrop: 1 }).every(({ dropped }) => dropped)).toBe(true);
  });
  test('time, label and noise of an image, and times of neighbours and of steps, have nothing to do with each other', () => {
    const times = uniforms.map(({ t }) => t), keys = uniforms.map(({ key }) => key[0] * 2 ** -32), drops = uniforms.map(({ dropped }) => Number(dropped)), most = 5 / Math.sqrt(times.length);
    for (const other of [keys, drops, [...times.slice(1), times[0]!], [...times.slice(BATCH), ...times.slice(0, BATCH)]]) expect(Math.abs(correlation(times, other))).toBeLessThan(most);
  });
  test('no two images get the same noise', () => {
    expect(new Set(logs.map(({ key }) => key.join())).size).toBe(STEPS * BATCH);
  });
});

test('times are within 0 and 1 in float32, both excluded', () => {
  const all = [LOGNORMAL, UNIFORM].flatMap((options) => [1, 1e-9, 1e12].flatMap((timeshift) => drawn({ ...options, timeshift }))); // shifts that would round to the ends
  expect(all.filter(({ t }) => t !== Math.fround(t) || t <= 0 || t >= 1)).toEqual([]);
});

test('the shift is that of the authors', () => {
  for (let i = 0; i < 50; i++) {
    const { t } = drawOf(UNIFORM, 3, i), shifted = drawOf({ ...UNIFORM, timeshift: 4 }, 3, i).t;
    expect(shifted).toBeCloseTo(t / (t + (1 - t) * 4), 6);
    expect(shifted).toBeLessThan(t); // more noise
  }
});

test('a batch in parts is the batch', () => {
  const labels = Array.from({ length: 24 }, (_, i) => i % 7), whole = drawBatch(LOGNORMAL, 7, 5, 0, labels);
  for (const size of [1, 5, 8, 24]) {
    const starts = Array.from({ length: Math.ceil(24 / size) }, (_, i) => i * size), parts = starts.map((from) => drawBatch(LOGNORMAL, 7, 5, from, labels.slice(from, from + size)));
    expect(parts.flatMap(({ t }) => [...t])).toEqual([...whole.t]);
    expect(parts.flatMap(({ y }) => [...y])).toEqual([...whole.y]);
    expect(parts.flatMap(({ keys }) => [...keys])).toEqual([...whole.keys]);
  }
  expect([...whole.y].every((label, i) => label === labels[i] || label === 7)).toBe(true);
});

test('seed, step and place all count, beyond 32 bits too', () => {
  const one = drawOf(LOGNORMAL, 5, 3);
  expect(drawOf(LOGNORMAL, 5, 3)).toEqual(one);
  const others = [drawOf(LOGNORMAL, 3, 5), drawOf(LOGNORMAL, 6, 3), drawOf(LOGNORMAL, 5, 4), drawOf({ ...LOGNORMAL, seed: 12 }, 5, 3), drawOf({ ...LOGNORMAL, seed: 11 + 2 ** 32 }, 5, 3), drawOf(LOGNORMAL, 5 + 2 ** 32, 3)];
  for (const other of others) {
    expect(other.key).not.toEqual(one.key);
    expect(other.t).not.toBe(one.t);
  }
});
