/** Einops patterns as nodes: take groups apart (reshape), reorder (permute), insert (expand), group again (reshape). */
import { apply } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import type { Dim, Shape, Substitution } from '../shape/dim.ts';
import { bindNames, dimsOfToken, parsePattern } from '../shape/signature.ts';
import type { NameBindings, Token } from '../shape/signature.ts';
import { permuteTo, reshapeTo } from './build.ts';

/** One axis of the tensor with all groups taken apart. A star stands for several: `*r 0`, `*r 1`. */
interface Axis {
  readonly name: string;
  readonly dim: Dim;
}

/** Sizes given for names; canonical, as a rule sees them. */
export type Sizes = Substitution;

const axesOf = (tokens: readonly Token[], bindings: NameBindings): readonly Axis[] =>
  tokens.flat().filter((word) => word !== '1').flatMap((word) => {
    const dims = dimsOfToken(word, bindings) as Shape; // bound: the rule was checked before
    return word.startsWith('*') ? dims.map((dim, i) => ({ name: `${word} ${i}`, dim })) : [{ name: word, dim: dims[0]! }];
  });

/** Puts the axes of `from` in the order of `to`; axes that are new in `to` are repeated. */
const reorder = (x: Node, from: readonly Axis[], to: readonly Axis[]): Node => {
  const place = new Map(from.map((axis, i) => [axis.name, i]));
  const known = to.filter((axis) => place.has(axis.name));
  const moved = permuteTo(x, known.map((axis) => place.get(axis.name)!));
  if (known.length === to.length) return moved;
  const opened = reshapeTo(moved, to.map((axis) => (place.has(axis.name) ? axis.dim : 1)));
  return apply('expand', [opened], { shape: to.map((axis) => axis.dim) });
};

/** The node of a pattern whose rule holds. */
export const rearranged = (x: Node, text: string, sizes: Sizes): Node => {
  const pattern = parsePattern(text)!;
  const bindings = bindNames('rearrange', pattern, [x.shape], sizes) as NameBindings; // the rule was checked before
  const from = axesOf(pattern.operands[0]!, bindings);
  const to = axesOf(pattern.result, bindings);
  const apart = reshapeTo(x, from.map((axis) => axis.dim));
  const result = pattern.result.flatMap((token) => dimsOfToken(token, bindings) as Shape); // bound, as above
  return reshapeTo(reorder(apart, from, to), result);
};

/** A name for axis `index`: a, b, .. z, a1, .. Equal contractions get equal names and become one node. */
export const letter = (index: number): string => String.fromCharCode(97 + (index % 26)) + (index < 26 ? '' : String(Math.floor(index / 26)));

/** The einsum of one or two operands whose rule holds. */
export const contracted = (text: string, operands: readonly Node[]): Node => {
  const pattern = parsePattern(text)!;
  const bindings = bindNames('einsum', pattern, operands.map((x) => x.shape)) as NameBindings; // the rule was checked before
  const names = new Map<string, string>();
  const namesOf = (tokens: readonly Token[]): readonly string[] =>
    axesOf(tokens, bindings).map(({ name }) => {
      if (!names.has(name)) names.set(name, letter(names.size));
      return names.get(name)!;
    });
  const sides = pattern.operands.map(namesOf);
  const result = namesOf(pattern.result);
  // sizes written as 1 have no name: they go before and come back after
  const plain = operands.map((x, i) => reshapeTo(x, axesOf(pattern.operands[i]!, bindings).map((axis) => axis.dim)));
  const shape = pattern.result.flatMap((token) => dimsOfToken(token, bindings) as Shape); // bound, as above
  return reshapeTo(contract(plain, sides, result), shape);
};

const contract = ([a, b]: readonly Node[], [left, right]: readonly (readonly string[])[], result: readonly string[]): Node => {
  if (b !== undefined) return apply('einsum', [a!, b], { pattern: `${left!.join(' ')}, ${right!.join(' ')} -> ${result.join(' ')}` });
  const summed = left!.flatMap((name, axis) => (result.includes(name) ? [] : [axis]));
  const kept = left!.filter((name) => result.includes(name));
  return permuteTo(summed.length === 0 ? a! : apply('sum', [a!], { axes: summed }), result.map((name) => kept.indexOf(name)));
};
