/**
 * Opens a GPU device and keeps what every program on it shares: its profile, its memory account, its pipelines, its end.
 *
 * Invariant: whatever waits for the GPU waits through `device.wait`, so a lost device or an abort ends every wait with a value;
 * whatever allocates does so through `device.allocate`, so `memory.used` is the sum of all live buffers.
 */

import type { TaskEither } from 'fp-ts/TaskEither';
import { limitOf, limitsOf, profileOf } from './adapter-profile.ts';
import type { AdapterProfile } from './adapter-profile.ts';
import { aborted, attempt, fail, lost, missingLimits, noAdapter, outOfMemory, overCap, validation } from './errors.ts';
import type { DeviceError, MissingLimit } from './errors.ts';

/** What a program asks of an adapter, by WebGPU names; `Program` itself fits. */
export interface DeviceNeeds {
  readonly limits?: Readonly<Record<string, number>>;
  readonly features?: readonly string[];
}

export interface DeviceOptions {
  readonly adapter?: GPURequestAdapterOptions;
  /** Bytes of GPU memory that all sessions of the device may use together; no cap if left out. */
  readonly memoryCap?: number;
  /** Called around every wait for the GPU and every compilation; gives the function to call when the wait is over. */
  readonly onWait?: () => () => void;
}

export interface Device {
  readonly profile: AdapterProfile;
  readonly gpu: GPUDevice;
  /** The error once the device is lost. */
  readonly lost: () => DeviceError | undefined;
  /** Ends the device; everything in flight and everything after answers `Lost`. */
  readonly destroy: () => void;
  /** Bytes of all buffers of this runtime that are alive on the device. */
  readonly memory: { readonly used: number; readonly cap: number };
  /** Result of `work`, or fails with `Lost` or `Aborted` as soon as that happens. */
  readonly wait: <A>(work: Promise<A>, signal?: AbortSignal) => Promise<A>;
  /** Runs `act` and fails with what the device reports about it: out of memory, or validation under the name `label`. */
  readonly scoped: <A>(label: string, bytes: number, act: () => A) => Promise<A>;
  /** A new buffer that is counted; `label` names it in errors. */
  readonly allocate: (label: string, bytes: number, usage: number) => Promise<GPUBuffer>;
  readonly free: (buffer: GPUBuffer) => void;
  /** Compiled kernels by their text, shared by all programs of the device. */
  readonly pipelines: Map<string, Promise<GPUComputePipeline>>;
}

/** Bit values of `GPUBufferUsage`, which Node does not define globally. */
export const usage = { mapRead: 1, copySource: 4, copyTarget: 8, storage: 128, queryResolve: 512 } as const;

/** Features that are turned on wherever the adapter has them. */
const optionalFeatures = ['shader-f16', 'subgroups', 'timestamp-query'];

/** What of `needs` the limits and features do not cover. Limits named `min...` are better when smaller. */
export const lacking = (
  needs: DeviceNeeds,
  limits: GPUSupportedLimits,
  features: ReadonlySet<string>,
): { readonly limits: readonly MissingLimit[]; readonly features: readonly string[] } => ({
  limits: Object.entries(needs.limits ?? {}).flatMap(([name, needed]) => {
    const offered = limitOf(limits, name) ?? 0;
    return (name.startsWith('min') ? offered > needed : offered < needed) ? [{ name, needed, offered }] : [];
  }),
  features: (needs.features ?? []).filter((feature) => !features.has(feature)),
});

/** Alignments stay at their defaults, which programs count on, unless one asks for less. */
const alignments = ({ limits = {} }: DeviceNeeds): Record<string, number> => ({
  minStorageBufferOffsetAlignment: limits['minStorageBufferOffsetAlignment'] ?? 256,
});

const requestDevice = async (adapter: GPUAdapter, needs: DeviceNeeds): Promise<GPUDevice> => {
  const missing = lacking(needs, adapter.limits, adapter.features);
  if (missing.limits.length + missing.features.length > 0) throw fail(missingLimits(missing.limits, missing.features));
  const wanted = [...optionalFeatures, ...(needs.features ?? [])].filter((feature) => adapter.features.has(feature));
  try {
    return await adapter.requestDevice({
      requiredLimits: { ...limitsOf(adapter.limits, Object.keys(needs.limits ?? {})), ...alignments(needs) },
      requiredFeatures: [...new Set(wanted)] as GPUFeatureName[], // the adapter has just listed them
    });
  } catch (thrown) {
    throw fail(noAdapter(`the adapter gave no device (${String(thrown)})`));
  }
};

/** Opens a device on the adapter. Errors: `MissingLimits`, `NoAdapter` (it refused). */
export const openAdapter = (adapter: GPUAdapter, needs: DeviceNeeds = {}, options: DeviceOptions = {}): TaskEither<DeviceError, Device> =>
  attempt(async () => makeDevice(adapter.info, await requestDevice(adapter, needs), options));

/**
 * Opens the best adapter of `gpu` (`navigator.gpu`, or Dawn's in Node; undefined where there is no WebGPU) with the limits
 * as high as they go. Errors: `NoAdapter`, `MissingLimits`.
 */
export const openDevice = (gpu: GPU | undefined, needs: DeviceNeeds = {}, options: DeviceOptions = {}): TaskEither<DeviceError, Device> =>
  attempt(async () => {
    if (!gpu) throw fail(noAdapter('WebGPU is not available here; a recent browser on https or localhost has it'));
    const adapter = await gpu.requestAdapter(options.adapter ?? { powerPreference: 'high-performance' });
    if (!adapter) throw fail(noAdapter('none fits; a GPU driver (Vulkan, Metal or D3D12) or a software adapter is needed'));
    return makeDevice(adapter.info, await requestDevice(adapter, needs), options);
  });

/** Lets the event that follows a failed promise (the loss of the device) arrive. */
export const nextTask = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** The loss of a device as a value and as an event. */
const watchLoss = (gpu: GPUDevice) => {
  const listeners = new Set<(error: DeviceError) => void>();
  let error: DeviceError | undefined;
  const lose = (reason: string, detail: string): void => {
    error ??= lost(reason, detail);
    for (const listener of listeners) listener(error);
    listeners.clear();
  };
  void gpu.lost.then((info) => lose(info.reason ?? 'unknown', info.message));
  return { error: () => error, lose, listeners };
};

/** `Device.wait`: a promise of the GPU against loss and abort. Listeners are removed, so a long life leaks nothing. */
const makeWait =
  (loss: ReturnType<typeof watchLoss>, onWait: () => () => void): Device['wait'] =>
  (work, signal) =>
    new Promise((resolve, reject) => {
      const done = onWait();
      let over = false;
      const stop = (): void => {
        if (!over) done();
        over = true;
        loss.listeners.delete(onLost);
        signal?.removeEventListener('abort', onAbort);
      };
      const refuse = (error: DeviceError): void => {
        stop();
        reject(fail(error));
      };
      const onLost = (error: DeviceError): void => refuse(error);
      const onAbort = (): void => refuse(aborted());
      const settle = (): DeviceError | undefined => loss.error() ?? (signal?.aborted ? aborted() : undefined);
      loss.listeners.add(onLost);
      signal?.addEventListener('abort', onAbort);
      void work.then(
        (value) => {
          stop();
          const error = loss.error();
          if (error) reject(fail(error));
          else resolve(value);
        },
        async (thrown: unknown) => {
          // Rejected work is often the first sign of a lost device: its event comes right after.
          await nextTask();
          stop();
          const error = loss.error();
          reject(error ? fail(error) : thrown);
        },
      );
      const already = settle();
      if (already) refuse(already);
    });

/** A message of the device without the places in the driver's source that Dawn adds. */
const tidy = (message: string): string =>
  message
    .split('\n')
    .filter((line) => line.trim() && !/^\s+at /.test(line))
    .join('\n');

/** `Device.scoped`. The scopes are popped in the same turn, so parallel calls do not see each other's errors. */
const makeScoped =
  (gpu: GPUDevice, wait: Device['wait']): Device['scoped'] =>
  async (label, bytes, act) => {
    gpu.pushErrorScope('internal');
    gpu.pushErrorScope('out-of-memory');
    gpu.pushErrorScope('validation');
    let value;
    let popped;
    try {
      value = act();
    } finally {
      popped = Promise.all([gpu.popErrorScope(), gpu.popErrorScope(), gpu.popErrorScope()]);
      popped.catch(() => undefined); // seen below; when `act` threw, nobody waits for it
    }
    const [invalid, memory, internal] = await wait(popped);
    if (invalid) throw fail(validation(label, tidy(invalid.message)));
    if (memory) throw fail(outOfMemory(label, bytes, tidy(memory.message)));
    if (internal) throw fail(validation(label, tidy(internal.message)));
    return value;
  };

/** The account of the device's buffers, with its cap. */
const makeMemory = (gpu: GPUDevice, cap: number, scoped: Device['scoped']): Pick<Device, 'memory' | 'allocate' | 'free'> => {
  const live = new Map<GPUBuffer, number>();
  let used = 0;
  const free = (buffer: GPUBuffer): void => {
    used -= live.get(buffer) ?? 0;
    live.delete(buffer);
    buffer.destroy();
  };
  const allocate = async (label: string, bytes: number, flags: number): Promise<GPUBuffer> => {
    const offered = gpu.limits.maxBufferSize;
    if (bytes > offered) throw fail(missingLimits([{ name: 'maxBufferSize', needed: bytes, offered, where: label }], []));
    if (used + bytes > cap) throw fail(overCap(label, bytes, used, cap));
    used += bytes; // before the wait, so that parallel allocations see each other
    try {
      const buffer = await scoped(label, bytes, () => gpu.createBuffer({ label, size: bytes, usage: flags }));
      live.set(buffer, bytes);
      return buffer;
    } catch (thrown) {
      used -= bytes;
      throw thrown;
    }
  };
  const memory = {
    get used() {
      return used;
    },
    cap,
  };
  return { memory, allocate, free };
};

const makeDevice = (info: GPUAdapterInfo, gpu: GPUDevice, options: DeviceOptions): Device => {
  const loss = watchLoss(gpu);
  const wait = makeWait(loss, options.onWait ?? (() => () => undefined));
  const scoped = makeScoped(gpu, wait);
  return {
    profile: profileOf(info, gpu.limits, gpu.features),
    gpu,
    lost: loss.error,
    destroy: () => {
      loss.lose('destroyed', '');
      gpu.destroy();
    },
    wait,
    scoped,
    ...makeMemory(gpu, options.memoryCap ?? Infinity, scoped),
    pipelines: new Map(),
  };
};
