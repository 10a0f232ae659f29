/** Builders of tensors out of nothing: inputs, parameters, constants, ramps. */
import type { DType } from '../dtype.ts';
import { apply, invalid } from '../graph/apply.ts';
import { literalOf } from '../graph/json.ts';
import type { Node } from '../graph/node.ts';
import { canonical, canonicalDim } from '../shape/dim.ts';
import type { Canonical, CanonicalDim, Dim, Shape } from '../shape/dim.ts';
import { literalRule } from '../shape/rules.ts';
import type { IsWide, LiteralRule } from '../shape/rules.ts';
import type { Guard, Result, Tensor } from '../tensor.ts';
import { broadcastTo, constantNode, countNode, ruled, typed } from './build.ts';
import { add, div, floor, lt, maximum, mul, select, sub, cast } from './elementwise.ts';

/** A shape written by hand: literal, and canonical afterwards. */
type Written<Op extends string, S extends Shape> =
  IsWide<S> extends true ? LiteralRule<Op, S> : LiteralRule<Op, S> extends Shape ? Canonical<S> : LiteralRule<Op, S>;
/** While `S` is still to be inferred there is nothing to refuse. */
type WrittenGuard<Op extends string, S extends Shape> = IsWide<S> extends true ? readonly [...S] : Guard<Written<Op, S>, readonly [...S]>;

const source = (op: string, shape: Shape, build: (shape: Shape) => Node): Node => ruled([], literalRule(op, canonical(shape)), build);

const placeholder =
  (role: 'input' | 'parameter') =>
  (name: string, shape: Shape, dtype: DType = 'f32'): Node =>
    source(role, shape, (known) => apply('input', [], { name, role, shape: known, dtype }));

/** A tensor that the caller gives at each run. Every dimension must be one literal. */
export const input: <const S extends Shape, const D extends DType = 'f32'>(
  name: string,
  shape: WrittenGuard<'input', S>,
  dtype?: D,
) => Result<Written<'input', S>, NoInfer<D>> = typed(placeholder('input'));

/** A weight, under its state_dict name. Modules make these; on its own it is for graphs without a module. */
export const parameter: <const S extends Shape, const D extends DType = 'f32'>(
  name: string,
  shape: WrittenGuard<'parameter', S>,
  dtype?: D,
) => Result<Written<'parameter', S>, NoInfer<D>> = typed(placeholder('parameter'));

/** One number, shape []. */
export const scalar: <const D extends DType = 'f32'>(value: number, dtype?: D) => Tensor<[], NoInfer<D>> = typed(
  (value: number, dtype: DType = 'f32') => constantNode(value, dtype, 'scalar'),
);

/** A tensor filled with one number. */
export const full: <const S extends Shape, const D extends DType = 'f32'>(
  shape: WrittenGuard<'full', S>,
  value: number,
  dtype?: D,
) => Result<Written<'full', S>, NoInfer<D>> = typed((shape: Shape, value: number, dtype: DType = 'f32') =>
  source('full', shape, (known) => broadcastTo(constantNode(value, dtype, 'full'), known)),
);

export const zeros: <const S extends Shape, const D extends DType = 'f32'>(
  shape: WrittenGuard<'full', S>,
  dtype?: D,
) => Result<Written<'full', S>, NoInfer<D>> = typed((shape: Shape, dtype?: DType) => full(shape, 0, dtype));

export const ones: <const S extends Shape, const D extends DType = 'f32'>(
  shape: WrittenGuard<'full', S>,
  dtype?: D,
) => Result<Written<'full', S>, NoInfer<D>> = typed((shape: Shape, dtype?: DType) => full(shape, 1, dtype));

/** A tensor of known elements, row-major. The shape is numbers only. */
export const literal: <const S extends readonly number[], const D extends DType = 'f32'>(
  shape: WrittenGuard<'literal', S>,
  elements: ArrayLike<number>,
  dtype?: D,
) => Result<Written<'literal', S>, NoInfer<D>> = typed((shape: readonly number[], elements: ArrayLike<number>, dtype: DType = 'f32') =>
  source('literal', shape, () => apply('literal', [], { data: literalOf(Float64Array.from(elements)), shape, dtype })),
);

/** The value of a dimension, known once sizes are bound. */
export const sizeOf: <const D extends DType = 'f32'>(dim: Dim, dtype?: D) => Tensor<[], NoInfer<D>> = typed((dim: Dim, dtype: DType = 'f32') =>
  source('sizeOf', [dim], (shape) => countNode(shape, dtype)),
);

type LengthRule<Op extends string, L extends Dim> = LiteralRule<Op, [L]> extends Shape ? [CanonicalDim<L>] : LiteralRule<Op, [L]>;

/** 0, 1, 2, ... as a tensor of the given length. */
export const iota: <const L extends Dim, const D extends DType = 'i32'>(
  length: Guard<LengthRule<'iota', L>, L>,
  dtype?: D,
) => Result<LengthRule<'iota', L>, NoInfer<D>> = typed((length: Dim, dtype: DType = 'i32') =>
  source('iota', [length], ([known]) => apply('iota', [], { length: known!, dtype })),
);

/** A number, or a dimension whose size is meant. */
type Bound = number | string;
const boundNode = (bound: Bound): Node => (typeof bound === 'number' ? constantNode(bound, 'f32', 'linspace') : sizeOf(bound));

/**
 * `length` numbers from `start` to `end`, both included, in float32 as torch.linspace does it: the first half counts up from the
 * start, the second half down from the end. A single number is `start`. Bounds may be dimensions: their size is meant.
 */
export const linspace: <const L extends Dim>(
  start: Bound,
  end: Bound,
  length: Guard<LengthRule<'linspace', L>, L>,
) => Result<LengthRule<'linspace', L>, 'f32'> = typed((start: Bound, end: Bound, length: Dim) =>
  source('linspace', [length], ([known]) => linspaceNode(boundNode(start), boundNode(end), known!)),
);

// as Tensor<[]>, ['n']: one name for whatever the length is; the shapes are checked again at run time
const linspaceNode = (startNode: Node, endNode: Node, length: Dim): Node => {
  if (typeof length === 'number' && length < 1) return invalid(`linspace: ${length} numbers`);
  const start = startNode as Tensor<[], 'f32'>;
  const end = endNode as Tensor<[], 'f32'>;
  const count = sizeOf(canonicalDim(length));
  const last = sub(count, 1);
  const step = div(sub(end, start), maximum(last, 1));
  const i: Tensor<['n'], 'f32'> = cast(apply('iota', [], { length, dtype: 'i32' }) as Tensor<['n'], 'i32'>, 'f32');
  return select(lt(i, maximum(floor(div(count, 2)), 1)), add(mul(i, step), start), sub(end, mul(sub(last, i), step)));
};
