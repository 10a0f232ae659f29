/**
 * Does a program fit a device? Asked before anything is allocated, so that the answer can name the kernel or the tensor.
 *
 * Invariant: what passes meets every numeric limit that WebGPU checks for buffers, pipelines and dispatches.
 */

import type { Dispatch, Kernel, Program } from '../../compiler/program.ts';
import { lacking } from './device.ts';
import type { Device } from './device.ts';
import { fail, missingLimits } from './errors.ts';
import type { MissingLimit } from './errors.ts';

type Need = readonly [name: keyof GPUSupportedLimits, needed: number];

const kernelNeeds = ({ workgroupSize: [x, y, z], bindings }: Kernel): readonly Need[] => [
  ['maxComputeWorkgroupSizeX', x],
  ['maxComputeWorkgroupSizeY', y],
  ['maxComputeWorkgroupSizeZ', z],
  ['maxComputeInvocationsPerWorkgroup', x * y * z],
  ['maxStorageBuffersPerShaderStage', bindings.length],
];

const dispatchNeeds = ({ workgroups, bindings }: Dispatch): readonly Need[] => [
  ['maxComputeWorkgroupsPerDimension', Math.max(...workgroups)],
  ['maxStorageBufferBindingSize', bindings.reduce((most, { bytes }) => Math.max(most, bytes), 0)],
];

/** Refuses (`MissingLimits`, all of them) a program that the device cannot run. */
export const checkFit = (device: Device, program: Program): void => {
  const { limits, features } = device.gpu;
  const over = (where: string, needs: readonly Need[]): readonly MissingLimit[] =>
    needs.flatMap(([name, needed]) => {
      const offered = Number(limits[name]);
      return needed > offered ? [{ name, needed, offered, where }] : [];
    });
  const alignment = limits.minStorageBufferOffsetAlignment;
  const missing = lacking(program, limits, features);
  const found = [
    ...missing.limits,
    ...program.buffers.flatMap(({ label, bytes }) => over(label, [['maxBufferSize', bytes]])),
    ...program.kernels.flatMap((kernel) => over(kernel.name, kernelNeeds(kernel))),
    ...program.dispatches.flatMap((dispatch) => {
      const where = `${program.kernels[dispatch.kernel]?.name} (${dispatch.label})`;
      const misaligned = dispatch.bindings.filter(({ offset }) => offset % alignment !== 0);
      return [
        ...over(where, dispatchNeeds(dispatch)),
        ...misaligned.map(({ offset }) => ({
          name: 'minStorageBufferOffsetAlignment',
          needed: offset & -offset,
          offered: alignment,
          where,
        })),
      ];
    }),
  ];
  if (found.length + missing.features.length > 0) throw fail(missingLimits(found, missing.features));
};
