/** Gives libraries written for browsers a `navigator.gpu` in Node (npm `webgpu`, which is Dawn), and counts what they ask of it. */
import { create, globals } from 'webgpu';
import { countCalls } from './webgpu-count.mjs';

export { counts, devices } from './webgpu-count.mjs';

/** Installs `navigator.gpu` and the globals of WebGPU; gives the adapter's name. */
export const installWebGPU = async (flags = []) => {
  Object.assign(globalThis, globals);
  const gpu = create(flags), navigator = globalThis.navigator ?? {};
  const shim = { userAgent: navigator.userAgent ?? 'Node.js', hardwareConcurrency: navigator.hardwareConcurrency ?? 2, language: 'en' };
  Object.defineProperty(shim, 'gpu', { value: gpu, enumerable: true });
  Object.defineProperty(globalThis, 'navigator', { value: shim, configurable: true, writable: true });
  countCalls(globals);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('no WebGPU adapter: is a Vulkan driver installed?');
  const { vendor, architecture, device, description } = adapter.info;
  return { gpu, adapterName: [vendor, architecture, device, description].filter(Boolean).join(' ') };
};
