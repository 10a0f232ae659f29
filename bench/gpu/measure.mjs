/**
 * Everything that a GPU has to tell, in one process: adapter, peak arithmetic and bandwidth, checked workloads, matmul, attention, blocks,
 * whole models with random weights, the time of each kernel.
 *
 *     node measure.mjs --out FOLDER [--small] [--variants '{"f32": {}, "unfused": {"fusion": false}}'] [--torch torch.json]
 *
 * Invariant: results are written after every step, so a run that is cut short, or a step that fails, loses only what came after it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { create } from 'webgpu';
import { profileWorkload } from '../ours/profile.mjs';
import { openDevice } from '../ours/session.mjs';
import { reportOf } from './report.mjs';
import { roofline } from './roofline.mjs';
import { suite, VARIANTS } from './suite.mjs';

/** f16 is hidden on NVIDIA's Vulkan, and experimental features everywhere, unless they are asked for. */
const FLAGS = ['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia'];

/** Relative errors above this are wrong output; half precision and packed weights round coarsely. */
const toleranceOf = (options) => (options.precision === undefined && options.weights === undefined ? 1e-3 : 5e-2);
const needsHalf = ({ precision, weights }) => [precision, weights].some((name) => name === 'f16' || name === 'mixed');

const probe = async () => {
  globalThis.probedGpu = create(FLAGS); // kept: a collected instance takes the process down
  const adapter = await globalThis.probedGpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('no WebGPU adapter: is a Vulkan driver installed?');
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } = adapter.info, limits = {};
  for (const name in adapter.limits) limits[name] = Number(adapter.limits[name]);
  const subgroupMatrixConfigs = [...(adapter.info.subgroupMatrixConfigs ?? [])].map((config) => Object.fromEntries(['componentType', 'resultComponentType', 'M', 'N', 'K'].map((field) => [field, config[field]])));
  return { info: { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize }, features: [...adapter.features].map(String).sort(), subgroupMatrixConfigs, limits };
};

const readTorch = (path) => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // PyTorch is not there, or did not finish
  }
};

const { values } = parseArgs({ options: { out: { type: 'string', default: 'gpu-results' }, small: { type: 'boolean', default: false }, runs: { type: 'string' }, variants: { type: 'string' }, torch: { type: 'string' } } });
mkdirSync(values.out, { recursive: true });
const files = { json: join(values.out, 'gpu.json'), markdown: join(values.out, 'gpu.md') };

const save = (state) => {
  writeFileSync(files.json, JSON.stringify(state, undefined, 1));
  writeFileSync(files.markdown, `${reportOf(state)}\n`);
};

const measure = async () => {
  const state = { date: new Date().toISOString(), command: `npm run bench:gpu${values.small ? ' -- --small' : ''}`, node: process.version, variants: {}, failures: [] };
  const attempt = async (what, act) => {
    const began = performance.now();
    try {
      await act();
      console.error(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
    } catch (thrown) {
      state.failures.push({ what, message: String(thrown.message).split('\n')[0] });
      console.error(`${what}: FAILED, ${thrown.message}`);
    }
    save(state);
  };
  await attempt('adapter', async () => { state.adapter = await probe(); });
  const opened = await openDevice(FLAGS);
  await attempt('roofline', async () => { state.roof = await roofline(opened, values.small); });
  const runs = Number(values.runs ?? (values.small ? 3 : 10)), variants = Object.entries(values.variants === undefined ? VARIANTS : JSON.parse(values.variants));
  const possible = variants.filter(([, options]) => opened.device.profile.features.includes('shader-f16') || !needsHalf(options));
  if (possible.length < variants.length) console.error(`${opened.adapter} has no shader-f16: variants that store f16 are left out`);
  for (const [variant, options] of possible) {
    const groups = (state.variants[variant] = { options, groups: {} }).groups;
    for (const [group, workloads] of Object.entries(suite(values.small))) {
      groups[group] = [];
      for (const [name, spec] of Object.entries(workloads)) {
        await attempt(`${variant}: ${name}`, async () => {
          const result = await profileWorkload(opened, name, spec, { runs, queued: 2 * runs, check: group === 'checked', options });
          groups[group].push(result);
          if (result.error > toleranceOf(options)) throw new Error(`wrong output: a relative error of ${result.error.toExponential(1)}`);
        });
      }
    }
  }
  opened.device.destroy();
  return state.failures.length;
};

if (values.torch === undefined) {
  const failures = await measure();
  console.log(readFileSync(files.markdown, 'utf8'));
  process.exit(failures > 0 ? 1 : 0);
}
// PyTorch's times come afterwards, so that they cannot cost the others
const torch = readTorch(values.torch);
if (torch !== undefined) {
  save({ ...JSON.parse(readFileSync(files.json, 'utf8')), torch });
  console.log(readFileSync(files.markdown, 'utf8'));
}
process.exit(0);
