/**
 * Compiles the kernels of a program, all at once, each text once per device.
 *
 * Invariant: a kernel that the device refuses is reported by its name, with the compiler's words and the line they are about;
 * when several are refused, the first in the program's order is.
 */

import type { Kernel } from '../../compiler/program.ts';
import { nextTask } from './device.ts';
import type { Device } from './device.ts';
import { fail, validation } from './errors.ts';

const compute = 4; // GPUShaderStage.COMPUTE

/** `@binding(i)` has the access `bindings[i]`; not `layout: 'auto'`, which leaves out bindings that the text does not use. */
const layoutOf = (gpu: GPUDevice, kernel: Kernel): GPUPipelineLayout => {
  const entries = kernel.bindings.map((access, binding) => ({
    binding,
    visibility: compute,
    buffer: { type: access === 'read' ? ('read-only-storage' as const) : ('storage' as const) },
  }));
  return gpu.createPipelineLayout({ bindGroupLayouts: [gpu.createBindGroupLayout({ entries })] });
};

/** The compiler's errors, each with its place and line. */
const messagesOf = async (shader: GPUShaderModule, wgsl: string): Promise<string> => {
  const lines = wgsl.split('\n');
  const { messages } = await shader.getCompilationInfo();
  return messages
    .filter((message) => message.type === 'error')
    .map(({ lineNum, linePos, message }) => `WGSL ${lineNum}:${linePos} ${message}\n    ${(lines[lineNum - 1] ?? '').trim()}`)
    .join('\n');
};

const build = async (device: Device, kernel: Kernel): Promise<GPUComputePipeline> => {
  const { gpu } = device;
  gpu.pushErrorScope('validation');
  const shader = gpu.createShaderModule({ label: kernel.name, code: kernel.wgsl });
  const layout = layoutOf(gpu, kernel);
  const invalid = gpu.popErrorScope();
  const pipeline = gpu.createComputePipelineAsync({ label: kernel.name, layout, compute: { module: shader, entryPoint: 'main' } });
  const [error, made] = await Promise.all([invalid, pipeline.catch((thrown: unknown) => String(thrown))]);
  if (typeof made !== 'string') return made;
  await nextTask();
  const gone = device.lost();
  if (gone) throw fail(gone);
  const detail = (await messagesOf(shader, kernel.wgsl)) || error?.message || made;
  throw fail(validation(kernel.name, detail));
};

const cached = (device: Device, kernel: Kernel): Promise<GPUComputePipeline> => {
  const key = `${kernel.bindings.join()}\n${kernel.wgsl}`;
  const known = device.pipelines.get(key);
  if (known) return known;
  const made = build(device, kernel);
  device.pipelines.set(key, made);
  // A refused text may be tried again (after a loss of memory, say), and under another name.
  made.catch(() => device.pipelines.delete(key));
  return made;
};

/**
 * Pipelines of the kernels, in their order. `onCompiled` hears of each that is ready.
 * Fails with `Validation` (the kernel's name), `Lost`, `Aborted`.
 */
export const compileKernels = async (
  device: Device,
  kernels: readonly Kernel[],
  signal?: AbortSignal,
  onCompiled: (ready: number, all: number) => void = () => undefined,
): Promise<readonly GPUComputePipeline[]> => {
  let ready = 0;
  const results = kernels.map((kernel) =>
    cached(device, kernel).then((pipeline) => {
      onCompiled(++ready, kernels.length);
      return pipeline;
    }),
  );
  await device.wait(Promise.allSettled(results), signal);
  return Promise.all(results);
};
