/**
 * The laws of index arithmetic: whatever is simplified has the value, at every place, of the expression as it was written; it
 * lies in its range; and equal keys mean equal values.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Atom,
  clampIndex,
  flatten,
  type Index,
  integer,
  ofVariable,
  plus,
  plusConstant,
  quotient,
  remainder,
  substituteIndex,
  times,
  unflatten,
  type Variable,
  variableSupply,
} from '../../dsl/scalar/index-expression.ts';
import { parameters, runs } from '../harness/settings.ts';

/** An expression as written, over loop variables by number. */
type Written =
  | { readonly kind: 'variable'; readonly i: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'plus'; readonly a: Written; readonly b: Written }
  | { readonly kind: 'times' | 'quotient' | 'remainder' | 'offset'; readonly a: Written; readonly by: number }
  | { readonly kind: 'clamp'; readonly a: Written; readonly low: number; readonly high: number };

type Point = readonly number[];
const modulo = (x: number, by: number): number => x - by * Math.floor(x / by);

/** Brute force. */
const valueOf = (e: Written, at: Point): number => {
  switch (e.kind) {
    case 'variable':
      return at[e.i]!;
    case 'constant':
      return e.value;
    case 'plus':
      return valueOf(e.a, at) + valueOf(e.b, at);
    case 'times':
      return valueOf(e.a, at) * e.by + 0; // no -0
    case 'offset':
      return valueOf(e.a, at) + e.by;
    case 'quotient':
      return Math.floor(valueOf(e.a, at) / e.by);
    case 'remainder':
      return modulo(valueOf(e.a, at), e.by);
    case 'clamp':
      return Math.max(e.low, Math.min(e.high, valueOf(e.a, at)));
  }
};

const indexOf = (e: Written, variables: readonly Index[]): Index => {
  switch (e.kind) {
    case 'variable':
      return variables[e.i]!;
    case 'constant':
      return integer(e.value);
    case 'plus':
      return plus(indexOf(e.a, variables), indexOf(e.b, variables));
    case 'times':
      return times(indexOf(e.a, variables), e.by);
    case 'offset':
      return plusConstant(indexOf(e.a, variables), e.by);
    case 'quotient':
      return quotient(indexOf(e.a, variables), e.by);
    case 'remainder':
      return remainder(indexOf(e.a, variables), e.by);
    case 'clamp':
      return clampIndex(indexOf(e.a, variables), e.low, e.high);
  }
};

type Bindings = ReadonlyMap<number, number>;
const atomValue = (atom: Atom, at: Bindings): number => {
  switch (atom.kind) {
    case 'variable':
      return at.get(atom.id)!;
    case 'quotient':
      return Math.floor(indexValue(atom.of, at) / atom.by);
    case 'remainder':
      return modulo(indexValue(atom.of, at), atom.by);
    case 'clamp':
      return Math.max(atom.min, Math.min(atom.max, indexValue(atom.of, at)));
    case 'value':
      throw new Error('no loads here');
  }
};
/** The value of the simplified form. */
const indexValue = ({ terms, constant }: Index, at: Bindings): number =>
  terms.reduce((sum, { atom, coefficient }) => sum + coefficient * atomValue(atom, at), constant) + 0;

const DIVISORS = [1, 2, 3, 4, 5, 6, 8, 12, 16] as const;
const { written } = fc.letrec<{ written: Written }>((tie) => {
  const by = fc.constantFrom(...DIVISORS),
    a = tie('written');
  return {
    written: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.record({ kind: fc.constant('variable' as const), i: fc.nat(2) }),
      fc.record({ kind: fc.constant('constant' as const), value: fc.integer({ min: -9, max: 20 }) }),
      fc.record({ kind: fc.constant('plus' as const), a, b: a }),
      fc.record({ kind: fc.constant('times' as const), a, by: fc.oneof(by, fc.integer({ min: -4, max: 20 })) }),
      fc.record({ kind: fc.constant('offset' as const), a, by: fc.integer({ min: -9, max: 20 }) }),
      fc.record({ kind: fc.constantFrom('quotient' as const, 'remainder' as const), a, by }),
      fc.record({ kind: fc.constant('clamp' as const), a, low: fc.integer({ min: -3, max: 3 }), high: fc.integer({ min: 3, max: 30 }) }),
    ),
  };
});
const extents = fc.tuple(...[0, 1, 2].map(() => fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8)));

const variablesOf = (sizes: readonly number[]): readonly Variable[] => {
  const variable = variableSupply();
  return sizes.map(variable);
};
const pointsOf = (sizes: readonly number[]): readonly Point[] =>
  sizes.reduce<readonly Point[]>((points, size) => points.flatMap((point) => Array.from({ length: size }, (_, i) => [...point, i])), [[]]);
const bindings = (variables: readonly Variable[], at: Point): Bindings => new Map(variables.map((v, i) => [v.id, at[i]!]));

/** `expect` is too slow for every point of every expression. */
const expectNumber = (got: number, want: number, at: Point): void => {
  if (got !== want) throw new Error(`${got} instead of ${want} at [${at.join()}]`);
};

test('simplified expressions have the value that was written, within their range', () => {
  fc.assert(
    fc.property(written, extents, (expression, sizes) => {
      const variables = variablesOf(sizes),
        index = indexOf(expression, variables.map(ofVariable));
      for (const point of pointsOf(sizes)) {
        const value = indexValue(index, bindings(variables, point));
        expectNumber(value, valueOf(expression, point), point);
        if (value < index.min || value > index.max) throw new Error(`${value} at [${point.join()}] is outside [${index.min}, ${index.max}]`);
      }
    }),
    parameters('index arithmetic', runs(8)),
  );
});

test('equal keys mean equal values', () => {
  fc.assert(
    fc.property(fc.array(written, { minLength: 8, maxLength: 8 }), extents, (expressions, sizes) => {
      const variables = variablesOf(sizes),
        byKey = new Map<string, Written>();
      for (const expression of expressions) {
        const { key } = indexOf(expression, variables.map(ofVariable)),
          known = byKey.get(key);
        if (known !== undefined) for (const point of pointsOf(sizes)) expectNumber(valueOf(expression, point), valueOf(known, point), point);
        byKey.set(key, expression);
      }
    }),
    parameters('index keys', runs(3)),
  );
});

test('substitution puts expressions in the place of variables', () => {
  fc.assert(
    fc.property(written, fc.tuple(written, written, written), extents, (outer, inner, sizes) => {
      const variables = variablesOf([...sizes, ...sizes]),
        own = variables.slice(0, 3),
        other = variables.slice(3);
      // images must lie in the range of the variable that they replace
      const images = inner.map((e, i): Written => ({ kind: 'remainder', a: e, by: sizes[i]! }));
      const replaced = substituteIndex(
        indexOf(outer, own.map(ofVariable)),
        new Map(images.map((e, i) => [own[i]!.id, indexOf(e, other.map(ofVariable))] as const)),
        (e) => e,
      );
      for (const point of pointsOf(sizes)) {
        expectNumber(
          indexValue(replaced, bindings(other, point)),
          valueOf(
            outer,
            images.map((e) => valueOf(e, point)),
          ),
          point,
        );
      }
    }),
    parameters('index substitution', runs(4)),
  );
});

const shapes: fc.Arbitrary<readonly number[]> = fc.array(fc.constantFrom(1, 2, 3, 4, 5, 6), { minLength: 1, maxLength: 4 });

test('taking a position apart and putting it together again costs nothing', () => {
  fc.assert(
    fc.property(shapes, (shape) => {
      const [flat] = variablesOf([shape.reduce((a, b) => a * b, 1)]).map(ofVariable) as [Index]; // one in, one out
      expect(flatten(unflatten(flat, shape), shape).key).toBe(flat.key);
      const parts = variablesOf(shape).map(ofVariable);
      expect(unflatten(flatten(parts, shape), shape).map((part) => part.key)).toEqual(parts.map((part) => part.key));
    }),
    parameters('flatten and unflatten', runs(1)),
  );
});

test('a chain of reshapes and permutes reads the right element', () => {
  const chain = fc.array(fc.nat(2 ** 16), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(shapes, chain, (shape, steps) => {
      const variables = variablesOf(shape);
      let index: readonly Index[] = variables.map(ofVariable),
        now: readonly number[] = shape;
      const brute = new Map(pointsOf(shape).map((point) => [point.join(), point] as const));
      let read = (point: Point): Point => point;
      for (const step of steps) {
        const before = now,
          inner = read;
        if (step % 2 === 0) {
          const axes = before.map((_, axis) => axis).sort((a, b) => ((step >> a) & 1) - ((step >> b) & 1) || b - a);
          now = axes.map((axis) => before[axis]!);
          index = axes.map((axis) => index[axis]!);
          read = (point) => axes.map((axis) => inner(point)[axis]!);
        } else {
          const count = before.reduce((a, b) => a * b, 1),
            split = [1, 2, 3, 4, 6].filter((size) => count % size === 0),
            size = split[step % split.length]!;
          now = [count / size, size];
          index = unflatten(flatten(index, before), now);
          read = (point) => {
            const flat = inner(point).reduce((sum, p, axis) => sum * before[axis]! + p, 0);
            return [Math.floor(flat / size), flat % size];
          };
        }
      }
      for (const point of brute.values()) expect(index.map((part) => indexValue(part, bindings(variables, point)))).toEqual(read(point));
    }),
    parameters('chains of views', runs(2)),
  );
});
