/**
 * All that is measured of one set of images, against one reference set of real ones.
 *
 * Invariant: every set that is compared in a table has the same count of images, since most of the numbers depend on it.
 */
import type { Judged } from './classifier.ts';
import { accuracyOf } from './classifier.ts';
import type { ImageSet } from './images.ts';
import { firstOf, rootMeanSquare, scaled } from './metrics/features.ts';
import { frechetDistance, type Moments, momentsOf } from './metrics/frechet.ts';
import { kernelDistance, type KernelSet, kernelSetOf } from './metrics/kernel-distance.ts';
import { type Manifold, manifoldOf, precisionRecall } from './metrics/manifolds.ts';
import { seamScore } from './metrics/seams.ts';
import { radialSpectrum, spectrumError } from './metrics/spectrum.ts';

/** A metric as people see it. */
export interface MetricAbout {
  readonly title: string;
  readonly what: string;
  readonly digits: number;
  /** Numbers are shown this many times as large. */
  readonly scale?: number;
}

/** The metrics, the most telling first. */
export const METRICS = {
  accuracy: { title: 'accuracy %', what: 'images that the classifier takes for the class that was asked for', digits: 1, scale: 100 },
  fd: { title: 'FD', what: "Fréchet distance to the reference, on the classifier's features (not FID)", digits: 3 },
  kid: { title: 'KID x1000', what: 'unbiased kernel distance to the reference, on the same features; 0 for real images in the mean', digits: 1, scale: 1000 },
  kidError: { title: 's.e.', what: 'standard error of one KID x1000, by the jackknife', digits: 1, scale: 1000 },
  precision: { title: 'precision', what: 'share of the images in the manifold of as many real ones', digits: 3 },
  recall: { title: 'recall', what: 'share of real images in the manifold of these', digits: 3 },
  seam: { title: 'seams', what: "steps across patch borders, in steps elsewhere; to be compared with real images'", digits: 3 },
  spectrum: { title: 'spectrum dB', what: 'root mean square error of the radial power spectrum', digits: 2 },
  nearest: { title: 'nearest', what: 'median distance to the nearest training image, per pixel, in units of the range', digits: 4 },
  copied: { title: 'copied %', what: 'images nearer to a training image than 99 % of the held-out ones are', digits: 1, scale: 100 },
} as const satisfies Readonly<Record<string, MetricAbout>>;
export type Metric = keyof typeof METRICS;

/** What could be measured of one set. */
export type Scores = Readonly<Partial<Record<Metric, number>>>;

/** Everything about the reference that is computed once. */
export interface Reference {
  /** What features are divided by: their root mean square over the reference, so that distances do not depend on how large a classifier makes them. */
  readonly unit: number;
  readonly moments: Moments;
  readonly kernel: KernelSet;
  readonly manifold: Manifold;
  readonly spectrum: Float64Array;
}

/** The reference of sets of `count` images; it has as many itself, at least. */
export const referenceOf = (images: ImageSet, judged: Judged, count: number): Reference => {
  const unit = rootMeanSquare(judged), features = scaled(judged, 1 / unit);
  return { unit, moments: momentsOf(features), kernel: kernelSetOf(features), manifold: manifoldOf(firstOf(features, count)), spectrum: radialSpectrum(images) };
};

/** The scores of a set that need no training images. */
export const scoresOf = (images: ImageSet, judged: Judged, reference: Reference, patch: number): Scores => {
  const features = scaled(judged, 1 / reference.unit), { distance, standardError } = kernelDistance(kernelSetOf(features), reference.kernel);
  const seam = seamScore(images, patch);
  return {
    accuracy: accuracyOf(judged, images.labels),
    fd: frechetDistance(momentsOf(features), reference.moments),
    kid: distance, kidError: standardError,
    ...precisionRecall(manifoldOf(features), reference.manifold),
    ...(seam !== undefined && { seam }),
    spectrum: spectrumError(radialSpectrum(images), reference.spectrum),
  };
};
