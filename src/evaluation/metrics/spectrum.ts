/**
 * The radial power spectrum of images, and how far two are apart: blur, noise and upsampling show there before they show in features.
 *
 * Power is averaged over images, channels and all frequencies of about the same length, in cycles per image: bin r holds lengths from r - 1/2 to r + 1/2.
 */
import type { ImageSet } from '../images.ts';

/** Fourier transforms of `count` numbers at a time: halves while the length is even, sums where it is odd. Real and imaginary parts. */
const transform = (re: Float64Array, im: Float64Array): readonly [Float64Array, Float64Array] => {
  const n = re.length, [outRe, outIm] = [new Float64Array(n), new Float64Array(n)];
  if (n === 1) return [re, im];
  if (n % 2 === 1) {
    for (let k = 0; k < n; k++) {
      for (let j = 0; j < n; j++) {
        const angle = (-2 * Math.PI * ((k * j) % n)) / n, cosine = Math.cos(angle), sine = Math.sin(angle);
        outRe[k]! += re[j]! * cosine - im[j]! * sine;
        outIm[k]! += re[j]! * sine + im[j]! * cosine;
      }
    }
    return [outRe, outIm];
  }
  const half = n / 2, every = (values: Float64Array, from: number): Float64Array => Float64Array.from({ length: half }, (_, i) => values[2 * i + from]!);
  const [evenRe, evenIm] = transform(every(re, 0), every(im, 0)), [oddRe, oddIm] = transform(every(re, 1), every(im, 1));
  for (let k = 0; k < half; k++) {
    const angle = (-2 * Math.PI * k) / n, cosine = Math.cos(angle), sine = Math.sin(angle);
    const turnedRe = oddRe[k]! * cosine - oddIm[k]! * sine, turnedIm = oddRe[k]! * sine + oddIm[k]! * cosine;
    [outRe[k], outIm[k]] = [evenRe[k]! + turnedRe, evenIm[k]! + turnedIm];
    [outRe[k + half], outIm[k + half]] = [evenRe[k]! - turnedRe, evenIm[k]! - turnedIm];
  }
  return [outRe, outIm];
};

/** |F|^2 of one plane of pixels in 0 ... 1. */
const powerOf = (pixels: Uint8Array, height: number, width: number): Float64Array => {
  const [re, im] = [new Float64Array(height * width), new Float64Array(height * width)];
  for (let y = 0; y < height; y++) {
    const row = Float64Array.from(pixels.subarray(y * width, (y + 1) * width), (byte) => byte / 255);
    const [rowRe, rowIm] = transform(row, new Float64Array(width));
    re.set(rowRe, y * width);
    im.set(rowIm, y * width);
  }
  const power = new Float64Array(height * width), column = (values: Float64Array, x: number) => Float64Array.from({ length: height }, (_, y) => values[y * width + x]!);
  for (let x = 0; x < width; x++) {
    const [colRe, colIm] = transform(column(re, x), column(im, x));
    for (let y = 0; y < height; y++) power[y * width + x] = (colRe[y]! ** 2 + colIm[y]! ** 2) / (height * width);
  }
  return power;
};

/** Mean power at the frequencies 0, 1, 2, ... up to half the shorter side. */
export const radialSpectrum = ({ count, channels, height, width, pixels }: Omit<ImageSet, 'labels'>): Float64Array => {
  const bins = Math.floor(Math.min(height, width) / 2) + 1, [sums, sizes] = [new Float64Array(bins), new Float64Array(bins)];
  const folded = (k: number, n: number): number => Math.min(k, n - k);
  const binOf = Int32Array.from({ length: height * width }, (_, i) => Math.round(Math.hypot(folded(Math.floor(i / width), height), folded(i % width, width))));
  for (let plane = 0; plane < count * channels; plane++) {
    const power = powerOf(pixels.subarray(plane * height * width, (plane + 1) * height * width), height, width);
    for (const [i, bin] of binOf.entries()) {
      if (bin >= bins) continue; // the corners
      sums[bin]! += power[i]!;
      sizes[bin]!++;
    }
  }
  return sums.map((sum, bin) => sum / sizes[bin]!);
};

/** Below this a power is that of rounding to bytes. */
const FLOOR = 1e-7;

/** The root mean square, over all frequencies but 0, of the ratio of two spectra in decibels. */
export const spectrumError = (a: Float64Array, b: Float64Array): number => {
  const ratios = Array.from(a.subarray(1), (power, i) => 10 * Math.log10(Math.max(power, FLOOR) / Math.max(b[i + 1]!, FLOOR)));
  return Math.sqrt(ratios.reduce((sum, ratio) => sum + ratio * ratio, 0) / ratios.length);
};
