/**
 * How builders make nodes. Builders are total: a refused call is an `invalid` node with the message, and whatever is built on
 * it is invalid without a message of its own.
 */
import { DTYPES } from '../dtype.ts';
import type { DType } from '../dtype.ts';
import { apply, invalid } from '../graph/apply.ts';
import type { Attributes, Node } from '../graph/node.ts';
import { product, showShape } from '../shape/dim.ts';
import type { Shape } from '../shape/dim.ts';
import type { Kinds } from '../tensor.ts';

/**
 * Gives a builder its type. The type rules are the twins of the run-time rules (property-tests/types compares them), which
 * TypeScript cannot see: this is the one place where it is asserted.
 */
// the parameters are `never`, so that any builder fits
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the callers name the signature
export const typed = <Signature>(build: (...operands: never[]) => unknown): Signature => build as unknown as Signature;

/** Builds on valid inputs when the rule gave a shape; else the node carries the rule's message. */
export const ruled = (inputs: readonly Node[], rule: Shape | string, build: (shape: Shape) => Node): Node =>
  inputs.some((input) => input.op === 'invalid') ? invalid('', inputs) : typeof rule === 'string' ? invalid(rule, inputs) : build(rule);

/** Refuses with the first message given, else `rule`: for checks before the shape rule. */
export const first = (...checks: readonly (string | undefined)[]) => (rule: Shape | string): Shape | string =>
  checks.find((check) => check !== undefined) ?? rule;

/** Why an op does not take this dtype, in the words of the type rules. */
export const definedFor = (op: string, dtype: DType, kinds: Kinds): string | undefined =>
  kinds.includes(DTYPES[dtype].kind) ? undefined : `${op}: is not defined for ${dtype}, only for ${kinds} tensors`;

export const sameDType = (op: string, a: Node, b: Node): string | undefined =>
  a.dtype === b.dtype ? undefined : `${op}: dtypes differ: ${a.dtype} vs ${b.dtype}`;

const sameShape = (a: Shape, b: Shape): boolean => showShape(a) === showShape(b);

export const reshapeTo = (x: Node, shape: Shape): Node => (sameShape(x.shape, shape) ? x : apply('reshape', [x], { shape }));

export const permuteTo = (x: Node, axes: readonly number[]): Node =>
  axes.every((axis, i) => axis === i) ? x : apply('permute', [x], { axes });

/** `x` at a shape that it broadcasts to: missing leading axes by reshape, size-1 axes by expand. */
export const broadcastTo = (x: Node, shape: Shape): Node => {
  const missing = shape.length - x.shape.length;
  const aligned = reshapeTo(x, [...shape.slice(0, missing).map(() => 1), ...x.shape]);
  return sameShape(aligned.shape, shape) ? aligned : apply('expand', [aligned], { shape });
};

/** A number as a tensor of shape []. Whole numbers only for integer dtypes. */
export const constantNode = (value: number, dtype: DType, op = 'constant'): Node => {
  const fits = DTYPES[dtype].kind === 'float' ? !Number.isNaN(value) : Number.isInteger(value) && (dtype !== 'bool' || value === 0 || value === 1);
  return fits ? apply('constant', [], { value, dtype }) : invalid(`${op}: ${value} is no ${dtype}`);
};

/** The number of elements that a reduction folds, as a tensor of shape []. */
export const countNode = (dims: Shape, dtype: DType): Node => {
  const dim = product(dims);
  return typeof dim === 'number' ? constantNode(dim, dtype) : apply('size', [], { dim, dtype });
};

/** `op` on operands broadcast to `shape`. */
export const elementwise = (op: string, operands: readonly Node[], shape: Shape, attributes: Attributes = {}): Node =>
  apply(op, operands.map((operand) => broadcastTo(operand, shape)), attributes);
