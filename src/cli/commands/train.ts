/** `pixnerd train`: trains a model, goes on with a run, or writes a configuration to start from. */
import * as E from 'fp-ts/Either';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BACKEND_CHOICES } from '../../backend/backend.ts';
import { openBackend } from '../../backend/open.ts';
import { beginRun, type Begun } from '../../training/begin.ts';
import { removeLeftovers } from '../../training/checkpoint.ts';
import { nodeDisk } from '../../training/disk.ts';
import { exportOfficial } from '../../training/export.ts';
import { showDuration } from '../../training/facts.ts';
import { showLoss, showRate } from '../../training/history.ts';
import { lockFolder } from '../../training/lock.ts';
import { type OpenedRun, openRun } from '../../training/parts.ts';
import { nextCommands, startingConfig, type StartingPointName, STARTING_POINTS } from '../../training/recipes.ts';
import { type Outcome, runTraining } from '../../training/run.ts';
import { writeFileAtomic } from '../../files/atomic.ts';
import { optional, type Parsed, repeated, withDefault } from '../arguments.ts';
import { command, type Terminal } from '../command.ts';
import { INTERRUPTED, settle, stop, stopAt } from '../failure.ts';
import { makeProgress } from '../progress.ts';
import { choice, text } from '../readers.ts';

const startingPoints = Object.keys(STARTING_POINTS) as [StartingPointName, ...StartingPointName[]]; // the table is not empty

const OPTIONS = {
  init: optional(choice(...startingPoints), 'writes a configuration with a comment on every key, and says what comes next'),
  out: optional(text('FILE.json'), 'where --init writes it (default: its name)'),
  resume: optional(text('FOLDER'), 'goes on with the run of this folder, from its last checkpoint'),
  from: optional(text('CHECKPOINT'), 'begins with the weights of a checkpoint, the authors’ or ours, in place of random ones'),
  set: repeated(text('key=value'), 'overrides a key of the configuration by its path: --set optimizer.learningRate=3e-4'),
  export: optional(choice('official'), 'at the end, writes official.safetensors with the names of the authors'),
  backend: withDefault(choice(...BACKEND_CHOICES), 'auto', 'who computes: wgsl on a GPU where there is one, else wasm'),
  adapter: withDefault(text('auto|software|NAME'), 'auto', 'which GPU, for wgsl; software drivers are taken by name only'),
} as const;

type Values = Parsed<typeof OPTIONS>['values'];

const misplaced = ({ init, out, resume, from, set, export: exported }: Values, operands: readonly string[]): readonly string[] => {
  const others = { resume, from, export: exported, set: set.length > 0 ? set : undefined };
  return [
    ...(init === undefined && out !== undefined ? ['--out is for --init; a run goes where its configuration says: --set output=FOLDER'] : []),
    ...(init === undefined ? [] : Object.entries(others).filter(([, value]) => value !== undefined).map(([name]) => `--${name} has no meaning for --init, which writes a file and trains nothing`)),
    ...(init !== undefined && operands.length > 0 ? [`${operands[0]} has no meaning for --init; say where to write with --out`] : []),
    ...(resume !== undefined && from !== undefined ? ['--resume goes on with its own weights, --from begins with others: give one of them'] : []),
    ...(init === undefined && resume === undefined && operands.length === 0 ? ['which run? Give a configuration (`pixnerd train --init fashion` writes one), or a folder to go on in with --resume'] : []),
  ];
};

const exists = (path: string): Promise<boolean> => stat(path).then(() => true, () => false); // prettier-ignore

const writeStart = async (name: StartingPointName, file: string, { out, note }: Terminal): Promise<void> => {
  if (await exists(file)) stop(`${file} is there already; choose another name with --out, or remove it`);
  await settle(writeFileAtomic(file, new TextEncoder().encode(startingConfig(name))));
  note(`${file} is written; every key says what it means. What comes next:`);
  out(nextCommands(name, file));
};

/** Refuses to begin a run on top of another. */
const checkEmpty = async (folder: string): Promise<void> => {
  const found = (await nodeDisk.list(folder)).filter((name) => /^step-\d+$/.test(name)).sort().at(-1);
  if (found !== undefined) stop(`${folder} holds a run, at ${found}: go on with it by --resume ${folder}, or choose another folder with --set output=FOLDER`);
};

/** Everything of a run that has begun: what it computes with, and where. */
const trained = async ({ config, saved }: Begun, values: Values, terminal: Terminal): Promise<void> => {
  const folder = config.output;
  await mkdir(folder, { recursive: true }).catch((thrown: NodeJS.ErrnoException) => stop(`output: the folder ${folder} cannot be made (${thrown.code})`));
  const lock = await settle(lockFolder(folder));
  try {
    if (lock.tookOver !== undefined) terminal.note(`process ${lock.tookOver}, which used ${folder}, is dead; its lock is taken over`);
    if (saved === undefined) await checkEmpty(folder);
    await settle(removeLeftovers(folder, nodeDisk));
    for (const damage of saved?.damaged ?? []) terminal.note(`a damaged checkpoint is passed over: ${damage}`);
    const compiling = makeProgress('compiling', terminal);
    const opened = await settle(openRun(config, { openDevice: () => openBackend(values.backend, { adapter: values.adapter }), command: commandLine(), signal: terminal.signal, onNote: terminal.note, onCompiled: (ready, all) => (ready === all ? compiling.end() : compiling.update(ready, all)) }));
    try {
      await loop(opened, { config, ...(saved && { saved }) }, values, terminal);
    } finally {
      compiling.end();
      await opened.close();
    }
  } finally {
    await lock.release();
  }
};

/** What was typed, for the report. */
const commandLine = (): string => ['pixnerd', ...process.argv.slice(2)].join(' ');

const loop = async (opened: OpenedRun, { config, saved }: Begun, values: Values, terminal: Terminal): Promise<void> => {
  for (const note of opened.notes) terminal.note(note);
  const start = saved ?? { state: await settle(opened.firstState(values.from)), history: [], config, seconds: 0 };
  await settle(writeFileAtomic(join(config.output, 'config.json'), new TextEncoder().encode(`${JSON.stringify(config, undefined, 2)}\n`)));
  if (saved !== undefined) terminal.note(`going on after step ${saved.state.step}, from ${saved.path}`);
  if (saved !== undefined && saved.config.steps !== config.steps && config.schedule.kind !== 'constant')
    terminal.note(`the learning rate now sinks until step ${config.steps}, where it was to end at step ${saved.config.steps}: a run with ${config.steps} steps from its start would have had other rates`);
  terminal.note(`${config.steps - start.state.step} steps of ${config.batch} images; Ctrl-C saves and ends. To look at: ${join(config.output, 'report.html')}`);
  const bar = makeProgress('training', terminal);
  const outcome = await runTraining({
    config,
    parts: opened.parts,
    view: {
      progress: (done, all, now) => bar.update(done, all, now === undefined ? undefined : `loss ${showLoss(now.loss)} · rate ${showRate(now.learningRate)}`),
      note: (line) => {
        bar.end();
        terminal.note(line);
      },
    },
    start,
    ...(saved && { startPath: saved.path }),
    signal: terminal.signal,
  }).finally(bar.end);
  await tell(outcome, values, config.output, terminal);
};

/** The last words, and the exit code. */
const tell = async (outcome: Outcome, values: Values, folder: string, { note, out }: Terminal): Promise<void> => {
  const { step, checkpoint, seconds } = outcome, goOn = `pixnerd train --resume ${folder}`;
  const last = checkpoint === undefined ? 'There is no checkpoint.' : `The last good checkpoint is ${checkpoint}.`;
  if (outcome.kind === 'finished') note(`${step} steps in ${showDuration(seconds)}; the report is ${join(folder, 'report.html')}`);
  if (outcome.kind === 'interrupted') stop(`interrupted after step ${step}, which is saved. To go on:\n${goOn}`, INTERRUPTED);
  if (outcome.kind === 'failed') stop(`after step ${step}: ${outcome.message}\n${last}${checkpoint === undefined ? '' : ` To go on: ${goOn}`}`);
  if (outcome.kind === 'diverged')
    stop(`the loss of step ${step} is ${outcome.loss}${outcome.firstBad === undefined ? '' : `; ${outcome.firstBad}`}\n${last} A smaller optimizer.learningRate, a longer schedule.warmup or a smaller clip may help.`);
  if (checkpoint === undefined) return;
  out(checkpoint);
  if (values.export === 'official') out((await settle(exportOfficial(checkpoint, join(folder, 'official.safetensors')))).path);
};

export const train = command({
  name: 'train',
  summary: 'trains a model on your images; what is interrupted goes on where it was',
  options: OPTIONS,
  operands: { placeholder: 'CONFIG.json', least: 0, most: 1, help: 'the configuration: JSON with // comments; docs/training.md lists every key' },
  examples: [
    ['pixnerd train --init fashion', 'writes fashion.json and says what comes next'],
    ['pixnerd train fashion.json --set steps=3000 --set optimizer.learningRate=5e-4', 'trains, with two keys changed'],
    ['pixnerd train --resume out/fashion', 'goes on after Ctrl-C, a crash or a power cut, bit for bit'],
    ['pixnerd train mine.json --from c2i_XL.ckpt', 'begins with the weights of a checkpoint'],
  ],
  run: async ({ values, operands }, terminal) => {
    stopAt(misplaced(values, operands));
    if (values.init !== undefined) return writeStart(values.init, values.out ?? `${values.init}.json`, terminal);
    const begun = await beginRun({ file: operands[0], resume: values.resume, overrides: values.set }, nodeDisk)();
    if (E.isLeft(begun)) return stopAt(begun.left);
    await trained(begun.right, values, terminal);
  },
});
