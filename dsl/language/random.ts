/** Counter-based random numbers: the same key gives the same numbers, on every machine and however the work is split. */
import { apply } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import { canonical } from '../shape/dim.ts';
import type { Canonical, Dim, Shape } from '../shape/dim.ts';
import { literalRule } from '../shape/rules.ts';
import type { IsWide, LiteralRule } from '../shape/rules.ts';
import type { Guard, Result, Tensor } from '../tensor.ts';
import { ruled, typed } from './build.ts';
import { add, cast, cos, log, minimum, mul, neg, sqrt } from './elementwise.ts';
import { index } from './movement.ts';

/** Two u32 words; or two for each part along the first axis, whose elements are then numbered from 0. */
export type Key = Tensor<readonly [2], 'u32'> | Tensor<readonly [Dim, 2], 'u32'>;
type Rule<Op extends string, S extends Shape> = LiteralRule<Op, S> extends Shape ? Canonical<S> : LiteralRule<Op, S>;
type ShapeGuard<Op extends string, S extends Shape> = IsWide<S> extends true ? readonly [...S] : Guard<Rule<Op, S>, readonly [...S]>;

const bits = (key: Node, shape: Shape): Node => apply('randomBits', [key], { shape });
/** Uniform in [0, 1]: the cast to float may round the largest words up to 1. */
const unit = (words: Tensor<['n'], 'u32'>): Tensor<['n'], 'f32'> => mul(cast(words, 'f32'), 2 ** -32);

/** Random u32 words: word i mod 4 of Philox4x32-10 block i div 4 for element i. */
export const randomBits: <const S extends Shape>(key: Key, shape: ShapeGuard<'randomBits', S>) => Result<Rule<'randomBits', S>, 'u32'> = typed(
  (key: Node, shape: Shape) => ruled([key], literalRule('randomBits', canonical(shape)), (known) => bits(key, known)));

// as Tensor<['n']>: one name for whatever the shape is; shapes are checked again at run time
type Words = Tensor<['n'], 'u32'>;
const asWords = (node: Node): Words => node as Words;

/** Uniform in [0, 1), float32. */
export const uniform: <const S extends Shape>(key: Key, shape: ShapeGuard<'uniform', S>) => Result<Rule<'uniform', S>, 'f32'> = typed(
  (key: Node, shape: Shape) =>
    ruled([key], literalRule('uniform', canonical(shape)), (known) => minimum(unit(asWords(bits(key, known))), 1 - 2 ** -24)));

/** Standard normal, float32, by Box and Muller from two words per element. */
export const normal: <const S extends Shape>(key: Key, shape: ShapeGuard<'normal', S>) => Result<Rule<'normal', S>, 'f32'> = typed(
  (key: Node, shape: Shape) =>
    ruled([key], literalRule('normal', canonical(shape)), (known) => {
      const own = key.shape.length - 1, words = bits(key, [...known.slice(0, own), 2, ...known.slice(own)]);
      const [first, second] = [0, 1].map((i) => asWords(index(words as Tensor<[2, 'n'], 'u32'>, own as 0, i as 0))) as [Words, Words]; // as above
      const radius = sqrt(mul(neg(log(minimum(add(unit(first), 2 ** -33), 1))), 2));
      return mul(radius, cos(mul(unit(second), 2 * Math.PI)));
    }));
