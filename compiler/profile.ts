/** What the compiler knows of an adapter: plain data, so that it can plan for one that is not here. */
import type { AdapterClass } from './schedule.ts';

/** WebGPU limit names that the compiler looks at, with the values every WebGPU implementation guarantees. */
export const DEFAULT_LIMITS = {
  maxBufferSize: 268435456,
  maxStorageBufferBindingSize: 134217728,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65535,
} as const;
export type Limits = Readonly<Record<keyof typeof DEFAULT_LIMITS, number>>;

export interface Profile {
  readonly class: AdapterClass;
  readonly limits: Limits;
  readonly features: readonly string[];
}

/** What a memory of 32-bit addresses holds, without the last page. */
export const WASM_BYTES = 2 ** 32 - 2 ** 16;

/** Profiles to plan for without an adapter: the limits that all of them have. */
export const PROFILES: Readonly<Record<AdapterClass, Profile>> = {
  cpu: { class: 'cpu', limits: DEFAULT_LIMITS, features: [] },
  gpu: { class: 'gpu', limits: DEFAULT_LIMITS, features: [] },
  // 32-bit addresses; workgroups are counted in one number
  wasm: { class: 'wasm', limits: { ...DEFAULT_LIMITS, maxBufferSize: WASM_BYTES, maxStorageBufferBindingSize: WASM_BYTES, maxStorageBuffersPerShaderStage: 64, maxComputeWorkgroupsPerDimension: 2 ** 31 - 1 }, features: ['shader-f16'] },
};

/** SwiftShader says 1 GiB, but fails on a buffer of exactly that size. */
const safe = (adapterClass: AdapterClass, name: string, limit: number): number =>
  adapterClass === 'cpu' && (name === 'maxBufferSize' || name === 'maxStorageBufferBindingSize') && limit === 2 ** 30 ? limit - 256 : limit;

/** A profile with the given limits where they are numbers, the guaranteed ones elsewhere. */
export const profileOf = (adapterClass: AdapterClass, limits: Readonly<Record<string, number>>, features: readonly string[]): Profile => ({
  class: adapterClass, features,
  limits: Object.fromEntries(Object.entries(DEFAULT_LIMITS).map(([name, least]) => [name, safe(adapterClass, name, limits[name] ?? least)])) as unknown as Limits, // same keys
});
