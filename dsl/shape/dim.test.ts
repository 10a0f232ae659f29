import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as dim from './dim.ts';
import type { AddDim, CanonicalDim, Dim, DivideDim, Exceeds, MultiplyDim, Product, ShowShape, SubstituteDim, SubtractDim } from './dim.ts';
import type { Add, DivideExactly, DivideWithRest, Multiply, Subtract } from './digits.ts';

const SYMBOLS = ['a', 'b', 'C', 'd'] as const;
type Values = Record<(typeof SYMBOLS)[number], number>;
const sizesUpTo = (max: number): fc.Arbitrary<Values> => {
  const size = fc.integer({ min: 1, max });
  return fc.record({ a: size, b: size, C: size, d: size });
};
const values = sizesUpTo(9);
const farValues = fc.noBias(sizesUpTo(10_000));
/** A dimension built by the operations themselves, and so canonical. */
const term: fc.Arbitrary<Dim> = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.array(fc.constantFrom<Dim>(...SYMBOLS), { maxLength: 3 }))
  .map(([coefficient, symbols]) => symbols.reduce(dim.multiplyDim, coefficient));
const anyDim: fc.Arbitrary<Dim> = fc.array(term, { minLength: 1, maxLength: 3 }).map((terms) => terms.reduce(dim.addDim));
/** The number that a dimension stands for. */
const at = (d: Dim, sizes: Values): number => Number(dim.substituteDim(d, sizes));

describe('arithmetic agrees with numbers for all values of the symbols', () => {
  test('product, sum, canonical form', () =>
    fc.assert(
      fc.property(anyDim, anyDim, values, (x, y, sizes) => {
        expect(at(dim.multiplyDim(x, y), sizes)).toBe(at(x, sizes) * at(y, sizes));
        expect(at(dim.addDim(x, y), sizes)).toBe(at(x, sizes) + at(y, sizes));
        expect(dim.multiplyDim(x, y)).toBe(dim.multiplyDim(y, x));
        expect(dim.addDim(x, y)).toBe(dim.addDim(y, x));
        expect(dim.canonicalDim(x)).toBe(x);
        expect(dim.dimProblem(x)).toBeUndefined();
      }),
    ));

  test('quotient and difference undo product and sum', () =>
    fc.assert(
      fc.property(anyDim, anyDim, (x, y) => {
        expect(dim.divideDim(dim.multiplyDim(x, y), y)).toBe(x);
        expect(dim.subtractDim(dim.addDim(x, y), y)).toBe(x);
      }),
    ));

  test('a quotient is exact, a difference is not negative', () =>
    fc.assert(
      fc.property(anyDim, anyDim, values, (x, y, sizes) => {
        const quotient = dim.divideDim(x, y);
        if (quotient !== undefined) expect(at(quotient, sizes) * at(y, sizes)).toBe(at(x, sizes));
        const difference = dim.subtractDim(x, y);
        if (difference !== undefined) expect(at(difference, sizes)).toBe(at(x, sizes) - at(y, sizes));
        if (dim.exceeds(x, y)) expect(at(x, sizes)).toBeGreaterThan(at(y, sizes));
      }),
    ));

  test('different forms differ in value: at four points of a wide range they cannot all agree', () =>
    fc.assert(
      fc.property(anyDim, anyDim, fc.array(farValues, { minLength: 4, maxLength: 4 }), (x, y, points) => {
        fc.pre(x !== y);
        expect(points.some((sizes) => at(x, sizes) !== at(y, sizes))).toBe(true);
      }),
    ));
});

test('what cannot be divided or subtracted for every size', () => {
  expect(dim.divideDim('h', 2)).toBeUndefined();
  expect(dim.divideDim('2*h', 'w')).toBeUndefined();
  expect(dim.divideDim('(2*h+1)', 2)).toBeUndefined();
  expect(dim.divideDim(7, 0)).toBeUndefined();
  expect(dim.subtractDim(64, 'h')).toBeUndefined();
  expect(dim.subtractDim('h', '2*h')).toBeUndefined();
});

test('forms written by hand', () => {
  expect(dim.canonical(['w*h', 'w*h*w', '(64+C)', '(w*h+T)'])).toEqual(['h*w', 'h*w*w', '(C+64)', '(T+h*w)']);
  expect(dim.symbolsOf('(12*H*J+B+3)')).toEqual(['H', 'J', 'B']);
  expect(dim.dimProblem(0)).toBe('a dimension is a whole number above 0, found 0');
  expect(dim.dimProblem(1.5)).toBe('a dimension is a whole number above 0, found 1.5');
  expect(dim.dimProblem('h-1')).toBe("a dimension is a product or bracketed sum of symbols, found 'h-1'");
  expect(dim.dimProblem('')).toBe("a dimension is a product or bracketed sum of symbols, found ''");
});

/** Fails to compile unless both types are the same. */
const same = <A, B>(verdict: [A, B] extends [B, A] ? true : false): void => expect(verdict).toBe(true);

test('the types compute the same', () => {
  same<MultiplyDim<'(T+h*w)', 'B'>, '(B*T+B*h*w)'>(true);
  same<MultiplyDim<'(C+64)', '(C+64)'>, '(C*C+128*C+4096)'>(true);
  same<DivideDim<'(B*T+B*h*w)', '(T+h*w)'>, 'B'>(true);
  same<DivideDim<'12*H*J', 4>, '3*H*J'>(true);
  same<DivideDim<'h', 2>, never>(true);
  same<AddDim<64, 'C'>, '(C+64)'>(true);
  same<SubtractDim<'(T+h*w)', 'T'>, 'h*w'>(true);
  same<SubtractDim<64, 'h'>, never>(true);
  same<SubstituteDim<'(T+h*w)', { h: 16; w: 16; T: '2*k' }>, '(2*k+256)'>(true);
  same<CanonicalDim<'w*h*a'>, 'a*h*w'>(true);
  same<Exceeds<'2*h', 'h'>, true>(true);
  same<Product<['B', 'h*w', 3, 64]>, '192*B*h*w'>(true);
  same<ShowShape<['B', 3]>, '[B, 3]'>(true);
});

test('number literals are exact up to 2^53', () => {
  same<Multiply<94906265, 94906265>, 9007199136250225>(true);
  same<Add<9007199254740990, 1>, 9007199254740991>(true);
  same<Subtract<10000000, 1>, 9999999>(true);
  same<Subtract<1, 2>, never>(true);
  same<DivideExactly<1179648, 1024>, 1152>(true);
  same<DivideWithRest<1000, 7>, [142, 6]>(true);
  same<Add<0, 0>, 0>(true);
});
