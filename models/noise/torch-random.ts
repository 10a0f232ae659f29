/**
 * torch's CPU generator: what `manual_seed(seed)` and `randn(size)` in float32 give, so that a seed means the same
 * starting noise here as in the authors' code.
 *
 * Sixteen and more numbers are made in blocks of 16 (cosines in the first half, sines in the second), a ragged end is
 * drawn anew into the last 16 places; fewer are made one by one in double precision, where the sine half of each pair
 * waits for the next call. torch's vector build rounds log, sin and cos differently in the last places (3 ulp at most).
 *
 * Invariant: a stream of images equals one `randn` over all of them where 16 divides the image's size.
 */
import { mt19937 } from './mt19937.ts';

const BLOCK = 16;
const HALF = 8;
const TWO_PI = Math.fround(2 * Math.PI);
const { fround } = Math;

/** A seed: an integer, negative ones count from 2^64 as in torch. Only the low 32 bits reach the engine, as in torch. */
export type Seed = number | bigint;

export interface TorchGenerator {
  /** `size` standard normals as float32. */
  readonly randn: (size: number) => Float32Array<ArrayBuffer>;
  /** Passes over what `randn(size)` would draw, for a `size` that 16 divides. */
  readonly skipNormals: (size: number) => void;
}

/** The word that torch hands to its engine. */
const low32 = (seed: Seed): number => Number(BigInt.asUintN(32, BigInt(seed)));

/** One block in place: 16 uniforms become 16 normals, rounding to float32 after each step as torch does. */
const transformBlock = (values: Float32Array, start: number): void => {
  for (let j = start; j < start + HALF; j++) {
    const radius = fround(Math.sqrt(fround(-2 * fround(Math.log(fround(1 - values[j]!))))));
    const angle = fround(TWO_PI * values[j + HALF]!);
    values[j] = radius * fround(Math.cos(angle));
    values[j + HALF] = radius * fround(Math.sin(angle));
  }
};

/** A generator as `torch.Generator().manual_seed(seed)` leaves it. */
export const torchGenerator = (seed: Seed): TorchGenerator => {
  const engine = mt19937(low32(seed));
  let waiting: number | undefined;

  const uniform = (): number => (engine.next() & 0xffffff) * 2 ** -24;
  const uniform53 = (): number => {
    const high = engine.next() & 0x1fffff;
    return (high * 2 ** 32 + engine.next()) * 2 ** -53;
  };

  const single = (): number => {
    if (waiting !== undefined) {
      const value = waiting;
      waiting = undefined;
      return value;
    }
    const angle = 2 * Math.PI * uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform53()));
    waiting = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };

  const fill = (values: Float32Array, start: number): void => {
    for (let i = start; i < values.length; i++) values[i] = uniform();
  };

  const blocks = (size: number): Float32Array<ArrayBuffer> => {
    const values = new Float32Array(size);
    fill(values, 0);
    for (let start = 0; start + BLOCK <= size; start += BLOCK) transformBlock(values, start);
    if (size % BLOCK !== 0) {
      fill(values, size - BLOCK);
      transformBlock(values, size - BLOCK);
    }
    return values;
  };

  return {
    randn: (size) => (size >= BLOCK ? blocks(size) : Float32Array.from({ length: size }, single)),
    skipNormals: (size) => engine.skip(size),
  };
};

/** Where 16 divides an image all images share one stream: image i is its elements [i * size, (i + 1) * size). */
const sharedStream = (seed: Seed, size: number) => {
  let generator = torchGenerator(seed);
  let position = 0;
  return (image: number): Float32Array<ArrayBuffer> => {
    if (image < position) {
      generator = torchGenerator(seed);
      position = 0;
    }
    generator.skipNormals((image - position) * size);
    position = image + 1;
    return generator.randn(size);
  };
};

const count = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/**
 * The starting noise of image after image, `shape` being that of one image, usually [C, H, W]: a function of the
 * image's index that continues cheaply from one index to the next higher one. Image i depends on seed and i only. Where
 * 16 does not divide the image's size, image i has its own generator, seeded `seed + i`.
 */
export const noiseStream = (seed: Seed, shape: readonly number[]): ((image: number) => Float32Array<ArrayBuffer>) => {
  const size = count(shape);
  if (size % BLOCK === 0) return sharedStream(seed, size);
  return (image) => torchGenerator(BigInt(seed) + BigInt(image)).randn(size);
};

/** The starting noise of one image: float32 of `shape`, see `noiseStream`. */
export const torchNoise = (seed: Seed, image: number, shape: readonly number[]): Float32Array<ArrayBuffer> =>
  noiseStream(seed, shape)(image);
