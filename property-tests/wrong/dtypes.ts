/** Wrong dtypes, and operands that are no tensors. */
import { add, and, attention, cast, concat, div, embedding, exp, input, matmul, mean, not, select } from '../../dsl/index.ts';

const x = input('x', ['B', 8]);
const half = input('half', ['B', 8], 'f16');
const ids = input('ids', ['B'], 'i32');
const flags = input('flags', ['B', 8], 'bool');

// error: add: dtypes differ: f32 vs f16
export const mixed = add(x, half);
// error: add: is not defined for bool, only for float and integer tensors
export const sumOfFlags = add(flags, flags);
// error: div: is not defined for i32, only for float tensors
export const quotient = div(ids, 2);
// error: exp: is not defined for i32, only for float tensors
export const power = exp(ids);
// error: mean: is not defined for i32, only for float tensors
export const average = mean(ids, 0);
// error: not: is not defined for f32, only for boolean tensors
export const negation = not(x);
// error: and: is not defined for f32, only for boolean tensors
export const both = and(x, x);
// error: select: the condition must be bool, got f32
export const choice = select(x, 1, 0);
// error: select: dtypes differ: f32 vs f16
export const branches = select(flags, x, half);
// error: matmul: dtypes differ: f32 vs f16
export const product = matmul(x, input('w', [8, 2], 'f16'));
// error: concat: dtypes differ: f32 vs f16
export const joined = concat([x, half], 0);
// error: embedding: the indices must be i32 or u32, got f32
export const rows = embedding(input('table', [10, 4]), x);
// error: attention: the mask must be bool, got f32
export const masked = attention(x, x, x, { mask: input('mask', ['B', 'B']) });
// error: add: one operand must be a tensor
export const numbers = add(1, 2);
// error: Argument of type '"f64"' is not assignable to parameter of type
export const unknown = cast(x, 'f64');
