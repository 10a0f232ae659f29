/**
 * The public package: the language, the compiler, the reference interpreter, the models, the runtime, sampling and files.
 *
 *     import { compile, input, layers, makeGraph, bind, openNodeDevice, load } from 'pixnerd';
 *
 * Names that would collide stand in a namespace (`goldens`, `samplers`).
 */

// the language
export * from '../dsl/index.ts';
export { bindSizes, freeSymbols, makeGraph, withInputs, withTaps, type Graph, type Sizes } from '../dsl/graph/graph.ts';
export type { Node } from '../dsl/graph/node.ts';
export { printGraph } from '../dsl/graph/print.ts';
export { fromJson, toJson, type JsonGraph } from '../dsl/graph/json.ts';
export { verify } from '../dsl/graph/verify.ts';

// the compiler and the reference
export { compile, explain, type Compilation, type CompileOptions, type Verifiable } from '../compiler/compile.ts';
export type { Checks } from '../compiler/checks.ts';
export { separate, type SeparateOptions, type Separation } from '../compiler/separate.ts';
export { showCompileError, type CompileError } from '../compiler/errors.ts';
export { PRECISIONS, WEIGHT_FORMATS, type Numbers, type Precision, type WeightFormat } from '../compiler/precision/policy.ts';
export { profileOf, PROFILES, type Limits, type Profile } from '../compiler/profile.ts';
export { summarize, TARGETS, type Program, type ProgramSummary, type Target as ProgramTarget, type WasmProgram } from '../compiler/program.ts';
export { SCHEDULES, type Schedule } from '../compiler/schedule.ts';
export { FAMILIES, showSchedule, type Family, type KernelSchedule } from '../compiler/tuning/schedules.ts';
export { EMPTY_TABLE, parseTable, printTable, readTable, schedulesFor, withEntries, type Tuned, type TunedSchedules, type TuningEntry, type TuningTable } from '../compiler/tuning/table.ts';
export { printKernels } from '../compiler/kernels/print.ts';
export { evaluate, evaluateBounded } from '../compiler/reference/evaluate.ts';
export { compareWithBound } from '../compiler/reference/compare.ts';

// what the compiler made of a model, and why, for people
export { withSources } from '../dsl/graph/node.ts';
export { ROOFLINES, type Roofline } from '../compiler/roofline.ts';
export { positionsFrom, type Positions } from './explain/positions.ts';
export { reportOf, type Report, type ReportOptions } from './explain/report.ts';
export { reportPage, type PageOptions } from './explain/page.ts';
export { reportText, type TextOptions } from './explain/text.ts';

// models
export { nullClass, PRESETS, sizesOf, type C2iConfig, type C2iSizes, type ImageSize, type PresetName } from '../models/pixnerd/config.ts';
export { decoderGraph, parameterShapes, velocityGraph } from '../models/pixnerd/graph.ts';
export { pixnerd } from '../models/pixnerd/pixnerd.ts';
export { finalLayer, nerfBlock } from '../models/pixnerd/nerf.ts';
export { transformerBlock } from '../models/pixnerd/transformer.ts';
export { noiseStream, torchNoise, type Seed } from '../models/noise/torch-random.ts';
export { philoxNormals } from '../models/noise/philox.ts';
export { plan as planSampler } from '../models/sampling/sampler.ts';
export type { SamplerOptions } from '../models/sampling/options.ts';
export type { SamplerPlan } from '../models/sampling/plan.ts';
export { recipeTensor } from '../models/recipe.ts';

// training
export { drawBatch, drawOf, type Draw, type DrawOptions } from '../models/training/draws.ts';
export { flowMatchingLoss, LOSS_WEIGHTS, noised, trainingGraph, type LossOptions, type LossWeight } from '../models/training/loss.ts';
export { optimizerOf, type AdamWOptions, type Optimizer, type OptimizerOptions, type SgdOptions } from '../models/training/optimizer.ts';
export { alignedLoss, alignedTrainingGraph, alignmentLoss, projector, tapIn, withAlignment, type AlignmentOptions } from '../models/training/repa.ts';
export { learningRateOf, type ScheduleOptions } from '../models/training/schedule.ts';
export { firstWeights, initialise } from '../models/pixnerd/initialise.ts';
export { planStep, type MemoryPlan, type PlanRequest } from './training/budget.ts';
export { firstBadOp, showBadOp, type BadOp } from './training/first-bad.ts';
export { checkpointStore, type Checkpoint, type CheckpointStore } from './training/checkpoint.ts';
export { configDifferences, readConfig, type RunConfig } from './training/config.ts';
export { parseCommented } from './training/config-text.ts';
export { openRun, type OpenedRun } from './training/parts.ts';
export { startingConfig, STARTING_POINTS } from './training/recipes.ts';
export { runTraining, type Outcome, type RunParts, type RunRequest, type RunView } from './training/run.ts';
export { openTrainer, shapesOf, type StepReport, type Trainer, type TrainerOptions, type TrainingState } from './training/trainer.ts';
// data to train on
export { DATA_KINDS, type DataError, type DataKind, type DataOptions, type Dataset, type Item } from './data/dataset.ts';
export { openDataset } from './data/open.ts';
export { openLoader, type Batch, type Loader, type LoaderOptions } from './data/loader.ts';
export type { PackContent, PackItem } from './data/pack-format.ts';
export { encodePack } from './data/pack-write.ts';

// the runtime
export { openNodeDevice, type AdapterChoice, type NodeDevice } from './runtime/node.ts';
export {
  adapterName,
  load,
  makeParameterStore,
  makeRecorder,
  openAdapter,
  openDevice,
  openSavedProgram,
  parseProgram,
  part,
  printProgram,
  programProblems,
  upload,
  type AdapterProfile,
  type Device,
  type DeviceError,
  type DeviceTensor,
  type KernelTiming,
  type LoadOptions,
  type ParameterSource,
  type ParameterStore,
  type Recorder,
  type RunInputs,
  type RunOptions,
  type RunOutputs,
  type Session,
} from './runtime/browser.ts';

// the runtime for WebAssembly
export { openWasmDevice, partOf as wasmPart, uploadTo as wasmUpload, type WasmDevice, type WasmTensor } from './runtime/wasm/device.ts';
export { nodeThreads } from './runtime/wasm/node-threads.ts';
export { oneThread, type Threads } from './runtime/wasm/threads.ts';
export { loadWasm, type WasmInputs, type WasmParameterSource, type WasmRunOptions, type WasmSession } from './runtime/wasm/session.ts';
export { parseWasmProgram } from './runtime/saved-program.ts';

// every kernel against the reference
export { verifyProgram, verifyWasmProgram, type VerifyOptions } from './verification/verify.ts';
export { describeProblems, passed, type Culprit, type Difference, type TensorReport, type Verification } from './verification/report.ts';

// schedules that were measured on an adapter: `compile(graph, { tuned: tuningFor(device.profile).tuned })`
export { fingerprintOf } from './tuning/fingerprint.ts';
export { tuningHere } from './tuning/here.ts';
export { tuningFor } from './tuning/tables.ts';
export { cachePath, readTableFile, writeTableFile } from './tuning/cache.ts';
export { entriesOf, targetsOf, tune, type Finding, type Target, type TuneOptions } from './tuning/tune.ts';

// what the compiler tells (DEBUG=1..5)
export { setDebug } from './debug.ts';

// backends, weights, pictures
export {
  BACKEND_CHOICES,
  BACKENDS,
  type Backend,
  type BackendChoice,
  type BackendError,
  type BackendName,
  type BackendTensor,
  type Executable,
  type WeightSource,
} from './backend/backend.ts';
export { openBackend } from './backend/open.ts';
export { openTensorFile, openWeights } from './files/open.ts';
export type { Weights } from './files/weights.ts';
export type { FileError } from './files/errors.ts';
export { contactSheet, pictureOf, type Picture } from './files/picture.ts';
export { writeGif, writeNpz, writePng, writeSafetensors } from './files/write.ts';

// sampling
export { modelOf, openModel, trainedSize, weightSource, type C2iModel } from './sampling/model.ts';
export { sample, shardRange, type SampledImage, type SampleRequest } from './sampling/sample.ts';
