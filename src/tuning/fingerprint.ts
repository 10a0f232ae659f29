/**
 * What an adapter is called in tuning tables: all that makes kernels faster or slower there, as far as WebGPU tells it.
 *
 * Example: `mesa|llvmpipe||llvmpipe (LLVM 19.1.7, 128 bits)|cpu|shader-f16,subgroups|256 threads, 32768 bytes|kernels 1`.
 */
import { KERNELS_VERSION } from '../../compiler/tuning/table.ts';
import type { AdapterProfile } from '../runtime/adapter-profile.ts';

/** Features that kernels use; others, such as compressed textures, say nothing about them. */
const FEATURES = ['shader-f16', 'subgroups'];

/** Vendor, architecture, device, driver (Dawn's description names its version), class, features, limits, version of our kernels. */
export const fingerprintOf = ({ vendor, architecture, device, description, class: adapterClass, features, limits }: AdapterProfile): string => [
  vendor, architecture, device, description, adapterClass, FEATURES.filter((feature) => features.includes(feature)).join(','),
  `${limits['maxComputeInvocationsPerWorkgroup'] ?? '?'} threads, ${limits['maxComputeWorkgroupStorageSize'] ?? '?'} bytes`, `kernels ${KERNELS_VERSION}`,
].map((part) => part.replaceAll('|', '/').trim()).join('|');
