/** The report of a GPU run in markdown, from what `measure.mjs` wrote so far. */
import { kernelTable } from '../ours/profile.mjs';
import { table } from '../lib/table.mjs';
import { REACHES } from './suite.mjs';

const fixed = (value, digits = 2) => (value === undefined ? '' : value.toFixed(digits));
const megabytes = (bytes) => fixed(bytes === undefined ? undefined : bytes / 2 ** 20, 1);

const timesTable = (results, roof) =>
  table([
    ['what', ({ name }) => name, '---'], ['ms on the GPU', ({ gpuMs }) => fixed(gpuMs, 3)], ['ms a run, queued', ({ queuedMs }) => fixed(queuedMs, 3)], ['ms a run, waited for', ({ runMs }) => fixed(runMs, 3)],
    ['GFLOP/s', ({ flops, gpuMs, queuedMs }) => fixed(flops / (gpuMs ?? queuedMs) / 1e6, 0)],
    ['of f32 peak', ({ flops, gpuMs, queuedMs }) => (roof ? `${((100 * flops) / (gpuMs ?? queuedMs) / 1e6 / roof.gflops).toFixed(1)} %` : '')],
    ['dispatches', ({ dispatches }) => dispatches], ['graph to WGSL ms', ({ compileMs }) => fixed(compileMs, 0)], ['first run ms', ({ loadMs, firstMs }) => fixed(loadMs + firstMs, 0)],
    ['buffers MB', ({ peakBytes }) => megabytes(peakBytes)], ['rel err', ({ error }) => error?.toExponential(1)],
  ], results);

const adapterLines = ({ info, features, subgroupMatrixConfigs, limits }) => [
  `- adapter: ${info.description || info.device} (${info.vendor} ${info.architecture}), subgroups of ${info.subgroupMinSize} to ${info.subgroupMaxSize}`,
  `- features: ${features.join(', ')}`, `- subgroup matrices: ${subgroupMatrixConfigs.length === 0 ? 'none' : subgroupMatrixConfigs.map((config) => JSON.stringify(config)).join(', ')}`,
  `- limits: ${['maxStorageBufferBindingSize', 'maxBufferSize', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxStorageBuffersPerShaderStage'].map((name) => `${name} ${limits[name]}`).join(', ')}`,
];

const torchTable = ({ device, torch, rows }) => [
  `## PyTorch ${torch} on ${device}, the same model`, table([['what', ({ name }) => name, '---'], ['dtype', ({ dtype }) => dtype, '---'], ['mode', ({ mode }) => mode, '---'], ['ms a forward', ({ ms, failed }) => (failed ? failed : fixed(ms, 3))]], rows),
];

const reachTable = (variants, roof) => {
  const known = REACHES.map(([what, value, comparison, bound, unit]) => ({ what, value: value(variants, roof), comparison, bound, unit })).filter(({ value }) => value !== undefined);
  if (known.length === 0) return [];
  return ['## Reach', table([
    ['what', ({ what }) => what, '---'], ['is', ({ value, unit }) => `${fixed(value)}${unit}`], ['wanted', ({ comparison, bound, unit }) => `${comparison} ${bound}${unit}`, '---'],
    ['reached', ({ value, comparison, bound }) => ((comparison === 'at most' ? value <= bound : value >= bound) ? 'yes' : 'no'), '---'],
  ], known)];
};

const variantSections = (variant, { options, groups }, roof) => Object.entries(groups).flatMap(([group, results]) => [`## ${group}, ${variant} (options \`${JSON.stringify(options)}\`)`, timesTable(results, roof)]);

const kernelSections = (variant, { models = [], blocks = [] }) => [...models, ...blocks].map((result) => kernelTable({ ...result, name: `${result.name}, ${variant}` }));

/** The whole report; anything that is not there yet is left out. */
export const reportOf = ({ date, command, node, adapter, roof, variants = {}, failures = [], torch }) => [
  '# On a GPU',
  [
    `- date: ${date}`, `- command: \`${command}\`, Node ${node}`, ...(adapter ? adapterLines(adapter) : []),
    ...(roof ? [`- measured peak: ${fixed(roof.gflops / 1000)} TFLOP/s of f32 fused multiply-add, ${fixed(roof.gigabytesPerSecond, 0)} GB/s of memory`] : []),
  ].join('\n'),
  ...reachTable(variants, roof),
  ...Object.entries(variants).flatMap(([variant, result]) => variantSections(variant, result, roof)),
  ...(torch ? torchTable(torch) : []),
  ...Object.entries(variants).flatMap(([variant, { groups }]) => kernelSections(variant, groups)),
  ...(failures.length > 0 ? ['## What failed', failures.map(({ what, message }) => `- ${what}: ${message}`).join('\n')] : []),
].join('\n\n');
