/** Ops that fold axes away: `sum`, `reduceMax`, and `einsum`, the contraction that matmul, linear and attention are made of. */
import { DTYPES } from '../dtype.ts';
import type { Node } from '../graph/node.ts';
import { type Index, ofVariable, stridesOf } from '../scalar/index-expression.ts';
import * as S from '../scalar/scalar.ts';
import { einsumRule, reduceRule } from '../shape/rules.ts';
import { numbersAttribute, textAttribute } from './attributes.ts';
import { type BoundType, boundedResult, type Dense, flushError, type OpDefinition, type Places, type Reference, sumRoundoff, uniformLike, unitRoundoff } from './definition.ts';

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Calls `visit(outer, inner)` with the flat positions in the result and in the operand of every element. */
const forEachReduced = (shape: readonly number[], axes: readonly number[], visit: (outer: number, inner: number) => void): void => {
  const kept = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const keptStrides = stridesOf(kept.map((axis) => shape[axis]!));
  const toOuter = shape.map((_, axis) => (axes.includes(axis) ? 0 : keptStrides[kept.indexOf(axis)]!));
  const strides = stridesOf(shape);
  for (let inner = 0, n = product(shape); inner < n; inner++) {
    let outer = 0;
    for (let axis = 0; axis < shape.length; axis++) outer += (Math.floor(inner / strides[axis]!) % shape[axis]!) * toOuter[axis]!;
    visit(outer, inner);
  }
};

const fold = (x: Dense, result: BoundType, axes: readonly number[], start: number, step: (a: number, b: number) => number): Float64Array => {
  const out = new Float64Array(product(result.shape)).fill(start);
  forEachReduced(x.shape, axes, (outer, inner) => { out[outer] = step(out[outer]!, x.data[inner]!); });
  return out;
};
const plusNumbers = (a: number, b: number): number => a + b;
const larger = (a: number, b: number): number => Math.max(a, b);
const foldedCount = (shape: readonly number[], axes: readonly number[]): number => axes.reduce((n, axis) => n * shape[axis]!, 1);

const inferReduction = (op: string): OpDefinition['infer'] => ([x], attributes) => {
  if (x === undefined) return `${op}: takes one operand`;
  if (DTYPES[x.dtype].kind === 'boolean') return `${op}: is not defined for bool; cast to i32 or f32 first`;
  const shape = reduceRule(op, x.shape, numbersAttribute(attributes, 'axes'), false);
  return typeof shape === 'string' ? shape : { shape, dtype: x.dtype };
};

const lowerReduction = (monoid: S.Monoid): OpDefinition['lower'] => ({ operands: [x], attributes, index, variable }) => {
  const axes = numbersAttribute(attributes, 'axes');
  const over = axes.map((axis) => variable(x!.shape[axis]!));
  let next = 0;
  const full: readonly Index[] = x!.shape.map((_, axis) => (axes.includes(axis) ? ofVariable(over[axes.indexOf(axis)]!) : index[next++]!));
  return S.reduce(monoid, over.filter((v) => v.extent > 1), x!.at(full));
};

const traits = { elementwise: false, view: false, commutative: false, cost: 1, dims: [] } as const;
const wrapInteger = (data: Float64Array, dtype: BoundType['dtype']): Float64Array =>
  dtype === 'i32' ? data.map((x) => Number(BigInt.asIntN(32, BigInt(x)))) : dtype === 'u32' ? data.map((x) => Number(BigInt.asUintN(32, BigInt(x)))) : data;

/** Position, in an operand with `strides`, of the row-major position `flat` of a space with extents `sizes`. */
const offsetAt = (flat: number, sizes: readonly number[], strides: readonly number[]): number => {
  let offset = 0, rest = flat;
  for (let i = sizes.length - 1; i >= 0; i--) {
    offset += (rest % sizes[i]!) * strides[i]!;
    rest = Math.floor(rest / sizes[i]!);
  }
  return offset;
};

/** What is folded into each place of a result: row n of a table [places, folded] begins at n's start and takes the same steps. */
const rowsOf = (starts: Places, steps: Places): Places => {
  const rows = new Int32Array(starts.length * steps.length);
  for (let n = 0; n < starts.length; n++) for (let k = 0; k < steps.length; k++) rows[n * steps.length + k] = starts[n]! + steps[k]!;
  return rows;
};
const offsets = (count: number, sizes: readonly number[], strides: readonly number[]): Places => Int32Array.from({ length: count }, (_, k) => offsetAt(k, sizes, strides));

/** Some elements of a reduction are a reduction of rows. */
const withRows = (reference: Omit<Reference, 'part'>): Reference => ({
  ...reference,
  part: ({ places, operands: [x], result, attributes }) => {
    const axes = [...numbersAttribute(attributes, 'axes')].sort((a, b) => a - b), strides = stridesOf(x!.shape); // the order of the whole
    const kept = x!.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const of = (own: readonly number[]) => [own.map((axis) => x!.shape[axis]!), own.map((axis) => strides[axis]!)] as const;
    const starts = places.map((place) => offsetAt(place, ...of(kept))), steps = offsets(foldedCount(x!.shape, axes), ...of(axes));
    return {
      reads: [rowsOf(starts, steps)],
      compute: ([rows]) => boundedResult(reference, [{ ...rows!, shape: [places.length, steps.length] }], { shape: [places.length], dtype: result.dtype }, { axes: [1] }),
    };
  },
});

const sum: OpDefinition = {
  infer: inferReduction('sum'),
  reference: withRows({
    value: ([x], result, attributes) => wrapInteger(fold(x!, result, numbersAttribute(attributes, 'axes'), 0, plusNumbers), result.dtype),
    bound: ([x], result, attributes) => {
      const axes = numbersAttribute(attributes, 'axes');
      const total = (data: Float64Array) => fold({ shape: x!.shape, dtype: x!.dtype, data }, result, axes, 0, plusNumbers);
      const magnitude = total(x!.magnitude), error = total(x!.error);
      const n = foldedCount(x!.shape, axes);
      const roundoff = DTYPES[result.dtype].kind === 'float' ? sumRoundoff(n, result.dtype) + (result.dtype === 'f16' ? unitRoundoff('f16') : 0) : 0;
      return { magnitude, error: error.map((e, i) => e + roundoff * magnitude[i]! + n * flushError(result.dtype)) };
    },
  }),
  gradient: ({ apply, cotangent, node }) => {
    const shape = node.inputs[0]!.shape;
    const axes = numbersAttribute(node.attributes, 'axes');
    return [apply('expand', [apply('reshape', [cotangent], { shape: shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim)) })], { shape })];
  },
  lower: lowerReduction('sum'),
  traits: { ...traits, arity: 1 },
};

const reduceMax: OpDefinition = {
  infer: inferReduction('reduceMax'),
  reference: withRows({
    value: ([x], result, attributes) => fold(x!, result, numbersAttribute(attributes, 'axes'), -Infinity, larger),
    bound: ([x], result, attributes) => {
      const axes = numbersAttribute(attributes, 'axes');
      const most = (data: Float64Array) => fold({ shape: x!.shape, dtype: x!.dtype, data }, result, axes, 0, larger);
      return { magnitude: most(x!.magnitude), error: most(x!.error) };
    },
  }),
  // places that share the maximum share the cotangent, as in torch.amax
  gradient: ({ apply, cotangent, node }) => {
    const [x] = node.inputs as readonly [Node], axes = numbersAttribute(node.attributes, 'axes');
    const spread = (folded: Node): Node =>
      apply('expand', [apply('reshape', [folded], { shape: x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim)) })], { shape: x.shape });
    const largest = apply('select', [apply('eq', [x, spread(node)], {}), uniformLike(apply, x, 1), uniformLike(apply, x, 0)], {});
    return [apply('mul', [largest, spread(apply('div', [cotangent, apply('sum', [largest], { axes })], {}))], {})];
  },
  lower: lowerReduction('max'),
  traits: { ...traits, arity: 1 },
};

/** The names of an einsum pattern: 'b m k, b n k -> b m n'. */
export interface Contraction {
  readonly left: readonly string[];
  readonly right: readonly string[];
  readonly result: readonly string[];
  /** Names that are summed over, in order of appearance. */
  readonly summed: readonly string[];
}
const words = (text: string): readonly string[] => text.trim().split(/\s+/).filter((word) => word !== '');
export const parseContraction = (pattern: string): Contraction => {
  const [operands = '', right = ''] = pattern.split('->');
  const [a = '', b = ''] = operands.split(',');
  const left = words(a), second = words(b), result = words(right);
  return { left, right: second, result, summed: [...new Set([...left, ...second])].filter((name) => !result.includes(name)) };
};

const extentsOf = (names: Contraction, a: readonly number[], b: readonly number[]): ReadonlyMap<string, number> =>
  new Map([...names.left.map((name, i) => [name, a[i]!] as const), ...names.right.map((name, i) => [name, b[i]!] as const)]);

/** Stride of each of `names` in an operand whose axes are `axes`; 0 where it does not appear. */
const stridesIn = (names: readonly string[], axes: readonly string[], shape: readonly number[]): readonly number[] => {
  const strides = stridesOf(shape);
  return names.map((name) => (axes.includes(name) ? strides[axes.indexOf(name)]! : 0));
};
/** The distance between neighbours, if it is the same everywhere: the common case, and many times faster to walk. */
const evenStep = (offsets: Int32Array): number | undefined => {
  const step = (offsets[1] ?? 0) - (offsets[0] ?? 0);
  return offsets.every((offset, k) => offset === k * step) ? step : undefined;
};

/** Σ over the summed names of a · b, for every element of the result. */
const contract = (names: Contraction, a: Dense, b: Dense): Float64Array => {
  const whole = DTYPES[a.dtype].kind === 'integer';
  const extents = extentsOf(names, a.shape, b.shape);
  const sizes = names.result.map((name) => extents.get(name)!), folded = names.summed.map((name) => extents.get(name)!);
  const aOut = stridesIn(names.result, names.left, a.shape), bOut = stridesIn(names.result, names.right, b.shape);
  const aSum = stridesIn(names.summed, names.left, a.shape), bSum = stridesIn(names.summed, names.right, b.shape);
  const count = product(folded);
  const aOffsets = offsets(count, folded, aSum), bOffsets = offsets(count, folded, bSum);
  const aStep = evenStep(aOffsets), bStep = evenStep(bOffsets);
  const out = new Float64Array(product(sizes));
  for (let i = 0; i < out.length; i++) {
    const aStart = offsetAt(i, sizes, aOut), bStart = offsetAt(i, sizes, bOut);
    let total = 0;
    if (aStep !== undefined && bStep !== undefined && !whole) {
      for (let k = 0, i = aStart, j = bStart; k < count; k++, i += aStep, j += bStep) total += a.data[i]! * b.data[j]!;
    } else if (whole) for (let k = 0; k < count; k++) total = (total + Math.imul(a.data[aStart + aOffsets[k]!]!, b.data[bStart + bOffsets[k]!]!)) | 0;
    else for (let k = 0; k < count; k++) total += a.data[aStart + aOffsets[k]!]! * b.data[bStart + bOffsets[k]!]!;
    out[i] = total;
  }
  return out;
};

/** Value and bound of a contraction, whatever its names. */
const contraction: Omit<Reference, 'part'> = {
  value: ([a, b], result, attributes) => wrapInteger(contract(parseContraction(textAttribute(attributes, 'pattern')), a!, b!), result.dtype),
  bound: ([a, b], result, attributes) => {
    const names = parseContraction(textAttribute(attributes, 'pattern'));
    const total = (x: Float64Array, y: Float64Array) => contract(names, { shape: a!.shape, dtype: 'f32', data: x }, { shape: b!.shape, dtype: 'f32', data: y });
    const extents = extentsOf(names, a!.shape, b!.shape);
    const n = names.summed.reduce((count, name) => count * extents.get(name)!, 1);
    const magnitude = total(a!.magnitude, b!.magnitude);
    const left = total(a!.value.map(Math.abs), b!.error), right = total(a!.error, b!.value.map(Math.abs)), cross = total(a!.error, b!.error);
    const float = DTYPES[result.dtype].kind === 'float';
    const roundoff = float ? sumRoundoff(n, result.dtype) + 2 * unitRoundoff(result.dtype) : 0;
    return { magnitude, error: magnitude.map((m, i) => left[i]! + right[i]! + cross[i]! + roundoff * m + n * flushError(result.dtype)) };
  },
};

/** Some elements of a contraction are as many dot products. */
const dotProducts: Reference['part'] = ({ places, operands: [a, b], result, attributes }) => {
  const names = parseContraction(textAttribute(attributes, 'pattern')), extents = extentsOf(names, a!.shape, b!.shape);
  const sizes = names.result.map((name) => extents.get(name)!), folded = names.summed.map((name) => extents.get(name)!), count = product(folded);
  const rows = (own: readonly string[], shape: readonly number[]): Places => {
    const outer = stridesIn(names.result, own, shape);
    return rowsOf(places.map((place) => offsetAt(place, sizes, outer)), offsets(count, folded, stridesIn(names.summed, own, shape)));
  };
  const shape = [places.length, count];
  return {
    reads: [rows(names.left, a!.shape), rows(names.right, b!.shape)],
    compute: ([x, y]) => boundedResult(contraction, [{ ...x!, shape }, { ...y!, shape }], { shape: [places.length], dtype: result.dtype }, { pattern: 'n k, n k -> n' }),
  };
};

const einsum: OpDefinition = {
  infer: ([a, b], attributes) => {
    if (a === undefined || b === undefined) return 'einsum: takes two operands';
    if (a.dtype !== b.dtype) return `einsum: dtypes differ: ${a.dtype} vs ${b.dtype}`;
    if (DTYPES[a.dtype].kind === 'boolean') return 'einsum: is not defined for bool; cast first';
    const shape = einsumRule(textAttribute(attributes, 'pattern'), [a.shape, b.shape]);
    return typeof shape === 'string' ? shape : { shape, dtype: a.dtype };
  },
  reference: { ...contraction, part: dotProducts },
  // the cotangent of one operand is the einsum of the result's cotangent with the other operand
  gradient: ({ apply, cotangent, node }) => {
    const names = parseContraction(textAttribute(node.attributes, 'pattern'));
    const [a, b] = node.inputs;
    const of = (own: readonly string[], otherNames: readonly string[], other: typeof node, shape: typeof node.shape) => {
      const reachable = own.filter((name) => names.result.includes(name) || otherNames.includes(name));
      const partial = apply('einsum', [cotangent, other], { pattern: `${names.result.join(' ')}, ${otherNames.join(' ')} -> ${reachable.join(' ')}` });
      const aligned = apply('reshape', [partial], { shape: own.map((name, i) => (reachable.includes(name) ? shape[i]! : 1)) });
      return apply('expand', [aligned], { shape });
    };
    return [of(names.left, names.right, b!, a!.shape), of(names.right, names.left, a!, b!.shape)];
  },
  lower: ({ operands: [a, b], attributes, index, variable }) => {
    const names = parseContraction(textAttribute(attributes, 'pattern'));
    const extents = extentsOf(names, a!.shape, b!.shape);
    const over = new Map(names.summed.map((name) => [name, variable(extents.get(name)!)]));
    const at = (name: string): Index => {
      const summed = over.get(name);
      return summed === undefined ? index[names.result.indexOf(name)]! : ofVariable(summed);
    };
    return S.reduce('sum', [...over.values()].filter((v) => v.extent > 1), S.mul(a!.at(names.left.map(at)), b!.at(names.right.map(at))));
  },
  traits: { ...traits, arity: 2 },
};

export const REDUCTION = { sum, reduceMax, einsum } as const satisfies Record<string, OpDefinition>;
