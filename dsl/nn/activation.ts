/** Activations, safe from overflow for every finite argument. */
import { withRule } from '../gradient/custom.ts';
import type { Node } from '../graph/node.ts';
import { typed } from '../language/build.ts';
import { abs, add, div, exp, ge, le, maximum, minimum, mul, neg, select, square, sub } from '../language/elementwise.ts';
import type { Unary } from '../language/elementwise.ts';
import type { T } from '../tensor.ts';
import { composite } from './composite.ts';

/** Elementwise formulas are written over one axis. */
type Elements = T<['n']>;

const activation = <const Op extends string>(op: Op, formula: (x: Elements) => Elements): Unary<Op, 'float'> =>
  typed((x: Node) => composite(op, [x], x.shape, () => formula(x as Elements)));

/** Coefficients from the highest power down. */
const polynomial = (x: Elements, highest: number, ...others: readonly number[]): Elements =>
  others.reduce<Elements | number>((sum, coefficient) => add(mul(x, sum), coefficient), highest) as Elements; // others is not empty

const clamp = (x: Elements, limit: number): Elements => minimum(maximum(x, -limit), limit);
const withSignOf = (x: Elements, size: Elements): Elements => select(ge(x, 0), size, neg(size));

// exp of minus the absolute value never overflows
const sigmoidOf = (x: Elements): Elements => {
  const small = exp(neg(abs(x)));
  const y = div(select(ge(x, 0), 1, small), add(small, 1));
  return withRule(y, [x], (cotangent) => [mul(cotangent as Elements, mul(y, sub(1, y)))]) as Elements;
};

// 1 - e^-2|x| loses digits near 0; there the series is exact to float32
const tanhOf = (x: Elements): Elements => {
  const small = exp(mul(abs(x), -2));
  const series = mul(x, polynomial(square(clamp(x, 1)), 62 / 2835, -17 / 315, 2 / 15, -1 / 3, 1));
  return select(le(abs(x), 0.25), series, withSignOf(x, div(sub(1, small), add(small, 1))));
};

// Abramowitz and Stegun 7.1.26: within 1.5e-7 of the error function
const erfOf = (x: Elements): Elements => {
  const z = minimum(abs(x), 6);
  const t = div(1, add(mul(z, 0.3275911), 1));
  const tail = mul(mul(polynomial(t, 1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592), t), exp(neg(square(z))));
  return withSignOf(x, sub(1, tail));
};

// beyond 10 the bracket is 0 or 2; the cube of a larger x could overflow
const geluOf = (x: Elements): Elements => {
  const inner = clamp(x, 10);
  const cubic = add(mul(mul(square(inner), inner), 0.044715), inner);
  return mul(mul(x, 0.5), add(tanhOf(mul(cubic, Math.sqrt(2 / Math.PI))), 1));
};

/** 1 / (1 + e^-x). */
export const sigmoid = activation('sigmoid', sigmoidOf);
/** x sigmoid(x), also called swish. */
export const silu = activation('silu', (x) => mul(x, sigmoidOf(x)));
export const tanh = activation('tanh', tanhOf);
/** The error function, within 1.5e-7. */
export const erf = activation('erf', erfOf);
/** The tanh form of x Phi(x), as in GPT-2. */
export const gelu = activation('gelu', geluOf);
/** x Phi(x) by the error function: torch's default form. */
export const geluErf = activation('geluErf', (x) => mul(mul(x, 0.5), add(erfOf(mul(x, Math.SQRT1_2)), 1)));
