/** Tables of a run, in markdown: us against the fastest peer that runs where we do, and every row. */
import { table } from './table.mjs';

const fixed = (value, digits = 1) => (value === undefined || value === null || Number.isNaN(value) ? '' : value >= 1000 ? value.toFixed(0) : value.toFixed(digits));

/** How many times faster than the fastest WebGPU peer we want to be, on a software driver; by kind. */
export const REACH = { matmul: { least: 1.6, aim: 2 }, attention: { least: 2, aim: 3 }, dit: { least: 2, aim: 3 }, nerf: { least: 2, aim: 3 }, pixnerd: { least: 3 } };

/** On WebAssembly, against the fastest WebAssembly peer. */
export const REACH_WASM = { matmul: { least: 1 }, attention: { least: 1 }, dit: { least: 1.5 }, nerf: { least: 1.5 }, pixnerd: { least: 1.5 }, pixnerd_train: { least: 2 } };

/** Who runs where we run: WebGPU, or WebAssembly with one thread or several. */
const kindOf = ({ variant }) => (variant.startsWith('wasm') ? 'wasm' : variant);
const isPeerOf = (ours) => (row) => row.peer !== 'ours' && kindOf(row) === kindOf(ours ?? { variant: 'webgpu' }) && row.failed === undefined && row.verified;
const fastest = (rows, by) => rows.reduce((best, row) => (best === undefined || row[by] < best[by] ? row : best), undefined);

/** For each workload: ours, the fastest peer of the same run that runs where we do, their ratio; and ours as a part of the native engine's time. */
export const comparisons = (rows, chosen) =>
  Object.entries(chosen).map(([workload, { kind }]) => {
    const here = rows.filter((row) => row.workload === workload), ours = here.find((row) => row.peer === 'ours'), peers = here.filter(isPeerOf(ours));
    const native = here.find((row) => row.peer === 'ort-node' && row.variant === 'cpu' && row.failed === undefined), peer = fastest(peers, 'medianMs'), fastestMin = fastest(peers, 'minMs');
    const isGood = ours !== undefined && ours.failed === undefined && ours.verified, reach = (ours?.variant === 'wasm' ? REACH_WASM : REACH)[kind];
    const ratio = isGood && peer ? peer.medianMs / ours.medianMs : undefined;
    const minRatio = isGood && fastestMin ? fastestMin.minMs / ours.minMs : undefined;
    return { workload, ours, peer, native: isGood && native ? ours.medianMs / native.medianMs : undefined, ratio, minRatio, reach, reached: ratio === undefined || reach === undefined ? undefined : ratio >= reach.least };
  });

const wanted = (reach) => (reach === undefined ? '' : `${reach.least}x${reach.aim === undefined ? '' : `, aim ${reach.aim}x`}`);
const nameOf = (row) => (row === undefined ? 'none ran' : `${row.peer}:${row.variant}`);
const why = (ours) => (ours === undefined ? 'did not run' : (ours.failed ?? (ours.verified ? '' : 'WRONG OUTPUT')));

export const ratioTable = (rows, chosen) =>
  table([
    ['workload', ({ workload }) => workload, '---'],
    ['ours, median ms', ({ ours }) => fixed(ours?.medianMs) || why(ours)], ['min', ({ ours }) => fixed(ours?.minMs)],
    ['fastest peer', ({ peer }) => nameOf(peer), '---'], ['median ms', ({ peer }) => fixed(peer?.medianMs)], ['min', ({ peer }) => fixed(peer?.minMs)],
    ['times faster, medians', ({ ratio }) => (ratio === undefined ? '' : `**${ratio.toFixed(2)}**`)], ['minima', ({ minRatio }) => minRatio?.toFixed(2)],
    ['reach', ({ reach }) => wanted(reach), '---'], ['reached', ({ reached }) => (reached === undefined ? '' : reached ? 'yes' : 'no'), '---'],
    ['of the time of ort-node:cpu', ({ native }) => native?.toFixed(2)],
  ], comparisons(rows, chosen));

/** What a call of ours costs besides its time. The first call is to take at most 5 s with an empty cache, and half a second over the steady one with a filled cache. */
export const ownTable = (rows) =>
  table([
    ['workload', ({ workload }) => workload, '---'],
    ['graph to program ms', ({ facts }) => fixed(facts?.compileMs, 0)], ['first call, empty cache ms', ({ firstMs }) => fixed(firstMs, 0)],
    ['filled cache ms', ({ laterFirstMs }) => fixed(laterFirstMs, 0)], ['over the steady call ms', ({ laterFirstMs, medianMs }) => (laterFirstMs ? fixed(laterFirstMs - medianMs, 0) : '')],
    ['dispatches', ({ dispatches }) => dispatches], ['pipelines', ({ pipelines }) => pipelines], ['planned buffers MB', ({ facts }) => fixed((facts?.plannedBytes ?? NaN) / 2 ** 20)],
    ['GPU buffers, peak MB', ({ gpuPeakMB }) => fixed(gpuPeakMB)],
  ], rows.filter((row) => row.peer === 'ours' && row.failed === undefined));

/** Every row of the run, fastest first within its workload. */
export const fullTable = (rows, chosen) => {
  const order = Object.keys(chosen);
  const sorted = [...rows].sort((a, b) => order.indexOf(a.workload) - order.indexOf(b.workload) || (a.medianMs ?? 1e12) - (b.medianMs ?? 1e12));
  return table([
    ['workload', (r) => r.workload, '---'], ['peer', (r) => `${r.peer}:${r.variant}`, '---'], ['median ms', (r) => fixed(r.medianMs)], ['min ms', (r) => fixed(r.minMs)], ['n', (r) => r.n],
    ['first call ms (cold)', (r) => fixed(r.firstMs)], ['(later)', (r) => fixed(r.laterFirstMs)], ['setup ms', (r) => fixed(r.setupMs, 0)],
    ['dispatches', (r) => r.dispatches], ['submits', (r) => r.submits], ['pipelines', (r) => r.pipelines],
    ['max abs err', (r) => r.maxAbs?.toExponential(1)], ['max rel err', (r) => r.maxRel?.toExponential(1)],
    ['peak RSS MB', (r) => fixed(r.peakRssMB, 0)], ['GPU buffers MB', (r) => fixed(r.gpuPeakMB)], ['note', (r) => r.failed ?? r.note, '---'],
  ], sorted);
};
