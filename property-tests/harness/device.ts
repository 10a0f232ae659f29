/**
 * The device of the tests, opened once a process: the driver that VK_DRIVER_FILES names (lavapipe, say), else SwiftShader.
 *
 * Invariant: kept on `globalThis`, since two devices of one process would cost two compilations of everything.
 */
import { type Profile, profileOf } from '../../compiler/profile.ts';
import type { Device } from '../../src/runtime/device.ts';
import { openNodeDevice } from '../../src/runtime/node.ts';

export interface TestDevice {
  readonly device: Device;
  readonly profile: Profile;
  readonly notice: string;
}

const key = Symbol.for('pixnerd.test-device');

const open = async (): Promise<TestDevice> => {
  const opened = await openNodeDevice('software')();
  if (opened._tag === 'Left') throw new Error(opened.left.message);
  const { device, notice } = opened.right;
  return { device, notice, profile: profileOf(device.profile.class, device.profile.limits, device.profile.features) };
};

/** The device of this process; rejects with the reason where there is none. */
export const testDevice = (): Promise<TestDevice> => {
  const holder = globalThis as { [key]?: Promise<TestDevice> }; // a symbol of ours
  return (holder[key] ??= open());
};
