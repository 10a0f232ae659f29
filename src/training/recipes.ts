/** Starting points for `pixnerd train --init`: what to train, on what, and what a user does next. */
import { commentedConfig, type Recipe } from './config-text.ts';

interface StartingPoint {
  readonly about: readonly string[];
  /** Commands that come before the training. */
  readonly before: readonly string[];
  readonly values: Recipe;
}

/** Starting points by name. */
export const STARTING_POINTS = {
  fashion: {
    about: [
      'Clothes of ten classes (Fashion-MNIST, 28 x 28 grey): a small model that draws them after ten to fifteen minutes on two processor cores,',
      'sooner on a GPU.',
    ],
    before: ['pixnerd data fashion data/fashion'],
    values: {
      output: 'out/fashion',
      steps: 1500,
      batch: 32,
      ema: 0.995,
      'model.in_channels': 1,
      'model.num_classes': 10,
      'model.patch_size': 4,
      'model.hidden_size': 128,
      'model.num_groups': 4,
      'model.num_blocks': 6,
      'model.num_cond_blocks': 4,
      'data.kind': 'idx',
      'data.path': 'data/fashion',
      'data.height': 28,
      'data.width': 28,
      'data.flip': true,
      'optimizer.learningRate': 1e-3,
      'schedule.kind': 'cosine',
      'schedule.warmup': 50,
      'schedule.floor': 0.05,
      'intervals.sample': 250,
      'intervals.checkpoint': 250,
    },
  },
  emoji: {
    about: [
      'Emoji in four styles, 64 x 64 in colour, one class for each of Unicode’s subgroups: for a GPU, an hour or more. 5.5 million parameters.',
      'data.label "both" learns a class for each subgroup and style; model.num_classes must then say how many there are.',
    ],
    before: ['pixnerd data emoji data/emoji'],
    values: {
      output: 'out/emoji',
      steps: 60_000,
      batch: 128,
      ema: 0.9995,
      'model.in_channels': 3,
      'model.num_classes': 95,
      'model.patch_size': 8,
      'model.hidden_size': 256,
      'model.num_groups': 8,
      'model.num_blocks': 6,
      'model.num_cond_blocks': 4,
      'model.hidden_size_x': 16,
      'data.path': 'data/emoji',
      'data.kind': 'pack',
      'data.height': 64,
      'data.width': 64,
      'optimizer.learningRate': 5e-4,
      'schedule.kind': 'cosine',
      'schedule.warmup': 1000,
      'intervals.sample': 5000,
      'intervals.checkpoint': 2000,
      'samples.perClass': 1,
    },
  },
  folder: {
    about: ['Images of your own: one folder for each class. Set model.num_classes to the number of folders, and the size to what the patch divides.'],
    before: [],
    values: {
      output: 'out/mine',
      'model.in_channels': 3,
      'model.num_classes': 2,
      'model.patch_size': 8,
      'model.hidden_size': 256,
      'model.num_blocks': 10,
      'model.num_cond_blocks': 8,
      'data.kind': 'classes',
      'data.path': 'data/mine',
      'data.height': 64,
      'data.width': 64,
      'schedule.kind': 'cosine',
      'schedule.warmup': 500,
    },
  },
} as const satisfies Readonly<Record<string, StartingPoint>>;
export type StartingPointName = keyof typeof STARTING_POINTS;

/** The commented configuration of a starting point. */
export const startingConfig = (name: StartingPointName): string => commentedConfig(STARTING_POINTS[name].values, STARTING_POINTS[name].about);

/** The command that leads from the written file to a model, wherever the package is installed. */
export const nextCommands = (name: StartingPointName, file: string): string => [...STARTING_POINTS[name].before, `pixnerd train ${file}`].map((line) => `npx ${line}`).join(' && ');
