/** Ops that only move or repeat elements: the compiler turns them into index arithmetic, never into copies of their own. */
import { type DType, DTYPES } from '../dtype.ts';
import type { Attributes, Node } from '../graph/node.ts';
import { clampIndex, flatten, type Index, integer, ofScalar, plusConstant, stridesOf, times, unflatten } from '../scalar/index-expression.ts';
import * as S from '../scalar/scalar.ts';
import { addDim, type Dim, exceeds, multiplyDim, showShape, subtractDim } from '../shape/dim.ts';
import { concatRule, expandRule, padRule, permuteRule, reshapeRule, sliceRule, takeRule } from '../shape/rules.ts';
import { dimsAttribute, numberAttribute, numbersAttribute } from './attributes.ts';
import { type Apply, type Bounded, type BoundType, type Dense, type LowerSite, type OpDefinition, type Part, type Places, type Reference, uniformLike, unitRoundoff } from './definition.ts';

type Position = readonly number[];
const product = (shape: Position): number => shape.reduce((a, b) => a * b, 1);

/** Row-major place of a position. */
const placeIn = (shape: Position): ((position: Position) => number) => {
  const strides = stridesOf(shape);
  return (position) => {
    let place = 0;
    for (let axis = 0; axis < strides.length; axis++) place += strides[axis]! * position[axis]!;
    return place;
  };
};

/**
 * Where the result's element at a position is copied from: its place in the data operands, laid end to end, or PADDING. The
 * position is one array that the walk changes; it must not be kept.
 */
type Source = (operands: readonly (BoundType & Partial<Dense>)[], attributes: Attributes, result: BoundType) => (position: Position) => number;
const PADDING = -1;

/** Calls `visit` for each position of a shape, row-major. */
const forEachPosition = (shape: Position, visit: (position: Position, place: number) => void): void => {
  const position = shape.map(() => 0);
  for (let place = 0, count = product(shape); place < count; place++) {
    visit(position, place);
    for (let axis = shape.length - 1; axis >= 0 && ++position[axis]! === shape[axis]; axis--) position[axis] = 0;
  }
};

/** The origin of each of some places. */
const originsOf = (places: Places, shape: Position, from: (position: Position) => number): Places => {
  const strides = stridesOf(shape), position = shape.map(() => 0);
  return places.map((place) => {
    for (let axis = 0, rest = place; axis < strides.length; axis++) {
      position[axis] = Math.floor(rest / strides[axis]!);
      rest %= strides[axis]!;
    }
    return from(position);
  });
};

/** Copies of elements at `origins`, places in operands that lie end to end. */
const copies = (origins: Places, operands: readonly BoundType[], padding: number): Part => {
  const counts = operands.map((x) => product(x.shape)), starts = counts.map((_, k) => counts.slice(0, k).reduce((a, b) => a + b, 0));
  const owner = origins.map((origin) => (origin === PADDING ? PADDING : starts.findLastIndex((start, k) => start <= origin && counts[k]! > 0)));
  const { dtype } = operands[0]!;
  return {
    reads: operands.map((_, k) => origins.filter((_origin, i) => owner[i] === k).map((origin) => origin - starts[k]!)),
    compute: (parts) => {
      const fill: Bounded = { shape: [1], dtype, value: Float64Array.of(padding), magnitude: Float64Array.of(Math.abs(padding)), error: Float64Array.of(roundingOf(padding, dtype)) };
      const next = parts.map(() => 0), sources = Array.from(owner, (k) => (k === PADDING ? ([fill, 0] as const) : ([parts[k]!, next[k]!++] as const)));
      const field = (name: 'value' | 'magnitude' | 'error') => Float64Array.from(sources, ([part, i]) => part[name][i]!);
      return { shape: [origins.length], dtype, value: field('value'), magnitude: field('magnitude'), error: field('error') };
    },
  };
};

const endToEnd = (operands: readonly Dense[]): Float64Array => {
  if (operands.length === 1) return operands[0]!.data;
  const all = new Float64Array(operands.reduce((n, x) => n + x.data.length, 0));
  let start = 0;
  for (const { data } of operands) { all.set(data, start); start += data.length; }
  return all;
};

interface MovementRow {
  readonly arity: number | 'any';
  readonly infer: OpDefinition['infer'];
  readonly source: Source;
  /** Operands that hold positions rather than elements. */
  readonly indexOperands?: readonly number[];
  readonly padding?: (attributes: Attributes) => number;
  readonly gradient: OpDefinition['gradient'];
  readonly lower: OpDefinition['lower'];
  readonly dims?: readonly string[];
  readonly view: boolean;
}

/** What a number loses when it is written as a constant of the dtype. */
const roundingOf = (value: number, dtype: DType): number => (dtype === 'f32' && Math.fround(value) === value ? 0 : unitRoundoff(dtype) * Math.abs(value));

const referenceOf = ({ source, padding = () => 0, indexOperands = [] }: MovementRow): Reference => {
  const move = (operands: readonly Dense[], result: BoundType, attributes: Attributes, fill: number): Float64Array => {
    const from = source(operands, attributes, result), data = endToEnd(operands.filter((_, k) => !indexOperands.includes(k)));
    const moved = new Float64Array(product(result.shape));
    forEachPosition(result.shape, (position, place) => {
      const origin = from(position);
      moved[place] = origin === PADDING ? fill : data[origin]!;
    });
    return moved;
  };
  return {
    value: (operands, result, attributes) => move(operands, result, attributes, padding(attributes)),
    bound: (operands, result, attributes) => {
      const moveField = (field: 'magnitude' | 'error', fill: number) =>
        move(operands.map((x, k) => ({ shape: x.shape, dtype: x.dtype, data: indexOperands.includes(k) ? x.value : x[field] })), result, attributes, fill);
      return { magnitude: moveField('magnitude', Math.abs(padding(attributes))), error: moveField('error', roundingOf(padding(attributes), result.dtype)) };
    },
    part: ({ places, operands, result, attributes }) => copies(originsOf(places, result.shape, source(operands, attributes, result)), operands, padding(attributes)),
  };
};

const movement = (row: MovementRow): OpDefinition => ({
  infer: row.infer,
  reference: referenceOf(row),
  gradient: row.gradient,
  lower: row.lower,
  traits: { arity: row.arity, elementwise: false, view: row.view, commutative: false, cost: 0, dims: row.dims ?? [] },
});

/** Shape rule of an op with one operand. */
const inferOne = (op: string, rule: (shape: readonly Dim[], attributes: Attributes) => readonly Dim[] | string): OpDefinition['infer'] =>
  ([x], attributes) => {
    if (x === undefined) return `${op}: takes one operand`;
    const shape = rule(x.shape, attributes);
    return typeof shape === 'string' ? shape : { shape, dtype: x.dtype };
  };

const reshape = movement({
  arity: 1, view: true, dims: ['shape'],
  infer: inferOne('reshape', (shape, attributes) => reshapeRule(shape, dimsAttribute(attributes, 'shape'))),
  source: (_operands, _attributes, result) => placeIn(result.shape),
  gradient: ({ apply, cotangent, node }) => [apply('reshape', [cotangent], { shape: node.inputs[0]!.shape })],
  lower: ({ operands: [x], result, index }) => x!.at(unflatten(flatten(index, result.shape), x!.shape)),
});

const permute = movement({
  arity: 1, view: true,
  infer: inferOne('permute', (shape, attributes) => permuteRule(shape, numbersAttribute(attributes, 'axes'))),
  source: ([x], attributes) => {
    const strides = stridesOf(x!.shape), ofResult = numbersAttribute(attributes, 'axes').map((axis) => strides[axis]!);
    return (position) => position.reduce((place, p, axis) => place + p * ofResult[axis]!, 0);
  },
  gradient: ({ apply, cotangent, node }) => {
    const axes = numbersAttribute(node.attributes, 'axes');
    return [apply('permute', [cotangent], { axes: axes.map((_, axis) => axes.indexOf(axis)) })];
  },
  lower: ({ operands: [x], attributes, index }) => {
    const axes = numbersAttribute(attributes, 'axes');
    return x!.at(axes.map((_, axis) => index[axes.indexOf(axis)]!));
  },
});

const expand = movement({
  arity: 1, view: true, dims: ['shape'],
  infer: inferOne('expand', (shape, attributes) => {
    const to = dimsAttribute(attributes, 'shape');
    return shape.length === to.length ? expandRule(shape, to) : `expand: ${showShape(shape)} has ${shape.length} axes, ${showShape(to)} has ${to.length}`;
  }),
  source: ([x]) => {
    const strides = stridesOf(x!.shape).map((stride, axis) => (x!.shape[axis] === 1 ? 0 : stride));
    return (position) => position.reduce((place, p, axis) => place + p * strides[axis]!, 0);
  },
  gradient: ({ apply, cotangent, node }) => {
    const from = node.inputs[0]!.shape;
    const axes = from.flatMap((dim, axis) => (dim === node.shape[axis] ? [] : [axis]));
    return [axes.length === 0 ? cotangent : apply('reshape', [apply('sum', [cotangent], { axes })], { shape: from })];
  },
  lower: ({ operands: [x], index }) => x!.at(x!.shape.map((size, axis) => (size === 1 ? integer(0) : index[axis]!))),
});

/** Each element in a group of `step` along an axis, where the slice from `start` finds it, with zeros around it. */
const withGaps = (apply: Apply, x: Node, axis: number, step: number, start: Dim): Node => {
  if (step === 1) return x;
  const before = typeof start === 'number' ? start % step : 0, none = x.shape.map(() => 0);
  const groups = apply('reshape', [x], { shape: x.shape.toSpliced(axis + 1, 0, 1) });
  const filled = apply('pad', [groups], { low: [...none, 0].with(axis + 1, before), high: [...none, 0].with(axis + 1, step - 1 - before), value: 0 });
  return apply('reshape', [filled], { shape: x.shape.with(axis, multiplyDim(x.shape[axis]!, step)) });
};

/** The elements along an axis back in the places of an axis of `dim` that a slice took them from, zeros elsewhere. */
const backInPlace = (apply: Apply, x: Node, axis: number, dim: Dim, start: Dim, step: number): Node => {
  const spread = withGaps(apply, x, axis, step, start), none = x.shape.map(() => 0), ones = x.shape.map(() => 1);
  const low = step === 1 || typeof start !== 'number' ? start : start - (start % step), room = subtractDim(dim, low);
  const size = spread.shape[axis]!, fits = room !== undefined && exceeds(size, room) ? room : size; // the gap behind the last element may reach beyond the end
  const high = room === undefined ? undefined : subtractDim(room, fits);
  if (high === undefined) return byPlace(apply, x, axis, dim, start, step);
  const cut = apply('slice', [spread], { starts: none, sizes: spread.shape.with(axis, fits), steps: ones });
  return apply('pad', [cut], { low: none.with(axis, low as 0), high: none.with(axis, high as 0), value: 0 });
};

/** The same where no dimension says how much is missing (`h*w` minus `N`): a product with the places in one-hot form. */
const byPlace = (apply: Apply, x: Node, axis: number, dim: Dim, start: Dim, step: number): Node => {
  const count = x.shape[axis]!, type = { shape: [count, dim], dtype: 'i32' as const };
  const number = (value: Dim): Node => (typeof value === 'number' ? apply('constant', [], { value, dtype: 'i32' }) : apply('size', [], { dim: value, dtype: 'i32' }));
  const wide = (node: Node, shape: readonly Dim[]): Node => apply('expand', [apply('reshape', [node], { shape })], { shape: type.shape });
  const from = apply('add', [apply('mul', [wide(apply('iota', [], { length: count, dtype: 'i32' }), [count, 1]), uniformLike(apply, type, step)], {}), wide(number(start), [1, 1])], {});
  const here = apply('eq', [from, wide(apply('iota', [], { length: dim, dtype: 'i32' }), [1, dim])], {}), of = { shape: type.shape, dtype: x.dtype };
  const oneHot = apply('select', [here, uniformLike(apply, of, 1), uniformLike(apply, of, 0)], {}), names = x.shape.map((_, i) => (i === axis ? 'from' : `a${i}`));
  return apply('einsum', [x, oneHot], { pattern: `${names.join(' ')}, from to -> ${names.with(axis, 'to').join(' ')}` });
};

const slice = movement({
  arity: 1, view: true, dims: ['starts', 'sizes'],
  infer: inferOne('slice', (shape, attributes) =>
    sliceRule(shape, dimsAttribute(attributes, 'starts'), dimsAttribute(attributes, 'sizes'), numbersAttribute(attributes, 'steps'))),
  source: ([x], attributes) => {
    const strides = stridesOf(x!.shape), steps = numbersAttribute(attributes, 'steps').map((step, axis) => step * strides[axis]!);
    const start = placeIn(x!.shape)(numbersAttribute(attributes, 'starts'));
    return (position) => position.reduce((place, p, axis) => place + p * steps[axis]!, start);
  },
  gradient: ({ apply, cotangent, node }) => {
    const { shape } = node.inputs[0]!, starts = dimsAttribute(node.attributes, 'starts'), steps = numbersAttribute(node.attributes, 'steps');
    return [shape.reduce<Node>((x, dim, axis) => backInPlace(apply, x, axis, dim, starts[axis]!, steps[axis]!), cotangent)];
  },
  lower: ({ operands: [x], attributes, index }) => {
    const starts = numbersAttribute(attributes, 'starts'), steps = numbersAttribute(attributes, 'steps');
    return x!.at(index.map((part, axis) => plusConstant(times(part, steps[axis]!), starts[axis]!)));
  },
});

const pad = movement({
  arity: 1, view: false, dims: ['low', 'high'],
  infer: inferOne('pad', (shape, attributes) => padRule(shape, dimsAttribute(attributes, 'low'), dimsAttribute(attributes, 'high'))),
  source: ([x], attributes) => {
    const low = numbersAttribute(attributes, 'low'), { shape } = x!, place = placeIn(shape);
    return (position) => {
      const inner = position.map((p, axis) => p - low[axis]!);
      return inner.every((p, axis) => p >= 0 && p < shape[axis]!) ? place(inner) : PADDING;
    };
  },
  padding: (attributes) => numberAttribute(attributes, 'value'),
  gradient: ({ apply, cotangent, node }) => {
    const sizes = node.inputs[0]!.shape;
    return [apply('slice', [cotangent], { starts: dimsAttribute(node.attributes, 'low'), sizes, steps: sizes.map(() => 1) })];
  },
  lower: ({ operands: [x], attributes, index, result }) => {
    const low = numbersAttribute(attributes, 'low');
    const inner = index.map((part, axis) => plusConstant(part, -low[axis]!));
    const inside = inner.reduce<S.Scalar>((all, part, axis) =>
      S.both(all, S.both(S.indexAtLeast(part, 0), S.indexBelow(part, x!.shape[axis]!))), S.constant(1, 'bool'));
    const value = S.constant(numberAttribute(attributes, 'value'), result.dtype === 'f16' ? 'f32' : result.dtype);
    // the load is clamped, so that the branch not taken stays in bounds
    return S.select(inside, x!.at(inner.map((part, axis) => clampIndex(part, 0, x!.shape[axis]! - 1))), value);
  },
});

/** Operand k of a concat starts at `starts[k]` along the axis. */
const startsAlong = (shapes: readonly Position[], axis: number): readonly number[] =>
  shapes.map((_, k) => shapes.slice(0, k).reduce((sum, shape) => sum + shape[axis]!, 0));

const replaceAxis = (index: readonly Index[], axis: number, by: Index): readonly Index[] => index.map((part, i) => (i === axis ? by : part));

const lowerConcat = ({ operands, attributes, index }: LowerSite): S.Scalar => {
  const axis = numberAttribute(attributes, 'axis');
  const along = index[axis]!;
  const starts = startsAlong(operands.map((x) => x.shape), axis);
  const part = (k: number): S.Scalar => {
    const x = operands[k]!;
    return x.at(replaceAxis(index, axis, clampIndex(plusConstant(along, -starts[k]!), 0, x.shape[axis]! - 1)));
  };
  // the last operand whose start is not beyond the index
  return operands.slice(1).reduce<S.Scalar>((value, _, k) => {
    const isHere = S.indexAtLeast(along, starts[k + 1]!);
    return isHere.kind === 'constant' ? (isHere.value !== 0 ? part(k + 1) : value) : S.select(isHere, part(k + 1), value);
  }, part(0));
};

const concat = movement({
  arity: 'any', view: false,
  infer: (operands, attributes) => {
    const [first] = operands;
    if (first === undefined) return 'concat: no operands';
    const other = operands.find((x) => x.dtype !== first.dtype);
    if (other !== undefined) return `concat: dtypes differ: ${first.dtype} vs ${other.dtype}`;
    const shape = concatRule(operands.map((x) => x.shape), numberAttribute(attributes, 'axis'));
    return typeof shape === 'string' ? shape : { shape, dtype: first.dtype };
  },
  source: (operands, attributes) => {
    const axis = numberAttribute(attributes, 'axis');
    const starts = startsAlong(operands.map((x) => x.shape), axis);
    const bases = operands.map((_, k) => operands.slice(0, k).reduce((n, x) => n + product(x.shape), 0));
    const places = operands.map((x) => placeIn(x.shape));
    return (position) => {
      const operand = starts.findLastIndex((start, k) => start <= position[axis]! && operands[k]!.shape[axis]! > 0);
      return bases[operand]! + places[operand]!(position.map((p, i) => (i === axis ? p - starts[operand]! : p)));
    };
  },
  gradient: ({ apply, cotangent, node }) => {
    const axis = numberAttribute(node.attributes, 'axis');
    let start: Dim = 0;
    return node.inputs.map((x) => {
      const part = apply('slice', [cotangent], { starts: x.shape.map((_, i) => (i === axis ? start : 0)), sizes: x.shape, steps: x.shape.map(() => 1) });
      start = addDim(start, x.shape[axis]!);
      return part;
    });
  },
  lower: lowerConcat,
});

/** Where in the table an element of a `take` comes from, given what stands at a place of the indices. */
const takenFrom = (x: BoundType, indices: BoundType, attributes: Attributes, picked: (indexPlace: number) => number): ((position: Position) => number) => {
  const axis = numberAttribute(attributes, 'axis'), rank = indices.shape.length, last = x.shape[axis]! - 1;
  const place = placeIn(x.shape), indexPlace = placeIn(indices.shape);
  return (position) => {
    const at = picked(indexPlace(position.slice(axis, axis + rank)));
    return place([...position.slice(0, axis), Math.max(0, Math.min(last, at)), ...position.slice(axis + rank)]);
  };
};

/** Index i32 or u32 element, kept inside the table: an out-of-range label must not read foreign memory. */
const take = movement({
  arity: 2, view: true, indexOperands: [1],
  infer: ([x, indices], attributes) => {
    if (x === undefined || indices === undefined) return 'take: takes a tensor and indices';
    if (DTYPES[indices.dtype].kind !== 'integer') return `take: the indices must be i32 or u32, got ${indices.dtype}`;
    const shape = takeRule('take', x.shape, indices.shape, numberAttribute(attributes, 'axis'));
    return typeof shape === 'string' ? shape : { shape, dtype: x.dtype };
  },
  source: ([x, indices], attributes) => takenFrom(x!, indices!, attributes, (place) => indices!.data![place]!), // given whole, with its data
  // each row of the table gets the sum over the places that picked it: a product with the places in one-hot form
  gradient: ({ apply, cotangent, node }) => {
    const [table, indices] = node.inputs as readonly [Node, Node], axis = numberAttribute(node.attributes, 'axis');
    const count = table.shape[axis]!, { dtype } = indices, spots = [count, ...indices.shape];
    const spread = (x: Node, from: readonly Dim[]): Node => apply('expand', [apply('reshape', [x], { shape: from })], { shape: spots });
    const last = typeof count === 'number' ? apply('constant', [], { value: Math.max(0, count - 1), dtype }) : apply('sub', [apply('size', [], { dim: count, dtype }), apply('constant', [], { value: 1, dtype })], {});
    const below = apply('min', [spread(indices, [1, ...indices.shape]), spread(last, spots.map(() => 1))], {});
    const inside = dtype === 'u32' ? below : apply('max', [below, uniformLike(apply, { shape: spots, dtype }, 0)], {});
    const here = apply('eq', [inside, spread(apply('iota', [], { length: count, dtype }), spots.map((dim, i) => (i === 0 ? dim : 1)))], {});
    const oneHot = apply('select', [here, uniformLike(apply, { shape: spots, dtype: table.dtype }, 1), uniformLike(apply, { shape: spots, dtype: table.dtype }, 0)], {});
    const names = table.shape.map((_, i) => (i === axis ? 'row' : `t${i}`)), picked = indices.shape.map((_, i) => `i${i}`);
    const pattern = `${names.toSpliced(axis, 1, ...picked).join(' ')}, row ${picked.join(' ')} -> ${names.join(' ')}`;
    return [DTYPES[table.dtype].kind === 'float' ? apply('einsum', [cotangent, oneHot], { pattern }) : undefined, undefined];
  },
  lower: ({ operands: [x, indices], attributes, index }) => {
    const axis = numberAttribute(attributes, 'axis'), rank = indices!.shape.length, last = x!.shape[axis]! - 1;
    const picked = indices!.at(index.slice(axis, axis + rank));
    const limit = (value: number) => S.constant(value, picked.type);
    const inside = picked.kind === 'constant' ? integer(Math.max(0, Math.min(last, picked.value)))
      : picked.kind === 'index' ? clampIndex(picked.index, 0, last)
      : ofScalar(S.min(picked.type === 'u32' ? picked : S.max(picked, limit(0)), limit(last)), 0, last);
    return x!.at([...index.slice(0, axis), inside, ...index.slice(axis + rank)]);
  },
});

/** Uncertain indices: their results may be any element between the nearest and the farthest place. */
const takeBound: Reference['bound'] = ([x, indices], result, attributes, value) => {
  const { magnitude, error } = take.reference.bound([x!, indices!], result, attributes, value);
  if (indices!.error.every((e) => e === 0)) return { magnitude, error };
  const at = (shift: number): Float64Array => take.reference.value(
    [{ shape: x!.shape, dtype: x!.dtype, data: x!.value }, { shape: indices!.shape, dtype: indices!.dtype, data: indices!.value.map((i, k) => i + Math.sign(shift) * Math.min(Math.abs(shift), indices!.error[k]!)) }], result, attributes);
  const most = Math.min(Math.ceil(indices!.error.reduce((a, b) => Math.max(a, b), 0)), x!.shape[numberAttribute(attributes, 'axis')]!);
  const largest = x!.error.reduce((a, b) => Math.max(a, b), 0), axis = numberAttribute(attributes, 'axis'), indexPlace = placeIn(indices!.shape);
  const uncertain: number[] = [];
  forEachPosition(result.shape, (position, place) => { if (indices!.error[indexPlace(position.slice(axis, axis + indices!.shape.length))] !== 0) uncertain.push(place); });
  for (let shift = -most; shift <= most; shift++) {
    const other = at(shift);
    for (const i of uncertain) error[i] = Math.max(error[i]!, Math.abs(other[i]! - value[i]!) + largest);
  }
  return { magnitude, error };
};
/** The indices are needed first. An uncertain one may pick any row: the bound is infinite there. */
const takePart: Reference['part'] = ({ places, operands: [x, indices], result, attributes, known }) => {
  const axis = numberAttribute(attributes, 'axis'), rank = indices!.shape.length, indexPlace = placeIn(indices!.shape);
  const picks = known(1, originsOf(places, result.shape, (position) => indexPlace(position.slice(axis, axis + rank))));
  let next = 0;
  const part = copies(originsOf(places, result.shape, takenFrom(x!, indices!, attributes, () => picks.value[next++]!)), [x!], 0);
  return {
    reads: [...part.reads, new Int32Array(0)],
    compute: ([rows]) => {
      const taken = part.compute([rows!]);
      return { ...taken, error: taken.error.map((e, i) => (picks.error[i] === 0 ? e : Infinity)) };
    },
  };
};
const certainTake = { ...take, reference: { ...take.reference, bound: takeBound, part: takePart } };

export const MOVEMENT = { reshape, permute, expand, slice, pad, concat, take: certainTake } as const satisfies Record<string, OpDefinition>;
