/** A model card: the facts of a run, and questions that only its author can answer. */
import { showCount } from '../explain/format.ts';
import { describeModel, describeOptimizer, type RunFacts, showDuration } from './facts.ts';
import { currentLoss, showLoss } from './history.ts';
import type { StepReport } from './trainer-types.ts';

export interface CardData {
  readonly facts: RunFacts;
  readonly step: number;
  readonly seconds: number;
  readonly history: readonly StepReport[];
  readonly checkpoint: string | undefined;
}

/** How many blanks a card has that nobody has filled in. */
export const modelCardBlanks = 3;

/** Markdown; what is to be filled in begins with TO FILL. */
export const modelCard = ({ facts, step, seconds, history, checkpoint }: CardData): string => {
  const { config, parameters, images, classes, device, command, version } = facts, loss = currentLoss(history);
  const rows: readonly (readonly [string, string])[] = [
    ['network', `c2i PixNerd: ${describeModel(config)}; ${showCount(parameters)} parameters`],
    ['training', `${showCount(step)} steps of ${config.batch} images, ${describeOptimizer(config)}, ${100 * config.loss.labelDrop} % null labels, loss weight ${config.loss.weight}, times ${config.loss.time}`],
    ['these values', config.ema > 0 ? `the averaged weights (decay ${config.ema})` : 'the weights'],
    ['loss', loss === undefined ? '' : `${showLoss(loss)}, the mean of about the last fifty steps`],
    ['data', `${config.data.path}: ${showCount(images)} images of ${config.data.height} x ${config.data.width}, ${config.model.in_channels === 1 ? 'grey' : 'colour'}`],
    ['classes', classes.map((name, i) => `${i} ${name}`).join(', ')],
    ['time and device', `${showDuration(seconds)} on ${device}`],
    ['seed, command', `${config.seed}, \`${command}\``],
    ['made with', `pixnerd ${version}`],
  ];
  return `# ${config.output.split('/').at(-1) ?? config.output}

| | |
| --- | --- |
${rows.map(([name, value]) => `| ${name} | ${value.replaceAll('|', '\\|')} |`).join('\n')}

## Use

\`\`\`sh
pixnerd sample --checkpoint ${checkpoint ?? 'CHECKPOINT'}/${config.ema > 0 ? 'ema' : 'model'}.safetensors --class 0-${classes.length - 1} --out samples.png
\`\`\`

## Quality

TO FILL: \`pixnerd evaluate\` writes the table of distances and accuracies, with its reference rows.

## Data, licence, attribution

TO FILL: where the images come from, who made them, under which licence; what they show, and what they do not.

## Limits

TO FILL: what the model is not for, and what it gets wrong.
`;
};
