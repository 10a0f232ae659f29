/**
 * Sampler cases as golden files write them, in the authors' names, read as our options.
 *
 * Invariant: a field that is not understood is an error; nothing is silently left out.
 */
import * as E from 'fp-ts/Either';
import type { SamplerOptions } from './options.ts';

export type CaseFields = Readonly<Record<string, unknown>>;

const SAMPLERS: ReadonlyMap<unknown, SamplerOptions['sampler']> =
  new Map([['euler', 'euler'], ['heun', 'heun'], ['adamlm', 'adams'], ['adams', 'adams']]);
const SCHEDULER_NAMES = { LinearScheduler: 'linear', GVPScheduler: 'gvp', ConstScheduler: 'const' } as const;
const STEP_NAMES = { ode_step_fn: 'ode', sde_mean_step_fn: 'sde_mean', sde_step_fn: 'sde', sde_preserve_step_fn: 'sde_preserve' } as const;
const TRANSFORM_NAMES = { nop: 'identity', t2snr: 'snr', t2isnr: 'inverse_snr', t2logsnr: 'log_snr' } as const;
const GUIDANCE_NAMES = { simple_guidance_fn: 'simple', c3_guidance_fn: 'c3' } as const;

interface Field { readonly option: string; readonly read: (value: unknown) => unknown }
const number: Field['read'] = (value) => (typeof value === 'number' ? value : undefined);
const boolean: Field['read'] = (value) => (typeof value === 'boolean' ? value : undefined);
/** A Python name, with or without its module path. */
const oneOf = (names: Readonly<Record<string, string>>): Field['read'] => {
  const known = new Map(Object.entries(names));
  return (value) => known.get(String(value).split('.').at(-1)!);
};

const FIELDS: ReadonlyMap<string, Field> = new Map(Object.entries({
  num_steps: { option: 'steps', read: number },
  guidance: { option: 'guidance', read: number },
  guidance_fn: { option: 'guidanceFunction', read: oneOf(GUIDANCE_NAMES) },
  guidance_interval_min: { option: 'min', read: number },
  guidance_interval_max: { option: 'max', read: number },
  timeshift: { option: 'timeshift', read: number },
  last_step: { option: 'lastStep', read: number },
  scheduler: { option: 'scheduler', read: oneOf(SCHEDULER_NAMES) },
  w_scheduler: { option: 'noiseScheduler', read: oneOf(SCHEDULER_NAMES) },
  step_fn: { option: 'step', read: oneOf(STEP_NAMES) },
  last_step_fn: { option: 'finalStep', read: oneOf(STEP_NAMES) },
  exact_henu: { option: 'exact', read: boolean },
  order: { option: 'order', read: number },
  lms_transform_fn: { option: 'transform', read: oneOf(TRANSFORM_NAMES) },
}));
const NOTES: readonly string[] = ['name', 'sampler'];
/** Fields that a sampler accepts and that change nothing: Adams steps without score and noise weight, Heun guides everywhere. */
const WITHOUT_EFFECT: Readonly<Record<SamplerOptions['sampler'], readonly string[]>> = {
  euler: [],
  heun: ['guidance_interval_min', 'guidance_interval_max'],
  adams: ['scheduler', 'w_scheduler', 'step_fn', 'last_step_fn'],
};

/** Options of a case; `defaults` are fields that hold for the whole file, such as its scheduler. Null fields count as left out. */
export const optionsOfCase = (fields: CaseFields, defaults: CaseFields = {}): E.Either<string, SamplerOptions> => {
  const name = typeof fields['name'] === 'string' ? `case ${fields['name']}` : 'case';
  const sampler = SAMPLERS.get(fields['sampler']);
  if (sampler === undefined) {
    return E.left(`${name}: unknown sampler ${JSON.stringify(fields['sampler'])}; known are ${[...SAMPLERS.keys()].join(', ')}`);
  }
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries({ ...defaults, ...fields })) {
    if (NOTES.includes(key) || value === null) continue;
    const field = FIELDS.get(key);
    if (field === undefined) return E.left(`${name}: unknown sampler option ${key}; known are ${[...FIELDS.keys()].join(', ')}`);
    const read = field.read(value);
    if (read === undefined) return E.left(`${name}: ${key} cannot be ${JSON.stringify(value)}`);
    if (!WITHOUT_EFFECT[sampler].includes(key)) options[field.option] = read;
  }
  const { min = 0, max = 1, ...rest } = options;
  // The table above gives each option its type; `plan` checks the values.
  return E.right({ ...rest, sampler, ...(sampler === 'heun' ? {} : { interval: [min, max] }) } as unknown as SamplerOptions);
};
