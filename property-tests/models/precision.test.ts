/**
 * The authors' numbers under narrower storage, on a device with f16: whole models and blocks within the wider limits, which are
 * derived from the roundings, and no closer than they can be (a policy that changed nothing would not be one).
 */
import { expect, test } from 'vitest';
import type { Numbers } from '../../compiler/precision/policy.ts';
import { wgslBackend } from '../../src/backend/wgsl.ts';
import { checkGolden, type Report } from '../../src/cli/parity/check.ts';
import { testDevice } from '../harness/device.ts';

const golden = (name: string): string => new URL(`../goldens/${name}.safetensors`, import.meta.url).pathname;
const HALF: readonly Numbers[] = [{ precision: 'mixed' }, { precision: 'f16' }, { precision: 'mixed', weights: 'int8', packFrom: 1 }];
const FILES = ['c2i_square', 'c2i_nonsquare', 'blocks/ditblock_c2i', 'blocks/nerfblock_c2i_r4', 'blocks/rattention_c2i_mask', 'blocks/timestep_embedder'];

const check = async (file: string, numbers: Numbers): Promise<Report> => {
  const { device, notice } = await testDevice();
  return checkGolden(golden(file), wgslBackend(device, notice, numbers), { numbers, signal: new AbortController().signal });
};
const worst = ({ tensors }: Report): number => Math.max(...tensors.map(({ relrms = Infinity }) => relrms));

test.for(HALF.map((numbers) => [JSON.stringify(numbers), numbers] as const))('%s', async ([, numbers], { skip }) => {
  const { profile } = await testDevice();
  if (!profile.features.includes('shader-f16')) skip('the adapter lacks shader-f16');
  for (const file of FILES) {
    const report = await check(file, numbers);
    console.log(`${file}: largest relrms ${worst(report).toExponential(1)}`);
    expect(report.tensors.filter(({ ok }) => !ok)).toEqual([]);
    expect(worst(report)).toBeGreaterThan(2 ** -13);
  }
});

test('int8 weights alone, on any device', async () => {
  const report = await check('c2i_nonsquare', { weights: 'int8', packFrom: 1 });
  console.log(`c2i_nonsquare: largest relrms ${worst(report).toExponential(1)}`);
  expect(report.ok).toBe(true);
  expect(worst(report)).toBeGreaterThan(2 ** -10);
});
