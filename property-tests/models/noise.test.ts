/** Starting noise against torch's: `torch.Generator().manual_seed(0)`, `torch.randn((20, 1, 32, 32))` on a CPU, as little-endian float32. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { noiseStream } from '../../models/noise/torch-random.ts';

test("the stream of seed 0 is the authors' starting noise", () => {
  const bytes = readFileSync(new URL('torch-noise-seed-0.f32', import.meta.url)), data = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const stream = noiseStream(0, [1, 32, 32]);
  const noise = Array.from({ length: 20 }, (_, image) => [...stream(image)]).flat();
  const differences = noise.map((value, i) => Math.abs(value - data[i]!));
  expect(Math.max(...differences)).toBeLessThan(1e-6);
  expect(differences.filter((difference) => difference === 0).length / differences.length).toBeGreaterThan(0.8);
});
