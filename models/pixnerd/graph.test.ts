import * as E from 'fp-ts/Either';
import { expect, test } from 'vitest';
import { separate } from '../../compiler/separate.ts';
import { inputName } from '../../dsl/graph/graph.ts';
import { PRESETS, sizesOf } from './config.ts';
import { velocityGraph } from './graph.ts';

for (const [name, config] of Object.entries(PRESETS)) {
  test(`what does not depend on the image in ${name}: the time's embedding and the modulations`, () => {
    const side = 16 * config.patch_size, sizes = sizesOf(config, { batch: 2, height: side, width: side });
    if (E.isLeft(sizes)) throw new Error(sizes.left.join());
    const { once, each } = separate(velocityGraph(config), { changing: ['x'], sizes: sizes.right });
    const kept = once.outputs.map((output) => `${output.name} [${output.node.shape.join(', ')}]`);
    expect(kept).toEqual([
      't_embedder.mlp.2 [B, D]',
      ...Array.from({ length: config.num_cond_blocks }, (_, i) => `blocks.${i}.adaLN_modulation.0 [B, 1, 6*D]`),
    ]);
    expect(each.inputs.map(inputName)).toEqual(['x', ...once.outputs.map((output) => output.name)]);
    expect(each.parameters.map(inputName).filter((parameter) => /adaLN|t_embedder|y_embedder/.test(parameter))).toEqual([]);
  });
}
