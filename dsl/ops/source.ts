/** Ops that make tensors out of nothing: inputs, constants, index ramps, random bits. */
import { type DType, DTYPES } from '../dtype.ts';
import { flatten, integer, quotient, remainder } from '../scalar/index-expression.ts';
import { philox4x32, philoxScalars } from '../scalar/philox.ts';
import { showShape } from '../shape/dim.ts';
import * as S from '../scalar/scalar.ts';
import type { Scalar, ScalarType } from '../scalar/scalar.ts';
import { dimAttribute, dimsAttribute, dtypeAttribute, literalAttribute, numberAttribute } from './attributes.ts';
import { type Bounded, boundedResult, elementsAt, type OpDefinition, type Reference, type Traits, unitRoundoff } from './definition.ts';

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const traits: Traits = { arity: 0, elementwise: false, view: false, commutative: false, cost: 0, dims: [] };
const notHere = (op: string) => (): never => { throw new Error(`invariant: '${op}' has no value of its own; the evaluator or compiler supplies it`); };

/** Exact data: no error, magnitude is the absolute value. */
const exact = (_operands: readonly Bounded[], _result: unknown, _attributes: unknown, value: Float64Array) =>
  ({ magnitude: value.map(Math.abs), error: new Float64Array(value.length) });
/** Data rounded once to its dtype. */
const roundedOnce = (_operands: readonly Bounded[], result: { readonly dtype: DType }, _attributes: unknown, value: Float64Array) => ({
  magnitude: value.map(Math.abs),
  error: value.map((x) => (result.dtype === 'f32' && Math.fround(x) === x ? 0 : unitRoundoff(result.dtype) * Math.abs(x))),
});
/** Without operands the whole is cheap: the wanted elements are picked out of it. */
const fromWhole = (reference: Omit<Reference, 'part'>): Reference => ({
  ...reference,
  part: ({ places, result, attributes }) => ({ reads: [], compute: () => elementsAt(boundedResult(reference, [], result, attributes), places) }),
});
const scalarType = (dtype: DType): ScalarType => (dtype === 'f16' ? 'f32' : dtype);

/** A tensor that the caller gives: model input or parameter. */
const input: OpDefinition = {
  infer: (_operands, attributes) => ({ shape: dimsAttribute(attributes, 'shape'), dtype: dtypeAttribute(attributes) }),
  reference: { value: notHere('input'), bound: exact, part: notHere('input') },
  gradient: 'not differentiable', lower: notHere('input'), traits: { ...traits, dims: ['shape'] },
};

/** One number, shape []. */
const constant: OpDefinition = {
  infer: (_operands, attributes) => ({ shape: [], dtype: dtypeAttribute(attributes) }),
  reference: fromWhole({ value: (_operands, _result, attributes) => Float64Array.of(numberAttribute(attributes, 'value')), bound: roundedOnce }),
  gradient: 'not differentiable',
  lower: ({ attributes, result }) => S.constant(numberAttribute(attributes, 'value'), scalarType(result.dtype)),
  traits,
};

/** A tensor known at compile time. */
const literal: OpDefinition = {
  infer: (_operands, attributes) => {
    const shape = dimsAttribute(attributes, 'shape'), { data } = literalAttribute(attributes);
    return product(shape as readonly number[]) === data.length ? { shape, dtype: dtypeAttribute(attributes) }
      : `literal: ${data.length} elements do not fill the shape [${shape.join(', ')}]`;
  },
  reference: fromWhole({ value: (_operands, _result, attributes) => literalAttribute(attributes).data, bound: roundedOnce }),
  gradient: 'not differentiable', lower: notHere('literal'), traits,
};

/** The value of a dim, known once sizes are bound. */
const size: OpDefinition = {
  infer: (_operands, attributes) => ({ shape: [], dtype: dtypeAttribute(attributes) }),
  reference: fromWhole({ value: (_operands, _result, attributes) => Float64Array.of(numberAttribute(attributes, 'dim')), bound: roundedOnce }),
  gradient: 'not differentiable',
  lower: ({ attributes, result }) => S.constant(numberAttribute(attributes, 'dim'), scalarType(result.dtype)),
  traits: { ...traits, dims: ['dim'] },
};

/** 0, 1, 2, ... */
const iota: OpDefinition = {
  infer: (_operands, attributes) => {
    const dtype = dtypeAttribute(attributes);
    return DTYPES[dtype].kind === 'boolean' ? 'iota: is not defined for bool' : { shape: [dimAttribute(attributes, 'length')], dtype };
  },
  reference: fromWhole({ value: (_operands, result) => Float64Array.from({ length: result.shape[0]! }, (_, i) => i), bound: roundedOnce }),
  gradient: 'not differentiable',
  lower: ({ index: [i], result }) => S.fromIndex(i!, scalarType(result.dtype)),
  traits: { ...traits, dims: ['length'] },
};

/**
 * Word (i mod 4) of Philox block (i div 4) for element i: independent of how the tensor is split. A key for each of the first axes
 * (shape [..., 2]) numbers the elements of each part from 0.
 */
const randomWord = (key: ArrayLike<number>, i: number): number => philox4x32([Math.floor(i / 4), 0, 0, 0], [key[0]!, key[1]!])[i % 4]!;
const keyAt = (keys: ArrayLike<number>, part: number): readonly number[] => [keys[2 * part]!, keys[2 * part + 1]!];
const randomBits: OpDefinition = {
  infer: ([key], attributes) => {
    const shape = dimsAttribute(attributes, 'shape');
    if (key === undefined || key.dtype !== 'u32' || key.shape.at(-1) !== 2) return 'randomBits: the key must be a u32 tensor of shape [2], or [..., 2] with a key for each of the first axes';
    return key.shape.slice(0, -1).every((dim, axis) => dim === shape[axis]) ? { shape, dtype: 'u32' }
      : `randomBits: keys ${showShape(key.shape)} are not those of the first axes of ${showShape(shape)}`;
  },
  reference: {
    value: ([key], result) => {
      const each = product(result.shape.slice(key!.shape.length - 1));
      return Float64Array.from({ length: product(result.shape) }, (_, i) => randomWord(keyAt(key!.data, Math.floor(i / each)), i % each));
    },
    bound: exact,
    part: ({ places, operands: [keys], result }) => ({
      reads: [Int32Array.from({ length: product(keys!.shape) }, (_, i) => i)],
      compute: ([key]) => {
        const each = product(result.shape.slice(keys!.shape.length - 1));
        const value = Float64Array.from(places, (i) => randomWord(keyAt(key!.value, Math.floor(i / each)), i % each));
        return { shape: [places.length], dtype: 'u32', value, magnitude: value, error: new Float64Array(value.length) };
      },
    }),
  },
  gradient: 'not differentiable',
  lower: ({ operands: [key], index, result }) => {
    const own = key!.shape.length - 1, owner = index.slice(0, own), flat = flatten(index.slice(own), result.shape.slice(own));
    const words = philoxScalars(S.fromIndex(quotient(flat, 4), 'u32'), [key!.at([...owner, integer(0)]), key!.at([...owner, integer(1)])]);
    const lane = remainder(flat, 4);
    return words.slice(1).reduce<Scalar>((chosen, word, k) => S.select(S.indexAtLeast(lane, k + 1), word, chosen), words[0]);
  },
  traits: { ...traits, arity: 1, cost: 200, dims: ['shape'] },
};

/** Source index of nearest-neighbour resize as PyTorch computes it, in float32: min(floor(i · fround(from / to)), from - 1). */
const nearestIndex: OpDefinition = {
  infer: (_operands, attributes) => ({ shape: [dimAttribute(attributes, 'to')], dtype: 'i32' }),
  reference: fromWhole({
    value: (_operands, result, attributes) => {
      const from = numberAttribute(attributes, 'from');
      const scale = Math.fround(from / numberAttribute(attributes, 'to'));
      return Float64Array.from({ length: result.shape[0]! }, (_, i) => Math.min(Math.floor(Math.fround(i * scale)), from - 1));
    },
    bound: exact,
  }),
  gradient: 'not differentiable',
  lower: ({ index: [i], attributes }) => {
    const from = numberAttribute(attributes, 'from');
    const scale = S.constant(Math.fround(from / numberAttribute(attributes, 'to')), 'f32');
    return S.min(S.cast(S.floor(S.mul(S.fromIndex(i!, 'f32'), scale)), 'i32'), S.constant(from - 1, 'i32'));
  },
  traits: { ...traits, dims: ['from', 'to'] },
};

export const SOURCE = { input, constant, literal, size, iota, randomBits, nearestIndex } as const satisfies Record<string, OpDefinition>;
