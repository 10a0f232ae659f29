/**
 * The real parts of a run: the data, the device, the trainer and the sampler, out of a configuration.
 *
 * Invariant: one device at a time, which the trainer and the sampler share; after it was lost, the next trainer opens another.
 */
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import type { TaskEither } from 'fp-ts/TaskEither';
import type { Backend, BackendError, BackendTensor, Inputs } from '../backend/backend.ts';
import { VERSION } from '../cli/version.ts';
import type { DataError, Dataset, DataOptions } from '../data/dataset.ts';
import { type Batch, openLoader } from '../data/loader.ts';
import { openDataset } from '../data/open.ts';
import { showShape } from '../files/tensor-file.ts';
import { openWeights } from '../files/open.ts';
import { checkpointStore } from './checkpoint.ts';
import { dataMistakes, imageSizeOf, type RunConfig } from './config.ts';
import { nodeDisk } from './disk.ts';
import type { RunFacts } from './facts.ts';
import { firstBadOp, showBadOp } from './first-bad.ts';
import { mathematicsOf, type RunMathematics } from './mathematics.ts';
import { folderOutputs } from './outputs.ts';
import type { BatchSource, RunParts } from './run.ts';
import { drawSheet } from './sheet.ts';
import { openTrainer, type StepReport as DeviceReport, type Trainer as DeviceTrainer } from './trainer.ts';
import type { NamedArrays, RunFailure, Trainer, TrainingBatch, TrainingState } from './trainer-types.ts';

export interface OpenOptions {
  /** Opens the adapter, the first time and after the device was lost. */
  readonly openDevice: () => TaskEither<BackendError, Backend>;
  /** What was typed, for the report. */
  readonly command: string;
  readonly signal?: AbortSignal;
  readonly onNote: (line: string) => void;
  /** Hears of each image that is decoded when the data are opened. */
  readonly onDecoded?: (done: number, all: number) => void;
  /** Hears of each kernel that is compiled. */
  readonly onCompiled?: (ready: number, all: number) => void;
}

export interface OpenedRun {
  readonly parts: RunParts;
  /** What the user should know: the adapter, skipped images. */
  readonly notes: readonly string[];
  /** The state before the first step: random weights, or those of a checkpoint. */
  readonly firstState: (from: string | undefined) => TaskEither<RunFailure, TrainingState>;
  readonly close: () => Promise<void>;
}

const failure = (kind: RunFailure['kind'], message: string): RunFailure => ({ kind, message });

const ofBackend = ({ kind, message }: BackendError): RunFailure => failure(kind === 'lost' || kind === 'aborted' ? kind : 'other', message);
const ofData = ({ kind, message }: DataError): RunFailure => failure(kind === 'aborted' ? 'aborted' : 'data', message);
const mapped = <A>(task: TaskEither<BackendError, A>): TaskEither<RunFailure, A> => () => task().then(E.mapLeft(ofBackend));

/** What is not as by default is said; the data complain about options that have no meaning for them. */
const dataOptions = ({ data, model }: RunConfig, { signal, onNote, onDecoded }: OpenOptions): DataOptions => ({
  path: data.path,
  size: { height: data.height, width: data.width },
  strict: data.strict,
  workers: data.workers,
  onNote,
  ...(model.in_channels === 1 || model.in_channels === 3 ? { channels: model.in_channels } : {}),
  ...(data.kind !== 'auto' && { kind: data.kind }),
  ...(data.label !== 'class' && { label: data.label }),
  ...(data.heldOut !== 'without' && { heldOut: data.heldOut }),
  ...(signal && { signal }),
  ...(onDecoded && { onProgress: onDecoded }),
});

/** A device that is opened when it is first wanted, and again after it was lost. */
const makeDevice = (open: OpenOptions['openDevice']) => {
  let backend: Backend | undefined;
  const close = (): void => {
    backend?.close();
    backend = undefined;
  };
  return {
    close,
    current: (): TaskEither<RunFailure, Backend> => async () => {
      if (backend !== undefined) return E.right(backend);
      const opened = await mapped(open())();
      if (E.isRight(opened)) backend = opened.right;
      return opened;
    },
    /** Closes a device that a failure says is lost. */
    watched: <A>(task: TaskEither<RunFailure, A>): TaskEither<RunFailure, A> => async () => {
      const made = await task();
      if (E.isLeft(made) && made.left.kind === 'lost') close();
      return made;
    },
  };
};
type DeviceHolder = ReturnType<typeof makeDevice>;

const trainerOn = ({ current, watched }: DeviceHolder, config: RunConfig, mathematics: RunMathematics, { onCompiled }: OpenOptions) =>
  (state: TrainingState): TaskEither<RunFailure, Trainer & { readonly notes: readonly string[] }> => watched(async () => {
    const backend = await current()();
    if (E.isLeft(backend)) return backend;
    const { graph, sizes, shapes, optimizer, learningRate } = mathematics;
    const budget = config.budget === null ? {} : { budget: config.budget };
    const opened = await mapped(openTrainer(backend.right, { graph, sizes, shapes, optimizer, accumulate: config.accumulate, precision: config.precision, state, ...budget, ...(onCompiled && { onCompiled }) }))();
    return E.map((trainer: DeviceTrainer): Trainer & { readonly notes: readonly string[] } => ({
      notes: trainer.notes,
      step: (batches) => watched(mapped(trainer.step(batches.map((batch): Inputs => ({ ...batch }))))),
      report: () => watched(TE.map((reports: readonly DeviceReport[]) => reports.map((report) => ({ ...report, learningRate: learningRate(report.step) })))(mapped(trainer.report()))),
      state: () => watched(mapped(trainer.state())),
      dispose: trainer.dispose,
    }))(opened);
  });

/** The batches of a data set, with what is drawn for each image. */
const batchesOf = (dataset: Dataset, { batch, seed, data: { flip, ahead } }: RunConfig, mathematics: RunMathematics) => (firstStep: number): TaskEither<RunFailure, BatchSource> => async () => {
  const loader = openLoader(dataset, { batch, seed, firstStep, flip, ahead });
  return E.right({
    next: () => TE.bimap(ofData, ({ step, x, labels }: Batch) => mathematics.batches(step, x, labels))(loader.next()),
    close: loader.close,
  });
};

/** A table of classes may have another length: a model that is trained on for other classes. */
const CLASS_TABLE = 'y_embedder.embedding_table.weight';

/** The weights of a checkpoint where they fit, with the first weights for classes that are new. */
const weightsFrom = (path: string, { shapes, firstWeights }: RunMathematics, onNote: (line: string) => void): TaskEither<RunFailure, NamedArrays> => async () => {
  const opened = await openWeights(path)();
  if (E.isLeft(opened)) return E.left(failure('data', opened.left.message));
  const weights = opened.right, fresh = firstWeights(), problems: string[] = [], made: Record<string, Float32Array<ArrayBuffer>> = {};
  try {
    for (const [name, shape] of Object.entries(shapes)) {
      const found = weights.info(name), got = found && showShape(found.shape);
      if (got === showShape(shape)) {
        const read = await weights.read(name)();
        if (E.isLeft(read)) return E.left(failure('data', read.left.message));
        made[name] = read.right;
      } else if (name === CLASS_TABLE && got !== undefined && found?.shape[1] === shape[1]) {
        onNote(`${path} knows ${found!.shape[0]! - 1} classes, this model ${shape[0]! - 1}: what it knew of classes starts anew`);
        made[name] = fresh[name]!;
      } else problems.push(got === undefined ? `${name} is missing` : `${name} is ${got}, this model has ${showShape(shape)}`);
    }
    problems.push(...weights.names().filter((name) => shapes[name] === undefined).map((name) => `${name} has no place in this model`));
  } finally {
    await weights.close();
  }
  const shown = problems.slice(0, 6).map((line) => `\n    ${line}`).join('');
  return problems.length === 0 ? E.right(made) : E.left(failure('data', `${path} does not fit the model of the configuration (model.*):${shown}${problems.length > 6 ? `\n    and ${problems.length - 6} more` : ''}`));
};

/** The first op of a step that gives no number, in words, looking at one micro-batch after the other. */
const badOpOf = (backend: Backend, { graph, sizes, shapes }: RunMathematics, values: NamedArrays, batches: readonly TrainingBatch[]): TaskEither<BackendError, string> => async () => {
  const parameters: Record<string, BackendTensor> = {};
  try {
    for (const [name, shape] of Object.entries(shapes)) {
      const tensor = await backend.upload(shape, values[name]!)(); // a state has every parameter
      if (E.isLeft(tensor)) return tensor;
      parameters[name] = tensor.right;
    }
    for (const batch of batches) {
      const found = await firstBadOp(backend, { graph, sizes, parameters, inputs: { ...batch } })();
      if (E.isLeft(found)) return found;
      if (found.right !== undefined) return E.right(showBadOp(found.right));
    }
    return E.right('no op: with these weights and this batch all are finite when computed one by one');
  } finally {
    for (const tensor of Object.values(parameters)) tensor.dispose();
  }
};

const countOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Opens the data and the device of a run. Errors: the data, where they contradict the configuration, the adapter. */
export const openRun = (config: RunConfig, options: OpenOptions): TaskEither<RunFailure, OpenedRun> => async () => {
  const opened = await openDataset(dataOptions(config, options))();
  if (E.isLeft(opened)) return E.left(ofData(opened.left));
  const dataset = opened.right, mistakes = dataMistakes(config, dataset), device = makeDevice(options.openDevice);
  const backend = mistakes.length > 0 ? E.left(failure('data', mistakes.join('\n'))) : await device.current()();
  if (E.isLeft(backend)) {
    await dataset.close();
    return backend;
  }
  const mathematics = mathematicsOf(config), { shapes, optimizer } = mathematics, size = imageSizeOf(config);
  const facts: RunFacts = {
    config,
    parameters: Object.values(shapes).reduce((sum, shape) => sum + countOf(shape), 0),
    images: dataset.size,
    classes: dataset.classes,
    device: backend.right.adapter,
    command: options.command,
    version: VERSION,
    node: process.versions.node,
  };
  const metadata = { format: 'pt', kind: 'weights', config: JSON.stringify(config.model), image: JSON.stringify([config.model.in_channels, size.height, size.width]), classes: JSON.stringify(dataset.classes) };
  return E.right({
    parts: {
      openTrainer: trainerOn(device, config, mathematics, options),
      openBatches: batchesOf(dataset, config, mathematics),
      drawSheet: (weights) => device.watched(async () => {
        const current = await device.current()();
        return E.isLeft(current) ? current : mapped(drawSheet(current.right, config, weights))();
      }),
      firstBadOp: ({ parameters }, batches) => device.watched(async () => {
        const current = await device.current()();
        return E.isLeft(current) ? current : mapped(badOpOf(current.right, mathematics, parameters, batches))();
      }),
      store: checkpointStore(config.output, nodeDisk, config.intervals.keep, { shapes, metadata }),
      outputs: folderOutputs(config.output, nodeDisk, () => facts),
    },
    notes: [backend.right.notice, ...dataset.notes],
    firstState: (from) => async () => {
      const first = from === undefined ? E.right(mathematics.firstWeights()) : await weightsFrom(from, mathematics, options.onNote)();
      return E.map((parameters: NamedArrays): TrainingState => ({ step: 0, parameters, ema: parameters, moments: Object.fromEntries(optimizer.states.map((name) => [name, {}])) }))(first);
    },
    close: async () => {
      device.close();
      await dataset.close();
    },
  });
};
