/** `pixnerd parity`: compares what this program computes with reference data of the authors' code. */
import { BACKEND_CHOICES } from '../../backend/backend.ts';
import { openBackend } from '../../backend/open.ts';
import { flag, optional, withDefault } from '../arguments.ts';
import { command, type Terminal } from '../command.ts';
import { INTERRUPTED, MISTAKE, NOT_PASSED, settle, stop, stopAt } from '../failure.ts';
import { checkGolden, type Report } from '../parity/check.ts';
import { verdictLine } from '../parity/judge.ts';
import { misplacedNumbers, NUMBER_OPTIONS, numbersOf } from '../numbers.ts';
import { choice, text } from '../readers.ts';

/** JSON has no NaN. */
const finite = (value: number | undefined): number | null => (value !== undefined && Number.isFinite(value) ? value : null);

const jsonLine = ({ file, backend, adapter, ok, tensors, error }: Report): string =>
  JSON.stringify({
    file,
    backend,
    adapter,
    ok,
    tensors: tensors.map(({ name, relrms, relmax, abs, limit, ok: fine, problem }) => ({
      name,
      relrms: finite(relrms),
      relmax: finite(relmax),
      abs: finite(abs),
      limit: limit ?? null,
      ok: fine,
      ...(problem !== undefined && { problem }),
    })),
    ...(error !== undefined && { error }),
  });

const lines = ({ file, ok, tensors, error }: Report): readonly string[] => {
  const width = Math.min(40, Math.max(0, ...tensors.map(({ name }) => name.length)));
  const bad = tensors.filter((tensor) => !tensor.ok).length;
  if (error !== undefined) return [`FAIL  ${file}`, `  ${error}`];
  return [
    `${ok ? 'ok  ' : 'FAIL'}  ${file}: ${ok ? `${tensors.length} tensors agree` : `${bad} of ${tensors.length} tensors do not agree`}`,
    ...tensors.map((tensor) => verdictLine(tensor, width)),
  ];
};

const codeOf = (reports: readonly Report[]): number =>
  reports.some(({ interrupted }) => interrupted)
    ? INTERRUPTED
    : reports.some(({ error }) => error !== undefined)
      ? MISTAKE
      : reports.every(({ ok }) => ok)
        ? 0
        : NOT_PASSED;

const summary = (reports: readonly Report[]): string => {
  const good = reports.filter(({ ok }) => ok).length;
  return good === reports.length ? `all ${good} files agree` : `${reports.length - good} of ${reports.length} files do not agree`;
};

const checkAll = async (
  files: readonly string[],
  check: (file: string) => Promise<Report>,
  show: (report: Report) => void,
  { signal }: Terminal,
): Promise<readonly Report[]> => {
  const reports: Report[] = [];
  for (const file of files) {
    if (signal.aborted) break;
    const report = await check(file);
    show(report);
    reports.push(report);
  }
  return reports;
};

export const parity = command({
  name: 'parity',
  summary: "checks golden files: does this program compute what the authors' code computes?",
  operands: {
    placeholder: 'FILE',
    least: 1,
    most: Infinity,
    help: "golden files (safetensors): blocks, models, samplers, full-size recipes, checkpoints' expected outputs",
  },
  options: {
    backend: withDefault(choice(...BACKEND_CHOICES), 'auto', 'who computes: wgsl on a GPU where there is one, else wasm'),
    adapter: withDefault(text('auto|software|NAME'), 'auto', 'which GPU, for wgsl; software drivers are taken by name only'),
    ...NUMBER_OPTIONS,
    checkpoint: optional(text('FILE'), 'the checkpoint to use, where it is not the one that the file names'),
    json: flag('one line of JSON per file: {file, backend, adapter, ok, tensors: [{name, relrms, relmax, limit, ok}]}'),
  },
  details:
    'Every out., out64., mid. and grad. tensor is compared, with the limit of tolerances.json; one that was not computed fails.\n' +
    'Limits are for f32; they are 2^9 times wider where tensors lie as f16 (relrms at most 2^-6), and 2^12 times for int8 weights (at most 2^-4).\n' +
    'Exit code: 0 all agree, 1 some do not, 2 a file cannot be run.',
  examples: [
    ['pixnerd parity goldens/blocks/*.safetensors', 'runs all blocks on the best adapter'],
    [
      'pixnerd parity c2i_f32_expected.safetensors --checkpoint c2i_zip64.ckpt --backend reference',
      'reads the weights from another checkpoint, computes in double precision',
    ],
  ],
  run: async ({ values, operands, given }, terminal) => {
    const { backend: name, adapter, checkpoint, json } = values,
      numbers = numbersOf(values);
    stopAt(misplacedNumbers(name, given));
    const backend = await settle(openBackend(name, { adapter, ...numbers }));
    if (!json) terminal.note(backend.notice);
    const show = (report: Report): void => {
      for (const line of json ? [jsonLine(report)] : lines(report)) terminal.out(line);
    };
    const check = (file: string): Promise<Report> => {
      if (terminal.isInteractive) terminal.note(`checking ${file}`); // samplers take minutes on a software adapter
      return checkGolden(file, backend, { checkpoint, numbers, signal: terminal.signal });
    };
    const reports = await checkAll(operands, check, show, terminal);
    backend.close();
    if (!json && reports.length > 1) terminal.out(summary(reports));
    const code = terminal.signal.aborted ? INTERRUPTED : codeOf(reports);
    if (code !== 0) stop(code === MISTAKE ? reports.flatMap(({ error }) => error ?? []).join('\n') : '', code);
  },
});
