/**
 * The classifier that judges: opened from its file, and run over sets of images.
 *
 * Invariant: a file says for which images it was made and how many of held-out ones it gets right; images of another size are refused, since
 * scaling them would change what is measured.
 */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { CLASSIFIER_STRIDE, type ClassifierConfig, classifierGraph, classifierShapes, classifierSizes } from '../../models/evaluation/classifier.ts';
import type { Backend, BackendError, Executable, WeightSource } from '../backend/backend.ts';
import { checkWeights } from '../files/check-weights.ts';
import { attempt, fail, type FileError } from '../files/errors.ts';
import { openWeights } from '../files/open.ts';
import { writeSafetensors } from '../files/write.ts';
import { type ImageSet, partOf, valuesOf } from './images.ts';

/** What is known of a classifier beside its weights. */
export interface ClassifierAbout {
  readonly config: ClassifierConfig;
  /** The names of its classes, by label. */
  readonly classes: readonly string[];
  /** Share of the held-out images that it gets right. */
  readonly accuracy: number;
  /** Images that it was trained on and tried on, steps, seed: for people. */
  readonly training: Readonly<Record<string, string>>;
}

export interface Classifier extends ClassifierAbout {
  readonly weights: WeightSource;
}

/** `kind` in the metadata of its files. */
const KIND = 'classifier';

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0; // as: an integer is a number

/** The configuration in the metadata, or undefined where it is none. */
const configOf = (text: string): ClassifierConfig | undefined => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  const found = (parsed ?? {}) as Readonly<Record<string, unknown>>; // every field is looked at
  const { channels, height, width, classes, widths, features } = found;
  if (![channels, height, width, classes, features].every(isCount) || !Array.isArray(widths) || widths.length !== 3 || !widths.every(isCount)) return undefined;
  const config = { channels, height, width, classes, features, widths } as unknown as ClassifierConfig; // as: just checked
  return config.height % CLASSIFIER_STRIDE === 0 && config.width % CLASSIFIER_STRIDE === 0 ? config : undefined;
};

const namesIn = (text: string, count: number): readonly string[] => {
  const plain = Array.from({ length: count }, (_, label) => String(label));
  try {
    const names: unknown = JSON.parse(text);
    return Array.isArray(names) && names.length === count ? names.map(String) : plain;
  } catch {
    return plain;
  }
};

/** Opens a classifier's file. Errors: those of reading; `unsupported` where it is something else; `mismatch`. */
export const openClassifier = (path: string): TaskEither<FileError, Classifier> => async () => {
  const opened = await openWeights(path)();
  if (E.isLeft(opened)) return opened;
  const file = opened.right;
  const read = await attempt(path, async (): Promise<Classifier> => {
    const { kind, config: text = '', classes = '', accuracy, ...metadata } = file.metadata, config = configOf(text);
    if (kind !== KIND || config === undefined)
      return fail('unsupported', path, 'these are no weights of a classifier; `pixnerd evaluate --train-classifier FOLDER --out FILE` makes such a file');
    const checked = checkWeights(file, new Map(Object.entries(classifierShapes(config))));
    if (E.isLeft(checked)) return fail(checked.left.kind, path, checked.left.message);
    const weights: Record<string, Float32Array<ArrayBuffer>> = {};
    for (const name of file.names()) {
      const values = await file.read(name)();
      if (E.isLeft(values)) return fail(values.left.kind, path, values.left.message);
      weights[name] = values.right;
    }
    return { config, classes: namesIn(classes, config.classes), accuracy: Number(accuracy), training: metadata, weights };
  })();
  await file.close();
  return read;
};

/** Writes a classifier and gives the file's size. Errors: those of writing. */
export const writeClassifier = (path: string, about: ClassifierAbout, weights: Readonly<Record<string, Float32Array>>, options: { readonly signal?: AbortSignal } = {}): TaskEither<FileError, number> => {
  const tensors = Object.entries(classifierShapes(about.config)).map(([name, shape]) => ({ name, dtype: 'F32' as const, shape, data: () => weights[name]! })); // of the same shapes
  const metadata = { ...about.training, format: 'pt', kind: KIND, config: JSON.stringify(about.config), classes: JSON.stringify(about.classes), accuracy: String(about.accuracy) };
  return writeSafetensors(path, tensors, metadata, options);
};

/** What a classifier says of images. */
export interface Judged {
  readonly count: number;
  readonly dimensions: number;
  /** [count, dimensions] */
  readonly features: Float64Array;
  /** The most probable class of each. */
  readonly predicted: Int32Array;
}

export interface Judge {
  readonly judge: (images: ImageSet) => TaskEither<BackendError, Judged>;
  readonly dispose: () => void;
}

/** Images at once. */
const BATCH = 128;

const largestAt = (values: ArrayLike<number>, first: number, count: number): number => {
  let best = first;
  for (let i = first + 1; i < first + count; i++) if (values[i]! > values[best]!) best = i;
  return best - first;
};

/** Puts a classifier on a backend. `weights` may be tensors that still train. */
export const openJudge = (backend: Backend, config: ClassifierConfig, parameters: Pick<Parameters<Backend['load']>[0], 'weights' | 'parameters'>, signal?: AbortSignal): TaskEither<BackendError, Judge> => async () => {
  const stoppable = signal && { signal };
  const loaded = await backend.load({ graph: classifierGraph(), sizes: classifierSizes(config, BATCH), name: 'classifier', ...parameters, ...stoppable })();
  return E.isLeft(loaded) ? loaded : E.right({ judge: (images) => judged(loaded.right, config, images, signal), dispose: loaded.right.dispose });
};

const judged = (executable: Executable, { features: dimensions, classes }: ClassifierConfig, images: ImageSet, signal: AbortSignal | undefined): TaskEither<BackendError, Judged> => async () => {
  const { count } = images, stoppable = signal && { signal };
  const features = new Float64Array(count * dimensions), predicted = new Int32Array(count);
  const length = images.channels * images.height * images.width;
  for (let first = 0; first < count; first += BATCH) {
    const some = Math.min(BATCH, count - first), x = new Float32Array(BATCH * length);
    x.set(valuesOf(partOf(images, first, first + some)));
    const made = await executable.run({ x }, { ...stoppable })();
    if (E.isLeft(made)) return made;
    const { features: featureTensor, logits: logitTensor } = made.right;
    const [found, logits] = [await featureTensor!.read({ ...stoppable })(), await logitTensor!.read({ ...stoppable })()]; // outputs of the graph
    featureTensor!.dispose();
    logitTensor!.dispose();
    if (E.isLeft(found)) return found;
    if (E.isLeft(logits)) return logits;
    features.set(found.right.subarray(0, some * dimensions), first * dimensions);
    for (let i = 0; i < some; i++) predicted[first + i] = largestAt(logits.right, i * classes, classes);
  }
  return E.right({ count, dimensions, features, predicted });
};

/** Share of the images whose most probable class is their label. */
export const accuracyOf = ({ predicted }: Judged, labels: ArrayLike<number>): number =>
  predicted.reduce((right, label, i) => right + (label === labels[i] ? 1 : 0), 0) / predicted.length;
