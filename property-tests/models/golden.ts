/** Reads golden files and judges tensors by `tolerances.json`, for the tests of `models`. */
import { readFileSync } from 'node:fs';

const FOLDER = new URL('../goldens/', import.meta.url);

export interface GoldenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}
export interface Golden {
  readonly file: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, GoldenTensor>;
}

const ELEMENTS: Record<string, (bytes: ArrayBuffer) => ArrayLike<number>> = {
  F32: (bytes) => new Float32Array(bytes),
  F64: (bytes) => new Float64Array(bytes),
  U8: (bytes) => new Uint8Array(bytes),
  I64: (bytes) => Array.from(new BigInt64Array(bytes), Number),
};

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** All tensors of one of the project's goldens, as doubles. */
export const readGolden = (file: string): Golden => ({ ...readGoldenFile(new URL(`${file}.safetensors`, FOLDER)), file });

/** The same of any file. */
export const readGoldenFile = (path: string | URL): Golden => {
  const raw = readFileSync(path);
  const bytes = raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength);
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length))) as {
    readonly __metadata__: Record<string, string>;
  } & Record<string, Entry>; // the format of safetensors
  const tensors = new Map(
    Object.entries(entries as Record<string, Entry>).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { dtype, shape, data: Float64Array.from(ELEMENTS[dtype]!(bytes.slice(8 + length + from, 8 + length + to))) }],
    ),
  );
  return { file: String(path), metadata, tensors };
};

export const tensorOf = (golden: Golden, name: string): GoldenTensor => {
  const tensor = golden.tensors.get(name);
  if (tensor === undefined) throw new Error(`${golden.file} has no tensor ${name}`);
  return tensor;
};

interface Rule {
  readonly file: string;
  readonly tensor: string;
  readonly relrms?: number;
  readonly relmax?: number;
  readonly abs?: number;
  readonly exact?: boolean;
  readonly rms_over_all_parameters?: number;
}
const RULES = (JSON.parse(readFileSync(new URL('tolerances.json', FOLDER), 'utf8')) as { readonly rules: readonly Rule[] }).rules;
const SPECIAL: Record<string, string> = { '*': '.*', '{': '(', '}': ')', ',': '|', '[': '[', ']': ']' };
/** Globs of `*`, `{a,b}` and `[ab]`, as the rules use them. */
const globbed = (text: string, pattern: string): boolean =>
  new RegExp(`^${pattern.replace(/[^\w]/g, (mark) => SPECIAL[mark] ?? `\\${mark}`)}$`).test(text);
const ruleFor = (file: string, tensor: string): Rule =>
  RULES.find((rule) => globbed(`${file}.safetensors`, rule.file) && globbed(tensor, rule.tensor))!;

const rms = (values: ArrayLike<number>): number => Math.sqrt(Array.from(values).reduce((sum, x) => sum + x * x, 0) / values.length);
const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** Undefined where `got` agrees with the golden's tensor; otherwise what is wrong with it. `out.x` is judged by `out64.x` where that is there. */
export const disagreement = (golden: Golden, name: string, got: ArrayLike<number>): string | undefined => {
  const better = name.replace(/^out\./, 'out64.');
  const want = (golden.tensors.get(better) ?? tensorOf(golden, name)).data;
  if (got.length !== want.length) return `${golden.file} ${name}: ${got.length} elements, expected ${want.length}`;
  const difference = Float64Array.from(want, (value, i) => got[i]! - value);
  const rule = ruleFor(golden.file, name);
  const measured = {
    relrms: rms(want) === 0 ? rms(difference) : rms(difference) / rms(want),
    relmax: largest(want) === 0 ? largest(difference) : largest(difference) / largest(want),
    abs: largest(difference),
  };
  const limits = rule.exact === true ? { abs: 0 } : { relrms: rule.relrms, relmax: rule.relmax, abs: rule.abs };
  const over = (Object.entries(limits) as [keyof typeof measured, number | undefined][]).filter(
    ([key, limit]) => limit !== undefined && !(measured[key] <= limit),
  );
  return over.length === 0 ? undefined : `${golden.file} ${name}: ${over.map(([key, limit]) => `${key} ${measured[key]} > ${limit}`).join(', ')}`;
};

/** What is wrong with all parameters of each run of a file taken together, where a rule says how far they may be; one element alone may be far off. */
export const disagreementOverAll = (golden: Golden, values: Readonly<Record<string, ArrayLike<number>>>): readonly string[] => {
  const groups = new Map<string, number[]>();
  for (const [name, { data }] of golden.tensors) {
    const group = /^out\..+?\.(?:param|ema)(?=\.)/.exec(name)?.[0];
    if (group === undefined || ruleFor(golden.file, name).rms_over_all_parameters === undefined) continue;
    groups.set(group, [...(groups.get(group) ?? []), ...data.map((want, i) => values[name]![i]! - want)]);
  }
  return [...groups].flatMap(([group, differences]) => {
    const most = ruleFor(golden.file, `${group}.`).rms_over_all_parameters!, over = rms(differences);
    return over <= most ? [] : `${golden.file} ${group}.*: rms ${over} > ${most}`;
  });
};
