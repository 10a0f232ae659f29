/** How movement ops are used in random programs: their attributes drawn so that the shape rules hold. */
import type { DType } from '../../dsl/dtype.ts';
import { apply } from '../../dsl/graph/apply.ts';
import type { Attributes, Node } from '../../dsl/graph/node.ts';
import type { Draw } from './draw.ts';
import { countOf, drawShape, existing, MOST_ELEMENTS, operand, shapeOf, type Workshop } from './workshop.ts';

const INTEGER: readonly DType[] = ['i32', 'u32'];
export const ANY: readonly DType[] = ['f32', 'f32', 'f32', 'i32', 'u32', 'bool'];

const axesOf = (node: Node): readonly number[] => node.shape.map((_, axis) => axis);

const factorsOf = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i + 1).filter((i) => n % i === 0);
/** Another shape of as many elements, with a size 1 now and then. */
const reshaped = (draw: Draw, count: number): readonly number[] => {
  const shape: number[] = [];
  let rest = count;
  for (let axes = draw.between(0, 4); axes > 0; axes--) {
    const factor = draw.pick(factorsOf(rest));
    shape.push(factor);
    rest /= factor;
  }
  return rest === 1 && (shape.length > 0 || draw.chance(50)) ? shape : [...shape, rest];
};
export const makeReshape = (workshop: Workshop): Node => {
  const x = operand(workshop, ANY);
  return apply('reshape', [x], { shape: reshaped(workshop.draw, countOf(shapeOf(x))) });
};

export const makePermute = (workshop: Workshop): Node => {
  const x = operand(workshop, ANY, (node) => node.shape.length > 1);
  return apply('permute', [x], { axes: workshop.draw.shuffled(axesOf(x)) });
};

/** Grows axes of size 1; a tensor without any gets one first. */
export const makeExpand = (workshop: Workshop): Node | undefined => {
  const { draw } = workshop,
    found = operand(workshop, ANY),
    at = draw.below(found.shape.length + 1);
  const x = shapeOf(found).includes(1) && draw.chance(70) ? found : apply('reshape', [found], { shape: shapeOf(found).toSpliced(at, 0, 1) });
  const shape = shapeOf(x).map((size) => (size === 1 && draw.chance(70) ? draw.between(1, 6) : size));
  return countOf(shape) > MOST_ELEMENTS || shape.length > 6 ? undefined : apply('expand', [x], { shape });
};

const sliceAttributes = (draw: Draw, shape: readonly number[]): Attributes => {
  const steps = shape.map(() => (draw.chance(25) ? draw.between(2, 3) : 1)),
    starts = shape.map((size) => (draw.chance(50) ? draw.below(size) : 0));
  const room = shape.map((size, axis) => Math.floor((size - 1 - starts[axis]!) / steps[axis]!) + 1);
  return { starts, sizes: room.map((most) => (draw.chance(40) ? draw.between(1, most) : most)), steps };
};
export const makeSlice = (workshop: Workshop): Node => {
  const x = operand(workshop, ANY);
  return apply('slice', [x], sliceAttributes(workshop.draw, shapeOf(x)));
};

export const makePad = (workshop: Workshop): Node | undefined => {
  const { draw, mode } = workshop,
    x = operand(workshop, ANY);
  const side = (): readonly number[] => x.shape.map(() => (draw.chance(50) ? draw.between(1, 3) : 0));
  const low = side(),
    high = side();
  if (countOf(shapeOf(x).map((size, axis) => size + low[axis]! + high[axis]!)) > 2 * MOST_ELEMENTS) return undefined;
  const value = x.dtype === 'bool' ? draw.below(2) : x.dtype === 'f32' && mode === 'general' ? draw.pick([0, 0.5, -1e30]) : draw.below(3);
  return apply('pad', [x], { low, high, value });
};

/** The same tensor again, a part of it, another that fits, or a new one. */
const concatPart = (workshop: Workshop, x: Node, axis: number): Node => {
  const { draw } = workshop,
    fits = (node: Node): boolean =>
      node.dtype === x.dtype && node.shape.length === x.shape.length && node.shape.every((size, i) => i === axis || size === x.shape[i]);
  const found = draw.chance(60) ? existing(workshop, fits) : undefined;
  return found ?? workshop.input(shapeOf(x).with(axis, draw.between(1, 5)), x.dtype);
};
export const makeConcat = (workshop: Workshop): Node | undefined => {
  const { draw } = workshop,
    x = operand(workshop, ANY, (node) => node.shape.length > 0),
    axis = draw.below(x.shape.length);
  const others = Array.from({ length: draw.between(0, 3) }, () => concatPart(workshop, x, axis));
  const node = apply('concat', draw.shuffled([x, ...others]), { axis });
  return countOf(shapeOf(node)) > 2 * MOST_ELEMENTS ? undefined : node;
};

/** Indices of any rank, some of them outside the axis. */
export const makeTake = (workshop: Workshop): Node | undefined => {
  const { draw } = workshop,
    x = operand(workshop, ANY, (node) => node.shape.length > 0),
    axis = draw.below(x.shape.length);
  const found = draw.chance(60)
    ? existing(workshop, (node) => INTEGER.includes(node.dtype) && node.shape.length <= 2 && countOf(shapeOf(node)) <= 24)
    : undefined;
  const indices =
    found ??
    workshop.input(
      drawShape(draw, 0, 2).map((size) => Math.min(size, 7)),
      draw.pick(INTEGER),
    );
  const node = apply('take', [x, indices], { axis });
  return countOf(shapeOf(node)) > 2 * MOST_ELEMENTS || node.shape.length > 6 ? undefined : node;
};
