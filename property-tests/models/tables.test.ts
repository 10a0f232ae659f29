import { expect, test } from 'vitest';
import { evaluate } from '../../compiler/reference/evaluate.ts';
import { bindSizes, makeGraph } from '../../dsl/graph/graph.ts';
import { EXCHANGED_GRID, ropeTable, UNIT_GRID } from '../../models/pixnerd/rope.ts';
import { cosineFeatures } from '../../models/pixnerd/pixel-features.ts';
import { disagreement, readGolden } from './golden.ts';

test('rope', () => {
  const golden = readGolden('blocks/rope_tables');
  for (const c of JSON.parse(golden.metadata['cases']!)) {
    const extent = c.scale ? { columns: c.height * c.scale[0], rows: c.width * c.scale[1] } : c.fn.includes('ex2d') ? EXCHANGED_GRID : UNIT_GRID;
    const { cos, sin } = ropeTable(extent);
    const out = evaluate(bindSizes(makeGraph({ cos, sin }), { h: c.height, w: c.width, K: c.dim / 4 }), {});
    const both = Array.from(out['cos']!.data, (x, i) => [x, out['sin']!.data[i]!]).flat();
    expect(disagreement(golden, `out.${c.name}`, both)).toBeUndefined();
  }
});
test('dct', () => {
  const golden = readGolden('blocks/nerf_embedder_dct');
  const out = evaluate(bindSizes(makeGraph({ pos: cosineFeatures() }), { P: 4, Q: 4, M: 8 }), {});
  expect(disagreement(golden, 'out.pos', out['pos']!.data)).toBeUndefined();
});
