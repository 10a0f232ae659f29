import { expect, test } from 'vitest';
import { mt19937 } from './mt19937.ts';
import { noiseStream, torchGenerator, torchNoise } from './torch-random.ts';

const rounded = (values: Float32Array): number[] => Array.from(values, (x) => Math.round(x * 1e4) / 1e4);

test('the engine is MT19937: the 10000th output of the reference seed 5489', () => {
  const engine = mt19937(5489);
  engine.skip(9999);
  expect(engine.next()).toBe(4123659995);
});

test('skipping equals drawing, across refills', () => {
  for (const passed of [0, 1, 623, 624, 625, 5000]) {
    const drawn = mt19937(7);
    for (let i = 0; i < passed; i++) drawn.next();
    const skipped = mt19937(7);
    skipped.skip(passed);
    expect([skipped.next(), skipped.next()]).toEqual([drawn.next(), drawn.next()]);
  }
});

test('the well-known first values of torch for seed 42, below and from 16 elements', () => {
  expect(rounded(torchGenerator(42).randn(4))).toEqual([0.3367, 0.1288, 0.2345, 0.2303]);
  expect(rounded(torchGenerator(42).randn(16))[0]).toBe(1.9269);
});

test('a lone normal leaves its sine half for the next call', () => {
  const whole = torchGenerator(3).randn(6);
  const generator = torchGenerator(3);
  expect([...generator.randn(3), ...generator.randn(3)]).toEqual([...whole]);
});

test('only the low 32 bits of a seed count, negative ones from 2^64', () => {
  const five = torchGenerator(5).randn(20);
  expect(torchGenerator(2n ** 40n + 5n).randn(20)).toEqual(five);
  expect(torchGenerator(-1).randn(20)).toEqual(torchGenerator(2n ** 32n - 1n).randn(20));
});

test('a ragged end redraws the last 16 places', () => {
  const generator = torchGenerator(11);
  const [ragged, after] = [generator.randn(40), generator.randn(16)];
  expect(ragged.slice(0, 24)).toEqual(torchGenerator(11).randn(32).slice(0, 24));
  const later = torchGenerator(11);
  later.skipNormals(40);
  expect(ragged.slice(24)).toEqual(later.randn(16));
  expect(after).toEqual(later.randn(16));
});

test('images of a multiple of 16 share the stream of one randn, in any order', () => {
  const all = torchGenerator(9).randn(5 * 48);
  const stream = noiseStream(9, [3, 4, 4]);
  for (const image of [0, 1, 4, 2, 3]) expect(stream(image)).toEqual(all.slice(image * 48, (image + 1) * 48));
});

test('other images have their own generator, seeded seed + i', () => {
  expect(torchNoise(9, 4, [1, 5, 5])).toEqual(torchGenerator(13).randn(25));
  expect(torchNoise(9n, 4, [1, 3, 3])).toEqual(torchGenerator(13).randn(9));
});
