/** `pixnerd sample`: images of classes, from the weights in a file. */
import * as E from 'fp-ts/Either';
import { labelMistakes, sizeMistakes } from '../../../models/pixnerd/config.ts';
import type { SamplerOptions } from '../../../models/sampling/options.ts';
import { plan } from '../../../models/sampling/sampler.ts';
import { SCHEDULERS, type SchedulerName } from '../../../models/sampling/scheduler.ts';
import { STEPS, type StepName } from '../../../models/sampling/step.ts';
import { BACKEND_CHOICES } from '../../backend/backend.ts';
import { openBackend } from '../../backend/open.ts';
import { openModel, trainedSize } from '../../sampling/model.ts';
import { shardRange } from '../../sampling/sample.ts';
import { flag, optional, type Parsed, required, withDefault } from '../arguments.ts';
import { command } from '../command.ts';
import { settle, stopAt } from '../failure.ts';
import { misplacedNumbers, NUMBER_OPTIONS, numbersOf } from '../numbers.ts';
import { choice, interval, labels, number, positive, seed, shard, size, text, whole } from '../readers.ts';
import { checkBeforeWork, render } from '../render.ts';

const keys = <K extends string>(table: Readonly<Record<K, unknown>>): [K, ...K[]] => Object.keys(table) as [K, ...K[]]; // the tables are not empty

const OPTIONS = {
  checkpoint: required(text('FILE'), 'weights: a Lightning .ckpt, a safetensors file, or the index of a sharded one'),
  class: optional(labels, 'classes; image i gets the class at i modulo their number (default: every class in turn)'),
  images: optional(positive, 'how many images (default: one per class)'),
  size: optional(size, 'height x width of an image; the patch must divide both (default: as the file says)'),
  seed: withDefault(seed, 0n, 'of the starting noise; image i depends on the seed and i alone'),
  steps: withDefault(whole, 25, 'steps from noise to image'),
  sampler: withDefault(choice('euler', 'heun', 'adams'), 'adams', 'how the steps are taken'),
  order: optional(whole, 'adams: how many past velocities a step uses, 1 to 4 (default 2)'),
  exact: flag('heun: evaluate the first slope of each step anew'),
  step: optional(choice(...keys<StepName>(STEPS)), 'euler, heun: the step function (default ode)'),
  noise: optional(choice(...keys<SchedulerName>(SCHEDULERS)), 'euler, heun: whose noise weight the sde steps use (default linear)'),
  guidance: withDefault(number, 3.5, 'scale of classifier-free guidance; 1 switches it off'),
  interval: optional(interval, 'euler, adams: guide only where min < t < max, t from 0 (noise) to 1 (image) (default 0.1,1)'),
  timeshift: withDefault(number, 1, 'above 1 more steps go to the noisy end'),
  batch: optional(positive, 'images computed at once (default: what suits the adapter; lowered where it does not fit)'),
  out: optional(text('FILE.png'), 'a picture; several images make a contact sheet'),
  gif: optional(text('FILE.gif'), 'an animation of the way from noise to image'),
  npz: optional(text('FILE.npz'), 'all images as arr_0, uint8 [images, height, width, channels], streamed'),
  scale: withDefault(positive, 1, 'enlarges every pixel in pictures'),
  shard: optional(shard, 'samples only part k of n, from 1 to n'),
  weights: withDefault(choice('ema', 'plain'), 'ema', "which copy of a checkpoint's weights"),
  backend: withDefault(choice(...BACKEND_CHOICES), 'auto', 'who computes: wgsl on a GPU where there is one, else wasm'),
  adapter: withDefault(text('auto|software|NAME'), 'auto', 'which GPU, for wgsl; software drivers are taken by name only'),
  ...NUMBER_OPTIONS,
} as const;

type Given = Parsed<typeof OPTIONS>;

/** Options that the chosen sampler or backend does not know. */
const misplaced = ({ values: { sampler, backend }, given }: Given): readonly string[] => {
  const known: Readonly<Record<string, readonly string[]>> = {
    order: ['adams'],
    exact: ['heun'],
    step: ['euler', 'heun'],
    noise: ['euler', 'heun'],
    interval: ['euler', 'adams'],
  };
  const adapter = backend !== 'wgsl' && backend !== 'auto' && given.has('adapter') ? [`--adapter has no meaning for --backend ${backend}; it is for wgsl`] : [];
  return Object.entries(known)
    .filter(([option, samplers]) => given.has(option) && !samplers.includes(sampler))
    .map(([option, samplers]) => `--${option} has no meaning for --sampler ${sampler}; it is for ${samplers.join(' and ')}`)
    .concat(adapter, misplacedNumbers(backend, given));
};

const samplerOptions = ({ values }: Given): SamplerOptions => {
  const { steps, guidance, timeshift, order, exact, step, interval: guided = [0.1, 1] as const } = values;
  const noise = values.noise ?? (step === undefined || step === 'ode' ? undefined : 'linear'); // the scheduler the models are trained with
  const common = { steps, guidance, timeshift };
  const stepping = { ...(step !== undefined && { step }), ...(noise !== undefined && { noiseScheduler: noise }) };
  switch (values.sampler) {
    case 'euler':
      return { sampler: 'euler', ...common, ...stepping, interval: guided };
    case 'heun':
      return { sampler: 'heun', ...common, ...stepping, exact };
    case 'adams':
      return { sampler: 'adams', ...common, interval: guided, ...(order !== undefined && { order }) };
  }
};

export const sample = command({
  name: 'sample',
  summary: 'samples images from the weights of a model',
  options: OPTIONS,
  examples: [
    [
      'pixnerd sample --checkpoint models/weights/fashion.safetensors --class 0-9 --size 32 --guidance 3 --scale 4 --out clothes.png',
      'one image of each of ten classes, on one sheet',
    ],
    ['pixnerd sample --checkpoint c2i_XL.ckpt --images 50000 --size 256 --npz part1.npz --shard 1/8', 'an eighth of the images for an evaluation'],
  ],
  run: async (parsed, terminal) => {
    const { values } = parsed;
    const made = plan(samplerOptions(parsed));
    const early = [...misplaced(parsed), ...(E.isLeft(made) ? made.left : [])];
    const opened = await openModel(values.checkpoint, values.weights === 'plain' ? { prefix: 'denoiser.' } : {})();
    if (E.isLeft(opened)) return stopAt([...early, opened.left.message]);
    const model = opened.right;
    const { config } = model;
    const chosen = values.class ?? Array.from({ length: config.num_classes }, (_, label) => label);
    const images = values.images ?? chosen.length;
    const [first, end] = shardRange(images, values.shard ?? { index: 1, count: 1 });
    const known = values.size ?? trainedSize(model.file.metadata);
    const imageSize = known ?? { height: config.patch_size, width: config.patch_size }; // only to look for other mistakes
    const sizes = known ? sizeMistakes(config, known) : ['--size is missing: the file does not say at which size its model was trained'];
    const outputs = { png: values.out, gif: values.gif, npz: values.npz, scale: values.scale };
    const empty = first === end ? [`--shard ${values.shard?.index}/${values.shard?.count} of ${images} images has no image`] : [];
    await checkBeforeWork(
      [...early, ...sizes, ...labelMistakes(config, chosen), ...empty],
      outputs,
      config.in_channels,
      imageSize,
      end - first,
    );
    if (E.isLeft(made)) return; // reported above
    const backend = await settle(openBackend(values.backend, { adapter: values.adapter, ...numbersOf(values) }));
    terminal.note(backend.notice);
    const { seed: start, batch } = values;
    const written = await render(
      { backend, model, plan: made.right, size: imageSize, seed: start, labels: chosen, first, end, batch, outputs },
      terminal,
    );
    for (const path of written) terminal.out(path);
    await model.file.close();
    backend.close();
  },
});
