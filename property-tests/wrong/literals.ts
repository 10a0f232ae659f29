/** Dimensions that are not one literal would switch checking off without a word. */
import { add, full, input, iota, layers, mul, param, reshape, type Dim, type T, type Tensor } from '../../dsl/index.ts';

declare const n: number;
declare const name: string;
declare const flag: boolean;

// error: input: each dimension must be one literal, found number in [B, ${number}]
export const wideNumber = input('x', ['B', n]);
// error: input: each dimension must be one literal, found string in [${string}, 3]
export const wideString = input('x', [name, 3]);
// error: input: each dimension must be one literal, found a union
export const union = input('x', [flag ? 2 : 3, 8]);
// error: Argument of type '[2, 3] | [2, 4]' is not assignable to parameter of type
export const unionOfShapes = input('x', (flag ? [2, 3] : [2, 4]) as [2, 3] | [2, 4]);
// error: input: a dimension is a whole number above 0, found 0 in [B, 0]
export const nothing = input('x', ['B', 0]);
// error: full: a dimension is a whole number above 0, found -2 in [-2]
export const negative = full([-2], 0);
// error: iota: a dimension is a whole number above 0, found 1.5 in [1.5]
export const broken = iota(1.5);
// error: reshape: a dimension is a whole number above 0, found 0 in [0, 8]
export const zero = reshape(input('x', [8]), [0, 8]);
// error: param: each dimension must be one literal, found number
export const weight = param('D', n);
// error: layer: each dimension must be one literal, found number
export const layer = layers.linear(n, 8);
// error: T: each dimension must be one literal, found number in [B, ${number}]
export const annotated = (x: T<['B', number]>): T<['B', 3]> => x;

declare const dims: readonly Dim[];
declare const loose: Tensor<readonly Dim[], 'f32'>;
// a shape that is not known would agree with every other: what is made with it is no tensor
// error: Argument of type 'ShapeUnknownToTheTypeChecker' is not assignable to parameter of type 'Operand'.
export const unknownTarget = mul(reshape(input('x', [8]), dims), 2);
// error: Argument of type 'ShapeUnknownToTheTypeChecker' is not assignable to parameter of type 'Operand'.
export const unknownOperand = mul(add(loose, input('x', [8])), 2);
