/**
 * Philox4x32-10, the counter-based generator of Salmon et al. (SC 2011): the same counter and key give the same four words
 * everywhere, on the CPU here and as a scalar expression for the targets.
 */
import * as S from './scalar.ts';
import type { Scalar } from './scalar.ts';

export type Words4 = readonly [number, number, number, number];

const M0 = 0xd2511f53, M1 = 0xcd9e8d57, W0 = 0x9e3779b9, W1 = 0xbb67ae85, ROUNDS = 10;

const mulHigh = (a: number, b: number): number => Number((BigInt(a >>> 0) * BigInt(b >>> 0)) >> 32n);

/** Four 32-bit words for a 128-bit counter and a 64-bit key (words lowest first). */
export const philox4x32 = (counter: Words4, key: readonly [number, number]): Words4 => {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(M0, c0), high1 = mulHigh(M1, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, Math.imul(M1, c2) >>> 0, (high0 ^ c3 ^ k1) >>> 0, Math.imul(M0, c0) >>> 0];
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  return [c0, c1, c2, c3];
};

const u32 = (value: number): Scalar => S.constant(value >>> 0, 'u32');

/** High word of a 32 x 32 bit product, from 16-bit halves (WGSL has no wide multiply). */
const mulHighScalar = (constantFactor: number, b: Scalar): Scalar => {
  const aLow = u32(constantFactor & 0xffff), aHigh = u32(constantFactor >>> 16);
  const bLow = S.bitAnd(b, u32(0xffff)), bHigh = S.shiftRight(b, u32(16));
  const middle = S.add(S.mul(aHigh, bLow), S.shiftRight(S.mul(aLow, bLow), u32(16)));
  const cross = S.add(S.mul(aLow, bHigh), S.bitAnd(middle, u32(0xffff)));
  return S.add(S.add(S.mul(aHigh, bHigh), S.shiftRight(middle, u32(16))), S.shiftRight(cross, u32(16)));
};

/** The same four words as scalar expressions; the counter is (block, 0, 0, 0). */
export const philoxScalars = (block: Scalar, key: readonly [Scalar, Scalar]): readonly [Scalar, Scalar, Scalar, Scalar] => {
  let c: readonly [Scalar, Scalar, Scalar, Scalar] = [block, u32(0), u32(0), u32(0)];
  for (let round = 0; round < ROUNDS; round++) {
    const k0 = S.add(key[0], u32(Math.imul(W0, round))), k1 = S.add(key[1], u32(Math.imul(W1, round)));
    const [c0, c1, c2, c3] = c;
    c = [
      S.bitXor(S.bitXor(mulHighScalar(M1, c2), c1), k0), S.mul(u32(M1), c2),
      S.bitXor(S.bitXor(mulHighScalar(M0, c0), c3), k1), S.mul(u32(M0), c0),
    ];
  }
  return c;
};
