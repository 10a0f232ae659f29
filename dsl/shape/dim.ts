/**
 * A dimension is a number literal or a canonical monomial string: `256`, `'B'`, `'h*w'`, `'12*H*J'`
 * (coefficient first and left out when 1, symbols sorted). A sum that does not fold is an opaque atom: `'(C+64)'`.
 */
export type Dim = number | string;
export type Shape = readonly Dim[];

export const showShape = (shape: Shape): string => `[${shape.join(', ')}]`;
