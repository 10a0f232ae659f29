import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PRESETS } from '../../models/pixnerd/config.ts';
import { parameterShapes } from '../../models/pixnerd/graph.ts';

interface Manifest {
  readonly config: object;
  readonly keys: Readonly<Record<string, { readonly shape: readonly number[] }>>;
  readonly total_parameters: number;
}

for (const [file, preset] of [
  ['c2i_L16', 'c2i-L'],
  ['c2i_XL16', 'c2i-XL'],
] as const) {
  test(`${preset} has the official state_dict`, () => {
    const manifest = JSON.parse(readFileSync(new URL(`../goldens/manifests/${file}.json`, import.meta.url), 'utf8')) as Manifest;
    expect(PRESETS[preset]).toEqual(manifest.config);
    const shapes = parameterShapes(PRESETS[preset]);
    expect(shapes).toEqual(Object.fromEntries(Object.entries(manifest.keys).map(([key, { shape }]) => [key, shape])));
    const total = Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
    expect(total).toBe(manifest.total_parameters);
  });
}
