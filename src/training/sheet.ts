/** A sheet of samples of a model in training: a row of classes, several rows, always the same noise, so that sheets of different steps compare. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { velocityGraph } from '../../models/pixnerd/graph.ts';
import { plan } from '../../models/sampling/sampler.ts';
import type { Backend, BackendError, WeightSource } from '../backend/backend.ts';
import { contactSheet, enlarged, type Picture, pictureOf } from '../files/picture.ts';
import { encodePng } from '../files/png.ts';
import { sample } from '../sampling/sample.ts';
import { imageSizeOf, type RunConfig } from './config.ts';
import { SHEET_COLUMNS } from './report.ts';
import type { NamedArrays } from './trainer-types.ts';

/** Tokens that are computed at once. */
const TOKENS = 1024;
/** Pixels of a sheet's width that are wanted at least; small images are enlarged. */
const WIDTH = 900;

const asPng = (pictures: readonly Picture[], classes: number): Uint8Array => {
  const sheet = contactSheet(pictures, classes <= SHEET_COLUMNS ? { columns: classes } : {});
  return encodePng(enlarged(sheet, Math.max(1, Math.floor(WIDTH / sheet.width))));
};

/** Draws the sheet of a configuration. Errors: those of sampling. */
export const drawSheet = (backend: Backend, config: RunConfig, parameters: NamedArrays): TaskEither<BackendError, Uint8Array> => async () => {
  const { model, samples: { perClass, steps, guidance }, seed } = config, size = imageSizeOf(config);
  const made = plan({ sampler: 'adams', order: 2, steps, guidance, interval: [0.1, 1] });
  if (E.isLeft(made)) return E.left({ kind: 'input', message: made.left.join('; ') });
  const weights: WeightSource = { ...parameters }; // an object of its own, whose memory is given back below
  const labels = Array.from({ length: model.num_classes }, (_, label) => label), count = labels.length * perClass;
  const tokens = (size.height * size.width) / model.patch_size ** 2, pictures: Picture[] = [];
  const request = { backend, model: { config: model, graph: velocityGraph(model), weights }, plan: made.right, size, seed, labels, first: 0, end: count, batch: Math.max(1, Math.min(64, Math.floor(TOKENS / tokens))) };
  try {
    for await (const image of sample(request)) {
      if (E.isLeft(image)) return image;
      pictures.push(pictureOf(image.right.values, model.in_channels, size.height, size.width));
    }
    return E.right(asPng(pictures, labels.length));
  } finally {
    backend.forget?.(weights);
  }
};
