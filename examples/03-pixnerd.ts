/**
 * PixNerd from code: a small configuration, weights from an integer hash instead of training, a few sampling steps, a PNG.
 * Hashed weights draw no clothes; what is shown is that every piece of the way from noise to picture can be called by itself.
 */
import { ok } from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import * as E from 'fp-ts/Either';
import * as TE from 'fp-ts/TaskEither';
import { type C2iConfig, contactSheet, openBackend, parameterShapes, pictureOf, planSampler, recipeTensor, sample, velocityGraph, writePng } from 'pixnerd';

const config: C2iConfig = {
  in_channels: 3, hidden_size: 64, num_groups: 4, hidden_size_x: 16, nerf_mlpratio: 2, num_blocks: 4, num_cond_blocks: 3, patch_size: 8, num_classes: 10,
};
const size = { height: 32, width: 48 };

/** Errors are values; an example stops at the first one. */
const orThrow = <Failure extends { readonly message: string }, A>(task: TE.TaskEither<Failure, A>): Promise<A> =>
  TE.getOrElse<Failure, A>((error) => { throw new Error(error.message); })(task)();

/** A weight is made when it is its turn to be uploaded. */
const weights = Object.fromEntries(Object.entries(parameterShapes(config)).map(([name, shape]) => [name, () => recipeTensor(name, shape)]));
const graph = velocityGraph(config);

const plan = planSampler({ sampler: 'adams', order: 2, steps: 4, guidance: 2, interval: [0.1, 1] });
if (E.isLeft(plan)) throw new Error(plan.left.join('\n'));

const backend = await orThrow(openBackend('wgsl'));
console.log(backend.notice);

const pictures = [];
const request = { backend, model: { config, graph, weights }, plan: plan.right, size, seed: 0n, labels: [0, 3, 7], first: 0, end: 6, batch: 3 };
for await (const image of sample({ ...request, onStep: (done, all) => console.log(`  network call ${done} of ${all}`) })) {
  if (E.isLeft(image)) throw new Error(image.left.message);
  const { index, label, values } = image.right;
  console.log(`image ${index}, class ${label}: ${values.length} values, the first ${values[0]!.toFixed(4)}`);
  ok(values.every(Number.isFinite), 'every value is a number');
  pictures.push(pictureOf(values, config.in_channels, size.height, size.width));
}
backend.close();

const path = 'out/example-03.png';
await mkdir('out', { recursive: true });
const bytes = await orThrow(writePng(path, contactSheet(pictures, { columns: 3 })));
console.log(`${path}: ${bytes} bytes`);
ok((await stat(path)).size === bytes && pictures.length === 6, 'six images are in the file');
