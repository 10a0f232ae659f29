/**
 * Records and submits the dispatches of a program over given buffers.
 *
 * Invariant: dispatches run in the program's order; when a promise of a `submit...` resolves, the whole run is on the queue.
 */

import type { Dispatch, Program } from '../../compiler/program.ts';
import { fail, failureOf, validation } from './errors.ts';
import type { Device } from './device.ts';
import { usage } from './device.ts';
import type { Place } from './tensor.ts';

/** Time that one dispatch took on the GPU. */
export interface KernelTiming {
  readonly kernel: string;
  /** Where in the model the dispatch comes from. */
  readonly label: string;
  readonly nanoseconds: number;
}

/** A program that is ready on a device, with the bind groups of one run. */
export interface Recording {
  readonly device: Device;
  readonly program: Program;
  readonly pipelines: readonly GPUComputePipeline[];
  readonly bindGroup: (dispatch: number) => GPUBindGroup;
  /** Copies into buffers that the dispatches read. */
  readonly before: (encoder: GPUCommandEncoder) => void;
  /** Copies of what the dispatches made. */
  readonly after: (encoder: GPUCommandEncoder) => void;
}

/** Bind groups kept for one dispatch: runs alternate between few input and output buffers, and go through the parts of a tensor. */
const keptPerDispatch = 64;

const ids = new WeakMap<GPUBuffer, number>();
let nextId = 0;
const idOf = (buffer: GPUBuffer): number => {
  const known = ids.get(buffer) ?? nextId++;
  ids.set(buffer, known);
  return known;
};

/** Makes bind groups over the places of the program's buffers, and remembers them by what they bind. */
export const makeBindGroups = (
  device: Device,
  program: Program,
  pipelines: readonly GPUComputePipeline[],
): { readonly of: (dispatch: number, places: readonly Place[]) => GPUBindGroup; readonly clear: () => void } => {
  const kept = program.dispatches.map(() => new Map<string, GPUBindGroup>());
  const layouts = pipelines.map((pipeline) => pipeline.getBindGroupLayout(0));
  const make = (dispatch: Dispatch, places: readonly Place[]): GPUBindGroup =>
    device.gpu.createBindGroup({
      label: `${program.kernels[dispatch.kernel]!.name} (${dispatch.label})`,
      layout: layouts[dispatch.kernel]!, // indices were checked by `programProblems`, here and below
      entries: dispatch.bindings.map(({ buffer, offset, bytes }, binding) => ({
        binding,
        resource: { buffer: places[buffer]!.buffer, offset: places[buffer]!.offset + offset, size: bytes },
      })),
    });
  return {
    of: (index, places) => {
      const dispatch = program.dispatches[index]!;
      const groups = kept[index]!;
      const key = dispatch.bindings.map(({ buffer }) => `${idOf(places[buffer]!.buffer)}+${places[buffer]!.offset}`).join();
      const known = groups.get(key);
      if (known) return known;
      if (groups.size >= keptPerDispatch) groups.clear();
      const made = make(dispatch, places);
      groups.set(key, made);
      return made;
    },
    clear: () => kept.forEach((groups) => groups.clear()),
  };
};

const encodeOne = (pass: GPUComputePassEncoder, { program, pipelines, bindGroup }: Recording, index: number): void => {
  const { kernel, workgroups } = program.dispatches[index]!; // callers count up to the length
  pass.setPipeline(pipelines[kernel]!);
  pass.setBindGroup(0, bindGroup(index));
  pass.dispatchWorkgroups(...workgroups);
};

/** One pass with the dispatches from `start` to before `end`; a pipeline is set only where it changes. */
const encodeRange = (recording: Recording, encoder: GPUCommandEncoder, start: number, end: number): void => {
  const { program, pipelines, bindGroup } = recording;
  const pass = encoder.beginComputePass();
  let current = -1;
  for (let index = start; index < end; index++) {
    const { kernel, workgroups } = program.dispatches[index]!; // end <= length
    if (kernel !== current) pass.setPipeline(pipelines[kernel]!);
    current = kernel;
    pass.setBindGroup(0, bindGroup(index));
    pass.dispatchWorkgroups(...workgroups);
  }
  pass.end();
};

/** Fails with the kernel's name, by recording each dispatch on its own; with `detail` if none of them is refused alone. */
const blame = async (recordings: readonly [Recording, ...Recording[]], detail: string): Promise<never> => {
  for (const recording of recordings) {
    const { device, program } = recording;
    for (const [index, { kernel, label }] of program.dispatches.entries()) {
      await device.scoped(`${program.kernels[kernel]!.name} (${label})`, 0, () => {
        const encoder = device.gpu.createCommandEncoder();
        const pass = encoder.beginComputePass();
        encodeOne(pass, recording, index);
        pass.end();
        encoder.finish();
      });
    }
  }
  throw fail(validation(recordings[0].program.name, detail));
};

/** One submit of what `record` records of the runs. Fails with `Validation` (the kernel's name), `OutOfMemory`, `Lost`. */
const submit = async (recordings: readonly [Recording, ...Recording[]], record: (encoder: GPUCommandEncoder) => void): Promise<void> => {
  const [{ device, program }] = recordings;
  try {
    await device.scoped(program.name, 0, () => {
      const encoder = device.gpu.createCommandEncoder({ label: program.name });
      record(encoder);
      device.gpu.queue.submit([encoder.finish()]);
    });
  } catch (thrown) {
    const error = failureOf(thrown);
    if (error?._tag !== 'Validation') throw thrown;
    await blame(recordings, error.message);
  }
};

/** Puts whole runs, one after the other, into one submit. Does not wait for the GPU. */
export const submitAtOnce = (recordings: readonly [Recording, ...Recording[]]): Promise<void> =>
  submit(recordings, (encoder) => {
    for (const recording of recordings) {
      recording.before(encoder);
      encodeRange(recording, encoder, 0, recording.program.dispatches.length);
      recording.after(encoder);
    }
  });

/** How many dispatches go into one part of a run; adapted to the device's speed from run to run. */
export interface Pace {
  part: number;
}

/** Parts grow while they are shorter than the first, and shrink when longer than the second: an abort is obeyed that soon. */
const partMilliseconds = [50, 200] as const;

/**
 * The same in parts, waiting for each: for CPU adapters, whose runs can take a minute, so that an abort really stops the
 * work. Waits for the GPU.
 */
export const submitInParts = async (
  recording: Recording,
  pace: Pace,
  signal: AbortSignal,
): Promise<void> => {
  const { device, program, before, after } = recording;
  const all = program.dispatches.length;
  let start = 0;
  do {
    const end = Math.min(all, start + pace.part);
    const began = performance.now();
    await submit([recording], (encoder) => {
      if (start === 0) before(encoder);
      encodeRange(recording, encoder, start, end);
      if (end === all) after(encoder);
    });
    await device.wait(device.gpu.queue.onSubmittedWorkDone(), signal);
    const took = performance.now() - began;
    if (took < partMilliseconds[0] && end - start === pace.part) pace.part *= 2;
    if (took > partMilliseconds[1]) pace.part = Math.max(1, pace.part >> 1);
    start = end;
  } while (start < all);
};

/** Timestamps per dispatch that fit one query set. */
const dispatchesPerSet = 2048;

const readTimes = async (device: Device, source: GPUBuffer, staging: GPUBuffer, bytes: number): Promise<BigUint64Array> => {
  const encoder = device.gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
  device.gpu.queue.submit([encoder.finish()]);
  await device.wait(staging.mapAsync(1, 0, bytes)); // GPUMapMode.READ
  const times = new BigUint64Array(staging.getMappedRange(0, bytes).slice(0));
  staging.unmap();
  return times;
};

/** The same with a pass of its own, and its time, for each dispatch. The device has `timestamp-query`. */
export const submitTimed = async (recording: Recording): Promise<readonly KernelTiming[]> => {
  const { device, program, before, after } = recording;
  const all = program.dispatches.length;
  const perSet = Math.max(1, Math.min(all, dispatchesPerSet));
  const querySet = device.gpu.createQuerySet({ type: 'timestamp', count: perSet * 2 });
  const resolved = await device.allocate('timestamps', perSet * 16, usage.queryResolve | usage.copySource);
  const staging = await device.allocate('timestamps', perSet * 16, usage.mapRead | usage.copyTarget);
  const timings: KernelTiming[] = [];
  try {
    await submit([recording], before);
    for (let start = 0; start < all; start += perSet) {
      const part = program.dispatches.slice(start, start + perSet);
      await submit([recording], (encoder) => {
        part.forEach((_, i) => {
          const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
          const pass = encoder.beginComputePass({ timestampWrites });
          encodeOne(pass, recording, start + i);
          pass.end();
        });
        encoder.resolveQuerySet(querySet, 0, part.length * 2, resolved, 0);
      });
      const times = await readTimes(device, resolved, staging, part.length * 16);
      part.forEach(({ kernel, label }, i) => {
        const nanoseconds = Math.max(0, Number(times[2 * i + 1]! - times[2 * i]!)); // two times per dispatch
        timings.push({ kernel: program.kernels[kernel]!.name, label, nanoseconds });
      });
    }
    await submit([recording], after);
  } finally {
    querySet.destroy();
    device.free(resolved);
    device.free(staging);
  }
  return timings;
};
