/**
 * The scalar form that ops are lowered to: what one element of a tensor is, as an expression of elements of others.
 *
 * Target-neutral. A target has one table from `UnaryScalarOp` and `BinaryScalarOp` to its text; loops come from `reduce`.
 * Builders fold constants and the identities that hold for every finite float, and keep shared parts shared:
 * `key` is structural, and equal keys are the same value.
 */
import type { DType } from '../dtype.ts';
import type { BinaryScalarOp, Index, Lanes, LocalArray, Monoid, Scalar, ScalarType, UnaryScalarOp, Variable } from './expression.ts';
import { compactKey } from './key.ts';

export type { BinaryScalarOp, Lanes, LocalArray, Monoid, Scalar, ScalarKind, ScalarType, UnaryScalarOp } from './expression.ts';

const numberKey = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

export const constant = (value: number, type: ScalarType): Scalar =>
  ({ kind: 'constant', value, type, lanes: 1, key: compactKey(`${type}:${numberKey(value)}`) });
/** Elements of a tensor in memory; `tensor` is a number that the caller gives meaning to; `index` counts elements. */
export const load = (tensor: number, index: Index, stored: DType, lanes: Lanes = 1): Scalar =>
  ({ kind: 'load', tensor, index, stored, lanes, type: stored === 'f16' ? 'f32' : stored, key: compactKey(`t${tensor}x${lanes}[${index.key}]`) });
export const fromIndex = (index: Index, type: ScalarType): Scalar =>
  index.terms.length === 0 ? constant(index.constant, type) : { kind: 'index', index, type, lanes: 1, key: compactKey(`${type}(${index.key})`) };
/** A variable of the loop form: an accumulator or a shared value. */
export const local = (id: number, type: ScalarType, lanes: Lanes = 1): Scalar => ({ kind: 'local', local: id, type, lanes, key: `l${id}` });
/** A vector of a kernel's own array, as it is behind the local `after`. */
export const element = (array: LocalArray, index: Index, after: number): Scalar =>
  ({ kind: 'element', array, index, after, type: array.type, lanes: array.lanes, key: compactKey(`a${array.id}@${after}[${index.key}]`) });
export const splat = (a: Scalar, lanes: Lanes): Scalar => (lanes === a.lanes ? a : { kind: 'splat', a, type: a.type, lanes, key: compactKey(`x${lanes}(${a.key})`) });
export const vector = (parts: readonly Scalar[]): Scalar => (parts.length === 1 ? parts[0]!
  : { kind: 'vector', parts, type: parts[0]!.type, lanes: parts.length as Lanes, key: compactKey(`vector(${parts.map((part) => part.key).join(',')})`) });
export const lane = (a: Scalar, i: number): Scalar => (a.lanes === 1 ? a : a.kind === 'splat' ? a.a : a.kind === 'vector' ? a.parts[i]!
  : { kind: 'lane', a, lane: i, type: a.type, lanes: 1, key: compactKey(`${a.key}.${i}`) });
export const dot = (a: Scalar, b: Scalar): Scalar => (a.lanes === 1 ? mul(a, b) : { kind: 'dot', a, b, type: a.type, lanes: 1, key: compactKey(`dot(${a.key},${b.key})`) });

const unaryResult = (op: UnaryScalarOp, a: Scalar): ScalarType =>
  op === 'bitsToFloat' ? 'f32' : op === 'floatToBits' ? 'u32' : a.type;
const unaryOf = (op: UnaryScalarOp) => (a: Scalar): Scalar =>
  ({ kind: 'unary', op, a, type: unaryResult(op, a), lanes: a.lanes, key: compactKey(`${op}(${a.key})`) });

const comparisons: ReadonlySet<BinaryScalarOp> = new Set(['eq', 'lt', 'le']);
const binaryOf = (op: BinaryScalarOp) => (a: Scalar, b: Scalar): Scalar =>
  ({ kind: 'binary', op, a, b, type: comparisons.has(op) ? 'bool' : a.type, lanes: a.lanes, key: compactKey(`${op}(${a.key},${b.key})`) });

const isConstant = (a: Scalar, value: number): boolean => a.kind === 'constant' ? a.value === value : a.kind === 'splat' && isConstant(a.a, value);

export const neg = unaryOf('neg'), abs = unaryOf('abs'), exp = unaryOf('exp'), sqrt = unaryOf('sqrt'), rsqrt = unaryOf('rsqrt'),
  floor = unaryOf('floor'), not = unaryOf('not'), bitsToFloat = unaryOf('bitsToFloat'), floatToBits = unaryOf('floatToBits');

const plainAdd = binaryOf('add'), plainSub = binaryOf('sub'), plainMul = binaryOf('mul'), plainDiv = binaryOf('div');
export const add = (a: Scalar, b: Scalar): Scalar => (isConstant(a, 0) ? b : isConstant(b, 0) ? a : plainAdd(a, b));
export const sub = (a: Scalar, b: Scalar): Scalar => (isConstant(b, 0) ? a : plainSub(a, b));
export const mul = (a: Scalar, b: Scalar): Scalar => (isConstant(a, 1) ? b : isConstant(b, 1) ? a : plainMul(a, b));
export const div = (a: Scalar, b: Scalar): Scalar => (isConstant(b, 1) ? a : plainDiv(a, b));
export const max = binaryOf('max'), min = binaryOf('min'), eq = binaryOf('eq'), lt = binaryOf('lt'), le = binaryOf('le'),
  and = binaryOf('and'), or = binaryOf('or'), bitAnd = binaryOf('bitAnd'), bitOr = binaryOf('bitOr'), bitXor = binaryOf('bitXor'),
  shiftLeft = binaryOf('shiftLeft'), shiftRight = binaryOf('shiftRight');

export const select = (condition: Scalar, a: Scalar, b: Scalar): Scalar =>
  condition.kind === 'constant' ? (condition.value !== 0 ? a : b)
  : { kind: 'select', condition, a, b, type: a.type, lanes: a.lanes, key: compactKey(`select(${condition.key},${a.key},${b.key})`) };

export const cast = (a: Scalar, type: ScalarType): Scalar => (a.type === type ? a : { kind: 'cast', a, type, lanes: a.lanes, key: compactKey(`${type}(${a.key})`) });

/** The sum (or maximum) of `body` over all values of `over`. */
export const reduce = (monoid: Monoid, over: readonly Variable[], body: Scalar): Scalar =>
  over.length === 0 ? body : { kind: 'reduce', monoid, over, body, type: body.type, lanes: 1, key: compactKey(`${monoid}{${over.map((v) => v.id).join(',')}}(${body.key})`) };

/** Value that a reduction starts from. A maximum starts at the lowest finite float: infinities are not portable in WGSL. */
export const identityOf = (monoid: Monoid, type: ScalarType): number =>
  monoid === 'sum' ? 0 : type === 'f32' ? -3.4028234663852886e38 : type === 'i32' ? -2147483648 : 0;

/** `index < bound` as a scalar; constant where the range proves it. */
export const indexBelow = (index: Index, bound: number): Scalar =>
  index.max < bound ? constant(1, 'bool') : index.min >= bound ? constant(0, 'bool') : lt(fromIndex(index, 'i32'), constant(bound, 'i32'));
/** `index >= bound`. */
export const indexAtLeast = (index: Index, bound: number): Scalar =>
  index.min >= bound ? constant(1, 'bool') : index.max < bound ? constant(0, 'bool') : le(constant(bound, 'i32'), fromIndex(index, 'i32'));
/** Logical and that folds constants. */
export const both = (a: Scalar, b: Scalar): Scalar =>
  a.kind === 'constant' ? (a.value !== 0 ? b : a) : b.kind === 'constant' ? (b.value !== 0 ? a : b) : and(a, b);

const BINARY: Readonly<Record<BinaryScalarOp, (a: Scalar, b: Scalar) => Scalar>> = {
  add, sub, mul, div, max, min, eq, lt, le, and, or, bitAnd, bitOr, bitXor, shiftLeft, shiftRight,
};
/** Any binary op by name. */
export const binary = (op: BinaryScalarOp, a: Scalar, b: Scalar): Scalar => BINARY[op](a, b);
