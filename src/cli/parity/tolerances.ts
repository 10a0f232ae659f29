/**
 * How far a tensor may be from its golden: the first rule whose globs match file and tensor.
 *
 * The rules name files as the golden set has them (`blocks/*`, `ckpt/*`). A file from elsewhere is put in its place by what its metadata say it is.
 */
import { needsHalf, type Numbers, weightFormat } from '../../../compiler/precision/policy.ts';
import rulesFile from './tolerances.json' with { type: 'json' };

export interface Limit {
  readonly relrms?: number;
  readonly relmax?: number;
  readonly abs?: number;
  readonly exact?: boolean;
  /** Of the differences of all parameters of a run taken together, in absolute terms. */
  readonly rms_over_all_parameters?: number;
}
interface Rule extends Limit {
  readonly file: string;
  readonly tensor: string;
}

const RULES: readonly Rule[] = rulesFile.rules;

const SPECIAL: Readonly<Record<string, string>> = { '*': '.*', '{': '(?:', '}': ')', ',': '|', '[': '[', ']': ']', '/': '/' };
/** Globs of `*`, `{a,b}` and `[ab]`. */
export const matchesGlob = (text: string, glob: string): boolean =>
  new RegExp(`^${glob.replace(/[^\w]/g, (mark) => SPECIAL[mark] ?? `\\${mark}`)}$`).test(text);

const baseName = (path: string): string => path.split(/[/\\]/).at(-1)!; // split gives one part at least

/** Exact host work is told by the class, whatever the file is called. */
const BLOCK_FILES: readonly (readonly [RegExp, string])[] = [
  [/fold/, 'patchify'],
  [/interpolate/, 'resize_nearest'],
  [/uint8/, 'uint8'],
  [/precompute_freqs/, 'rope_tables'],
  [/scheduling|guidance/, 'scheduling_guidance'],
];

type Metadata = Readonly<Record<string, string>>;

const samplerPlace = (base: string, { class: className = '', config = '', checkpoint }: Metadata): string | undefined => {
  if (/lagrange/.test(className)) return `lagrange_${base}`;
  if (/"net"/.test(config)) return `sampler_x_toy_${base}`;
  return checkpoint === undefined ? `sampler_${base}` : undefined;
};

/** The name that a file of this kind has in the golden set. */
const placeOf = (path: string, metadata: Metadata): string | undefined => {
  const base = baseName(path);
  switch (metadata['kind']) {
    case 'block':
      return `blocks/${BLOCK_FILES.find(([pattern]) => pattern.test(metadata['class'] ?? ''))?.[1] ?? base}`;
    case 'checkpoint':
      return `ckpt/${base}`;
    case 'c2i forward':
      return `c2i_${base}`;
    case 'full size c2i forward':
      return `fullsize_${base}`;
    case 'sampler':
      return samplerPlace(base, metadata);
    case 'optimizer':
      return `adamw_unit_${base}`;
    case 'training':
      return `train_${base}`;
    case 'training steps':
      return `train_x_adamw3_${base}`;
    default:
      return undefined;
  }
};

/** The last parts of a path, as many as the glob has. */
const tailOf = (path: string, glob: string): string => path.split(/[/\\]/).slice(-glob.split('/').length).join('/');

const limitOf = ({ relrms, relmax, abs, exact, rms_over_all_parameters }: Rule): Limit => ({
  ...(relrms !== undefined && { relrms }),
  ...(relmax !== undefined && { relmax }),
  ...(abs !== undefined && { abs }),
  ...(exact !== undefined && { exact }),
  ...(rms_over_all_parameters !== undefined && { rms_over_all_parameters }),
});

/** How much wider a limit becomes where tensors do not lie as f32, and what it never passes, so that it still says something. */
interface Widening {
  readonly factor: number;
  readonly relrms: number;
  readonly relmax: number;
}
/** Two to four times what was measured: a rounding to f16 is 2^13 times one to f32, but there are fewer of them than of the arithmetic's. */
const HALF: Widening = { factor: 2 ** 9, relrms: 2 ** -6, relmax: 2 ** -4 };
/** Half a step of 1/127 of a row's largest weight is 0.7 % of a usual one. */
const INT8: Widening = { factor: 2 ** 12, relrms: 2 ** -4, relmax: 2 ** -2 };

const widened = (limit: number, { factor }: Widening, most: number): number => Math.max(limit, Math.min(limit * factor, most));

/** The limit where a program keeps its numbers otherwise than as f32. What must be exact, or near in absolute terms, does not lie in memory. */
export const limitUnder = (limit: Limit, numbers: Numbers): Limit => {
  const widening = weightFormat(numbers) === 'int8' ? INT8 : needsHalf(numbers) ? HALF : undefined;
  if (widening === undefined) return limit;
  return {
    ...limit,
    ...(limit.relrms !== undefined && { relrms: widened(limit.relrms, widening, widening.relrms) }),
    ...(limit.relmax !== undefined && { relmax: widened(limit.relmax, widening, widening.relmax) }),
  };
};

/** The limit for a tensor of a file; undefined where no rule knows such files. */
export const limitFor = (path: string, metadata: Metadata, tensor: string): Limit | undefined => {
  const place = placeOf(path, metadata);
  const ruleAt = (file: string): Rule | undefined =>
    RULES.find((rule) => matchesGlob(tailOf(file, rule.file), rule.file) && matchesGlob(tensor, rule.tensor));
  const rule =
    (place === undefined ? undefined : ruleAt(place)) ?? ruleAt(path) ?? (metadata['kind'] === 'sampler' ? ruleAt('fashion_expected') : undefined);
  return rule === undefined ? undefined : limitOf(rule);
};
