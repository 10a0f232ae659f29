/**
 * Composites: functions written in the language itself. They own no op; the compiler recognises them by their scope.
 *
 * A composite takes tensors of any rank, but its formula is written once over the symbols of a small case, where the type checker
 * can follow it; the rule has checked the real shapes before, and the shape rules of the ops check them again.
 */
import type { Node } from '../graph/node.ts';
import { scoped } from '../graph/node.ts';
import { definedFor, first, ruled } from '../language/build.ts';
import { cast } from '../language/elementwise.ts';
import type { Shape } from '../shape/dim.ts';
import type { Tensor } from '../tensor.ts';

/** Runs the formula in a scope of the composite's name, when the rule holds and the operands are floats. */
export const composite = (name: string, inputs: readonly Node[], rule: Shape | string, formula: () => Node): Node =>
  ruled(inputs, first(definedFor(name, inputs[0]!.dtype, 'float'))(rule), () => scoped(name, formula));

/** Computes in float32 and returns to the operand's dtype: sums of squares overflow float16. */
export const inFloat32 = <S extends Shape, R extends Shape>(
  x: Tensor<S>, formula: (x: Tensor<S, 'f32'>) => Tensor<R, 'f32'>,
): Tensor<R> => cast(formula(cast(x, 'f32') as Tensor<S, 'f32'>), x.dtype) as Tensor<R>; // generic S: cast's result type is not resolved here
