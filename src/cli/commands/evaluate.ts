/** `pixnerd evaluate`: how good a model's images are, beside real ones, copies and noise; and the classifier that says so. */
import * as E from 'fp-ts/Either';
import { CLASSIFIER_STRIDE } from '../../../models/evaluation/classifier.ts';
import { type C2iConfig, type ImageSize, sizeMistakes } from '../../../models/pixnerd/config.ts';
import { plan } from '../../../models/sampling/sampler.ts';
import { BACKEND_CHOICES } from '../../backend/backend.ts';
import { openBackend } from '../../backend/open.ts';
import { type Classifier, type ClassifierAbout, openClassifier, writeClassifier } from '../../evaluation/classifier.ts';
import { evaluate, ROWS, samplesMistakes } from '../../evaluation/evaluate.ts';
import { type Halves, openHalves } from '../../evaluation/halves.ts';
import { jsonOf, legend, tableOf } from '../../evaluation/report.ts';
import { trainClassifier } from '../../evaluation/train-classifier.ts';
import { checkWritable, writeFileAtomic } from '../../files/atomic.ts';
import { openModel, trainedSize } from '../../sampling/model.ts';
import { optional, type Parsed, withDefault } from '../arguments.ts';
import { command, type Terminal } from '../command.ts';
import { orStop, settle, stop, stopAt } from '../failure.ts';
import { NUMBER_OPTIONS, numbersOf } from '../numbers.ts';
import { inPackage } from '../package-root.ts';
import { makeBars, makeProgress } from '../progress.ts';
import { choice, interval, number, positive, positiveNumber, seed, size as sizeReader, text } from '../readers.ts';
import { suitableBatch } from '../render.ts';
import { table } from '../table.ts';
import { VERSION } from '../version.ts';

/** The model and the classifier that come with the package. */
const SHIPPED = 'fashion';
const shippedModel = (): string => inPackage('models', 'weights', 'fashion.safetensors');
const shippedClassifier = (): string => inPackage('models', 'weights', 'fashion-classifier.safetensors');

const OPTIONS = {
  data: optional(text('FOLDER'), 'real images of the same classes: IDX files, a pack, or a folder for each class'),
  'held-out': optional(text('FOLDER'), 'images that the model was not trained on (default: the test half of IDX files, what a pack holds out)'),
  samples: withDefault(positive, 500, 'images of each seed'),
  seeds: withDefault(positive, 3, 'how many seeds; their spread is shown'),
  seed: withDefault(seed, 0n, 'the first of them'),
  size: optional(sizeReader, "height x width of an image (default: as the model's file says)"),
  steps: withDefault(positive, 25, 'steps from noise to image, by adams of order 2'),
  guidance: withDefault(number, 3.5, 'scale of classifier-free guidance; 1 switches it off'),
  interval: optional(interval, 'guide only where min < t < max (default 0.1,1)'),
  timeshift: withDefault(number, 1, 'above 1 more steps go to the noisy end'),
  weights: withDefault(choice('ema', 'plain'), 'ema', "which copy of a checkpoint's weights"),
  batch: optional(positive, 'images computed at once (default: what suits the adapter)'),
  classifier: optional(text('FILE'), 'the classifier that judges (default: the one of clothes that comes with the package)'),
  out: optional(text('FILE'), 'a JSON file with every number; with --train-classifier, the file of the classifier'),
  backend: withDefault(choice(...BACKEND_CHOICES), 'auto', 'who computes: wgsl on a GPU where there is one, else wasm'),
  adapter: withDefault(text('auto|software|NAME'), 'auto', 'which GPU, for wgsl; software drivers are taken by name only'),
  ...NUMBER_OPTIONS,
  'train-classifier': optional(text('FOLDER'), 'instead of judging: trains a classifier on these images and writes it to --out'),
  epochs: optional(positiveNumber, 'with --train-classifier: how often each image is seen (default 2.5)'),
  rate: optional(positiveNumber, 'with --train-classifier: the first learning rate (default 0.002)'),
} as const;

type Given = Parsed<typeof OPTIONS>;

/** Options that only one of the two uses of the command knows. */
const ONLY_TRAINING = ['epochs', 'rate'] as const;
const BOTH = ['train-classifier', 'held-out', 'size', 'seed', 'out', 'backend', 'adapter', 'batch', ...Object.keys(NUMBER_OPTIONS)];

const misplaced = ({ values, operands, given }: Given): readonly string[] => {
  if (values['train-classifier'] === undefined)
    return [
      ...ONLY_TRAINING.filter((option) => given.has(option)).map((option) => `--${option} has a meaning with --train-classifier only`),
      ...(operands.length === 0 ? ['MODEL is missing: give a file of weights, or `fashion`'] : []),
      ...(values.data === undefined ? ['--data is missing: real images to compare with; `pixnerd data fashion FOLDER` fetches those of the model fashion'] : []),
    ];
  const allowed: readonly string[] = [...BOTH, ...ONLY_TRAINING];
  return [
    ...(operands.length > 0 ? [`${operands[0]}: no model is judged with --train-classifier; leave it out`] : []),
    ...[...given].filter((option) => !allowed.includes(option)).map((option) => `--${option} has no meaning with --train-classifier`),
    ...(values.out === undefined ? ['--out is missing: the file that the classifier is written to, such as classifier.safetensors'] : []),
  ];
};

const showSize = ({ height, width }: ImageSize, channels: number): string => `${height} x ${width} with ${channels} channel${channels === 1 ? '' : 's'}`;

/** Whether model, classifier and data are about the same images; everything that is not. */
const matchMistakes = (config: C2iConfig, size: ImageSize, { config: judge }: Classifier, classifierFile: string, { train }: Halves, data: string): readonly string[] => {
  const fits = judge.height === size.height && judge.width === size.width && judge.channels === config.in_channels;
  const another = 'train one of its own with `pixnerd evaluate --train-classifier FOLDER --size N --out FILE`, and give it as --classifier FILE';
  return [
    ...(fits ? [] : [`${classifierFile}: the classifier knows images of ${showSize(judge, judge.channels)}, the model makes ${showSize(size, config.in_channels)}; ${another}`]),
    ...(judge.classes === config.num_classes ? [] : [`${classifierFile}: the classifier knows ${judge.classes} classes, the model ${config.num_classes}; ${another}`]),
    ...(train.classes.length === config.num_classes ? [] : [`--data ${data}: there are ${train.classes.length} classes in it, the model has ${config.num_classes}; it must be data of the same classes`]),
  ];
};

const closed = async ({ train, heldOut }: Halves): Promise<void> => {
  await train.close();
  await heldOut?.close();
};

const opened = async (path: string, heldOut: string | undefined, size: ImageSize | undefined, channels: 1 | 3 | undefined, terminal: Terminal): Promise<Halves> => {
  const halves = await settle(openHalves({ path, ...(size && { size }), ...(channels && { channels }), signal: terminal.signal }, heldOut));
  for (const note of [...halves.train.notes, ...(halves.heldOut?.notes ?? [])]) terminal.note(note);
  return halves;
};

/** What can be said of a set that does not tell which images the model saw. */
const UNKNOWN = 'no image of the data is known to be held out: the real rows may have been trained on, and memorisation is not measured (--held-out FOLDER changes that)';

const shown = (value: Given['values'][keyof Given['values']]): string =>
  typeof value !== 'object' ? String(value) : 'height' in value ? `${value.height}x${value.width}` : value.join(',');

/** The command that repeats an evaluation. */
const commandLine = ({ operands, values, given }: Given): string =>
  ['pixnerd evaluate', ...operands, ...[...given].map((option) => `--${option} ${shown(values[option as keyof typeof values])}`)].join(' '); // as: given options are options

const judge = async (parsed: Given, terminal: Terminal): Promise<void> => {
  const { values, operands } = parsed, started = performance.now(), [name] = operands as readonly [string], data = values.data!; // both were asked for
  const interval_ = values.interval ?? ([0.1, 1] as const), sampler = { sampler: 'adams', order: 2, steps: values.steps, guidance: values.guidance, interval: interval_, timeshift: values.timeshift } as const;
  const made = plan(sampler);
  if (E.isLeft(made)) return stopAt(made.left);
  if (values.out !== undefined) await settle(checkWritable(values.out));
  const model = await settle(openModel(name === SHIPPED ? shippedModel() : name, values.weights === 'plain' ? { prefix: 'denoiser.' } : {}));
  const { config } = model, size = values.size ?? trainedSize(model.file.metadata);
  if (size === undefined) return stop('--size is missing: the file does not say at which size its model was trained');
  if (config.in_channels !== 1 && config.in_channels !== 3) return stop(`${name}: its images have ${config.in_channels} channels; images with 1 or 3 are judged`);
  stopAt(sizeMistakes(config, size));
  const classifierFile = values.classifier ?? shippedClassifier(), classifier = await settle(openClassifier(classifierFile));
  const halves = await opened(data, values['held-out'], size, config.in_channels, terminal);
  stopAt([...matchMistakes(config, size, classifier, classifierFile, halves, data), ...samplesMistakes(values.samples, classifier.config, halves)]);
  if (halves.heldOut === undefined) terminal.note(UNKNOWN);
  const backend = await settle(openBackend(values.backend, { adapter: values.adapter, ...numbersOf(values) }));
  terminal.note(backend.notice);
  const bars = makeBars(terminal), seeds = Array.from({ length: values.seeds }, (_, k) => values.seed + BigInt(k));
  const tokens = (size.height * size.width) / config.patch_size ** 2;
  const work = evaluate({
    backend, model, plan: made.right, size, classifier, data: halves, samples: values.samples, seeds,
    batch: values.batch ?? suitableBatch(backend, tokens), signal: terminal.signal, onProgress: bars.update, onNote: terminal.note,
  });
  const result = await work();
  bars.end();
  await closed(halves);
  await model.file.close();
  const found = orStop(result), seconds = Math.round((performance.now() - started) / 100) / 10;
  backend.close();
  for (const line of table(tableOf(found, name), found.rows.map((_, i) => i + 1))) terminal.out(line);
  terminal.note(`${values.samples} images of each of ${seeds.length} seeds, against ${found.reference} real ones; the classifier is right for ${(100 * classifier.accuracy).toFixed(1)} % of held-out images; ${seconds} s`);
  if (values.out === undefined) return;
  const { config: judgeConfig, classes, accuracy } = classifier;
  const context = {
    command: commandLine(parsed), version: VERSION, model: { name, config, size }, data: { path: data, train: halves.train.size, heldOut: halves.heldOut?.size ?? null },
    classifier: { path: values.classifier ?? 'fashion-classifier.safetensors', config: judgeConfig, classes, accuracy }, sampler, samples: values.samples, seeds, device: backend.adapter, seconds,
  };
  await settle(writeFileAtomic(values.out, new TextEncoder().encode(jsonOf(found, context)), { signal: terminal.signal }));
  terminal.out(values.out);
};

/** Widths that train in minutes on two cores. */
const WIDTHS = [16, 32, 48] as const;
const FEATURES = 64;
const BATCH = 64;
const [EPOCHS, RATE] = [2.5, 0.002];

const train = async ({ values: { 'train-classifier': folder, 'held-out': heldOutFolder, out, epochs = EPOCHS, rate = RATE, batch = BATCH, seed: start, size, backend: name, adapter, ...numbers } }: Given, terminal: Terminal): Promise<void> => {
  const started = performance.now(), file = out!; // was asked for
  await settle(checkWritable(file));
  const halves = await opened(folder!, heldOutFolder, size, undefined, terminal), { train: images, heldOut } = halves;
  const { channels, height, width } = images, short = Math.max(height, width);
  stopAt([
    ...(height % CLASSIFIER_STRIDE === 0 && width % CLASSIFIER_STRIDE === 0
      ? []
      : [`images of ${height} x ${width} cannot be halved three times: give --size with multiples of ${CLASSIFIER_STRIDE}, such as ${Math.ceil(short / CLASSIFIER_STRIDE) * CLASSIFIER_STRIDE}; IDX images are padded with black`]),
    ...(heldOut === undefined ? [`${folder}: nothing of it is held out, so the classifier could not be tried on images that it never saw; give --held-out FOLDER`] : []),
  ]);
  const config = { channels, height, width, classes: images.classes.length, widths: WIDTHS, features: FEATURES };
  const backend = await settle(openBackend(name, { adapter, ...numbersOf(numbers) }));
  terminal.note(backend.notice);
  const progress = makeProgress('training', terminal);
  let loss = NaN;
  const made = await settle(trainClassifier({
    backend, config, train: images, heldOut: heldOut!, epochs, batch, rate, seed: start, signal: terminal.signal,
    onStep: (step, all, now) => {
      loss = now;
      progress.update(step, all);
    },
  })).finally(progress.end);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const about: ClassifierAbout = {
    config, classes: images.classes, accuracy: made.accuracy,
    training: { images: String(images.size), held_out: String(heldOut!.size), steps: String(made.steps), batch: String(batch), rate: String(rate), seed: String(start), loss: loss.toFixed(4), seconds, device: backend.adapter },
  };
  await settle(writeClassifier(file, about, made.weights, { signal: terminal.signal }));
  await closed(halves);
  backend.close();
  terminal.note(`right for ${(100 * made.accuracy).toFixed(2)} % of ${heldOut!.size} held-out images, after ${made.steps} steps of ${batch} in ${seconds} s`);
  terminal.out(file);
};

export const evaluateCommand = command({
  name: 'evaluate',
  summary: "judges a model's images: accuracy, distances to real images, copies; beside real images, copies and noise",
  operands: { placeholder: 'MODEL', least: 0, most: 1, help: 'a checkpoint or safetensors file, or `fashion`, which comes with the package' },
  options: OPTIONS,
  details:
    `Rows: ${Object.entries(ROWS).map(([name, what]) => `${name} (${what})`).join(', ')}; all with as many images, against the same half of the held-out ones.\n` +
    'Numbers are means over the seeds ± standard deviations. They compare only with numbers of the same classifier, data and count of images.\n\n' +
    legend().map((line) => `  ${line}`).join('\n'),
  examples: [
    ['pixnerd evaluate fashion --data DATA --steps 16 --guidance 3 --out fashion.json', 'the model of the demo, as the demo samples from it; `pixnerd data fashion DATA` fetches the data'],
    ['pixnerd evaluate --train-classifier DATA --size 32 --out classifier.safetensors', 'the classifier that comes with the package was made like this'],
  ],
  run: async (parsed, terminal) => {
    stopAt(misplaced(parsed));
    return parsed.values['train-classifier'] === undefined ? judge(parsed, terminal) : train(parsed, terminal);
  },
});
