/** What the report and the model card say about a run besides its numbers. */
import type { RunConfig } from './config.ts';

export interface RunFacts {
  readonly config: RunConfig;
  /** Numbers in the model. */
  readonly parameters: number;
  readonly images: number;
  readonly classes: readonly string[];
  /** The adapter. */
  readonly device: string;
  /** What was typed. */
  readonly command: string;
  readonly version: string;
  readonly node: string;
}

/** `2 h 05 min`, `41 min 30 s`, `12 s`. */
export const showDuration = (seconds: number): string => {
  const whole = Math.round(seconds), two = (count: number): string => String(count).padStart(2, '0');
  return whole < 60 ? `${whole} s` : whole < 3600 ? `${Math.floor(whole / 60)} min ${two(whole % 60)} s` : `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
};

/** `patch 4, width 128, 4 heads, 4 transformer + 2 neural-field blocks`. */
export const describeModel = ({ model }: RunConfig): string =>
  `patch ${model.patch_size}, width ${model.hidden_size}, ${model.num_groups} heads, ${model.num_cond_blocks} transformer + ${model.num_blocks - model.num_cond_blocks} neural-field blocks, pixel width ${model.hidden_size_x}`;

/** `AdamW 1e-3, cosine to 5 % after 50 steps of warming up`. */
export const describeOptimizer = ({ optimizer, schedule }: RunConfig): string => {
  const rate = Number(optimizer.learningRate.toPrecision(4)), kind = optimizer.kind === 'adamw' ? 'AdamW' : 'SGD';
  const course = schedule.kind === 'constant' ? 'constant' : `${schedule.kind === 'cosine' ? 'cosine' : 'line'} to ${100 * schedule.floor} %`;
  return `${kind} ${rate}, ${course}${schedule.warmup > 0 ? `, ${schedule.warmup} steps of warming up` : ''}`;
};
