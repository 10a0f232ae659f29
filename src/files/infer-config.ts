/**
 * Reads the configuration of a class-to-image PixNerd off the shapes of its tensors, since checkpoints do not store it.
 *
 * Every number is derived from one tensor and compared with every other that depends on it; all contradictions are reported together.
 */
import * as E from 'fp-ts/Either';
import { fileError } from './errors.ts';
import type { FileError } from './errors.ts';
import { showShape } from './tensor-file.ts';
import type { Weights } from './weights.ts';

/** The constructor arguments of the authors' c2i PixNerDiT, with their names. */
export interface C2iConfig {
  readonly in_channels: number;
  readonly patch_size: number;
  readonly num_groups: number;
  readonly hidden_size: number;
  readonly hidden_size_x: number;
  /** Transformer and NeRF blocks together. */
  readonly num_blocks: number;
  /** Transformer blocks. */
  readonly num_cond_blocks: number;
  readonly nerf_mlpratio: number;
  /** Without the null class. */
  readonly num_classes: number;
}

type Shape = readonly number[];
type Shapes = ReadonlyMap<string, Shape>;
type Report = (problem: string) => void;

/** The configuration, or one 'mismatch' error that lists every missing tensor and contradiction; `path` is for the message. */
export const inferC2iConfig = (shapes: Shapes, path = 'weights'): E.Either<FileError, C2iConfig> => {
  if (isTextModel(shapes))
    return E.left(fileError('unsupported', path, 'these are weights of a text-to-image PixNerd; a class-to-image model is needed'));
  const problems = new Set<string>();
  const config = derive(shapes, (problem) => void problems.add(problem));
  if (config !== undefined && problems.size === 0) return E.right(config);
  return E.left(fileError('mismatch', path, `the size of the model cannot be read off its tensors:${lines([...problems])}`));
};

/** Shapes by name, as `inferC2iConfig` and `checkWeights` take them. */
export const shapesOf = (weights: Pick<Weights, 'names' | 'info'>): Shapes =>
  new Map(weights.names().map((name) => [name, weights.info(name)!.shape])); // every listed name has an entry

const lines = (problems: readonly string[]): string =>
  [...problems.slice(0, 12), ...(problems.length > 12 ? [`... and ${problems.length - 12} more`] : [])].map((line) => `\n    ${line}`).join('');

const isTextModel = (shapes: Shapes): boolean =>
  [...shapes.keys()].some((name) => name === 'y_pos_embedding' || name === 'y_embedder.proj.weight' || name.startsWith('text_refine_blocks.'));

// constants of the architecture: 8 x 8 cosine features of a pixel's place
const pixelFeatures = 64;

const derive = (shapes: Shapes, report: Report): C2iConfig | undefined => {
  const [patchWeight, pixelWeight, classTable, finalWeight] = [
    's_embedder.proj.weight', 'x_embedder.embedder.0.weight', 'y_embedder.embedding_table.weight', 'final_layer.linear.weight',
  ].map((name) => matrix(shapes, name, report)); // prettier-ignore
  const blocks = countBlocks(shapes, report);
  if (!patchWeight || !pixelWeight || !classTable || !finalWeight) return undefined;
  const [hidden, patchInputs] = patchWeight;
  const [channels, pixelWidth] = finalWeight;
  same(report, 'x_embedder.embedder.0.weight', pixelWeight, [pixelWidth, channels + pixelFeatures]);
  same(report, 'y_embedder.embedding_table.weight', classTable, [classTable[0], hidden]);
  if (classTable[0] < 2) report(`y_embedder.embedding_table.weight has ${classTable[0]} rows; at least one class and the null class are needed`);
  return {
    in_channels: channels,
    patch_size: patchSide(patchInputs, channels, report),
    num_groups: headCount(shapes, blocks.transformer, hidden, report),
    hidden_size: hidden,
    hidden_size_x: pixelWidth,
    num_blocks: blocks.transformer.length + blocks.nerf.length,
    num_cond_blocks: blocks.transformer.length,
    nerf_mlpratio: pixelRatio(shapes, blocks.nerf, hidden, pixelWidth, report),
    num_classes: classTable[0] - 1,
  };
};

const matrix = (shapes: Shapes, name: string, report: Report): readonly [number, number] | undefined => {
  const shape = shapes.get(name);
  if (shape === undefined) report(`${name} is missing`);
  else if (shape.length !== 2 || shape.includes(0)) report(`${name} is ${showShape(shape)}, a matrix is needed`);
  else return [shape[0]!, shape[1]!];
  return undefined;
};

const same = (report: Report, name: string, got: Shape, want: Shape): void => {
  if (got.some((size, axis) => size !== want[axis])) report(`${name} is ${showShape(got)}, but the other tensors ask for ${showShape(want)}`);
};

const patchSide = (inputs: number, channels: number, report: Report): number => {
  const side = Math.sqrt(inputs / channels);
  if (!Number.isInteger(side)) report(`s_embedder.proj.weight takes ${inputs} values, which is no square patch of ${channels} channels`);
  return side;
};

interface Blocks {
  readonly transformer: readonly number[];
  readonly nerf: readonly number[];
}

/** Numbers of the blocks by kind; they must run from 0 without a gap, transformer blocks first. */
const countBlocks = (shapes: Shapes, report: Report): Blocks => {
  const numbers = (part: RegExp): readonly number[] =>
    [...new Set([...shapes.keys()].flatMap((name) => Number(part.exec(name)?.[1] ?? NaN)))].filter(Number.isInteger).sort((a, b) => a - b);
  const all = numbers(/^blocks\.(\d+)\./);
  const blocks = { transformer: numbers(/^blocks\.(\d+)\.attn\./), nerf: numbers(/^blocks\.(\d+)\.param_generator1\./) };
  const gap = all.findIndex((block, i) => block !== i);
  if (gap >= 0) report(`blocks.${gap} is missing (blocks.${all.at(-1)} is there)`);
  for (const kind of ['transformer', 'nerf'] as const) if (blocks[kind].length === 0) report(`there are no ${kind} blocks`);
  checkOrder(all, blocks, report);
  return blocks;
};

const checkOrder = (all: readonly number[], { transformer, nerf }: Blocks, report: Report): void => {
  const unknown = all.find((block) => transformer.includes(block) === nerf.includes(block));
  if (unknown !== undefined) report(`blocks.${unknown} is neither a transformer block (attn) nor a NeRF block (param_generator1)`);
  else if ((transformer.at(-1) ?? -1) > (nerf[0] ?? Infinity)) report(`blocks.${transformer.at(-1)} is a transformer block behind a NeRF block`);
};

const headCount = (shapes: Shapes, transformer: readonly number[], hidden: number, report: Report): number => {
  const widths = transformer.map((block) => vectorLength(shapes, `blocks.${block}.attn.q_norm.weight`, report));
  const width = agreed(widths, (i) => `blocks.${transformer[i]}.attn.q_norm.weight`, report);
  if (width === undefined) return NaN;
  if (hidden % width !== 0) report(`the hidden size ${hidden} is not a multiple of the head size ${width} (length of attn.q_norm.weight)`);
  if (width % 4 !== 0) report(`head_dim is ${width}, but must be a multiple of 4: the rotary embedding turns pairs of channels on two axes`);
  return hidden / width;
};

const vectorLength = (shapes: Shapes, name: string, report: Report): number | undefined => {
  const shape = shapes.get(name);
  if (shape === undefined) report(`${name} is missing`);
  else if (shape.length !== 1 || shape[0] === 0) report(`${name} is ${showShape(shape)}, a vector is needed`);
  else return shape[0];
  return undefined;
};

/** The value that all blocks have in common. */
const agreed = (values: readonly (number | undefined)[], nameOf: (i: number) => string, report: Report): number | undefined => {
  const value = values.find((candidate) => candidate !== undefined);
  const other = values.findIndex((candidate) => candidate !== undefined && candidate !== value);
  if (other >= 0) report(`${nameOf(other)} has ${values[other]} entries where the first block has ${value}`);
  return value;
};

const pixelRatio = (shapes: Shapes, nerf: readonly number[], hidden: number, pixelWidth: number, report: Report): number => {
  const nameOf = (i: number): string => `blocks.${nerf[i]}.param_generator1.0.weight`;
  const generators = nerf.map((_, i) => matrix(shapes, nameOf(i), report));
  for (const [i, shape] of generators.entries()) if (shape) same(report, nameOf(i), shape, [shape[0], hidden]);
  const rows = agreed(generators.map((shape) => shape?.[0]), nameOf, report); // prettier-ignore
  if (rows === undefined) return NaN;
  const ratio = rows / (2 * pixelWidth ** 2);
  if (!Number.isInteger(ratio))
    report(`${nameOf(0)} has ${rows} rows, which is no multiple of 2 * ${pixelWidth}^2 (two matrices of NeRF width ${pixelWidth})`);
  return ratio;
};
