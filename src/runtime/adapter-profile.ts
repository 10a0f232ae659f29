/**
 * `AdapterProfile`: what the compiler may know of an adapter, as plain data that can be saved and compared.
 *
 * Invariant: made from `GPUAdapterInfo`, features and limits alone, so that Node and the browser agree.
 */

export interface AdapterProfile {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly isFallback: boolean;
  /** WebGPU limits that concern compute programs, as the opened device offers them. */
  readonly limits: Readonly<Record<string, number>>;
  /** WebGPU features, sorted, as the opened device offers them. */
  readonly features: readonly string[];
  /** `cpu` for software drivers (SwiftShader, lavapipe, WARP): few threads, no barriers wanted, costly code. */
  readonly class: 'cpu' | 'gpu';
}

/** The limits that are requested as high as the adapter goes. */
const computeLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxBindingsPerBindGroup',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'minStorageBufferOffsetAlignment',
] as const;

const software = /swiftshader|llvmpipe|lavapipe|software|\bwarp\b|basic render/i;

/** One limit by its WebGPU name; undefined when this implementation does not know the name. */
export const limitOf = (limits: GPUSupportedLimits, name: string): number | undefined => {
  // The names are prototype getters, which the type lists one by one; a program may ask for any of them.
  const value = (limits as unknown as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'number' ? value : undefined;
};

/** The limits of compute programs, and those in `also`, that are known here. */
export const limitsOf = (limits: GPUSupportedLimits, also: readonly string[] = []): Record<string, number> =>
  Object.fromEntries(
    [...computeLimits, ...also].flatMap((name) => {
      const value = limitOf(limits, name);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );

/** Profile of an adapter (before a device is opened) or of a device. */
export const profileOf = (info: GPUAdapterInfo, limits: GPUSupportedLimits, features: ReadonlySet<string>): AdapterProfile => {
  const { vendor, architecture, device, description } = info;
  const isFallback = info.isFallbackAdapter ?? false;
  return {
    vendor,
    architecture,
    device,
    description,
    isFallback,
    limits: limitsOf(limits),
    features: [...features].sort(),
    class: isFallback || software.test([vendor, architecture, device, description].join(' ')) ? 'cpu' : 'gpu',
  };
};

/** A name for people: the description where there is one (browsers leave it out). */
export const adapterName = (profile: Pick<AdapterProfile, 'vendor' | 'architecture' | 'device' | 'description'>): string =>
  profile.description || [profile.vendor, profile.architecture, profile.device].filter(Boolean).join(' ') || 'unnamed adapter';
