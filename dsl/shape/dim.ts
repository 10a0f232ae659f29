/**
 * A dimension is a number literal or a string over symbols: `256`, `'B'`, `'h*w'`, `'12*H*J'`, `'(C+64)'`.
 *
 * A dimension is a polynomial with positive whole coefficients in canonical form, so two dimensions are equal exactly when they are
 * the same string. Terms: coefficient first (left out when 1), then the symbols in ASCII order (`'12*H*J'`). Sums: in brackets, terms
 * in lexicographic order of their symbols, the constant last (`'(B*T+2*B+64)'`); products of sums are multiplied out.
 * Every operation exists twice, as a type and as a function, and both give the same answer.
 */
import type { Add, DivideExactly, Multiply, Subtract } from './digits.ts';

export type Dim = number | string;
export type Shape = readonly Dim[];
/** What symbols stand for: sizes, or other dimensions. */
export type Substitution = { readonly [symbol: string]: Dim };

// `extends infer X` between steps keeps TypeScript from working out what a step could be for every Dim: a third of the checking time.

// Types: terms --------------------------------------------------------------------------------------------------------------------

/** `[coefficient, symbols in order]`. */
type Term = [number, string[]];

type SplitAt<S extends string, Mark extends string, Result extends string[] = []> =
  S extends `${infer First}${Mark}${infer Rest}` ? SplitAt<Rest, Mark, [...Result, First]> : [...Result, S];
type JoinWith<Words extends readonly string[], Mark extends string, Result extends string = ''> =
  Words extends readonly [infer First extends string, ...infer Rest extends readonly string[]]
    ? JoinWith<Rest, Mark, Result extends '' ? First : `${Result}${Mark}${First}`>
    : Result;

type ReadTerm<S extends string> =
  S extends `${infer C extends number}*${infer Symbols}` ? [C, SplitAt<Symbols, '*'>]
  : S extends `${infer C extends number}` ? [C, []]
  : [1, SplitAt<S, '*'>];
type ReadTerms<Parts extends string[], Result extends Term[] = []> =
  Parts extends [infer First extends string, ...infer Rest extends string[]] ? ReadTerms<Rest, [...Result, ReadTerm<First>]> : Result;
type TermsOf<D extends Dim> = D extends 0 ? [] : D extends `(${infer Sum})` ? ReadTerms<SplitAt<Sum, '+'>> : [ReadTerm<`${D}`>];

type ShowTerm<T extends Term> = T[1] extends [] ? `${T[0]}` : T[0] extends 1 ? JoinWith<T[1], '*'> : `${T[0]}*${JoinWith<T[1], '*'>}`;
type ShowTerms<Ts extends Term[], Result extends string[] = []> =
  Ts extends [infer First extends Term, ...infer Rest extends Term[]] ? ShowTerms<Rest, [...Result, ShowTerm<First>]> : JoinWith<Result, '+'>;
type DimOf<Ts extends Term[]> =
  Ts extends [] ? 0
  : Ts extends [infer Only extends Term] ? (Only[1] extends [] ? Only[0] : ShowTerm<Only>)
  : `(${ShowTerms<Ts>})`;

// Types: order --------------------------------------------------------------------------------------------------------------------

type Characters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
/** Whether A comes before B (or is B) in ASCII order. */
type InOrder<A extends string, B extends string> =
  A extends B ? true
  : A extends `${infer a}${infer restA}`
    ? B extends `${infer b}${infer restB}`
      ? a extends b ? InOrder<restA, restB> : Characters extends `${string}${a}${string}${b}${string}` ? true : false
      : false
    : true;
/** The lexicographic order of terms: it respects products, so exact division of sums works from the leading term down. */
type CompareSymbols<A extends string[], B extends string[]> =
  A extends [infer a extends string, ...infer restA extends string[]]
    ? B extends [infer b extends string, ...infer restB extends string[]]
      ? a extends b ? CompareSymbols<restA, restB> : InOrder<a, b> extends true ? 'before' : 'after'
      : 'before'
    : B extends [] ? 'same' : 'after';

type InsertSymbol<S extends string, Symbols extends string[], Result extends string[] = []> =
  Symbols extends [infer First extends string, ...infer Rest extends string[]]
    ? InOrder<S, First> extends true ? [...Result, S, ...Symbols] : InsertSymbol<S, Rest, [...Result, First]>
    : [...Result, S];
type MergeSymbols<A extends string[], B extends string[]> =
  A extends [] ? B : B extends [infer First extends string, ...infer Rest extends string[]] ? MergeSymbols<InsertSymbol<First, A>, Rest> : A;
/** A without the symbols of B; `never` when one is missing. */
type RemoveSymbols<A extends string[], B extends string[]> =
  B extends [infer First extends string, ...infer Rest extends string[]] ? RemoveSymbols<RemoveSymbol<First, A>, Rest> : A;
type RemoveSymbol<S extends string, Symbols extends string[], Result extends string[] = []> =
  Symbols extends [infer First extends string, ...infer Rest extends string[]]
    ? First extends S ? [...Result, ...Rest] : RemoveSymbol<S, Rest, [...Result, First]>
    : never;

// Types: sums, products, quotients of terms ---------------------------------------------------------------------------------------

type AddTerm<T extends Term, Ts extends Term[], Result extends Term[] = []> =
  Ts extends [infer First extends Term, ...infer Rest extends Term[]]
    ? CompareSymbols<T[1], First[1]> extends infer Order
      ? Order extends 'same' ? [...Result, [Add<T[0], First[0]>, T[1]], ...Rest]
        : Order extends 'before' ? [...Result, T, ...Ts] : AddTerm<T, Rest, [...Result, First]>
      : never
    : [...Result, T];
type AddTerms<A extends Term[], B extends Term[]> =
  B extends [infer First extends Term, ...infer Rest extends Term[]] ? AddTerms<AddTerm<First, A>, Rest> : A;

type SubtractTerm<T extends Term, Ts extends Term[], Result extends Term[] = []> =
  Ts extends [infer First extends Term, ...infer Rest extends Term[]]
    ? CompareSymbols<T[1], First[1]> extends 'same'
      ? [Subtract<First[0], T[0]>] extends [never] ? never
        : Subtract<First[0], T[0]> extends 0 ? [...Result, ...Rest] : [...Result, [Subtract<First[0], T[0]>, T[1]], ...Rest]
      : SubtractTerm<T, Rest, [...Result, First]>
    : never;
type SubtractTerms<A extends Term[], B extends Term[]> =
  [A] extends [never] ? never
  : B extends [infer First extends Term, ...infer Rest extends Term[]] ? SubtractTerms<SubtractTerm<First, A>, Rest> : A;

type MultiplyTerm<T extends Term, U extends Term> = [Multiply<T[0], U[0]>, MergeSymbols<T[1], U[1]>];
type ScaleTerms<T extends Term, Ts extends Term[], Result extends Term[] = []> =
  Ts extends [infer First extends Term, ...infer Rest extends Term[]] ? ScaleTerms<T, Rest, [...Result, MultiplyTerm<T, First>]> : Result;
type MultiplyTerms<A extends Term[], B extends Term[], Result extends Term[] = []> =
  A extends [infer First extends Term, ...infer Rest extends Term[]]
    ? MultiplyTerms<Rest, B, Result extends [] ? ScaleTerms<First, B> : AddTerms<Result, ScaleTerms<First, B>>>
    : Result;

type DivideTerm<T extends Term, U extends Term> =
  [DivideExactly<T[0], U[0]>] extends [never] ? never
  : [RemoveSymbols<T[1], U[1]>] extends [never] ? never
  : [DivideExactly<T[0], U[0]>, RemoveSymbols<T[1], U[1]>];
type DivideTerms<A extends Term[], B extends [Term, ...Term[]], Quotient extends Term[] = []> =
  [A] extends [never] ? never
  : A extends [infer First extends Term, ...Term[]]
    ? DivideTerm<First, B[0]> extends infer Q extends Term ? DivideTerms<SubtractTerms<A, ScaleTerms<Q, B>>, B, [...Quotient, Q]> : never
    : Quotient;

// Types: the arithmetic of dimensions ---------------------------------------------------------------------------------------------

/** Sums are rare: a single term takes the short way. */
type IsSum<D extends Dim> = D extends `(${string}` ? true : false;

/** `A * B`. */
export type MultiplyDim<A extends Dim, B extends Dim> =
  A extends 1 ? B
  : B extends 1 ? A
  : [A, B] extends [number, number] ? Multiply<A & number, B & number>
  : true extends IsSum<A> | IsSum<B> ? DimOf<MultiplyTerms<TermsOf<A>, TermsOf<B>>>
  : DimOf<[MultiplyTerm<ReadTerm<`${A}`>, ReadTerm<`${B}`>>]>;

/** `A / B`, or `never` when it does not come out even for every value of the symbols. */
export type DivideDim<A extends Dim, B extends Dim> =
  B extends 0 ? never
  : A extends B ? 1
  : B extends 1 ? A
  : A extends number ? (B extends number ? DivideExactly<A, B> : A extends 0 ? 0 : never)
  : true extends IsSum<A> | IsSum<B> ? DivideSum<A, B>
  : DivideTerm<ReadTerm<`${A}`>, ReadTerm<`${B}`>> extends infer Q extends Term ? DimOf<[Q]> : never;
type DivideSum<A extends Dim, B extends Dim> =
  TermsOf<B> extends infer Divisor extends [Term, ...Term[]]
    ? DivideTerms<TermsOf<A>, Divisor> extends infer Q extends Term[] ? DimOf<Q> : never
    : never;

/** `A + B`. */
export type AddDim<A extends Dim, B extends Dim> =
  A extends number ? (B extends number ? Add<A, B> : DimOf<AddTerms<TermsOf<A>, TermsOf<B>>>) : DimOf<AddTerms<TermsOf<A>, TermsOf<B>>>;

/** `A - B`, or `never` when a coefficient of the result would be negative. */
export type SubtractDim<A extends Dim, B extends Dim> =
  A extends B ? 0
  : A extends number ? (B extends number ? Subtract<A, B> : never)
  : SubtractTerms<TermsOf<A>, TermsOf<B>> extends infer Ts extends Term[] ? DimOf<Ts> : never;

/** Whether `A > B` for every value of the symbols (each at least 1). */
export type Exceeds<A extends Dim, B extends Dim> =
  [SubtractDim<A, B>] extends [never] ? false : SubtractDim<A, B> extends 0 ? false : true;

/** The number of elements of a shape. */
export type Product<S extends Shape, Result extends Dim = 1> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape] ? Product<Rest, MultiplyDim<Result, First>> : Result;

type SubstituteSymbols<Symbols extends string[], E extends Substitution, Result extends Dim> =
  Symbols extends [infer First extends string, ...infer Rest extends string[]]
    ? (First extends keyof E ? MultiplyDim<Result, E[First]> : MultiplyDim<Result, First>) extends infer Next extends Dim
      ? SubstituteSymbols<Rest, E, Next>
      : never
    : Result;
type SubstituteTerms<Ts extends Term[], E extends Substitution, Result extends Dim = 0> =
  Ts extends [infer First extends Term, ...infer Rest extends Term[]]
    ? SubstituteSymbols<First[1], E, First[0]> extends infer Value extends Dim
      ? AddDim<Result, Value> extends infer Next extends Dim ? SubstituteTerms<Rest, E, Next> : never
      : never
    : Result;
/** D with the symbols of E replaced. */
export type SubstituteDim<D extends Dim, E extends Substitution> =
  D extends number ? D : D extends keyof E ? E[D] : SubstituteTerms<TermsOf<D>, E>;
export type Substitute<S extends Shape, E extends Substitution, Result extends Dim[] = []> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape] ? Substitute<Rest, E, [...Result, SubstituteDim<First, E>]> : Result;

type CanonicalTerms<Ts extends Term[], Result extends Term[] = []> =
  Ts extends [infer First extends Term, ...infer Rest extends Term[]]
    ? CanonicalTerms<Rest, AddTerm<[First[0], MergeSymbols<[], SortSymbols<First[1]>>], Result>>
    : Result;
type SortSymbols<Symbols extends string[], Result extends string[] = []> =
  Symbols extends [infer First extends string, ...infer Rest extends string[]] ? SortSymbols<Rest, InsertSymbol<First, Result>> : Result;
/** The canonical form of a dimension written by hand: `'w*h'` is `'h*w'`. */
export type CanonicalDim<D extends Dim> = D extends `${string}*${string}` | `(${string})` ? DimOf<CanonicalTerms<TermsOf<D>>> : D;
export type Canonical<S extends Shape, Result extends Dim[] = []> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape] ? Canonical<Rest, [...Result, CanonicalDim<First>]> : Result;

type ShowDims<S extends Shape, Result extends string = ''> =
  S extends readonly [infer First extends Dim, ...infer Rest extends Shape]
    ? ShowDims<Rest, Result extends '' ? `${First}` : `${Result}, ${First}`>
    : Result;
/** `[B, 256, h*w]`, as in error messages. */
export type ShowShape<S extends Shape> = `[${ShowDims<S>}]`;

// Run time ------------------------------------------------------------------------------------------------------------------------

interface TermValue {
  readonly coefficient: number;
  readonly symbols: readonly string[];
}
type TermValues = readonly TermValue[];

export const showShape = (shape: Shape): string => `[${shape.join(', ')}]`;

const readTerm = (text: string): TermValue => {
  const factors = text.split('*');
  return /^\d+$/.test(factors[0]!) ? { coefficient: Number(factors[0]), symbols: factors.slice(1) } : { coefficient: 1, symbols: factors };
};
const readTerms = (text: string): TermValues => (text.startsWith('(') ? text.slice(1, -1).split('+').map(readTerm) : [readTerm(text)]);
/** A model has few different dimensions and asks for them all the time. */
const known = new Map<string, TermValues>();
const termsOf = (dim: Dim): TermValues => {
  if (typeof dim === 'number') return dim === 0 ? [] : [{ coefficient: dim, symbols: [] }];
  const terms = known.get(dim) ?? readTerms(dim);
  known.set(dim, terms);
  return terms;
};
const showTerm = ({ coefficient, symbols }: TermValue): string =>
  (coefficient === 1 && symbols.length > 0 ? symbols : [String(coefficient), ...symbols]).join('*');
const dimOf = (terms: TermValues): Dim => {
  const [first] = terms;
  if (first === undefined) return 0;
  if (terms.length > 1) return `(${terms.map(showTerm).join('+')})`;
  return first.symbols.length === 0 ? first.coefficient : showTerm(first);
};

/** Negative: a's term comes first. */
const compareSymbols = (a: readonly string[], b: readonly string[]): number => {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  return b.length - a.length;
};
const addTerm = (terms: TermValues, term: TermValue): TermValues => {
  const at = terms.findIndex((other) => compareSymbols(term.symbols, other.symbols) <= 0);
  if (at < 0) return [...terms, term];
  const other = terms[at]!;
  return compareSymbols(term.symbols, other.symbols) === 0
    ? terms.with(at, { ...term, coefficient: term.coefficient + other.coefficient })
    : terms.toSpliced(at, 0, term);
};
const subtractTerm = (terms: TermValues | undefined, term: TermValue): TermValues | undefined => {
  const at = terms?.findIndex((other) => compareSymbols(term.symbols, other.symbols) === 0) ?? -1;
  if (terms === undefined || at < 0) return undefined;
  const coefficient = terms[at]!.coefficient - term.coefficient;
  return coefficient < 0 ? undefined : coefficient === 0 ? terms.toSpliced(at, 1) : terms.with(at, { ...term, coefficient });
};
const multiplyTerm = (a: TermValue, b: TermValue): TermValue => ({
  coefficient: a.coefficient * b.coefficient,
  symbols: [...a.symbols, ...b.symbols].sort(),
});
const divideTerm = (a: TermValue, b: TermValue): TermValue | undefined => {
  const symbols = [...a.symbols];
  for (const symbol of b.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  return a.coefficient % b.coefficient === 0 ? { coefficient: a.coefficient / b.coefficient, symbols } : undefined;
};
const divideTerms = (a: TermValues, b: TermValues): TermValues | undefined => {
  const quotient: TermValue[] = [];
  for (let rest = a; rest.length > 0; ) {
    const next = divideTerm(rest[0]!, b[0]!);
    const left = next && b.map((term) => multiplyTerm(next, term)).reduce<TermValues | undefined>(subtractTerm, rest);
    if (next === undefined || left === undefined) return undefined;
    quotient.push(next);
    rest = left;
  }
  return quotient;
};

/** `a * b`. */
export const multiplyDim = (a: Dim, b: Dim): Dim =>
  typeof a === 'number' && typeof b === 'number' ? a * b
  : a === 1 ? b
  : b === 1 ? a
  : dimOf(termsOf(a).flatMap((term) => termsOf(b).map((other) => multiplyTerm(term, other))).reduce<TermValues>(addTerm, []));

/** `a / b`, or undefined when it does not come out even for every value of the symbols. */
export const divideDim = (a: Dim, b: Dim): Dim | undefined => {
  if (b === 0) return undefined;
  if (a === b) return 1;
  const quotient = divideTerms(termsOf(a), termsOf(b));
  return quotient && dimOf(quotient);
};

/** `a + b`. */
export const addDim = (a: Dim, b: Dim): Dim => dimOf(termsOf(b).reduce(addTerm, termsOf(a)));

/** `a - b`, or undefined when a coefficient of the result would be negative. */
export const subtractDim = (a: Dim, b: Dim): Dim | undefined => {
  const terms = termsOf(b).reduce<TermValues | undefined>(subtractTerm, termsOf(a));
  return terms && dimOf(terms);
};

/** Whether `a > b` for every value of the symbols (each at least 1). */
export const exceeds = (a: Dim, b: Dim): boolean => {
  const difference = subtractDim(a, b);
  return difference !== undefined && difference !== 0;
};

/** The number of elements of a shape. */
export const product = (shape: Shape): Dim => shape.reduce<Dim>(multiplyDim, 1);

/** `dim` with the symbols of `values` replaced; the others stay. */
export const substituteDim = (dim: Dim, values: Substitution): Dim =>
  typeof dim === 'number' ? dim
  : termsOf(dim)
      .map((term) => term.symbols.reduce<Dim>((value, symbol) => multiplyDim(value, values[symbol] ?? symbol), term.coefficient))
      .reduce<Dim>(addDim, 0);

export const substitute = (shape: Shape, values: Substitution): Shape => shape.map((dim) => substituteDim(dim, values));

/** The symbols in a dimension, each once, in order of appearance. */
export const symbolsOf = (dim: Dim): readonly string[] => [...new Set(termsOf(dim).flatMap((term) => term.symbols))];

/** The canonical form of a dimension written by hand: `'w*h'` is `'h*w'`. */
export const canonicalDim = (dim: Dim): Dim =>
  typeof dim === 'number' ? dim
  : dimOf(termsOf(dim).map(({ coefficient, symbols }) => ({ coefficient, symbols: [...symbols].sort() })).reduce<TermValues>(addTerm, []));

export const canonical = (shape: Shape): Shape => shape.map(canonicalDim);

const wellFormed = /^(?:\d+|(?:\d+\*)?[A-Za-z_]\w*(?:\*[A-Za-z_]\w*)*)$/;
/** Why `dim` is no dimension, or undefined when it is one. */
export const dimProblem = (dim: Dim): string | undefined => {
  if (typeof dim === 'number') return Number.isSafeInteger(dim) && dim > 0 ? undefined : `a dimension is a whole number above 0, found ${dim}`;
  const terms = dim.startsWith('(') && dim.endsWith(')') ? dim.slice(1, -1).split('+') : [dim];
  return terms.every((term) => wellFormed.test(term)) ? undefined : `a dimension is a product or bracketed sum of symbols, found '${dim}'`;
};
