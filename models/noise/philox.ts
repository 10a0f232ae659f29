/**
 * The normal draws of the SDE samplers, from the counter-based generator Philox4x32-10 (Salmon et al. 2011, "Parallel
 * random numbers: as easy as 1, 2, 3").
 *
 * Invariant: the draw of an image depends on (seed, image, draw) only, never on batch, shard or machine.
 */
import { philox4x32 } from '../../dsl/scalar/philox.ts';
import type { Seed } from './torch-random.ts';

/** Uniform in (0, 1], so that its logarithm is finite. */
const open = (word: number): number => (word + 1) * 2 ** -32;

/** Two standard normals from two random words (Box and Muller). */
export const boxMuller = (a: number, b: number): readonly [number, number] => {
  const radius = Math.sqrt(-2 * Math.log(open(a)));
  const angle = 2 * Math.PI * b * 2 ** -32;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
};

/**
 * `size` standard normals in float32, keyed by (seed, image, draw): the noise of the SDE steps. Elements 4j ... 4j+3 come
 * from the counter (j, draw, image, image's high word) under the seed's low and high word as key.
 */
export const philoxNormals = (seed: Seed, image: number, draw: number, size: number): Float32Array<ArrayBuffer> => {
  const bits = BigInt.asUintN(64, BigInt(seed));
  const key: readonly [number, number] = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
  const values = new Float32Array(size);
  for (let start = 0; start < size; start += 4) {
    const [a, b, c, d] = philox4x32([start / 4, draw, image >>> 0, Math.floor(image / 2 ** 32)], key);
    const quad = [...boxMuller(a, b), ...boxMuller(c, d)];
    for (let j = 0; j < 4 && start + j < size; j++) values[start + j] = quad[j]!;
  }
  return values;
};
