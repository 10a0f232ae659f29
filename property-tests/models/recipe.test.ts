import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { recipeTensor } from '../../models/recipe.ts';
import { readGolden } from './golden.ts';

test('the probes of the full-size golden', () => {
  const { keys } = JSON.parse(readFileSync(new URL('../goldens/manifests/c2i_L16.json', import.meta.url), 'utf8')) as {
    readonly keys: Record<string, { readonly shape: readonly number[] }>;
  };
  const probes = JSON.parse(readGolden('fullsize_c2i_L16').metadata['probes']!) as (readonly [string, number, number])[];
  expect(probes.length).toBeGreaterThan(20);
  for (const [key, index, value] of probes) expect(recipeTensor(key, keys[key]!.shape)[index]).toBe(Math.fround(value));
});
