/**
 * Opens a device in Node through Dawn (the package `webgpu`): the best GPU, a software driver, or an adapter by name.
 *
 * Invariant: what Dawn's `create` gives is kept for the whole life of the process, however this module is loaded: a collected
 * instance takes the process down with it.
 */

import { existsSync } from 'node:fs';
import { constants, freemem } from 'node:os';
import type { TaskEither } from 'fp-ts/TaskEither';
import { adapterName, profileOf } from './adapter-profile.ts';
import type { AdapterProfile } from './adapter-profile.ts';
import { openAdapter } from './device.ts';
import type { Device, DeviceNeeds, DeviceOptions } from './device.ts';
import { attempt, fail, noAdapter } from './errors.ts';
import type { DeviceError } from './errors.ts';
import { calmPolling } from './polling.ts';
import { unpackSwiftShader } from './swiftshader.ts';

/** `auto`: a GPU if there is one, else software. `software`: VK_DRIVER_FILES, else SwiftShader. Else: part of an adapter's name. */
export type AdapterChoice = 'auto' | 'software' | (string & {});

export interface NodeDeviceOptions extends Pick<DeviceOptions, 'memoryCap'> {
  /** Flags for Dawn, e.g. `enable-dawn-features=dump_shaders`. */
  readonly dawnFlags?: readonly string[];
}

export interface NodeDevice {
  readonly device: Device;
  /** One line that says which adapter is used, and why if it is a software one. */
  readonly notice: string;
}

/** Without it Dawn rounds timestamps to 65 microseconds. */
const defaultFlags = ['disable-dawn-features=timestamp_quantization'];

const instancesKey = Symbol.for('pixnerd.dawn-instances');

/** All instances of Dawn by their flags; on `globalThis`, where no garbage collection and no second copy of the module reaches. */
const instances = (): Map<string, GPU> => {
  const holder = globalThis as { [instancesKey]?: Map<string, GPU> }; // a symbol of ours
  return (holder[instancesKey] ??= new Map());
};

const dawn = async (flags: readonly string[], driver = ''): Promise<GPU> => {
  const key = [driver, ...flags].join('\n');
  const known = instances().get(key);
  if (known) return known;
  const { create } = await import('webgpu').catch((thrown: unknown) => {
    throw fail(noAdapter(`the package webgpu cannot be loaded on ${process.platform}-${process.arch} (${String(thrown)})`));
  });
  const made = create([...flags]);
  instances().set(key, made);
  return made;
};

const noDelete = 0x1000; // RTLD_NODELETE of glibc

/**
 * Makes a shared library stay in the process, so that Dawn finds it by its name. Node unloads what is not an addon of its
 * own, and says that it "did not self-register": that is the good case.
 */
const preload = (path: string): boolean => {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | noDelete);
    return true;
  } catch (thrown) {
    return String(thrown).includes('self-register');
  }
};

const driverVariables = ['VK_DRIVER_FILES', 'VK_ICD_FILENAMES'] as const;
const chosenDriver = (): string => driverVariables.map((name) => process.env[name]).find(Boolean) ?? '';

/** Makes sure that there is a Vulkan loader; false if there is none (and Dawn would only complain on stderr). */
const haveLoader = (): boolean => {
  if (process.platform !== 'linux' || preload('libvulkan.so.1')) return true;
  if (!chosenDriver()) return false;
  const unpacked = unpackSwiftShader();
  return typeof unpacked !== 'string' && preload(unpacked.loader);
};

/** lavapipe's code generator is 2 to 3 times faster with vectors of 128 bits, and its code as fast. */
const tuneLavapipe = (): void => {
  if (/lvp|lavapipe/i.test(chosenDriver())) process.env['LP_NATIVE_VECTOR_WIDTH'] ??= '128';
};

interface Found {
  readonly adapter: GPUAdapter;
  /** Why it is this one. */
  readonly remark: string;
}

const describe = ({ adapter, remark }: Found): string => {
  const profile = profileOf(adapter.info, adapter.limits, adapter.features);
  return `adapter: ${adapterName(profile)}${remark ? ` (${remark})` : ''}`;
};

const isCpu = (adapter: GPUAdapter): boolean => profileOf(adapter.info, adapter.limits, adapter.features).class === 'cpu';

/** Sets the driver variables while `act` runs: the loader reads them when Dawn looks for adapters. */
const withDriver = async <A>(driver: string, act: () => Promise<A>): Promise<A> => {
  const before = driverVariables.map((name) => [name, process.env[name]] as const);
  for (const name of driverVariables) process.env[name] = driver;
  try {
    return await act();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
};

/** A driver that the user chose and that is not there is not replaced by another one. */
const chosenIsMissing = (driver: string): Error =>
  fail(noAdapter(`VK_DRIVER_FILES (${driver}) brings no suitable driver; unset it to use a GPU, or SwiftShader from npm`));

const openSwiftShader = async (flags: readonly string[], remark: string): Promise<Found> => {
  const unpacked = unpackSwiftShader();
  if (typeof unpacked === 'string') throw fail(noAdapter(unpacked));
  if (!preload('libvulkan.so.1') && !preload(unpacked.loader)) throw fail(noAdapter(`${unpacked.loader} cannot be loaded`));
  const adapter = await withDriver(unpacked.driver, async () => (await dawn(flags, unpacked.driver)).requestAdapter());
  if (!adapter) throw fail(noAdapter(`SwiftShader (${unpacked.driver}) offers none`));
  return { adapter, remark };
};

const openAuto = async (flags: readonly string[]): Promise<Found> => {
  tuneLavapipe();
  const adapter = haveLoader() ? await (await dawn(flags)).requestAdapter({ powerPreference: 'high-performance' }) : null;
  if (!adapter && chosenDriver()) throw chosenIsMissing(chosenDriver());
  if (!adapter) return openSwiftShader(flags, 'software from npm, no GPU found');
  return { adapter, remark: isCpu(adapter) ? 'software, no GPU found' : '' };
};

/** Names of the adapters that Dawn sees, from its answer to one that does not exist. */
const adapterNames = async (flags: readonly string[]): Promise<readonly string[]> => {
  try {
    await (await dawn([...flags, 'adapter=(none)'])).requestAdapter();
    return [];
  } catch (thrown) {
    return [...new Set([...String(thrown).matchAll(/name: '(.*)'/g)].map((match) => match[1]!))]; // the group is not optional
  }
};

interface Candidate {
  readonly adapter: GPUAdapter;
  /** All that may be said of it, in one text. */
  readonly text: string;
}

/** Every adapter that Dawn sees. (Its `requestAdapter` alone shows one, and its fallback option misses lavapipe.) */
const candidates = async (flags: readonly string[]): Promise<readonly Candidate[]> => {
  tuneLavapipe();
  const found: Candidate[] = [];
  for (const name of haveLoader() ? await adapterNames(flags) : []) {
    const adapter = await (await dawn([...flags, `adapter=${name}`])).requestAdapter();
    if (!adapter) continue;
    const { vendor, architecture, device, description } = adapter.info;
    found.push({ adapter, text: [name, vendor, architecture, device, description].join(' ') });
  }
  return found;
};

const openSoftware = async (flags: readonly string[]): Promise<Found> => {
  const chosen = chosenDriver();
  if (!chosen && process.platform === 'linux') return openSwiftShader(flags, 'software from npm, as asked');
  const software = (await candidates(flags)).find(({ adapter }) => isCpu(adapter));
  if (software) return { adapter: software.adapter, remark: 'software, as asked' };
  throw chosen ? chosenIsMissing(chosen) : fail(noAdapter('this system has no software adapter'));
};

const openNamed = async (flags: readonly string[], name: string): Promise<Found> => {
  const wanted = name.toLowerCase();
  const all = await candidates(flags);
  const match = all.find(({ text }) => text.toLowerCase().includes(wanted));
  if (match) return { adapter: match.adapter, remark: 'as asked' };
  if ('google swiftshader'.includes(wanted)) return openSwiftShader(flags, 'software from npm, as asked');
  const offers = [
    ...all.map(({ adapter: { info } }) => info.description || info.device),
    ...(typeof unpackSwiftShader() === 'string' ? [] : ['SwiftShader (software from npm)']),
  ];
  throw fail(noAdapter(`none is called "${name}"; there is ${offers.join(', ') || 'none at all'}`));
};

/** Files that the driver variable names and that are not there: Dawn would complain about them in its own words first. */
const missingDrivers = (): readonly string[] =>
  process.platform === 'linux' ? chosenDriver().split(':').filter((path) => path !== '' && !existsSync(path)) : [];

const find = async (choice: AdapterChoice, flags: readonly string[]): Promise<Found> => {
  const [missing] = missingDrivers();
  if (missing !== undefined) throw fail(noAdapter(`VK_DRIVER_FILES names ${missing}, which does not exist; correct or unset it`));
  if (choice === 'auto') return openAuto(flags);
  return choice === 'software' ? openSoftware(flags) : openNamed(flags, choice);
};

/** A software adapter allocates what the system has, and the system kills who takes too much: nine tenths of what is free. */
const hostMemoryCap = (): number => Math.floor(0.9 * Math.min(freemem(), process.constrainedMemory?.() || Infinity));

/** The adapters that the system's drivers offer, without SwiftShader from npm. Errors: `NoAdapter` if Dawn cannot be loaded. */
export const nodeAdapters = (): TaskEither<DeviceError, readonly AdapterProfile[]> =>
  attempt(async () => (await candidates(defaultFlags)).map(({ adapter }) => profileOf(adapter.info, adapter.limits, adapter.features)));

/** Opens a device in Node. Errors: `NoAdapter` (with what there is), `MissingLimits`. */
export const openNodeDevice = (
  choice: AdapterChoice = 'auto',
  needs: DeviceNeeds = {},
  options: NodeDeviceOptions = {},
): TaskEither<DeviceError, NodeDevice> =>
  attempt(async () => {
    const found = await find(choice, [...defaultFlags, ...(options.dawnFlags ?? [])]);
    const memoryCap = options.memoryCap ?? (isCpu(found.adapter) ? hostMemoryCap() : Infinity);
    const opened = await openAdapter(found.adapter, needs, { memoryCap, onWait: calmPolling })();
    if (opened._tag === 'Left') throw fail(opened.left);
    openedDevices.add(opened.right.gpu);
    return { device: opened.right, notice: describe(found) };
  });

/** Every device that was opened here; a destroyed one has no work. */
const openedDevices = new Set<GPUDevice>();

/** A driver is not waited for any longer than this, in milliseconds. */
const PATIENCE = 5000;

/** Resolves when no device computes any more: a process that ends while a software driver's threads run may end with a segmentation fault. */
export const nodeDevicesIdle = async (): Promise<void> => {
  const idle = [...openedDevices].map((gpu) => gpu.queue.onSubmittedWorkDone().catch(() => undefined)); // lost or destroyed: nothing runs
  await Promise.race([Promise.all(idle), new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
};
