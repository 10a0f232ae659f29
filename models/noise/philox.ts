/**
 * Philox4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as easy as 1, 2, 3"),
 * and the normals of the SDE samplers made from it.
 *
 * Invariant: the draw of an image depends on (seed, image, draw) only, never on batch, shard or machine.
 */
import type { Seed } from './torch-random.ts';

export type Words4 = readonly [number, number, number, number];
export type Words2 = readonly [number, number];

const high = (a: number, b: number): number => {
  const low = (a & 0xffff) * (b & 0xffff);
  const middle = (a >>> 16) * (b & 0xffff) + (low >>> 16);
  const cross = (a & 0xffff) * (b >>> 16) + (middle & 0xffff);
  return ((a >>> 16) * (b >>> 16) + Math.floor(middle / 65536) + Math.floor(cross / 65536)) >>> 0;
};

const round = ([a, b, c, d]: Words4, [k0, k1]: Words2): Words4 => [
  (high(0xcd9e8d57, c) ^ b ^ k0) >>> 0,
  Math.imul(0xcd9e8d57, c) >>> 0,
  (high(0xd2511f53, a) ^ d ^ k1) >>> 0,
  Math.imul(0xd2511f53, a) >>> 0,
];

/** Ten rounds: 128 random bits as four words in [0, 2^32), for a counter of four words and a key of two. */
export const philox4x32 = (counter: Words4, key: Words2): Words4 => {
  let words = counter;
  let [k0, k1] = key;
  for (let i = 0; i < 10; i++) {
    words = round(words, [k0, k1]);
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return words;
};

/** Uniform in (0, 1], so that its logarithm is finite. */
const open = (word: number): number => (word + 1) * 2 ** -32;

const boxMuller = (a: number, b: number): readonly [number, number] => {
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
  const key: Words2 = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
  const values = new Float32Array(size);
  for (let start = 0; start < size; start += 4) {
    const [a, b, c, d] = philox4x32([start / 4, draw, image >>> 0, Math.floor(image / 2 ** 32)], key);
    const quad = [...boxMuller(a, b), ...boxMuller(c, d)];
    for (let j = 0; j < 4 && start + j < size; j++) values[start + j] = quad[j]!;
  }
  return values;
};
