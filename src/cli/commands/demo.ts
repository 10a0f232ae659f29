/** `pixnerd demo`: clothes from the trained weights that come with the package. */
import * as E from 'fp-ts/Either';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { plan } from '../../../models/sampling/sampler.ts';
import { openBackend } from '../../backend/open.ts';
import { openModel } from '../../sampling/model.ts';
import { withDefault } from '../arguments.ts';
import { command } from '../command.ts';
import { settle, stopAt } from '../failure.ts';
import { inPackage } from '../package-root.ts';
import { positive, seed, text } from '../readers.ts';
import { checkBeforeWork, render } from '../render.ts';

const SIZE = { height: 32, width: 32 };

/** Names of the classes, where the file has them. */
const classNames = ({ classes = '[]' }: Readonly<Record<string, string>>): readonly string[] => {
  try {
    const names: unknown = JSON.parse(classes);
    return Array.isArray(names) ? names.map(String) : [];
  } catch {
    return [];
  }
};

export const demo = command({
  name: 'demo',
  summary: 'samples clothes of ten classes from trained weights: a sheet and an animation in out/',
  options: {
    folder: withDefault(text('FOLDER'), 'out', 'where the pictures go'),
    steps: withDefault(positive, 16, 'steps from noise to image'),
    seed: withDefault(seed, 0n, 'of the starting noise'),
    adapter: withDefault(text('auto|software|NAME'), 'auto', 'which GPU; without one WebAssembly computes'),
  },
  examples: [['pixnerd demo', 'needs nothing but this package: without a GPU it runs on WebAssembly']],
  run: async ({ values: { folder, steps, seed: start, adapter } }, terminal) => {
    const made = plan({ sampler: 'adams', order: 2, steps, guidance: 3, interval: [0.1, 1] });
    if (E.isLeft(made)) return stopAt(made.left);
    const model = await settle(openModel(inPackage('models', 'weights', 'fashion.safetensors')));
    const labels = Array.from({ length: model.config.num_classes }, (_, label) => label);
    const outputs = { png: join(folder, 'clothes.png'), gif: join(folder, 'clothes.gif'), npz: undefined, scale: 4 };
    await mkdir(folder, { recursive: true }).catch((thrown: NodeJS.ErrnoException) =>
      stopAt([`${folder}: the folder cannot be made (${thrown.code})`]),
    );
    await checkBeforeWork([], outputs, model.config.in_channels, SIZE, labels.length);
    const backend = await settle(openBackend('auto', { adapter }));
    terminal.note(backend.notice);
    terminal.note(`one of each: ${classNames(model.file.metadata).join(', ')}`);
    const written = await render(
      { backend, model, plan: made.right, size: SIZE, seed: start, labels, first: 0, end: labels.length, batch: labels.length, outputs },
      terminal,
    );
    for (const path of written) terminal.out(path);
    await model.file.close();
    backend.close();
  },
});
