import { expect, test } from 'vitest';
import { noiseStream } from '../../models/noise/torch-random.ts';
import { readGolden, tensorOf } from './golden.ts';

test("the stream of seed 0 is the authors' starting noise", () => {
  const { data } = tensorOf(readGolden('fashion_expected'), 'in.noise');
  const stream = noiseStream(0, [1, 32, 32]);
  const noise = Array.from({ length: 20 }, (_, image) => [...stream(image)]).flat();
  const differences = noise.map((value, i) => Math.abs(value - data[i]!));
  expect(Math.max(...differences)).toBeLessThan(1e-6);
  expect(differences.filter((difference) => difference === 0).length / differences.length).toBeGreaterThan(0.8);
});
