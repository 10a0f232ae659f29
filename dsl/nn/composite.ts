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
import type { T, Tensor } from '../tensor.ts';

/** Runs the formula in a scope of the composite's name, when the rule holds and the operands are floats. */
export const composite = (name: string, inputs: readonly Node[], rule: Shape | string, formula: () => Node): Node =>
  ruled(inputs, first(definedFor(name, inputs[0]!.dtype, 'float'))(rule), () => scoped(name, formula));

/** Computes in float32 and returns to the operand's dtype: sums of squares overflow float16. */
export const inFloat32 = (x: Node, formula: (x: T<['rows', 'n']>) => Node): Node => {
  const wide = cast(x as Tensor, 'f32') as T<['rows', 'n']>; // formulas are written for the last axis of two
  return cast(formula(wide) as Tensor, x.dtype);
};
