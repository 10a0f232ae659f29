/**
 * Flat buffers: the parameters of a model end to end in a few long tensors, so that an optimiser step is a few kernels however many
 * parameters there are.
 *
 * Invariant: every parameter begins at a multiple of 64 elements (256 bytes, where kernels may bind it); the gaps stay zero, since
 * nobody writes gradients there and the optimiser moves nothing whose value and gradient are zero.
 */
import { ROW } from '../../models/training/norm.ts';

export { ROW } from '../../models/training/norm.ts';

/** A parameter's place in its flat buffer. */
export interface Member {
  readonly name: string;
  readonly shape: readonly number[];
  /** Its first element, and how many it has. */
  readonly first: number;
  readonly count: number;
}

export interface FlatBuffer {
  readonly members: readonly Member[];
  /** A multiple of `ROW`. */
  readonly elements: number;
}

const ALIGNMENT = 64;

const upTo = (multiple: number, n: number): number => Math.ceil(n / multiple) * multiple;
const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** The flat buffers of parameters, in order; none is longer than `most` elements unless one parameter alone is. */
export const flatLayout = (shapes: Readonly<Record<string, readonly number[]>>, most: number): readonly FlatBuffer[] => {
  const buffers: { members: Member[]; elements: number }[] = [];
  for (const [name, shape] of Object.entries(shapes)) {
    const count = countOf(shape), last = buffers.at(-1);
    const fits = last !== undefined && last.elements + upTo(ALIGNMENT, count) <= upTo(ROW, most - ROW + 1);
    const home = fits ? last : { members: [], elements: 0 };
    if (!fits) buffers.push(home);
    home.members.push({ name, shape, first: home.elements, count });
    home.elements += upTo(ALIGNMENT, count);
  }
  return buffers.map(({ members, elements }) => ({ members, elements: upTo(ROW, Math.max(1, elements)) }));
};

/** The elements of one flat buffer, given those of each parameter. */
export const flattened = ({ members, elements }: FlatBuffer, values: Readonly<Record<string, ArrayLike<number>>>): Float32Array<ArrayBuffer> => {
  const flat = new Float32Array(elements);
  for (const { name, first } of members) flat.set(values[name] ?? [], first);
  return flat;
};

/** The parameters in the elements of a flat buffer. */
export const unflattened = ({ members }: FlatBuffer, flat: ArrayLike<number>): Readonly<Record<string, Float32Array<ArrayBuffer>>> =>
  Object.fromEntries(members.map(({ name, first, count }) => [name, Float32Array.from({ length: count }, (_, i) => flat[first + i]!)]));
