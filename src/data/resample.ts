/**
 * Scaling bytes as Pillow scales them, and ADM's centre crop, which the authors' data loaders share: halve by boxes while the short side is at least
 * twice the target, then bicubic to the target, then cut out the middle.
 *
 * Two passes, rows first, each rounded to bytes; weights in fixed point with 22 bits behind the point. Invariant: the same bytes as `resize` of
 * Pillow up to 11, which the authors used (13 scales columns first where that is cheaper, which rounds otherwise).
 */

/** Bytes of a picture, pixel by pixel. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

export interface Extent {
  readonly width: number;
  readonly height: number;
}

/** A kernel: its value at a distance, and the distance from which on it is zero. */
interface Kernel {
  readonly support: number;
  readonly at: (distance: number) => number;
}

const BOX: Kernel = { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };

/** Keys' cubic with a = -1/2. */
const BICUBIC: Kernel = {
  support: 2,
  at: (distance) => {
    const x = Math.abs(distance);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  },
};

/** Bits behind the point: 8 bits of pixel and 2 of overshoot leave 22 of 32. */
const FRACTION = 22;
const HALF = 2 ** (FRACTION - 1);

/** Where an output's sources begin, and their weights in fixed point. */
interface Taps {
  readonly first: number;
  readonly weights: Int32Array;
}

const roundAway = (value: number): number => Math.trunc(value < 0 ? value - 0.5 : value + 0.5);

/** The sources of every output along one axis; a kernel is widened where pixels are left out, so that all of them count. */
const tapsOf = (from: number, to: number, { support, at }: Kernel): readonly Taps[] => {
  // products with inverses instead of quotients, which round otherwise: a source on the edge of a box is in or out by the last bit
  const scale = from / to, stretch = Math.max(scale, 1), squeeze = 1 / stretch, reach = support * stretch;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5)), end = Math.min(from, Math.trunc(centre + reach + 0.5));
    const raw = Array.from({ length: end - first }, (_, j) => at((j + first - centre + 0.5) * squeeze));
    const share = 1 / raw.reduce((a, b) => a + b, 0);
    return { first, weights: Int32Array.from(raw, (weight) => roundAway(weight * share * 2 ** FRACTION)) };
  });
};

/** From fixed point to a byte. */
const toByte = (sum: number): number => Math.max(0, Math.min(255, sum >> FRACTION));

/** One axis: outputs lie `step` apart, and so do their sources; `lines` gives the start of each line, in both pictures. */
const scaleAxis = (data: Uint8Array, target: Uint8Array, taps: readonly Taps[], step: number, lines: Iterable<readonly [from: number, to: number]>): void => {
  for (const [from, to] of lines) {
    for (let i = 0; i < taps.length; i++) {
      const { first, weights } = taps[i]!;
      let sum = HALF, at = from + first * step;
      for (let j = 0; j < weights.length; j++, at += step) sum += data[at]! * weights[j]!;
      target[to + i * step] = toByte(sum);
    }
  }
};

const scaleRows = ({ width, height, channels, data }: Raster, to: number, kernel: Kernel): Raster => {
  if (to === width) return { width, height, channels, data };
  const target = new Uint8Array(to * height * channels);
  const lines = function* (): Iterable<readonly [number, number]> {
    for (let y = 0; y < height; y++) for (let c = 0; c < channels; c++) yield [y * width * channels + c, y * to * channels + c];
  };
  scaleAxis(data, target, tapsOf(width, to, kernel), channels, lines());
  return { width: to, height, channels, data: target };
};

const scaleColumns = ({ width, height, channels, data }: Raster, to: number, kernel: Kernel): Raster => {
  if (to === height) return { width, height, channels, data };
  const target = new Uint8Array(width * to * channels), row = width * channels;
  const lines = function* (): Iterable<readonly [number, number]> {
    for (let x = 0; x < row; x++) yield [x, x];
  };
  scaleAxis(data, target, tapsOf(height, to, kernel), row, lines());
  return { width, height: to, channels, data: target };
};

const resized = (raster: Raster, { width, height }: Extent, kernel: Kernel): Raster => scaleColumns(scaleRows(raster, width, kernel), height, kernel);

/** Every output is the mean of the sources that it covers. */
export const resizeBox = (raster: Raster, extent: Extent): Raster => resized(raster, extent, BOX);
export const resizeBicubic = (raster: Raster, extent: Extent): Raster => resized(raster, extent, BICUBIC);

/** To the nearest whole number, halves to the even one, as Python rounds. */
const roundHalfEven = (value: number): number => {
  const below = Math.floor(value), rest = value - below;
  return rest === 0.5 ? below + (below % 2) : Math.round(value);
};

const cut = ({ width, channels, data }: Raster, left: number, top: number, extent: Extent): Raster => {
  const row = extent.width * channels, target = new Uint8Array(row * extent.height);
  for (let y = 0; y < extent.height; y++) {
    const from = ((top + y) * width + left) * channels;
    target.set(data.subarray(from, from + row), y * row);
  }
  return { ...extent, channels, data: target };
};

/** ADM's centre crop; for a target that is not square: scaled until it covers the target, then the middle. */
export const centreCrop = (raster: Raster, target: Extent): Raster => {
  let shrunk = raster;
  while (shrunk.width >= 2 * target.width && shrunk.height >= 2 * target.height)
    shrunk = resizeBox(shrunk, { width: Math.floor(shrunk.width / 2), height: Math.floor(shrunk.height / 2) });
  const scale = Math.max(target.width / shrunk.width, target.height / shrunk.height);
  // rounding may fall short of the target by a pixel for the side that is not the short one
  const side = (size: number, least: number): number => Math.max(least, roundHalfEven(size * scale));
  const scaled = resizeBicubic(shrunk, { width: side(shrunk.width, target.width), height: side(shrunk.height, target.height) });
  return cut(scaled, Math.floor((scaled.width - target.width) / 2), Math.floor((scaled.height - target.height) / 2), target);
};

/** Channel after channel, as tensors have them. */
export const planar = ({ width, height, channels, data }: Raster): Uint8Array<ArrayBuffer> => {
  const pixels = width * height, target = new Uint8Array(pixels * channels);
  for (let c = 0; c < channels; c++) for (let i = 0; i < pixels; i++) target[c * pixels + i] = data[i * channels + c]!;
  return target;
};
