/**
 * Elementwise ops: one row each. Operands have equal shapes; broadcasting is an explicit `expand` made by the builders.
 *
 * A row gives the meaning of one element, how an input error `e` and rounding show in the result, the gradient, and the
 * scalar form.
 */
import { type DType, DTYPES } from '../dtype.ts';
import type { Attributes, Node, TensorType } from '../graph/node.ts';
import { showShape } from '../shape/dim.ts';
import * as elementary from '../scalar/elementary.ts';
import * as S from '../scalar/scalar.ts';
import type { Scalar } from '../scalar/scalar.ts';
import { type Apply, type Bounded, elementwisePart, flushError, type Gradient, type OpDefinition, type Reference, uniformLike, unitRoundoff } from './definition.ts';

/** One element with its magnitude and error bound. */
export interface Element { readonly v: number; readonly m: number; readonly e: number }
type ElementBound = (operands: readonly Element[], value: number, dtype: DType) => { readonly m: number; readonly e: number };
type Kinds = readonly ('float' | 'integer' | 'boolean')[];

interface ElementwiseRow {
  readonly arity: number;
  readonly operands: Kinds;
  readonly result: 'same' | 'bool';
  readonly value: (x: readonly number[], dtype: DType) => number;
  readonly bound: ElementBound;
  readonly gradient: OpDefinition['gradient'];
  readonly lower: (x: readonly Scalar[]) => Scalar;
  readonly commutative?: boolean;
  readonly cost: number;
}

const sameShape = (a: TensorType, b: TensorType): boolean => a.shape.length === b.shape.length && a.shape.every((dim, i) => dim === b.shape[i]);

const inferElementwise = (row: ElementwiseRow, op: string) => (operands: readonly TensorType[]): TensorType | string => {
  const [first] = operands;
  if (first === undefined || operands.length !== row.arity) return `${op}: takes ${row.arity} operands, got ${operands.length}`;
  for (const other of operands) {
    if (other.dtype !== first.dtype) return `${op}: dtypes differ: ${first.dtype} vs ${other.dtype}`;
    if (!sameShape(first, other)) return `${op}: shapes differ: ${showShape(first.shape)} vs ${showShape(other.shape)}`;
  }
  if (!row.operands.includes(DTYPES[first.dtype].kind)) return `${op}: is not defined for ${first.dtype}, only for ${row.operands.join(' and ')} tensors`;
  return { shape: first.shape, dtype: row.result === 'bool' ? 'bool' : first.dtype };
};

/** Reads element i of each operand. */
const elementAt = (operands: readonly Bounded[], i: number): readonly Element[] =>
  operands.map((operand) => ({ v: operand.value[i]!, m: operand.magnitude[i]!, e: operand.error[i]! }));

const boundEach = (operands: readonly Bounded[], value: Float64Array, dtype: DType, bound: ElementBound) => {
  const magnitude = new Float64Array(value.length), error = new Float64Array(value.length);
  for (let i = 0; i < value.length; i++) {
    const { m, e } = bound(elementAt(operands, i), value[i]!, dtype);
    magnitude[i] = m;
    error[i] = e;
  }
  return { magnitude, error };
};

const byElement = (reference: Omit<Reference, 'part'>): Reference => ({ ...reference, part: elementwisePart(reference) });

const elementwise = (op: string, row: ElementwiseRow): OpDefinition => ({
  infer: inferElementwise(row, op),
  reference: byElement({
    value: (operands, result) => {
      const out = new Float64Array(operands[0]!.data.length), x = operands.map(() => 0);
      for (let i = 0; i < out.length; i++) {
        for (let k = 0; k < x.length; k++) x[k] = operands[k]!.data[i]!;
        out[i] = row.value(x, result.dtype);
      }
      return out;
    },
    bound: (operands, result, _attributes, value) => boundEach(operands, value, result.dtype, row.bound),
  }),
  gradient: row.gradient,
  lower: ({ operands, index }) => row.lower(operands.map((operand) => operand.at(index))),
  traits: { arity: row.arity, elementwise: true, view: false, commutative: row.commutative ?? false, cost: row.cost, dims: [] },
});

// ---- error rules (WGSL accuracy table; kernels of the tolerance model in docs/decisions) ------------------------------

const exactly: ElementBound = ([a], value) => ({ m: Math.max(a!.m, Math.abs(value)), e: a!.e });
/** Sound for a function f with |f'| <= slope on [a - e, a + e], computed to `ulps` units in the last place. */
const smooth = (slope: (x: number, e: number) => number, ulps: (x: number) => number, absolute = 0): ElementBound => ([a], value, dtype) => {
  const u = unitRoundoff(dtype);
  const e = slope(a!.v, a!.e) * a!.e + ulps(Math.abs(a!.v) + a!.e) * u * Math.abs(value) + absolute + flushError(dtype);
  return { m: Math.abs(value) + e, e };
};
const rounded = (m: number, e: number, dtype: DType) => ({ m, e: e + unitRoundoff(dtype) * m + flushError(dtype) });

const addBound: ElementBound = ([a, b], _value, dtype) => rounded(a!.m + b!.m, a!.e + b!.e, dtype);
const mulBound: ElementBound = ([a, b], _value, dtype) =>
  rounded(a!.m * b!.m, Math.abs(a!.v) * b!.e + Math.abs(b!.v) * a!.e + a!.e * b!.e, dtype);
const divBound: ElementBound = ([a, b], value, dtype) => {
  const safe = Math.abs(b!.v) - b!.e;
  if (safe <= 0) return { m: Infinity, e: Infinity };
  const m = a!.m / safe;
  return { m, e: (a!.e + Math.abs(value) * b!.e) / safe + 3.5 * unitRoundoff(dtype) * m + flushError(dtype) };
};
const extremeBound: ElementBound = ([a, b]) => ({ m: Math.max(a!.m, b!.m), e: Math.max(a!.e, b!.e) });
/** A comparison is certain when the error intervals do not meet. */
const compareBound: ElementBound = ([a, b]) => ({ m: 1, e: a!.e + b!.e > 0 && Math.abs(a!.v - b!.v) <= a!.e + b!.e ? 1 : 0 });
const logicBound: ElementBound = (operands) => ({ m: 1, e: Math.max(...operands.map((x) => x.e)) });

// ---- integer arithmetic wraps like the machine's -----------------------------------------------------------------------

const wrap = (value: number, dtype: DType): number => (dtype === 'i32' ? value | 0 : dtype === 'u32' ? value >>> 0 : value);
const wrapMul = (a: number, b: number, dtype: DType): number =>
  dtype === 'i32' ? Math.imul(a, b) : dtype === 'u32' ? Math.imul(a, b) >>> 0 : a * b;

// ---- gradients ------------------------------------------------------------------------------------------------------------

/** d(out)/d(in) times the cotangent, for an op of one input. */
const chain = (derivative: (apply: Apply, x: Node, y: Node) => Node): Gradient => ({ apply, cotangent, node }) =>
  [apply('mul', [cotangent, derivative(apply, node.inputs[0]!, node)], {})];

const unary = (op: string, row: Pick<ElementwiseRow, 'bound' | 'gradient' | 'cost'> & {
  readonly operands?: Kinds; readonly value: (x: number, dtype: DType) => number; readonly lower: (x: Scalar) => Scalar;
}): OpDefinition => elementwise(op, {
  ...row, arity: 1, operands: row.operands ?? ['float'], result: 'same',
  value: ([x], dtype) => row.value(x!, dtype), lower: ([x]) => row.lower(x!),
});

const binary = (op: string, row: Pick<ElementwiseRow, 'bound' | 'gradient'> & {
  readonly operands?: Kinds; readonly result?: 'bool'; readonly commutative?: boolean; readonly cost?: number;
  readonly value: (a: number, b: number, dtype: DType) => number; readonly lower: (a: Scalar, b: Scalar) => Scalar;
}): OpDefinition => elementwise(op, {
  ...row, arity: 2, operands: row.operands ?? ['float', 'integer'], result: row.result ?? 'same', cost: row.cost ?? 1,
  value: ([a, b], dtype) => row.value(a!, b!, dtype), lower: ([a, b]) => row.lower(a!, b!),
});

export const UNARY = {
  neg: unary('neg', {
    operands: ['float', 'integer'], value: (x, dtype) => wrap(-x, dtype), bound: exactly, cost: 1,
    lower: (x) => (x.type === 'u32' ? S.binary('sub', S.constant(0, 'u32'), x) : S.neg(x)), // WGSL negates signed numbers only
    gradient: ({ apply, cotangent }) => [apply('neg', [cotangent], {})],
  }),
  abs: unary('abs', {
    operands: ['float', 'integer'], value: Math.abs, bound: exactly, cost: 1, lower: S.abs,
    gradient: chain((apply, x) => {
      const positive = apply('le', [uniformLike(apply, x, 0), x], {});
      return apply('select', [positive, uniformLike(apply, x, 1), uniformLike(apply, x, -1)], {});
    }),
  }),
  exp: unary('exp', {
    value: Math.exp, cost: 8, lower: S.exp, gradient: chain((_apply, _x, y) => y),
    bound: smooth((x, e) => Math.exp(x + e), (x) => 3 + 2 * x),
  }),
  log: unary('log', {
    value: (x) => (x > 0 ? Math.log(x) : -3.4028234663852886e38), cost: 20, lower: elementary.log,
    gradient: ({ apply, cotangent, node }) => [apply('div', [cotangent, node.inputs[0]!], {})],
    bound: smooth((x, e) => (x - e > 0 ? 1 / (x - e) : Infinity), () => 4, 4 * 2 ** -24),
  }),
  sin: unary('sin', {
    value: Math.sin, cost: 20, lower: elementary.sin, gradient: chain((apply, x) => apply('cos', [x], {})),
    bound: ([a], value, dtype) => smooth(() => 1, () => 4, unitRoundoff(dtype) * (1 + Math.abs(a!.v)))([a!], value, dtype),
  }),
  cos: unary('cos', {
    value: Math.cos, cost: 20, lower: elementary.cos, gradient: chain((apply, x) => apply('neg', [apply('sin', [x], {})], {})),
    bound: ([a], value, dtype) => smooth(() => 1, () => 4, unitRoundoff(dtype) * (1 + Math.abs(a!.v)))([a!], value, dtype),
  }),
  sqrt: unary('sqrt', {
    value: Math.sqrt, cost: 4, lower: S.sqrt,
    gradient: chain((apply, x, y) => apply('div', [uniformLike(apply, x, 0.5), y], {})),
    // |sqrt(a ± e) - sqrt(a)| <= min(e / sqrt(a), sqrt(e)): finite at 0 too
    bound: ([a], value, dtype) => {
      const e = Math.min(a!.v > 0 ? a!.e / Math.sqrt(a!.v) : Infinity, Math.sqrt(a!.e)) + 3 * unitRoundoff(dtype) * value + flushError(dtype);
      return { m: value + e, e };
    },
  }),
  rsqrt: unary('rsqrt', {
    value: (x) => 1 / Math.sqrt(x), cost: 4, lower: S.rsqrt,
    gradient: chain((apply, x, y) => apply('mul', [apply('div', [y, x], {}), uniformLike(apply, x, -0.5)], {})),
    bound: smooth((x, e) => (x - e > 0 ? 0.5 * (x - e) ** -1.5 : Infinity), () => 2),
  }),
  floor: unary('floor', {
    value: Math.floor, cost: 1, lower: S.floor, gradient: 'not differentiable',
    bound: ([a], value) => ({ m: Math.abs(value), e: Math.max(value - Math.floor(a!.v - a!.e), Math.floor(a!.v + a!.e) - value) }),
  }),
  not: unary('not', { operands: ['boolean'], value: (x) => 1 - x, cost: 1, lower: S.not, gradient: 'not differentiable', bound: logicBound }),
} as const satisfies Record<string, OpDefinition>;

/** 1 where the first operand is chosen, 0 elsewhere; ties go to the first. */
const chosen = (first: 'larger' | 'smaller'): Gradient => ({ apply, cotangent, node }) => {
  const [a, b] = node.inputs as readonly [Node, Node];
  const takesFirst = apply('le', first === 'larger' ? [b, a] : [a, b], {});
  const zero = uniformLike(apply, cotangent, 0);
  return [apply('select', [takesFirst, cotangent, zero], {}), apply('select', [takesFirst, zero, cotangent], {})];
};

const none = 'not differentiable' as const;
export const BINARY = {
  add: binary('add', {
    value: (a, b, dtype) => wrap(a + b, dtype), bound: addBound, lower: S.add, commutative: true,
    gradient: ({ cotangent }) => [cotangent, cotangent],
  }),
  sub: binary('sub', {
    value: (a, b, dtype) => wrap(a - b, dtype), bound: addBound, lower: S.sub,
    gradient: ({ apply, cotangent }) => [cotangent, apply('neg', [cotangent], {})],
  }),
  mul: binary('mul', {
    value: wrapMul, bound: mulBound, lower: S.mul, commutative: true,
    gradient: ({ apply, cotangent, node }) => [apply('mul', [cotangent, node.inputs[1]!], {}), apply('mul', [cotangent, node.inputs[0]!], {})],
  }),
  div: binary('div', {
    operands: ['float'], value: (a, b) => a / b, bound: divBound, lower: S.div, cost: 4,
    gradient: ({ apply, cotangent, node }) => {
      const toNumerator = apply('div', [cotangent, node.inputs[1]!], {});
      return [toNumerator, apply('neg', [apply('mul', [toNumerator, node], {})], {})];
    },
  }),
  max: binary('max', { value: (a, b) => Math.max(a, b), bound: extremeBound, lower: S.max, commutative: true, gradient: chosen('larger') }),
  min: binary('min', { value: (a, b) => Math.min(a, b), bound: extremeBound, lower: S.min, commutative: true, gradient: chosen('smaller') }),
  eq: binary('eq', { result: 'bool', value: (a, b) => (a === b ? 1 : 0), bound: compareBound, lower: S.eq, commutative: true, gradient: none }),
  lt: binary('lt', { result: 'bool', value: (a, b) => (a < b ? 1 : 0), bound: compareBound, lower: S.lt, gradient: none }),
  le: binary('le', { result: 'bool', value: (a, b) => (a <= b ? 1 : 0), bound: compareBound, lower: S.le, gradient: none }),
  and: binary('and', { operands: ['boolean'], value: (a, b) => a * b, bound: logicBound, lower: S.and, commutative: true, gradient: none }),
  or: binary('or', { operands: ['boolean'], value: (a, b) => Math.max(a, b), bound: logicBound, lower: S.or, commutative: true, gradient: none }),
} as const satisfies Record<string, OpDefinition>;

const select: OpDefinition = {
  infer: ([condition, a, b]) => {
    if (condition === undefined || a === undefined || b === undefined) return 'select: takes a condition and two values';
    if (condition.dtype !== 'bool') return `select: the condition must be bool, got ${condition.dtype}`;
    if (a.dtype !== b.dtype) return `select: dtypes differ: ${a.dtype} vs ${b.dtype}`;
    if (!sameShape(condition, a) || !sameShape(a, b)) return `select: shapes differ: ${[condition, a, b].map((x) => showShape(x.shape)).join(' vs ')}`;
    return a;
  },
  reference: byElement({
    value: ([condition, a, b]) => Float64Array.from(a!.data, (x, i) => (condition!.data[i] !== 0 ? x : b!.data[i]!)),
    bound: (operands, result, _attributes, value) => boundEach(operands, value, result.dtype, ([c, a, b]) => {
      const [taken, other] = c!.v !== 0 ? [a!, b!] : [b!, a!];
      return c!.e === 0 ? { m: taken.m, e: taken.e } : { m: Math.max(taken.m, other.m), e: Math.abs(taken.v - other.v) + Math.max(taken.e, other.e) };
    }),
  }),
  gradient: ({ apply, cotangent, node }) => {
    const zero = uniformLike(apply, cotangent, 0);
    const condition = node.inputs[0]!;
    return [undefined, apply('select', [condition, cotangent, zero], {}), apply('select', [condition, zero, cotangent], {})];
  },
  lower: ({ operands: [c, a, b], index }) => S.select(c!.at(index), a!.at(index), b!.at(index)),
  traits: { arity: 3, elementwise: true, view: false, commutative: false, cost: 1, dims: [] },
};

/** Floats are brought into range first: out-of-range conversions differ between drivers. The limits are floats. */
const INTEGER_RANGE = { i32: [-2147483648, 2147483520], u32: [0, 4294967040] } as const;
const castTo = (x: number, from: DType, to: DType): number => {
  if (to === 'bool') return x !== 0 ? 1 : 0;
  if (to !== 'i32' && to !== 'u32') return x;
  if (DTYPES[from].kind !== 'float') return wrap(x, to);
  const [least, most] = INTEGER_RANGE[to];
  return Math.trunc(Math.max(least, Math.min(most, x)));
};
const castBound = (from: DType): ElementBound => ([a], value, to) => {
  const { v, e } = a!;
  if (to === 'bool') return { m: 1, e: e > 0 && Math.abs(v) <= e ? 1 : 0 };
  if (DTYPES[to].kind !== 'float') {
    return { m: Math.abs(value), e: e === 0 ? 0 : Math.max(Math.abs(value - castTo(v - e, from, to)), Math.abs(castTo(v + e, from, to) - value)) };
  }
  const representable = to === 'f32' && Math.fround(v) === v && e === 0;
  return representable ? { m: a!.m, e: 0 } : rounded(Math.max(a!.m, Math.abs(value)), e, to);
};
const dtypeOf = (attributes: Attributes): DType => attributes['dtype'] as DType; // the verifier checks attributes

const cast: OpDefinition = {
  infer: ([x], attributes) => {
    const dtype = attributes['dtype'];
    if (x === undefined) return 'cast: takes one operand';
    return typeof dtype === 'string' && dtype in DTYPES ? { shape: x.shape, dtype: dtype as DType } : `cast: there is no dtype ${JSON.stringify(dtype)}, only ${Object.keys(DTYPES).join(', ')}`;
  },
  reference: byElement({
    value: ([x], _result, attributes) => x!.data.map((value) => castTo(value, x!.dtype, dtypeOf(attributes))),
    bound: (operands, result, _attributes, value) => boundEach(operands, value, result.dtype, castBound(operands[0]!.dtype)),
  }),
  gradient: ({ apply, cotangent, node }) => {
    const from = node.inputs[0]!.dtype;
    return [DTYPES[from].kind === 'float' && DTYPES[node.dtype].kind === 'float' ? apply('cast', [cotangent], { dtype: from }) : undefined];
  },
  lower: ({ operands: [x], index, result }) => {
    const value = x!.at(index);
    const limit = (bound: number) => S.constant(bound, 'f32');
    const clamped = value.type !== 'f32' || (result.dtype !== 'i32' && result.dtype !== 'u32') ? value
      : S.max(S.min(value, limit(INTEGER_RANGE[result.dtype][1])), limit(INTEGER_RANGE[result.dtype][0]));
    return S.cast(clamped, result.dtype === 'f16' ? 'f32' : result.dtype);
  },
  traits: { arity: 1, elementwise: true, view: false, commutative: false, cost: 1, dims: [] },
};

/** The same tensor, as a node of its own. */
const identity = (op: string, gradient: OpDefinition['gradient']): OpDefinition => ({
  infer: ([x]) => x ?? `${op}: takes one operand`,
  reference: byElement({
    value: ([x]) => x!.data,
    bound: ([x]) => ({ magnitude: x!.magnitude, error: x!.error }),
  }),
  gradient,
  lower: ({ operands: [x], index }) => x!.at(index),
  traits: { arity: 1, elementwise: true, view: true, commutative: false, cost: 0, dims: [] },
});
/** A named intermediate, kept until the taps of a program are chosen. */
const tap = identity('tap', ({ cotangent }) => [cotangent]);
/** What no gradient flows through; nothing else, so the compiler drops it. */
const stopGradient = identity('stopGradient', 'not differentiable');
/** Keeps what is made of it apart from what is made of its operand, so that it is computed again instead of being kept; `key` tells several apart. */
const again = identity('again', ({ cotangent }) => [cotangent]);

export const OTHER_ELEMENTWISE = { select, cast, tap, stopGradient, again } as const satisfies Record<string, OpDefinition>;
