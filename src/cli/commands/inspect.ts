/** `pixnerd inspect`: what is in a file of tensors, and whether it is a model. */
import * as E from 'fp-ts/Either';
import type { C2iConfig } from '../../../models/pixnerd/config.ts';
import { parameterShapes } from '../../../models/pixnerd/graph.ts';
import { checkWeights } from '../../files/check-weights.ts';
import type { Mismatch } from '../../files/errors.ts';
import { inferC2iConfig, shapesOf } from '../../files/infer-config.ts';
import { openTensorFile } from '../../files/open.ts';
import { elementCount, showShape, type TensorFile } from '../../files/tensor-file.ts';
import { type Weights, weightsOf, weightPrefixes } from '../../files/weights.ts';
import { flag } from '../arguments.ts';
import { command } from '../command.ts';
import { settle } from '../failure.ts';

interface Group {
  /** What the names begin with; '' for plain names. */
  readonly prefix: string;
  readonly tensors: number;
  readonly elements: number;
  readonly dtypes: readonly string[];
}

const NOTHING_MISSING: Mismatch = { missing: [], extra: [], wrongShape: [], wrongDType: [] };

interface Findings {
  readonly file: string;
  readonly format: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly groups: readonly Group[];
  readonly tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[];
  /** The weights that a model would use. */
  readonly model?: { readonly prefix: string; readonly config: C2iConfig; readonly parameters: number } & Mismatch;
  /** Why there is no model. */
  readonly problem?: string;
  /** Where values are not finite. */
  readonly damaged?: readonly string[];
}

const prefixOf = (name: string): string => weightPrefixes.find((prefix) => name.startsWith(prefix)) ?? /^[^.]+\./.exec(name)?.[0] ?? '';

const groupsOf = ({ tensors }: TensorFile): readonly Group[] => {
  const plain = ![...tensors.keys()].some((name) => weightPrefixes.some((prefix) => name.startsWith(prefix)));
  const groups = new Map<string, { tensors: number; elements: number; dtypes: Set<string> }>();
  for (const [name, { shape, dtype }] of tensors) {
    const prefix = plain ? '' : prefixOf(name);
    const group = groups.get(prefix) ?? { tensors: 0, elements: 0, dtypes: new Set() };
    groups.set(prefix, { tensors: group.tensors + 1, elements: group.elements + elementCount(shape), dtypes: group.dtypes.add(dtype) });
  }
  return [...groups].map(([prefix, { tensors: count, elements, dtypes }]) => ({ prefix, tensors: count, elements, dtypes: [...dtypes] }));
};

const modelIn = (weights: Weights): Pick<Findings, 'model' | 'problem'> => {
  const config = inferC2iConfig(shapesOf(weights), weights.path);
  if (E.isLeft(config)) return { problem: config.left.message };
  const shapes = new Map(Object.entries(parameterShapes(config.right)));
  const checked = checkWeights(weights, shapes);
  const parameters = [...shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0);
  const mismatch = E.isLeft(checked) ? (checked.left.mismatch ?? NOTHING_MISSING) : NOTHING_MISSING;
  return { model: { prefix: weights.prefix, config: config.right, parameters, ...mismatch } };
};

/** The weights of an open file, or why there are none. */
const weightsIn = (file: TensorFile): Weights | string => {
  try {
    return weightsOf(file);
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === 'FileFault') return thrown.message;
    throw thrown;
  }
};

const findDamage = async (weights: Weights): Promise<readonly string[]> => {
  const damaged: string[] = [];
  for (const name of weights.names()) {
    const read = await weights.read(name)();
    if (E.isLeft(read)) damaged.push(read.left.message);
  }
  return damaged;
};

const examine = async (file: TensorFile, check: boolean): Promise<Findings> => {
  const weights = weightsIn(file);
  const model = typeof weights === 'string' ? { problem: weights } : modelIn(weights);
  const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const damaged = check && typeof weights !== 'string' ? { damaged: await findDamage(weights) } : {};
  return { file: file.path, format: file.format, metadata: file.metadata, groups: groupsOf(file), tensors, ...model, ...damaged };
};

const count = (n: number): string => n.toLocaleString('en-US');
const shortened = (value: string): string => (value.length > 100 ? `${value.slice(0, 97)}...` : value);

const listed = (title: string, lines: readonly string[], most = 12): readonly string[] =>
  lines.length === 0
    ? []
    : [
        `  ${title} (${lines.length}):`,
        ...lines.slice(0, most).map((line) => `    ${line}`),
        ...(lines.length > most ? [`    ... and ${lines.length - most} more (--json lists all)`] : []),
      ];

const modelLines = ({ model, problem }: Findings): readonly string[] => {
  if (model === undefined) return ['no class-to-image model:', `  ${problem ?? ''}`];
  const { prefix, config, parameters, missing, extra, wrongShape, wrongDType } = model;
  const transformers = config.num_cond_blocks,
    nerfs = config.num_blocks - transformers;
  const whole = missing.length + extra.length + wrongShape.length + wrongDType.length === 0;
  return [
    `class-to-image model${prefix === '' ? '' : ` (${prefix}*)`}: ${count(parameters)} parameters`,
    `  width ${config.hidden_size}, ${config.num_groups} heads, ${transformers} transformer and ${nerfs} NeRF blocks, patch ${config.patch_size}`,
    `  NeRF width ${config.hidden_size_x}, ratio ${config.nerf_mlpratio}, ${config.in_channels} channels`,
    `  ${config.num_classes} classes and the null class`,
    ...(whole ? ['  nothing is missing'] : []),
    ...listed('missing', missing),
    ...listed('not of this model', extra),
    ...listed(
      'of another shape',
      wrongShape.map(({ name, got, want }) => `${name} is ${showShape(got)}, the model needs ${showShape(want)}`),
    ),
    ...listed(
      'not floating-point',
      wrongDType.map(({ name, got }) => `${name} is ${got}`),
    ),
  ];
};

const lines = (findings: Findings, all: boolean): readonly string[] => [
  `${findings.file}: ${findings.format}, ${findings.tensors.length} tensors`,
  ...findings.groups.map(
    ({ prefix, tensors, elements, dtypes }) =>
      `  ${prefix === '' ? 'plain names' : `${prefix}*`}: ${tensors} tensors, ${count(elements)} elements, ${dtypes.join(', ')}`,
  ),
  ...Object.entries(findings.metadata).map(([key, value]) => `  ${key}: ${shortened(value)}`),
  ...modelLines(findings),
  ...(findings.damaged === undefined ? [] : findings.damaged.length === 0 ? ['all values are finite'] : listed('damaged', findings.damaged)),
  ...(all ? ['tensors:', ...findings.tensors.map(({ name, dtype, shape }) => `  ${name}  ${dtype} ${showShape(shape)}`)] : []),
];

export const inspect = command({
  name: 'inspect',
  summary: 'shows what is in a checkpoint or safetensors file: tensors, model, parameters, what is missing',
  operands: { placeholder: 'FILE', least: 1, most: 1, help: 'a .ckpt, a safetensors file, the index of a sharded one, or a folder with one' },
  options: {
    tensors: flag('lists every tensor with its format and shape'),
    check: flag('reads all weights and reports values that are not finite'),
    json: flag('everything as JSON'),
  },
  examples: [['pixnerd inspect models/weights/fashion.safetensors', 'the model that comes with the package']],
  run: async ({ values: { tensors, check, json }, operands: [path] }, { out }) => {
    const file = await settle(openTensorFile(path!)); // one operand, checked
    const findings = await examine(file, check);
    await file.close();
    if (json) out(JSON.stringify(findings, null, 2));
    else for (const line of lines(findings, tensors)) out(line);
  },
});
