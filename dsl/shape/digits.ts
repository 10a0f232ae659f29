/**
 * Exact arithmetic on number literal types: schoolbook methods on their decimal digits, by table.
 *
 * Works for integers from 0 to 2^53 (TypeScript refuses larger literals: the result is then `never`). Every loop is tail recursive, so
 * the number of digits is no limit. "Low first" strings hold the least significant digit first. At run time `+ - * /` do the same.
 */

type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
type Carry = 0 | 1;

/** Last digit of `a + b`, for b up to 10 (a digit and a carry). */
type SumDigit = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0],
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1],
  [2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2],
  [3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3],
  [4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4],
  [5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5],
  [6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6],
  [7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7],
  [8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8],
  [9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
];
/** Carry of `a + b`. */
type SumCarry = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
  [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
  [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
  [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
  [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
];
/** Last digit of `a - b`, for b up to 10 (a digit and a borrow). */
type DifferenceDigit = [
  [0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
  [1, 0, 9, 8, 7, 6, 5, 4, 3, 2, 1],
  [2, 1, 0, 9, 8, 7, 6, 5, 4, 3, 2],
  [3, 2, 1, 0, 9, 8, 7, 6, 5, 4, 3],
  [4, 3, 2, 1, 0, 9, 8, 7, 6, 5, 4],
  [5, 4, 3, 2, 1, 0, 9, 8, 7, 6, 5],
  [6, 5, 4, 3, 2, 1, 0, 9, 8, 7, 6],
  [7, 6, 5, 4, 3, 2, 1, 0, 9, 8, 7],
  [8, 7, 6, 5, 4, 3, 2, 1, 0, 9, 8],
  [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 9],
];
/** Borrow of `a - b`. */
type DifferenceBorrow = [
  [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
  [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],
  [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
];
/** Last digit of `a * b`. */
type ProductDigit = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  [0, 2, 4, 6, 8, 0, 2, 4, 6, 8],
  [0, 3, 6, 9, 2, 5, 8, 1, 4, 7],
  [0, 4, 8, 2, 6, 0, 4, 8, 2, 6],
  [0, 5, 0, 5, 0, 5, 0, 5, 0, 5],
  [0, 6, 2, 8, 4, 0, 6, 2, 8, 4],
  [0, 7, 4, 1, 8, 5, 2, 9, 6, 3],
  [0, 8, 6, 4, 2, 0, 8, 6, 4, 2],
  [0, 9, 8, 7, 6, 5, 4, 3, 2, 1],
];
/** First digit of `a * b`. */
type ProductCarry = [
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 1, 1, 1, 1, 1],
  [0, 0, 0, 0, 1, 1, 1, 2, 2, 2],
  [0, 0, 0, 1, 1, 2, 2, 2, 3, 3],
  [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
  [0, 0, 1, 1, 2, 3, 3, 4, 4, 5],
  [0, 0, 1, 2, 2, 3, 4, 4, 5, 6],
  [0, 0, 1, 2, 3, 4, 4, 5, 6, 7],
  [0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
];
/** A digit plus a carry, as an index into the tables above. */
type WithCarry = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]];

type Reverse<S extends string, Result extends string = ''> = S extends `${infer First}${infer Rest}` ? Reverse<Rest, `${First}${Result}`> : Result;
type ToNumber<S extends string> = S extends `${infer N extends number}` ? N : never;
type DropZeros<S extends string> = S extends `0${infer Rest}` ? (Rest extends '' ? '0' : DropZeros<Rest>) : S;

/** Low first in, low first out. */
type AddDigits<A extends string, B extends string, C extends Carry, Result extends string = ''> =
  A extends `${infer a extends Digit}${infer restA}`
    ? B extends `${infer b extends Digit}${infer restB}`
      ? SumCarry[a][WithCarry[C][b]] extends infer Next extends Carry
        ? AddDigits<restA, restB, Next, `${Result}${SumDigit[a][WithCarry[C][b]]}`>
        : never
      : C extends 0 ? `${Result}${A}` : AddDigits<restA, '', SumCarry[a][1], `${Result}${SumDigit[a][1]}`>
    : B extends '' ? (C extends 0 ? Result : `${Result}1`)
    : C extends 0 ? `${Result}${B}` : AddDigits<B, '', C, Result>;

/** Low first in, high first out, leading zeros dropped; `'negative'` when A < B. */
type SubtractDigits<A extends string, B extends string, C extends Carry, Result extends string = ''> =
  A extends `${infer a extends Digit}${infer restA}`
    ? B extends `${infer b extends Digit}${infer restB}`
      ? DifferenceBorrow[a][WithCarry[C][b]] extends infer Next extends Carry
        ? SubtractDigits<restA, restB, Next, `${DifferenceDigit[a][WithCarry[C][b]]}${Result}`>
        : never
      : C extends 0 ? DropZeros<`${Reverse<A>}${Result}`>
      : SubtractDigits<restA, '', DifferenceBorrow[a][1], `${DifferenceDigit[a][1]}${Result}`>
    : B extends '' ? (C extends 0 ? DropZeros<Result> : 'negative')
    : 'negative';

/**
 * Low first A times one digit. `C` is the digit carried along: at most 8, so that product plus carry has two digits.
 * (`infer` between the look-ups keeps TypeScript from working them out for all digits at once.)
 */
type TimesDigit<A extends string, D extends Digit, C extends Digit = 0, Result extends string = ''> =
  A extends `${infer a extends Digit}${infer rest}`
    ? SumCarry[ProductDigit[D][a]][C] extends infer Carried extends Digit
      ? SumDigit[ProductCarry[D][a]][Carried] extends infer Next extends Digit
        ? TimesDigit<rest, D, Next, `${Result}${SumDigit[ProductDigit[D][a]][C]}`>
        : never
      : never
    : C extends 0 ? Result : `${Result}${C}`;

/** Low first A times high first B, low first out. */
type TimesDigits<A extends string, B extends string, Result extends string = ''> =
  B extends `${infer b extends Digit}${infer rest}`
    ? TimesDigits<A, rest, b extends 0 ? `0${Result}` : AddDigits<`0${Result}`, b extends 1 ? A : TimesDigit<A, b>, 0>>
    : Result;

export type Add<A extends number, B extends number> =
  A extends 0 ? B : B extends 0 ? A : ToNumber<Reverse<AddDigits<Reverse<`${A}`>, Reverse<`${B}`>, 0>>>;

/** `A - B`, or `never` when A < B. */
export type Subtract<A extends number, B extends number> =
  B extends 0 ? A
  : SubtractDigits<Reverse<`${A}`>, Reverse<`${B}`>, 0> extends infer S extends string ? (S extends 'negative' ? never : ToNumber<S>) : never;

export type Multiply<A extends number, B extends number> =
  A extends 1 ? B
  : B extends 1 ? A
  : A extends 0 ? 0
  : B extends 0 ? 0
  : ToNumber<DropZeros<Reverse<TimesDigits<Reverse<`${A}`>, `${B}`>>>>;

/** One step of long division: how often B (low first) goes into Rest (high first), and what is left. */
type QuotientDigit<Rest extends string, B extends string, Count extends 0[] = []> =
  SubtractDigits<Reverse<Rest>, B, 0> extends infer Less extends string
    ? Less extends 'negative' ? [Count['length'], Rest] : QuotientDigit<Less, B, [...Count, 0]>
    : never;
type LongDivision<A extends string, B extends string, Rest extends string = '', Quotient extends string = ''> =
  A extends `${infer a}${infer restA}`
    ? QuotientDigit<Rest extends '0' ? a : `${Rest}${a}`, B> extends [infer Q extends number, infer R extends string]
      ? LongDivision<restA, B, R, `${Quotient}${Q}`>
      : never
    : [ToNumber<DropZeros<Quotient>>, ToNumber<Rest>];

/** `[quotient, remainder]`; `never` for B = 0. */
export type DivideWithRest<A extends number, B extends number> =
  B extends 0 ? never : B extends 1 ? [A, 0] : A extends B ? [1, 0] : LongDivision<`${A}`, Reverse<`${B}`>>;

/** `A / B`, or `never` when B does not divide A. */
export type DivideExactly<A extends number, B extends number> = DivideWithRest<A, B> extends [infer Q extends number, 0] ? Q : never;
