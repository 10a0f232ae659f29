/**
 * What a user can ask of a sampler, the defaults, and what is refused.
 *
 * Invariant: `settled` options are valid; a mistake is a message that says what to do, and all mistakes are reported.
 */
import type { GuidanceName } from './plan.ts';
import { SCHEDULERS, type SchedulerName } from './scheduler.ts';
import { STEPS, type StepName, usesScore } from './step.ts';
import { TRANSFORMS, type TransformName } from './transform.ts';

interface Common {
  readonly steps: number;
  /** Guidance scale g: u + g (c - u). Default 1, the conditional velocity alone. */
  readonly guidance?: number;
  /** `c3` guides the first three channels only. Default `simple`. */
  readonly guidanceFunction?: GuidanceName;
  /** Above 1 more steps go to the noisy end. Default 1. */
  readonly timeshift?: number;
  /** The length of the last step in unshifted time, default 1 / steps. */
  readonly lastStep?: number;
}

/** Guide only where min < t < max, both strict. Default [0, 1], so never at t = 0. */
interface Guided { readonly interval?: readonly [number, number] }

interface Stepping {
  readonly scheduler?: SchedulerName;
  /** Default `ode`. */
  readonly step?: StepName;
  /** The rule of the last step, default `ode`. */
  readonly finalStep?: StepName;
  /** Whose noise weight the SDE steps use; without it the weight is 0, and a `step` other than `ode` is refused. */
  readonly noiseScheduler?: SchedulerName;
}

export interface EulerOptions extends Common, Guided, Stepping { readonly sampler: 'euler' }
/** Heun guides at every t. */
export interface HeunOptions extends Common, Stepping {
  readonly sampler: 'heun';
  /** Evaluate the first slope of each step anew, instead of taking over the one found at the predicted point. Default false. */
  readonly exact?: boolean;
}
export interface AdamsOptions extends Common, Guided {
  readonly sampler: 'adams';
  /** How many past velocities a step uses, 1 to 4. Default 2. */
  readonly order?: number;
  /** The time in which velocities are interpolated. Default `identity`. */
  readonly transform?: TransformName;
}
export type SamplerOptions = EulerOptions | HeunOptions | AdamsOptions;

export interface SettledCommon {
  readonly steps: number;
  readonly guidance: number;
  readonly guidanceFunction: GuidanceName;
  readonly timeshift: number;
  readonly lastStep: number;
  readonly interval: readonly [number, number];
}

/** The defaults filled in. One step is the whole way, whatever `lastStep` says. */
export const settledCommon = (options: SamplerOptions): SettledCommon => ({
  steps: options.steps,
  guidance: options.guidance ?? 1,
  guidanceFunction: options.guidanceFunction ?? 'simple',
  timeshift: options.timeshift ?? 1,
  lastStep: options.steps === 1 ? 1 : (options.lastStep ?? 1 / options.steps),
  interval: options.sampler === 'heun' ? [-Infinity, Infinity] : (options.interval ?? [0, 1]),
});

type Check = string | false | undefined;

const unknownName = (what: string, name: string | undefined, table: object): Check =>
  name !== undefined && !Object.hasOwn(table, name) && `unknown ${what} '${name}': use one of ${Object.keys(table).join(', ')}`;

/** A plan lists every step, and nobody needs more of them. */
const MOST_STEPS = 10_000;

const commonMistakes = (options: SamplerOptions): readonly Check[] => {
  const { steps, guidance, timeshift, lastStep } = settledCommon(options);
  return [
    !(Number.isInteger(steps) && steps > 0) && `steps is ${steps}: use a whole number of at least 1`,
    steps > MOST_STEPS && `steps is ${steps}: use at most ${MOST_STEPS}; 25 to 100 are usual`,
    !Number.isFinite(guidance) && `guidance is ${guidance}: use a finite number (1 switches it off)`,
    !(timeshift > 0 && Number.isFinite(timeshift)) && `timeshift is ${timeshift}: use a number above 0 (1 switches it off)`,
    steps > 1 && !(lastStep > 0 && lastStep < 1) && `last step is ${lastStep}: use a number between 0 and 1, or leave it out for 1/steps`,
    unknownName('guidance function', options.guidanceFunction, { simple: 0, c3: 0 }),
  ];
};

const intervalMistakes = ([min, max]: readonly [number, number]): readonly Check[] => [
  !(Number.isFinite(min) && Number.isFinite(max)) && `guidance interval is ${min},${max}: use two numbers, such as 0.1,1`,
  min > max && `guidance interval ${min},${max} is reversed: use ${max},${min}`,
];

const steppingMistakes = ({ scheduler, step, finalStep, noiseScheduler }: Stepping): readonly Check[] => [
  unknownName('scheduler', scheduler, SCHEDULERS),
  unknownName('step function', step, STEPS),
  unknownName('step function of the last step', finalStep, STEPS),
  unknownName('noise scheduler', noiseScheduler, SCHEDULERS),
  step !== undefined && Object.hasOwn(STEPS, step) && usesScore(step) && noiseScheduler === undefined
    && `the step ${step} needs a noise scheduler: use one of ${Object.keys(SCHEDULERS).join(', ')}`,
];

const adamsMistakes = ({ order = 2, transform }: AdamsOptions): readonly Check[] => [
  !(Number.isInteger(order) && order >= 1 && order <= 4) && `order is ${order}: use 1, 2, 3 or 4`,
  unknownName('time transform', transform, TRANSFORMS),
];

const ownMistakes = (options: SamplerOptions): readonly Check[] => {
  switch (options.sampler) {
    case 'euler': return [...intervalMistakes(settledCommon(options).interval), ...steppingMistakes(options)];
    case 'heun': return steppingMistakes(options);
    case 'adams': return [...intervalMistakes(settledCommon(options).interval), ...adamsMistakes(options)];
    // untyped callers get here
    default: return [`unknown sampler '${String((options as { readonly sampler: unknown }).sampler)}': use euler, heun or adams`];
  }
};

/** Everything that is wrong with the options, empty where nothing is. */
export const mistakes = (options: SamplerOptions): readonly string[] =>
  [...commonMistakes(options), ...ownMistakes(options)].filter((check): check is string => typeof check === 'string');
