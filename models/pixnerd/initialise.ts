/**
 * First weights, as the authors' code draws them (repository MCG-NJU/PixNerd): torch's default for linear layers, modulations and weight
 * generators among them; Xavier for the patch embedder, normals of 0.02 for class table and time, zeros for the last layer, so that the
 * velocity begins at zero. Unlike DiT and SiT, modulations are not zero: a block does not begin as the identity.
 *
 * Invariant: a weight depends on (seed, name of its parameter, place) alone. The numbers are ours, the distributions theirs.
 */
import { philox4x32 } from '../../dsl/scalar/philox.ts';
import { boxMuller } from '../noise/philox.ts';
import { fnv1a32 } from '../recipe.ts';
import type { C2iConfig } from './config.ts';
import { parameterShapes } from './graph.ts';

const WORD = 2 ** -32;
/** Numbers made from two random words each; the key tells parameters apart by their names. */
const drawn = (seed: number, name: string, count: number, make: (a: number, b: number) => number): Float32Array<ArrayBuffer> => {
  const key = [seed >>> 0, fnv1a32(name) >>> 0] as const, values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const [a, b, c, d] = philox4x32([i >>> 1, Math.floor(seed / 2 ** 32) >>> 0, 0, 0], key);
    values[i] = make(a, b);
    if (i + 1 < count) values[i + 1] = make(c, d);
  }
  return values;
};
const uniform = (limit: number) => (a: number): number => limit * (2 * a * WORD - 1);
const normal = (deviation: number) => (a: number, b: number): number => deviation * boxMuller(a, b)[0];

type Rule = (shape: readonly number[], weight: readonly number[]) => ((a: number, b: number) => number) | number;
/** The first rule whose name fits; `weight` is the shape of the layer's matrix. */
const RULES: readonly (readonly [RegExp, Rule])[] = [
  [/(^|\.)(norm\d?|q_norm|k_norm)\.weight$/, () => 1],
  [/^s_embedder\.proj\.weight$/, ([out, inner]) => uniform(Math.sqrt(6 / (out! + inner!)))],
  [/^s_embedder\.proj\.bias$/, () => 0],
  [/^y_embedder\.embedding_table\.weight$/, () => normal(0.02)],
  [/^t_embedder\.mlp\.\d\.weight$/, () => normal(0.02)],
  [/^final_layer\.linear\.(weight|bias)$/, () => 0],
  [/./, (_shape, weight) => uniform(1 / Math.sqrt(weight.at(-1)!))],
];

type Weights = Readonly<Record<string, Float32Array<ArrayBuffer>>>;

/** The first weights of parameters by name and shape: those of the class model, and of linear layers beside it, such as the projector of an alignment. */
export const firstWeights = (shapes: Readonly<Record<string, readonly number[]>>, seed: number): Weights =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => {
    const [, rule] = RULES.find(([pattern]) => pattern.test(name))!, made = rule(shape, shapes[name.replace(/bias$/, 'weight')] ?? shape); // the last fits all
    const count = shape.reduce((a, b) => a * b, 1);
    return [name, typeof made === 'number' ? new Float32Array(count).fill(made) : drawn(seed, name, count, made)];
  }));

/** The first weights of a model, by official name. */
export const initialise = (config: C2iConfig, seed: number): Weights => firstWeights(parameterShapes(config), seed);
