/** `pixnerd tune`: measures which schedules are fastest for a model's kernels on this adapter, and keeps what passed the exact tests. */
import * as E from 'fp-ts/Either';
import type { TaskEither } from 'fp-ts/TaskEither';
import { existsSync } from 'node:fs';
import type { Checks } from '../../../compiler/checks.ts';
import { type Profile, profileOf } from '../../../compiler/profile.ts';
import type { KernelKey } from '../../../compiler/tuning/key.ts';
import { candidatesFor, FAMILIES, type Family, type KernelSchedule, showSchedule } from '../../../compiler/tuning/schedules.ts';
import { schedulesFor, type TuningTable, withEntries } from '../../../compiler/tuning/table.ts';
import type { ImageSize } from '../../../models/pixnerd/config.ts';
import { ofDeviceError } from '../../backend/wgsl.ts';
import { checkWritable } from '../../files/atomic.ts';
import type { DeviceError } from '../../runtime/errors.ts';
import { openNodeDevice } from '../../runtime/node.ts';
import { cachePath, readTableFile, writeTableFile } from '../../tuning/cache.ts';
import { fingerprintOf } from '../../tuning/fingerprint.ts';
import { SHIPPED } from '../../tuning/tables.ts';
import { entriesOf, type Finding, type Target, targetsOf, tune } from '../../tuning/tune.ts';
import { flag, optional, withDefault } from '../arguments.ts';
import { command, type Terminal } from '../command.ts';
import { INTERRUPTED, settle, stop } from '../failure.ts';
import { NUMBER_OPTIONS, numbersOf } from '../numbers.ts';
import { planned, plannedRun, presets, type Source, sourceIn, sourceOfPreset } from '../planning.ts';
import { makeProgress } from '../progress.ts';
import { choice, duration, positive, size, text } from '../readers.ts';
import { suggestion } from '../suggest.ts';
import { table } from '../table.ts';

const settled = <A>(task: TaskEither<DeviceError, A>): Promise<A> => settle(() => task().then(E.mapLeft(ofDeviceError)));

const sourceFor = async (model: string): Promise<Source> => {
  const preset = presets.find((name) => name === model);
  if (preset !== undefined) return sourceOfPreset(preset);
  return existsSync(model) ? sourceIn(model) : stop(`${model}: there is no such file, and no such built-in size${suggestion(model, presets)}`);
};

const milliseconds = (microseconds: number | undefined): string => (microseconds === undefined ? '-' : (microseconds / 1000).toPrecision(3));

const outcomeOf = ({ better, skipped, tried, candidates, refused }: Finding): string => {
  if (skipped !== undefined) return skipped;
  const wrong = refused.length === 0 ? '' : `, ${refused.length} refused`;
  return `${better === undefined ? 'the heuristic stays' : showSchedule(better.schedule)} (${tried} of ${candidates} tried${wrong})`;
};

const findingRows = (findings: readonly Finding[]): readonly (readonly string[])[] => [
  ['kernel', 'uses', 'heuristic ms', 'best ms', 'ratio', 'schedule'],
  ...findings.map((finding) => [
    finding.key,
    String(finding.uses),
    milliseconds(finding.better?.heuristic ?? finding.heuristic),
    milliseconds(finding.better?.microseconds ?? finding.heuristic),
    finding.better === undefined ? (finding.heuristic === undefined ? '-' : '1.00') : (finding.better.heuristic / finding.better.microseconds).toFixed(2),
    outcomeOf(finding),
  ]),
];

const targetRows = (targets: readonly Target[], profile: Profile): readonly (readonly string[])[] => {
  const all = targets.reduce((sum, { work }) => sum + work, 0);
  return [
    ['kernel', 'uses', 'share', 'candidates', 'by the heuristic'],
    ...targets.map(({ key, uses, work, kernel }) => {
      const chosen = kernel.choice as KernelSchedule; // targets have one
      return [key, String(uses), `${((100 * work) / all).toPrecision(2)} %`, String(candidatesFor(chosen, profile).length), showSchedule(chosen)];
    }),
  ];
};

/** Refusals are rare and worth reading: a driver's bug, or ours. */
const refusalNotes = (findings: readonly Finding[]): readonly string[] =>
  findings.flatMap(({ key, refused }) => refused.map(({ schedule, reason }) => `refused for ${key}: ${showSchedule(schedule)}: ${reason.split('\n')[0]}`));

const summaryOf = (findings: readonly Finding[]): string => {
  const better = findings.filter((finding) => finding.better !== undefined).length, untouched = findings.filter(({ skipped }) => skipped !== undefined).length;
  return `${better} of ${findings.length} kinds of kernels have a better schedule${untouched === 0 ? '' : `; ${untouched} were not tried`}`;
};

/** Adds to a file what was found; it is read again, since another `tune` may have written meanwhile. */
const keep = async (path: string, adapter: string, findings: readonly Finding[], { note }: Pick<Terminal, 'note'>): Promise<void> => {
  const entries = entriesOf(findings, new Date());
  if (Object.keys(entries).length === 0) return note(`${path} stays as it is`);
  await settle(writeTableFile(path, withEntries(await settle(readTableFile(path)), adapter, entries)));
  note(`written to ${path}`);
};

/** Keys that need no tuning, and why. */
const knownKeys = (table_: TuningTable, adapter: string, profile: Profile): ReadonlySet<KernelKey> =>
  new Set(schedulesFor([{ by: 'shipped', table: SHIPPED }, { by: 'cache', table: table_ }], adapter, profile).tuned.keys());

interface Plans {
  readonly plans: readonly Checks[];
  readonly imageSize: ImageSize;
}
type Planning = Parameters<typeof planned>;

const forwardPlans = (source: Source, wanted: Planning[1], options: Planning[2]): Plans => {
  const { made, imageSize } = planned(source, wanted, options);
  return { plans: [made.checks!], imageSize }; // callers ask for them, here and below
};

const samplingPlans = (source: Source, wanted: Planning[1], options: Planning[2]): Plans => {
  const { programs, imageSize } = plannedRun(source, wanted, options);
  return { plans: programs.map(({ made }) => made.checks!), imageSize };
};

/** Milliseconds. */
const USUAL_BUDGET = 60_000;

export const tuneCommand = command({
  name: 'tune',
  summary: 'measures which schedules are fastest for the kernels of a model on this adapter, and keeps them for later runs',
  operands: { placeholder: 'MODEL', least: 1, most: 1, help: `${presets.join(', ')}, or a file of weights, of which only the shapes are read` },
  options: {
    budget: optional(duration, 'time to spend; the most expensive kernels come first (default 60s)'),
    size: optional(size, 'height x width of an image (default: as the file says, else 256 for patch 16)'),
    batch: withDefault(positive, 1, 'images at once'),
    sampling: flag('instead of one forward: the programs of a guided sampling run, whose kernels work on both halves'),
    adapter: withDefault(text('auto|software|NAME'), 'auto', 'which GPU'),
    family: optional(choice(...FAMILIES), 'one family of kernels only'),
    again: flag('also kernels that were tuned before'),
    'dry-run': flag('lists what would be tuned, and runs nothing'),
    out: optional(text('FILE'), "the table to write to, instead of the user's own"),
    ...NUMBER_OPTIONS,
    json: flag('the findings as JSON: {model, adapter, findings: [...]}'),
  },
  details:
    'A candidate is timed only after its results were equal to the last bit on whole numbers, and within the bound of the reference on others; it is kept\n' +
    'if it beats the heuristic by 5 % in two series of measurements in which both take turns. Ctrl-C ends it and keeps what was found.\n' +
    "The user's table is $XDG_CACHE_HOME/pixnerd/tuning.json (else ~/.cache/pixnerd/tuning.json); it is asked where the table of the package has no answer.\n" +
    'Exit code: 0 done, 2 the model cannot be run, 130 interrupted.',
  examples: [
    ['pixnerd tune fashion --budget 5min', 'the small trained model that comes with the package'],
    ['pixnerd tune fashion --sampling --batch 16', 'for `pixnerd sample` with guidance and 16 images at once'],
    ['pixnerd tune c2i-L --dry-run', 'which kinds of kernels there are, and how many candidates each has'],
    ['pixnerd tune c2i-L --size 64 --family matmul --out tuning.json', 'matrix products only, into a file of its own'],
  ],
  run: async ({ values: { budget = USUAL_BUDGET, size: imageSize, batch, sampling, adapter, family, again, 'dry-run': dryRun, out: path, json, ...numbers }, operands: [model] }, terminal) => {
    const source = await sourceFor(model!), file = path ?? cachePath(); // the operand must be there
    const before = await settle(readTableFile(file));
    if (path !== undefined && !dryRun) await settle(checkWritable(path));
    const { device, notice } = await settled(openNodeDevice(adapter));
    const profile = profileOf(device.profile.class, device.profile.limits, device.profile.features), fingerprint = fingerprintOf(device.profile);
    const wanted = { size: imageSize, batch }, compileOptions = { ...numbersOf(numbers), profile, verify: true };
    const { plans, imageSize: planSize } = sampling ? samplingPlans(source, wanted, compileOptions) : forwardPlans(source, wanted, compileOptions);
    if (!json) terminal.note(`${notice}; ${source.name} at ${planSize.height} x ${planSize.width}, batch ${batch}`);
    const known = again ? new Set<KernelKey>() : knownKeys(before, fingerprint, profile), families: readonly Family[] = family === undefined ? FAMILIES : [family];
    const targets = targetsOf(plans, families, (key) => known.has(key));
    if (dryRun || targets.length === 0) {
      if (targets.length === 0) terminal.note(`there is nothing to tune${known.size === 0 ? '' : ': every kind of kernel is in a table (--again measures them anew)'}`);
      else for (const line of table(targetRows(targets, profile), [1, 2, 3])) terminal.out(line);
      return device.destroy();
    }
    const progress = makeProgress('tuning, seconds', terminal), whole = Math.ceil(budget / 1000);
    let last = 0;
    progress.update(last, whole);
    const onProgress = (spent: number): void => {
      const seconds = spent >= budget ? whole : Math.floor(spent / 1000);
      if (seconds > last) progress.update(seconds, whole); // each second once
      last = seconds;
    };
    const options = { budget, signal: terminal.signal, onProgress };
    const findings = await settled(tune(device, targets, options)).finally(progress.end);
    device.destroy();
    await keep(file, fingerprint, findings, terminal);
    for (const line of refusalNotes(findings)) terminal.note(line);
    if (json) terminal.out(JSON.stringify({ model: source.name, size: [planSize.height, planSize.width], batch, adapter: fingerprint, findings }));
    else for (const line of [...table(findingRows(findings), [1, 2, 3, 4]), summaryOf(findings)]) terminal.out(line);
    if (terminal.signal.aborted) stop('interrupted; what was found until then is kept', INTERRUPTED);
  },
});
