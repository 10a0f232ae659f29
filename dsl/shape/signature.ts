/**
 * Signatures say in one line what an operation does to shapes: `'rows inner, inner cols -> rows cols'`.
 *
 * One grammar serves op signatures, einsum and einops patterns:
 *   name    one dimension, the same wherever the name stands     (a b)   a product of names
 *   *name   any number of dimensions, once per operand           1       a dimension of size 1
 * The interpreter exists twice, for the type checker and at run time; both give the same shape or the same message.
 */
import { divideDim, product, showShape } from './dim.ts';
import type { Dim, DivideDim, MultiplyDim, Product, Shape, ShowShape, Substitution } from './dim.ts';

// Types: reading a pattern --------------------------------------------------------------------------------------------------------

/** A name, or the names of a group. */
export type Token = string | readonly string[];

type Words<S extends string, Result extends string[] = []> =
  S extends '' ? Result
  : S extends ` ${infer Rest}` ? Words<Rest, Result>
  : S extends `${infer First} ${infer Rest}` ? Words<Rest, [...Result, First]>
  : [...Result, S];
type Tokens<S extends string, Result extends Token[] = []> =
  S extends '' ? Result
  : S extends ` ${infer Rest}` ? Tokens<Rest, Result>
  : S extends `(${infer Group})${infer Rest}` ? Tokens<Rest, [...Result, Words<Group>]>
  : S extends `${infer First} ${infer Rest}` ? Tokens<Rest, [...Result, First]>
  : [...Result, S];
type Operands<S extends string, Result extends Token[][] = []> =
  S extends `${infer First},${infer Rest}` ? Operands<Rest, [...Result, Tokens<First>]> : [...Result, Tokens<S>];
/** `[tokens of each operand, tokens of the result]`, or null without an arrow. */
export type ParsePattern<S extends string> = S extends `${infer Left}->${infer Right}` ? [Operands<Left>, Tokens<Right>] : null;

// Types: matching operands --------------------------------------------------------------------------------------------------------

type Bindings = { [name: string]: Dim | Dim[] };
type Fail<Message extends string> = { fail: Message };
type Bind<B extends Bindings, Name extends string, Value extends Dim | Dim[]> = { [K in keyof B | Name]: K extends keyof B ? B[K] : Value };
type Spaced<Names extends readonly string[], Result extends string = ''> =
  Names extends readonly [infer First extends string, ...infer Rest extends readonly string[]]
    ? Spaced<Rest, Result extends '' ? First : `${Result} ${First}`>
    : Result;

/** `[product of the bound names, names still free]`. */
type KnownPart<Group extends readonly string[], B extends Bindings, Known extends Dim = 1, Free extends string[] = []> =
  Group extends readonly [infer First extends string, ...infer Rest extends readonly string[]]
    ? First extends keyof B
      ? KnownPart<Rest, B, B[First] extends Dim ? MultiplyDim<Known, B[First]> : B[First] extends Shape ? Product<B[First], Known> : never, Free>
      : First extends `${infer N extends number}` ? KnownPart<Rest, B, MultiplyDim<Known, N>, Free>
      : KnownPart<Rest, B, Known, [...Free, First]>
    : [Known, Free];
type MatchGroup<Group extends readonly string[], D extends Dim, B extends Bindings> =
  KnownPart<Group, B> extends [infer Known extends Dim, infer Free extends string[]]
    ? Free extends [] ? (Known extends D ? B : Fail<`(${Spaced<Group>}) is ${Known}, but the dimension is ${D}`>)
    : Free extends [infer Name extends string]
      ? DivideDim<D, Known> extends infer Quotient extends Dim
        ? [Quotient] extends [never] ? Fail<`(${Spaced<Group>}): ${D} is not divisible by ${Known}`> : Bind<B, Name, Quotient>
        : never
      : Fail<`(${Spaced<Group>}): give a size for all but one of ${Spaced<Free>}`>
    : never;
type MatchToken<T extends Token, D extends Dim, B extends Bindings> =
  T extends readonly string[] ? MatchGroup<T, D, B>
  : T extends string
    ? T extends keyof B ? (B[T] extends D ? B : Fail<`${T} differs: ${B[T] & Dim} vs ${D}`>)
      : T extends `${infer N extends number}` ? (N extends D ? B : Fail<`expected ${N}, got ${D}`>)
      : T extends `*${string}` ? Fail<`only one * per operand`>
      : Bind<B, T, D>
    : never;
type MatchOperand<P extends Token[], S extends Shape, B extends Bindings> =
  P extends [infer First extends Token, ...infer Rest extends Token[]]
    ? First extends `*${string}` ? MatchFromEnd<Rest, First, S, B>
    : S extends readonly [infer D extends Dim, ...infer RestS extends Shape]
      ? MatchToken<First, D, B> extends infer R
        ? R extends Fail<string> ? R : R extends Bindings ? MatchOperand<Rest, RestS, R> : never
        : never
      : Fail<'too few dimensions'>
    : S extends readonly [] ? B : Fail<'too many dimensions'>;
type MatchFromEnd<P extends Token[], Star extends string, S extends Shape, B extends Bindings> =
  P extends [...infer RestP extends Token[], infer Last extends Token]
    ? S extends readonly [...infer RestS extends Shape, infer D extends Dim]
      ? MatchToken<Last, D, B> extends infer R
        ? R extends Fail<string> ? R : R extends Bindings ? MatchFromEnd<RestP, Star, RestS, R> : never
        : never
      : Fail<'too few dimensions'>
    : Star extends keyof B
      ? B[Star] extends Shape ? (B[Star] extends [...S] ? B : Fail<`${Star} differs: ${ShowShape<B[Star]>} vs ${ShowShape<S>}`>) : never
      : Bind<B, Star, [...S]>;
type MatchOperands<Ps extends Token[][], Ss extends readonly Shape[], B extends Bindings> =
  Ps extends [infer P extends Token[], ...infer RestP extends Token[][]]
    ? Ss extends readonly [infer S extends Shape, ...infer RestS extends readonly Shape[]]
      ? MatchOperand<P, S, B> extends infer R ? (R extends Fail<string> ? R : R extends Bindings ? MatchOperands<RestP, RestS, R> : never) : never
      : Fail<'too few operands'>
    : Ss extends readonly [] ? B : Fail<'too many operands'>;

// Types: building the result ------------------------------------------------------------------------------------------------------

type LookUp<Names extends readonly string[], B extends Bindings, Result extends Dim[] = []> =
  Names extends readonly [infer First extends string, ...infer Rest extends readonly string[]]
    ? First extends keyof B
      ? B[First] extends infer Value ? LookUp<Rest, B, Value extends Dim[] ? [...Result, ...Value] : [...Result, Value & Dim]> : never
      : First extends `${infer N extends number}` ? LookUp<Rest, B, [...Result, N]> : Fail<`${First} is not bound on the left`>
    : Result;
type BuildShape<P extends Token[], B extends Bindings, Result extends Dim[] = []> =
  P extends [infer First extends Token, ...infer Rest extends Token[]]
    ? LookUp<First extends readonly string[] ? First : [First & string], B> extends infer R
      ? R extends Fail<string> ? R
        : R extends Dim[] ? BuildShape<Rest, B, First extends string ? [...Result, ...R] : [...Result, Product<R>]> : never
      : never
    : Result;

/** `[2, 3] x [3, 4]`, as in error messages. */
export type ShowShapes<Ss extends readonly Shape[], Result extends string = ''> =
  Ss extends readonly [infer First extends Shape, ...infer Rest extends readonly Shape[]]
    ? ShowShapes<Rest, Result extends '' ? ShowShape<First> : `${Result} x ${ShowShape<First>}`>
    : Result;

/** The result shape of a signature, or a message. `Shown` are the shapes to name in messages, when `Ss` are only parts of them. */
export type Signature<
  Op extends string, S extends string, Ss extends readonly Shape[], Sizes extends Substitution = {}, Shown extends readonly Shape[] = Ss,
> =
  [ParsePattern<S>] extends [[infer Ps extends Token[][], infer Result extends Token[]]]
    ? MatchOperands<Ps, Ss, Sizes> extends infer B
      ? B extends Fail<infer Message extends string> ? `${Op}: ${Message} in ${ShowShapes<Shown>}`
        : B extends Bindings
          ? BuildShape<Result, B> extends infer R ? (R extends Fail<infer Message extends string> ? `${Op}: ${Message} in '${S}'` : R) : never
          : never
      : never
    : `${Op}: a pattern needs '->', got '${S}'`;

// Types: what einops and einsum patterns may say ----------------------------------------------------------------------------------

type NamesOf<P extends Token[], Result extends string[] = []> =
  P extends [infer First extends Token, ...infer Rest extends Token[]]
    ? NamesOf<Rest, First extends readonly string[] ? [...Result, ...First] : [...Result, First & string]>
    : Result;
/** What is wrong with the names of one side, or their union (without 1). */
type CheckNames<Names extends string[], Side extends string, Seen extends string = never> =
  Names extends [infer First extends string, ...infer Rest extends string[]]
    ? First extends '1' ? CheckNames<Rest, Side, Seen>
    : First extends `${number}` ? Fail<`write a name and its size instead of ${First}`>
    : First extends `${string}(${string}` | `${string})${string}` ? Fail<`brackets do not match`>
    : [First] extends [Seen] ? Fail<`${First} appears twice ${Side}`>
    : CheckNames<Rest, Side, Seen | First>
    : Names extends [] ? { names: Seen } : never;
type FirstMissing<Names extends string[], In extends string> =
  Names extends [infer First extends string, ...infer Rest extends string[]] ? (First extends In | '1' ? FirstMissing<Rest, In> : First) : never;

type CheckEinops<Op extends string, S extends string, Left extends string[], Right extends string[]> =
  CheckNames<Left, 'on the left'> extends infer L
    ? L extends Fail<infer Message> ? `${Op}: ${Message} in '${S}'`
      : CheckNames<Right, 'on the right'> extends infer R
        ? R extends Fail<infer Message> ? `${Op}: ${Message} in '${S}'`
          : R extends { names: infer Names extends string }
            ? [FirstMissing<Left, Names>] extends [never] ? 'fine' : `${Op}: ${FirstMissing<Left, Names>} is lost on the right in '${S}'`
            : never
        : never
    : never;
/** Rearrange and repeat: every name once on each side, none of the left lost. */
export type EinopsRule<Op extends string, S extends string, X extends Shape, Sizes extends Substitution> =
  [ParsePattern<S>] extends [[[infer P extends Token[], ...Token[][]], infer Result extends Token[]]]
    ? CheckEinops<Op, S, NamesOf<P>, NamesOf<Result>> extends infer Check
      ? Check extends 'fine' ? Signature<Op, S, [X], Sizes> : Check
      : never
    : `${Op}: a pattern needs '->', got '${S}'`;

type CheckEinsumOperands<Ps extends Token[][]> =
  Ps extends [infer P extends Token[], ...infer Rest extends Token[][]]
    ? Extract<P[number], readonly string[]> extends never
      ? CheckNames<NamesOf<P>, 'in one operand'> extends infer L ? (L extends Fail<string> ? L : CheckEinsumOperands<Rest>) : never
      : Fail<'groups are not allowed'>
    : { names: never };
/** Einsum: plain names, each once per operand and once in the result. */
export type EinsumRule<S extends string, Ss extends readonly Shape[]> =
  [ParsePattern<S>] extends [[infer Ps extends Token[][], infer Result extends Token[]]]
    ? CheckEinsumOperands<[...Ps, Result]> extends Fail<infer Message extends string> ? `einsum: ${Message} in '${S}'` : Signature<'einsum', S, Ss>
    : `einsum: a pattern needs '->', got '${S}'`;

// Run time ------------------------------------------------------------------------------------------------------------------------

export interface Pattern {
  readonly operands: readonly (readonly Token[])[];
  readonly result: readonly Token[];
}
/** What each name stands for; `*name` stands for several dimensions. */
export type NameBindings = ReadonlyMap<string, Dim | Shape>;

const isNumeral = (word: string): boolean => /^\d+$/.test(word);
const wordsOf = (text: string): readonly string[] => text.split(' ').filter((word) => word !== '');
const tokensOf = (text: string): readonly Token[] =>
  (text.match(/\([^)]*\)|[^ ]+/g) ?? []).map((word) => (word.startsWith('(') && word.endsWith(')') ? wordsOf(word.slice(1, -1)) : word));

/** The two sides of a pattern, or undefined without an arrow. */
export const parsePattern = (text: string): Pattern | undefined => {
  const arrow = text.indexOf('->');
  return arrow < 0 ? undefined : { operands: text.slice(0, arrow).split(',').map(tokensOf), result: tokensOf(text.slice(arrow + 2)) };
};

const valuesOf = (word: string, bindings: NameBindings): Shape | undefined => {
  const value = bindings.get(word);
  if (value === undefined) return isNumeral(word) ? [Number(word)] : undefined;
  return typeof value === 'object' ? value : [value];
};

/** Each match function adds to `bindings` or returns what is wrong. */
type MutableBindings = Map<string, Dim | Shape>;
type Problem = string | undefined;

const matchGroup = (group: readonly string[], dim: Dim, bindings: MutableBindings): Problem => {
  const known = product(group.flatMap((word) => valuesOf(word, bindings) ?? []));
  const free = group.filter((word) => valuesOf(word, bindings) === undefined);
  const [name] = free;
  const shown = `(${group.join(' ')})`;
  if (name === undefined) return known === dim ? undefined : `${shown} is ${known}, but the dimension is ${dim}`;
  if (free.length > 1) return `${shown}: give a size for all but one of ${free.join(' ')}`;
  const quotient = divideDim(dim, known);
  if (quotient === undefined) return `${shown}: ${dim} is not divisible by ${known}`;
  bindings.set(name, quotient);
  return undefined;
};

const matchToken = (token: Token, dim: Dim, bindings: MutableBindings): Problem => {
  if (typeof token !== 'string') return matchGroup(token, dim, bindings);
  const bound = bindings.get(token);
  if (bound !== undefined) return bound === dim ? undefined : `${token} differs: ${String(bound)} vs ${dim}`;
  if (isNumeral(token)) return Number(token) === dim ? undefined : `expected ${Number(token)}, got ${dim}`;
  if (token.startsWith('*')) return 'only one * per operand';
  bindings.set(token, dim);
  return undefined;
};

const matchTokens = (tokens: readonly Token[], dims: Shape, bindings: MutableBindings): Problem => {
  for (const [i, token] of tokens.entries()) {
    const dim = dims[i];
    const problem = dim === undefined ? 'too few dimensions' : matchToken(token, dim, bindings);
    if (problem !== undefined) return problem;
  }
  return undefined;
};

const matchStar = (star: string, dims: Shape, bindings: MutableBindings): Problem => {
  const bound = bindings.get(star);
  if (typeof bound !== 'object') bindings.set(star, dims);
  else if (showShape(bound) !== showShape(dims)) return `${star} differs: ${showShape(bound)} vs ${showShape(dims)}`;
  return undefined;
};

/** Before the star from the front, after it from the back, the star takes what is left. */
const matchOperand = (tokens: readonly Token[], shape: Shape, bindings: MutableBindings): Problem => {
  const at = tokens.findIndex((token) => typeof token === 'string' && token.startsWith('*'));
  if (at < 0) return matchTokens(tokens, shape, bindings) ?? (shape.length > tokens.length ? 'too many dimensions' : undefined);
  const after = tokens.slice(at + 1).reverse();
  return (
    matchTokens(tokens.slice(0, at), shape, bindings) ??
    matchTokens(after, shape.slice(at).reverse(), bindings) ??
    matchStar(tokens[at] as string, shape.slice(at, shape.length - after.length), bindings) // as: `at` was found among strings
  );
};

const matchOperands = (operands: Pattern['operands'], shapes: readonly Shape[], bindings: MutableBindings): Problem => {
  for (const [i, tokens] of operands.entries()) {
    const shape = shapes[i];
    const problem = shape === undefined ? 'too few operands' : matchOperand(tokens, shape, bindings);
    if (problem !== undefined) return problem;
  }
  return shapes.length > operands.length ? 'too many operands' : undefined;
};

export const showShapes = (shapes: readonly Shape[]): string => shapes.map(showShape).join(' x ');

/** What the names of `pattern` stand for in `shapes`, or a message. */
export const bindNames = (
  op: string, pattern: Pattern, shapes: readonly Shape[], sizes: Substitution = {}, shown: readonly Shape[] = shapes,
): NameBindings | string => {
  const bindings: MutableBindings = new Map(Object.entries(sizes));
  const problem = matchOperands(pattern.operands, shapes, bindings);
  return problem === undefined ? bindings : `${op}: ${problem} in ${showShapes(shown)}`;
};

/** The dimensions of one token, or the first name in it that is not bound. */
export const dimsOfToken = (token: Token, bindings: NameBindings): Shape | string => {
  const words = typeof token === 'string' ? [token] : token;
  const missing = words.find((word) => valuesOf(word, bindings) === undefined);
  if (missing !== undefined) return missing;
  const dims = words.flatMap((word) => valuesOf(word, bindings)!);
  return typeof token === 'string' ? dims : [product(dims)];
};

/** The result shape of a signature, or a message. `shown` are the shapes to name in messages, when `shapes` are only parts of them. */
export const signatureRule = (
  op: string, signature: string, shapes: readonly Shape[], sizes: Substitution = {}, shown: readonly Shape[] = shapes,
): Shape | string => {
  const pattern = parsePattern(signature);
  if (pattern === undefined) return `${op}: a pattern needs '->', got '${signature}'`;
  const bindings = bindNames(op, pattern, shapes, sizes, shown);
  if (typeof bindings === 'string') return bindings;
  const parts = pattern.result.map((token) => dimsOfToken(token, bindings));
  const missing = parts.find((part) => typeof part === 'string');
  return missing === undefined ? parts.flat() : `${op}: ${missing} is not bound on the left in '${signature}'`;
};

const checkNames = (names: readonly string[], side: string): Problem => {
  const seen = new Set<string>();
  for (const name of names) {
    if (name === '1') continue;
    if (isNumeral(name)) return `write a name and its size instead of ${name}`;
    if (/[()]/.test(name)) return 'brackets do not match';
    if (seen.has(name)) return `${name} appears twice ${side}`;
    seen.add(name);
  }
  return undefined;
};
const lostName = (left: readonly string[], right: readonly string[]): Problem => {
  const lost = left.find((name) => name !== '1' && !right.includes(name));
  return lost === undefined ? undefined : `${lost} is lost on the right`;
};

/** Rearrange and repeat: every name once on each side, none of the left lost. */
export const einopsRule = (op: string, text: string, shape: Shape, sizes: Substitution = {}): Shape | string => {
  const pattern = parsePattern(text);
  if (pattern === undefined) return `${op}: a pattern needs '->', got '${text}'`;
  const left = (pattern.operands[0] ?? []).flat();
  const right = pattern.result.flat();
  const problem = checkNames(left, 'on the left') ?? checkNames(right, 'on the right') ?? lostName(left, right);
  return problem === undefined ? signatureRule(op, text, [shape], sizes) : `${op}: ${problem} in '${text}'`;
};

/** Einsum: plain names, each once per operand and once in the result. */
export const einsumRule = (text: string, shapes: readonly Shape[]): Shape | string => {
  const pattern = parsePattern(text);
  if (pattern === undefined) return `einsum: a pattern needs '->', got '${text}'`;
  for (const tokens of [...pattern.operands, pattern.result]) {
    const problem = tokens.some((token) => typeof token !== 'string') ? 'groups are not allowed' : checkNames(tokens.flat(), 'in one operand');
    if (problem !== undefined) return `einsum: ${problem} in '${text}'`;
  }
  return signatureRule('einsum', text, shapes);
};
