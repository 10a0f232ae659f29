/**
 * Elementwise builders. Binary ones broadcast as NumPy does and take JS numbers on either side.
 * `maximum` and `minimum` compare two tensors; `max` and `min` reduce one.
 */
import type { DType } from '../dtype.ts';
import { apply, invalid } from '../graph/apply.ts';
import type { Node } from '../graph/node.ts';
import type { Shape } from '../shape/dim.ts';
import { broadcastRule } from '../shape/rules.ts';
import type { BroadcastRule } from '../shape/rules.ts';
import type { DefinedFor, DTypeOf, Guard, IsAny, Kinds, Result, SameDType, ShapeOf, Tensor } from '../tensor.ts';
import { broadcastTo, constantNode, definedFor, elementwise, first, ruled, sameDType, typed } from './build.ts';

// unary -----------------------------------------------------------------------------------------------------------------------------

export type UnaryCheck<Op extends string, X extends Tensor, K extends Kinds> = IsAny<X> extends true ? X : DefinedFor<Op, DTypeOf<X>, K, X>;
export type Unary<Op extends string, K extends Kinds> = <X extends Tensor>(x: Guard<UnaryCheck<Op, X, K>, X>) => X;

const unary = <const Op extends string, const K extends Kinds>(op: Op, kinds: K): Unary<Op, K> =>
  typed((x: Node) => ruled([x], first(definedFor(op, x.dtype, kinds))(x.shape), () => apply(op, [x], {})));

export const neg = unary('neg', 'float and integer');
export const abs = unary('abs', 'float and integer');
export const exp = unary('exp', 'float');
/** Natural logarithm; at 0 and below it is the most negative float, not a NaN. */
export const log = unary('log', 'float');
export const sin = unary('sin', 'float');
export const cos = unary('cos', 'float');
export const sqrt = unary('sqrt', 'float');
/** 1 / sqrt(x). */
export const rsqrt = unary('rsqrt', 'float');
export const floor = unary('floor', 'float');
export const not = unary('not', 'boolean');

/** x * x. */
export const square: Unary<'square', 'float and integer'> = typed((x: Node) =>
  ruled([x], first(definedFor('square', x.dtype, 'float and integer'))(x.shape), () => apply('mul', [x, x], {})));

// binary ----------------------------------------------------------------------------------------------------------------------------

/** A tensor, or a number that takes the other operand's dtype. */
export type Operand = Tensor | number;
type Both<Op extends string, A extends Tensor, B extends Tensor, K extends Kinds> =
  SameDType<Op, DTypeOf<A>, DTypeOf<B>, DefinedFor<Op, DTypeOf<A>, K, BroadcastRule<Op, ShapeOf<A>, ShapeOf<B>>>>;
export type BinaryRule<Op extends string, A extends Operand, B extends Operand, K extends Kinds> =
  IsAny<A> extends true ? A
  : IsAny<B> extends true ? B
  : A extends Tensor
    ? B extends Tensor ? Both<Op, A, B, K> : DefinedFor<Op, DTypeOf<A>, K, ShapeOf<A>>
    : B extends Tensor ? DefinedFor<Op, DTypeOf<B>, K, ShapeOf<B>> : `${Op}: one operand must be a tensor`;
export type CommonDType<A extends Operand, B extends Operand> = A extends Tensor ? DTypeOf<A> : B extends Tensor ? DTypeOf<B> : 'f32';

type Binary<Op extends string, K extends Kinds> = <A extends Operand, B extends Operand>(
  a: A, b: Guard<BinaryRule<Op, A, B, K>, B>,
) => Result<BinaryRule<Op, A, B, K>, CommonDType<A, B>>;
type Comparison<Op extends string, K extends Kinds> = <A extends Operand, B extends Operand>(
  a: A, b: Guard<BinaryRule<Op, A, B, K>, B>,
) => Result<BinaryRule<Op, A, B, K>, 'bool'>;

/** Numbers become tensors of the other operands' dtype. */
const asNodes = (op: string, operands: readonly (Node | number)[], dtype: DType): readonly Node[] =>
  operands.map((operand) => (typeof operand === 'number' ? constantNode(operand, dtype, op) : operand));

const buildBinary = (op: string, kinds: Kinds, build: (a: Node, b: Node, shape: Shape) => Node) => (a: Node | number, b: Node | number): Node => {
  const tensor = typeof a === 'number' ? b : a;
  if (typeof tensor === 'number') return invalid(`${op}: one operand must be a tensor`);
  const mixed = typeof a === 'number' || typeof b === 'number';
  // a number takes the tensor's dtype, which must be one of the op's before
  return ruled([tensor], first(mixed ? definedFor(op, tensor.dtype, kinds) : undefined)(tensor.shape), () => {
    const [x, y] = asNodes(op, [a, b], tensor.dtype) as readonly [Node, Node]; // two in, two out
    const check = first(sameDType(op, x, y), definedFor(op, x.dtype, kinds));
    return ruled([x, y], check(broadcastRule(op, x.shape, y.shape)), (shape) => build(x, y, shape));
  });
};
const binary = <const Op extends string, const K extends Kinds>(op: Op, kinds: K, primitive: string = op): Binary<Op, K> =>
  typed(buildBinary(op, kinds, (a, b, shape) => elementwise(primitive, [a, b], shape)));

export const add = binary('add', 'float and integer');
export const sub = binary('sub', 'float and integer');
export const mul = binary('mul', 'float and integer');
export const div = binary('div', 'float');
/** The larger of two, element by element. */
export const maximum = binary('maximum', 'float and integer', 'max');
/** The smaller of two, element by element. */
export const minimum = binary('minimum', 'float and integer', 'min');
export const and = binary('and', 'boolean');
export const or = binary('or', 'boolean');

const comparison = <const Op extends string>(op: Op, build: (a: Node, b: Node) => Node): Comparison<Op, 'float and integer'> =>
  typed(buildBinary(op, 'float and integer', (a, b, shape) => build(broadcastTo(a, shape), broadcastTo(b, shape))));

export const eq = comparison('eq', (a, b) => apply('eq', [a, b], {}));
export const ne = comparison('ne', (a, b) => apply('not', [apply('eq', [a, b], {})], {}));
export const lt = comparison('lt', (a, b) => apply('lt', [a, b], {}));
export const le = comparison('le', (a, b) => apply('le', [a, b], {}));
export const gt = comparison('gt', (a, b) => apply('lt', [b, a], {}));
export const ge = comparison('ge', (a, b) => apply('le', [b, a], {}));

// choice and conversion -------------------------------------------------------------------------------------------------------------

type ShapeOfOperand<A extends Operand> = A extends Tensor ? ShapeOf<A> : [];
type Chain<Op extends string, A, B extends Shape> = A extends Shape ? BroadcastRule<Op, A, B> : A;
type SelectRule<C extends Tensor, A extends Operand, B extends Operand> =
  IsAny<C> extends true ? C
  : IsAny<A> extends true ? A
  : IsAny<B> extends true ? B
  : DTypeOf<C> extends 'bool'
    ? SameDType<'select', CommonDType<A, B>, CommonDType<B, A>,
        Chain<'select', BroadcastRule<'select', ShapeOf<C>, ShapeOfOperand<A>>, ShapeOfOperand<B>>>
    : `select: the condition must be bool, got ${DTypeOf<C>}`;
/** `a` where the condition holds, else `b`; the three broadcast. Two numbers make an f32 tensor. */
export const select: <C extends Tensor, A extends Operand, B extends Operand>(
  condition: C, a: A, b: Guard<SelectRule<C, A, B>, B>,
) => Result<SelectRule<C, A, B>, CommonDType<A, B>> = typed((condition: Node, a: Node | number, b: Node | number): Node => {
  const tensor = typeof a === 'number' ? b : a;
  const [x, y] = asNodes('select', [a, b], typeof tensor === 'number' ? 'f32' : tensor.dtype) as readonly [Node, Node]; // two in, two out
  const isBool = condition.dtype === 'bool' ? undefined : `select: the condition must be bool, got ${condition.dtype}`;
  const check = first(isBool, sameDType('select', x, y));
  const partly = broadcastRule('select', condition.shape, x.shape);
  const rule = typeof partly === 'string' ? partly : broadcastRule('select', partly, y.shape);
  return ruled([condition, x, y], check(rule), (shape) => elementwise('select', [condition, x, y], shape));
});

/** The same values as another dtype; floats are cut off towards zero when they become integers. */
export const cast: <X extends Tensor, const D extends DType>(x: X, dtype: D) => IsAny<X> extends true ? X : Tensor<ShapeOf<X>, D> = typed(
  (x: Node, dtype: DType) => (x.dtype === dtype ? x : apply('cast', [x], { dtype })),
);

/** The same tensor, named: a tap can be read out of a running program (`withTaps`). */
export const tap: <X extends Tensor>(x: X, name: string) => X = typed((x: Node, name: string) => apply('tap', [x], { name }));
