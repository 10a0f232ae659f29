/**
 * A hundred steps of AdamW on a small class model, the same in PyTorch: same weights, data, times and noise. Prints how far the losses differ.
 *
 *     node bench/steps.mjs          needs a Python with torch (Debian: python3-torch; BENCH_PYTHON names another interpreter)
 *
 * What is drawn is written to a file for torch/steps.py, whose network is that of torch/model.py; it prints the comparison.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bind, flowMatchingLoss, initialise, input, learningRateOf, makeGraph, openBackend, openTrainer, optimizerOf, parameterShapes, philoxNormals, pixnerd, sizesOf } from '../dist/index.js';

const orThrow = async (task) => {
  const result = await task();
  if (result._tag === 'Left') throw new Error(result.left.message);
  return result.right;
};

const config = { in_channels: 3, patch_size: 4, num_groups: 2, hidden_size: 64, hidden_size_x: 16, num_blocks: 5, num_cond_blocks: 3, nerf_mlpratio: 2, num_classes: 10 };
const [B, S, STEPS, pixels] = [8, 16, 100, 3 * 16 * 16], shapes = parameterShapes(config), sizes = sizesOf(config, { batch: B, height: S, width: S }).right;
const folder = fileURLToPath(new URL('../.cache/bench/steps', import.meta.url));

const first = initialise(config, 3);
// zeros would hide the blocks for the first steps
for (const [i, [name, values]] of Object.entries(first).entries()) if (/adaLN|final_layer.linear/.test(name)) values.set(philoxNormals(1, i, 0, values.length).map((x) => 0.05 * x));

const batchOf = (step) => {
  const normals = philoxNormals(2, step, 0, 2 * B * pixels + 2 * B);
  return {
    x: Float32Array.from({ length: B * pixels }, (_, i) => 0.8 * Math.sin(0.01 * i + 3 * Math.floor(i / pixels)) + 0.1 * normals[i]), noise: normals.slice(B * pixels, 2 * B * pixels),
    t: Float32Array.from(normals.slice(2 * B * pixels, 2 * B * pixels + B), (z) => 1 / (1 + Math.exp(-z))), y: Int32Array.from(normals.slice(2 * B * pixels + B), (z) => Math.floor(Math.abs(z) * 1e4) % 11),
  };
};

const image = ['B', 'C', 'P*h', 'Q*w'], ports = [input('x', image), input('noise', image), input('t', ['B']), input('y', ['B'], 'i32')];
const graph = makeGraph({ loss: flowMatchingLoss(bind(pixnerd(config)))(...ports).loss }, ports);
const backend = await orThrow(openBackend('auto'));
console.log(backend.notice);
const optimizer = optimizerOf({ kind: 'adamw', weightDecay: 0.01, emaDecay: 0.99, clip: 1 }, learningRateOf({ kind: 'cosine', peak: 1e-3, warmup: 10, steps: STEPS }));
const trainer = await orThrow(openTrainer(backend, { graph, sizes, shapes, optimizer, state: { step: 0, parameters: first, ema: first, moments: {} } }));
const batches = Array.from({ length: STEPS }, (_, step) => batchOf(step));
for (const batch of batches) await orThrow(trainer.step([batch]));
const losses = (await orThrow(trainer.report())).map(({ loss }) => loss);
trainer.dispose();
backend.close();

mkdirSync(folder, { recursive: true });
const arrays = [...Object.values(first), ...batches.flatMap(({ x, noise, t, y }) => [x, noise, t, y])];
writeFileSync(join(folder, 'data.bin'), Buffer.concat(arrays.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))));
writeFileSync(join(folder, 'meta.json'), JSON.stringify({ config, parameters: Object.keys(first).map((name) => [name, shapes[name]]), steps: STEPS, batch: B, size: S, losses }));
for (const precision of ['32', '64']) {
  process.stdout.write(execFileSync(process.env.BENCH_PYTHON ?? 'python3', [fileURLToPath(new URL('torch/steps.py', import.meta.url)), folder, precision], { encoding: 'utf8' }));
}
