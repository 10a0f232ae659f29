/** `pixnerd verify`: runs every kernel of a model against the reference, and names the first one, and its op, that is wrong. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { existsSync } from 'node:fs';
import { explain, type Verifiable } from '../../../compiler/compile.ts';
import { showCompileError } from '../../../compiler/errors.ts';
import { profileOf } from '../../../compiler/profile.ts';
import { SCHEDULES } from '../../../compiler/schedule.ts';
import type { TunedSchedules } from '../../../compiler/tuning/table.ts';
import { philoxNormals } from '../../../models/noise/philox.ts';
import { type C2iConfig, type ImageSize, PRESETS, type PresetName, sizeMistakes, sizesOf } from '../../../models/pixnerd/config.ts';
import { parameterShapes, velocityGraph } from '../../../models/pixnerd/graph.ts';
import { recipeTensor } from '../../../models/recipe.ts';
import type { WeightSource } from '../../backend/backend.ts';
import { ofDeviceError } from '../../backend/wgsl.ts';
import type { Device } from '../../runtime/device.ts';
import type { DeviceError } from '../../runtime/errors.ts';
import { openNodeDevice } from '../../runtime/node.ts';
import { openModel, trainedSize } from '../../sampling/model.ts';
import { tuningHere } from '../../tuning/here.ts';
import { describeProblems, passed, placeOf, type TensorReport, type Verification } from '../../verification/report.ts';
import { nodeThreads } from '../../runtime/wasm/node-threads.ts';
import { openWasmDevice } from '../../runtime/wasm/device.ts';
import { verifyProgram, verifyWasmProgram, type VerifyOptions } from '../../verification/verify.ts';
import { flag, optional, withDefault } from '../arguments.ts';
import { command, type Terminal } from '../command.ts';
import { NOT_PASSED, settle, stop, stopAt } from '../failure.ts';
import { inPackage } from '../package-root.ts';
import { makeProgress } from '../progress.ts';
import { choice, positive, share, size, text, whole } from '../readers.ts';
import { suggestion } from '../suggest.ts';
import { presets, usualSize } from '../planning.ts';

interface Source {
  readonly name: string;
  readonly config: C2iConfig;
  readonly weights: WeightSource;
  /** Whose numbers the weights are. */
  readonly note: string;
  /** Where the file says it. */
  readonly size: ImageSize | undefined;
  readonly close: () => Promise<void>;
}

const fromFile = async (path: string, name: string): Promise<Source> => {
  const { config, weights, file } = await settle(openModel(path));
  return { name, config, weights, note: `weights from ${path}`, size: trainedSize(file.metadata), close: () => file.close() };
};

const isPreset = (name: string): name is PresetName => Object.hasOwn(PRESETS, name);

/** Where a checkpoint is of another model than the one that is named. */
const configMismatches = (name: PresetName, config: C2iConfig): readonly string[] =>
  (Object.keys(config) as (keyof C2iConfig)[]) // its own keys
    .filter((field) => config[field] !== PRESETS[name][field])
    .map((field) => `${field} is ${config[field]} in the checkpoint, but ${PRESETS[name][field]} in ${name}`);

/** A built-in size without weights gets those of the recipe: numbers that are made from names, of sensible size. */
const fromRecipe = (name: PresetName): Source => {
  const config = PRESETS[name];
  const weights = Object.fromEntries(Object.entries(parameterShapes(config)).map(([key, shape]) => [key, () => recipeTensor(key, shape)]));
  return { name, config, weights, note: 'weights made up (give --checkpoint FILE for real ones)', size: undefined, close: async () => undefined };
};

const sourceOf = async (model: string, checkpoint: string | undefined): Promise<Source> => {
  if (!isPreset(model)) {
    if (!existsSync(model)) return stop(`${model}: there is no such file, and no such built-in size${suggestion(model, presets)}`);
    return checkpoint === undefined ? fromFile(model, model) : stop(`${model} is a file of weights already: give it alone, or --checkpoint with one of ${presets.join(', ')}`);
  }
  const path = checkpoint ?? (model === 'fashion' ? inPackage('models', 'weights', 'fashion.safetensors') : undefined);
  if (path === undefined) return fromRecipe(model);
  const source = await fromFile(path, model);
  stopAt(configMismatches(model, source.config));
  return source;
};

/** An image of noise, times and labels: different ones for each image of the batch. */
const inputsFor = ({ in_channels, num_classes }: C2iConfig, { height, width }: ImageSize, batch: number, seed: number): WeightSource => {
  const each = (of: (image: number) => number): readonly number[] => Array.from({ length: batch }, (_, image) => of(image));
  return {
    x: philoxNormals(seed, 0, 0, batch * in_channels * height * width),
    t: Float32Array.from(each((image) => (image + 0.5) / batch)),
    y: Int32Array.from(each((image) => image % num_classes)),
  };
};

const percent = (part: number): string => (Number.isFinite(part) ? `${(100 * part).toPrecision(2)} %` : 'any');

/** Lines of a table: how much of the bound was used, how many elements were looked at, which kernel it was. */
const tableOf = (tensors: readonly TensorReport[]): readonly string[] => {
  const rows = tensors.map((report) => [
    percent(report.worst.ratio),
    `${report.checked} of ${report.elements}${report.unbounded === 0 ? '' : `, ${report.unbounded} without a bound`}`,
    report.kernels.length === 1 ? report.kernels[0]! : `${report.kernels[0]} and ${report.kernels.length - 1} more`, // one at least
    placeOf(report),
  ]);
  const all = [['of its bound', 'elements', 'kernel', 'result'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) => `  ${row.map((cell, column) => (column === 0 ? cell.padStart(widths[0]!) : cell.padEnd(widths[column] ?? 0))).join('  ').trimEnd()}`);
};

const SHOWN = 10;
const byRatio = (tensors: readonly TensorReport[]): readonly TensorReport[] => [...tensors].sort((a, b) => b.worst.ratio - a.worst.ratio);
const sum = (tensors: readonly TensorReport[], of: (report: TensorReport) => number): number => tensors.reduce((total, report) => total + of(report), 0);

const summaryOf = ({ tensors }: Verification): string => {
  const wrong = tensors.filter(({ worst }) => !(worst.ratio <= 1)).length;
  const counted = `${sum(tensors, ({ checked }) => checked)} of ${sum(tensors, ({ elements }) => elements)} elements of ${tensors.length} tensors were looked at`;
  return wrong === 0 ? `every kernel stays within its bound: ${counted}` : `${wrong} of ${tensors.length} tensors leave their bound: ${counted}`;
};

const NEXT = [
  'what to do: compare with --fusion off, another --schedule and another --adapter; `pixnerd emit --stage wgsl` prints the kernel;',
  'CONTRIBUTING.md, "debug a wrong number", goes on from there',
];

/** The worst tensors (or all) and the sum of it; ends the command where something is wrong. */
export const showVerification = (found: Verification, all: boolean, { out }: Pick<Terminal, 'out'>): void => {
  const worstFirst = byRatio(found.tensors);
  for (const line of tableOf(all ? worstFirst : worstFirst.slice(0, SHOWN))) out(line);
  out(summaryOf(found));
  stopWhereWrong(found);
};

const stopWhereWrong = (found: Verification): void => {
  if (!passed(found)) stop([...describeProblems(found), ...NEXT].join('\n'), NOT_PASSED);
};

/** JSON has neither infinities nor NaN. */
const finite = (_key: string, value: unknown): unknown => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

const settled = <A>(task: TaskEither<DeviceError, A>): Promise<A> => settle(() => task().then(E.mapLeft(ofDeviceError)));

const compiledFor = (device: Device, source: Source, options: { readonly size: ImageSize; readonly batch: number; readonly fusion: boolean; readonly schedule: keyof typeof SCHEDULES | undefined; readonly tuned: TunedSchedules }): Verifiable => {
  const { name, config } = source,
    profile = profileOf(device.profile.class, device.profile.limits, device.profile.features);
  stopAt(sizeMistakes(config, options.size));
  const sizes = sizesOf(config, { batch: options.batch, ...options.size });
  if (E.isLeft(sizes)) return stop(sizes.left.join('\n'));
  const schedule = options.schedule === undefined ? { tuned: options.tuned } : { schedule: SCHEDULES[options.schedule] };
  const made = explain(velocityGraph(config), { sizes: sizes.right, profile, fusion: options.fusion, name, verify: true, ...schedule });
  if (E.isLeft(made)) return stop(made.left.map(showCompileError).join('\n'));
  return { program: made.right.program, checks: made.right.checks! }; // asked for
};

/** The kernels of WebAssembly. */
const onWasm = async (source: Source, size: ImageSize, batch: number, fusion: boolean, feeds: WeightSource, options: VerifyOptions, terminal: Terminal, json: boolean): Promise<{ readonly notice: string; readonly found: Verification }> => {
  stopAt(sizeMistakes(source.config, size));
  const sizes = sizesOf(source.config, { batch, ...size });
  if (E.isLeft(sizes)) return stop(sizes.left.join('\n'));
  const made = explain(velocityGraph(source.config), { target: 'wasm', sizes: sizes.right, fusion, name: source.name, verify: true });
  if (E.isLeft(made)) return stop(made.left.map(showCompileError).join('\n'));
  const device = await settled(openWasmDevice(() => nodeThreads())), notice = `adapter: WebAssembly SIMD, ${device.threads.count} threads`;
  if (!json) terminal.note(`${notice}; ${source.note}`);
  const progress = makeProgress('verifying', terminal), { program, checks } = made.right;
  progress.update(0, checks!.steps.length); // asked for, here and below
  const found = await settled(verifyWasmProgram(device, { program, checks: checks! }, feeds, { ...options, onProgress: progress.update })).finally(progress.end);
  device.close();
  return { notice, found };
};

export const verify = command({
  name: 'verify',
  summary: 'runs every kernel of a model against the reference on this adapter, and names the first one, and its op, that is wrong',
  operands: { placeholder: 'MODEL', least: 1, most: 1, help: `${presets.join(', ')}, or a file of weights` },
  options: {
    sample: withDefault(share, 0.01, 'part of the elements of each tensor that is looked at; 16 and the corners at least'),
    seed: withDefault(whole, 0, 'chooses the elements, and the noise that is put in'),
    checkpoint: optional(text('FILE'), 'weights for a built-in size (default: those that come with the package for fashion, else made-up ones)'),
    size: optional(size, 'height x width of an image (default: as the file says, else 256 for patch 16)'),
    batch: withDefault(positive, 1, 'images at once'),
    backend: withDefault(choice('wgsl', 'wasm'), 'wgsl', 'whose kernels'),
    adapter: withDefault(text('auto|software|NAME'), 'auto', 'which GPU, for wgsl'),
    fusion: withDefault(choice('on', 'off'), 'on', 'off: a kernel for each op'),
    schedule: optional(choice('cpu', 'gpu'), 'tile sizes for another class of adapter than this one'),
    all: flag(`every tensor in the table, not the worst ${SHOWN}`),
    json: flag('the findings as JSON: {model, adapter, passed, tensors: [...], failure, differences}'),
  },
  details:
    'Each kernel is judged by what it really read, so one that is wrong does not blame those behind it. When a kernel of several ops is wrong, its ops\n' +
    'are run one by one to find which. At last the whole program runs, and must give the same numbers as its kernels.\n' +
    'Exit code: 0 all kernels are right, 1 one is wrong, 2 the model cannot be run.',
  examples: [
    ['pixnerd verify fashion', 'the small trained model that comes with the package'],
    ['pixnerd verify c2i-L --size 32 --sample 0.001', 'a large model on a small image'],
  ],
  run: async ({ values: { sample, seed, checkpoint, size: asked, batch, backend, adapter, fusion, schedule, all, json }, operands: [model] }, terminal) => {
    stopAt(seed >= 0 ? [] : [`--seed ${seed}: use a whole number from 0`]);
    const source = await sourceOf(model!, checkpoint); // the operand must be there
    const imageSize = asked ?? source.size ?? usualSize(source.config);
    const feeds = { ...source.weights, ...inputsFor(source.config, imageSize, batch, seed) }, options: VerifyOptions = { sample, seed, signal: terminal.signal };
    const onGpu = async (): Promise<{ readonly notice: string; readonly found: Verification }> => {
      const { device, notice } = await settled(openNodeDevice(adapter));
      const { tuned, problems } = await tuningHere(device.profile);
      const verifiable = compiledFor(device, source, { size: imageSize, batch, fusion: fusion === 'on', schedule, tuned });
      for (const problem of problems) terminal.note(problem);
      if (!json) terminal.note(`${notice}; ${source.note}`);
      const progress = makeProgress('verifying', terminal);
      progress.update(0, verifiable.checks.steps.length);
      const found = await settled(verifyProgram(device, verifiable, feeds, { ...options, onProgress: progress.update })).finally(progress.end);
      device.destroy();
      return { notice, found };
    };
    const { notice, found } = await (backend === 'wasm' ? onWasm(source, imageSize, batch, fusion === 'on', feeds, options, terminal, json) : onGpu());
    await source.close();
    if (!json) return showVerification(found, all, terminal);
    terminal.out(JSON.stringify({ model: source.name, size: [imageSize.height, imageSize.width], batch, adapter: notice, passed: passed(found), ...found }, finite));
    stopWhereWrong(found);
  },
});
