/**
 * sin, cos and log from additions, multiplications and bit patterns.
 *
 * WGSL promises sin and cos only to 2^-11 and SwiftShader delivers no more, so targets never emit their own. Argument
 * reduction by three-part pi/2 (Cody and Waite) and the minimax polynomials of the Cephes library (S. Moshier, `sinf.c`,
 * `logf.c`: the coefficients are facts). Error: a few units in the last place for |x| up to about 8192.
 */
import * as S from './scalar.ts';
import type { Scalar } from './scalar.ts';

const f32 = (value: number): Scalar => S.constant(value, 'f32');
const u32 = (value: number): Scalar => S.constant(value, 'u32');
/** Horner's scheme, highest coefficient first. */
const polynomial = (x: Scalar, coefficients: readonly number[]): Scalar =>
  coefficients.slice(1).reduce<Scalar>((sum, c) => S.add(S.mul(sum, x), f32(c)), f32(coefficients[0]!));

const HALF_PI = [1.5703125, 4.837512969970703125e-4, 7.549789954891882e-8] as const;

const reduced = (x: Scalar): { readonly r: Scalar; readonly quadrant: Scalar } => {
  const k = S.floor(S.add(S.mul(x, f32(2 / Math.PI)), f32(0.5)));
  const r = HALF_PI.reduce<Scalar>((rest, part) => S.sub(rest, S.mul(k, f32(part))), x);
  return { r, quadrant: S.bitAnd(S.cast(S.cast(k, 'i32'), 'u32'), u32(3)) };
};

const sinNear0 = (r: Scalar, z: Scalar): Scalar =>
  S.add(S.mul(S.mul(polynomial(z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]), z), r), r);
const cosNear0 = (z: Scalar): Scalar =>
  S.add(S.sub(S.mul(S.mul(polynomial(z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]), z), z), S.mul(z, f32(0.5))), f32(1));

/** sin(x + turns · pi/2). */
const sinQuarter = (x: Scalar, turns: number): Scalar => {
  const { r, quadrant } = reduced(x);
  const turned = turns === 0 ? quadrant : S.bitAnd(S.add(quadrant, u32(turns)), u32(3));
  const z = S.mul(r, r);
  const odd = S.eq(S.bitAnd(turned, u32(1)), u32(1));
  const magnitude = S.select(odd, cosNear0(z), sinNear0(r, z));
  return S.select(S.lt(turned, u32(2)), magnitude, S.neg(magnitude));
};
export const sin = (x: Scalar): Scalar => sinQuarter(x, 0);
export const cos = (x: Scalar): Scalar => sinQuarter(x, 1);

/** Natural logarithm of a positive normal number; lowest finite float for x <= 0. */
export const log = (x: Scalar): Scalar => {
  const bits = S.floatToBits(x);
  const rawExponent = S.sub(S.cast(S.shiftRight(bits, u32(23)), 'i32'), S.constant(127, 'i32'));
  const rawMantissa = S.bitsToFloat(S.bitOr(S.bitAnd(bits, u32(0x007fffff)), u32(0x3f800000)));
  const large = S.lt(f32(Math.SQRT2), rawMantissa);
  const mantissa = S.select(large, S.mul(rawMantissa, f32(0.5)), rawMantissa);
  const exponent = S.cast(S.select(large, S.add(rawExponent, S.constant(1, 'i32')), rawExponent), 'f32');
  const y = S.sub(mantissa, f32(1));
  const z = S.mul(y, y);
  const series = polynomial(y, [
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
  ]);
  const tail = S.add(S.mul(S.mul(series, y), z), S.sub(S.mul(exponent, f32(-2.12194440e-4)), S.mul(z, f32(0.5))));
  const value = S.add(S.mul(exponent, f32(0.693359375)), S.add(y, tail));
  return S.select(S.lt(f32(0), x), value, f32(S.identityOf('max', 'f32')));
};
