/** The goldens of blocks, models and samplers on WebAssembly, as `pixnerd parity --backend wasm` judges them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openBackend } from '../../src/backend/open.ts';
import { checkGolden } from '../../src/cli/parity/check.ts';

const goldens = join(import.meta.dirname, '../goldens'), blocks = readdirSync(join(goldens, 'blocks')).map((name) => join('blocks', name));
const files = [...blocks, 'c2i_square.safetensors', 'c2i_nonsquare.safetensors', 'sampler_c2i.safetensors'].filter((name) => name.endsWith('.safetensors'));

const opened = openBackend('wasm')();
afterAll(async () => {
  const backend = await opened;
  if (backend._tag === 'Right') backend.right.close();
});

test.each(files)('%s', async (file) => {
  const backend = await opened;
  if (backend._tag === 'Left') throw new Error(backend.left.message);
  const report = await checkGolden(join(goldens, file), backend.right, { checkpoint: undefined, numbers: {}, signal: new AbortController().signal });
  expect(report.error).toBeUndefined();
  expect(report.tensors.filter(({ ok }) => !ok)).toEqual([]);
  expect(report.ok).toBe(true);
}, 120_000);
