/**
 * Integer index arithmetic: where in a tensor a loop body reads and writes.
 *
 * An index is an affine sum `constant + Σ coefficient · atom` kept in canonical order, with a known range. Atoms are loop
 * variables, floor quotients and remainders, clamps, and values read from memory (gather). Quotients and remainders cancel
 * wherever the ranges prove it, so that a chain of reshapes and permutes costs nothing at run time.
 * Example: with i in [0, 8) and j in [0, 64): `quotient(64·i + j, 64)` is `i`, `remainder(64·i + j, 64)` is `j`.
 */
import type { Atom, Index, Scalar, Term, Variable } from './expression.ts';
import { compactKey } from './key.ts';

export type { Atom, Index, Term, Variable } from './expression.ts';

/** The smallest and the largest value of an atom. */
export const atomRange = (atom: Atom): readonly [number, number] => {
  switch (atom.kind) {
    case 'variable': return [0, atom.extent - 1];
    case 'quotient': return [Math.floor(atom.of.min / atom.by), Math.floor(atom.of.max / atom.by)];
    case 'remainder': return [0, atom.of.min < 0 ? atom.by - 1 : Math.min(atom.by - 1, atom.of.max)];
    case 'clamp': return [Math.max(atom.min, Math.min(atom.of.min, atom.max)), Math.min(atom.max, Math.max(atom.of.max, atom.min))];
    case 'value': return [atom.min, atom.max];
  }
};

const atomKey = (atom: Atom): string => {
  switch (atom.kind) {
    case 'variable': return `v${atom.id}`;
    case 'quotient': return `(${atom.of.key})/${atom.by}`;
    case 'remainder': return `(${atom.of.key})%${atom.by}`;
    case 'clamp': return `clamp(${atom.of.key},${atom.min},${atom.max})`;
    case 'value': return `value(${atom.of.key})`;
  }
};

const make = (terms: readonly Term[], constant: number): Index => {
  let min = constant, max = constant;
  for (const { atom, coefficient } of terms) {
    const [low, high] = atomRange(atom);
    min += coefficient * (coefficient > 0 ? low : high);
    max += coefficient * (coefficient > 0 ? high : low);
  }
  const key = compactKey([...terms.map((term) => `${term.coefficient}${term.key}`), String(constant)].join('+'));
  return { terms, constant, min, max, key };
};

/**
 * Puts a position together again that was taken apart: `b·(x/b) + x%b` is `x`, and `b·((x/b)%n) + x%b` is `x % (b·n)`.
 * This is what makes an elementwise kernel over any shape run over one flat index.
 */
const mergeSplit = (terms: readonly Term[]): readonly Term[] | undefined => {
  for (const low of terms) {
    if (low.atom.kind !== 'remainder') continue;
    const { of, by } = low.atom;
    for (const high of terms) {
      if (high.coefficient !== low.coefficient * by) continue;
      const rest = () => terms.filter((term) => term !== low && term !== high);
      const scaled = (x: Index) => x.terms.map((term) => ({ ...term, coefficient: term.coefficient * low.coefficient }));
      const whole = quotient(of, by);
      if (isAtom(whole, high.atom) && of.constant === 0) return [...rest(), ...scaled(of)];
      if (high.atom.kind === 'remainder' && high.atom.of.key === whole.key) {
        const merged = remainder(of, by * high.atom.by);
        if (merged.constant === 0) return [...rest(), ...scaled(merged)];
      }
    }
  }
  return undefined;
};
const isAtom = (x: Index, atom: Atom): boolean =>
  x.constant === 0 && x.terms.length === 1 && x.terms[0]!.coefficient === 1 && x.terms[0]!.key === compactKey(atomKey(atom));

/** Sums like atoms, drops zeros, puts split positions together, sorts by key. */
const normalise = (terms: readonly Term[], constant: number): Index => {
  if (terms.length === 1 && terms[0]!.coefficient !== 0) return make(terms, constant);
  const sums = new Map<string, Term>();
  for (const term of terms) {
    const known = sums.get(term.key);
    sums.set(term.key, known === undefined ? term : { ...term, coefficient: known.coefficient + term.coefficient });
  }
  const kept = [...sums.values()].filter((term) => term.coefficient !== 0).sort((a, b) => (a.key < b.key ? -1 : 1));
  const merged = mergeSplit(kept);
  return merged === undefined ? make(kept, constant) : normalise(merged, constant);
};

const ofAtom = (atom: Atom): Index => {
  const [low, high] = atomRange(atom);
  return low === high ? integer(low) : make([{ atom, key: compactKey(atomKey(atom)), coefficient: 1 }], 0);
};

export const integer = (value: number): Index => make([], value);

/** Makes loop variables with ids that count up, from 0 unless it is told otherwise. */
export const variableSupply = (first = 0): ((extent: number) => Variable) => {
  let next = first;
  return (extent) => ({ kind: 'variable', id: next++, extent });
};
export const ofVariable = (v: Variable): Index => ofAtom(v);

export const plus = (a: Index, b: Index): Index => normalise([...a.terms, ...b.terms], a.constant + b.constant);
export const plusConstant = (a: Index, value: number): Index => (value === 0 ? a : make(a.terms, a.constant + value));
export const times = (a: Index, factor: number): Index =>
  factor === 0 ? integer(0) : make(a.terms.map((term) => ({ ...term, coefficient: term.coefficient * factor })), a.constant * factor);

/** Splits a sum into the part that `by` divides (already divided) and the rest. */
const splitBy = (a: Index, by: number): readonly [divided: Index, rest: Index] => {
  const whole = Math.floor(a.constant / by);
  const divisible = a.terms.filter((term) => term.coefficient % by === 0);
  const divided = make(divisible.map((term) => ({ ...term, coefficient: term.coefficient / by })), whole);
  return [divided, make(a.terms.filter((term) => term.coefficient % by !== 0), a.constant - whole * by)];
};

const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

/** floor(a / by), by > 0. */
export const quotient = (a: Index, by: number): Index => {
  if (by === 1) return a;
  const [divided, rest] = splitBy(a, by);
  if (Math.floor(rest.min / by) === Math.floor(rest.max / by)) return plusConstant(divided, Math.floor(rest.min / by));
  // (x·6 + c) / 4 = (x·3 + floor(c/2)) / 2: common factors of the coefficients cancel
  const common = rest.terms.reduce((g, term) => gcd(g, term.coefficient), by);
  const reduced = common === 1 ? rest : make(rest.terms.map((t) => ({ ...t, coefficient: t.coefficient / common })), Math.floor(rest.constant / common));
  const only = reduced.terms[0];
  if (reduced.terms.length === 1 && only !== undefined && only.coefficient === 1 && reduced.constant === 0 && only.atom.kind === 'quotient') {
    return plus(divided, quotient(only.atom.of, only.atom.by * (by / common)));
  }
  return plus(divided, common === by ? reduced : ofAtom({ kind: 'quotient', of: reduced, by: by / common }));
};

/** a - by · floor(a / by), by > 0. */
export const remainder = (a: Index, by: number): Index => {
  if (by === 1) return integer(0);
  const [, rest] = splitBy(a, by);
  const whole = Math.floor(rest.min / by);
  if (whole === Math.floor(rest.max / by)) return plusConstant(rest, -whole * by);
  const common = rest.terms.reduce((g, term) => gcd(g, term.coefficient), by);
  if (common > 1) {
    // (c·x + r) % (c·m) = c·(x % m) + r for 0 <= r < c
    const inner = make(rest.terms.map((t) => ({ ...t, coefficient: t.coefficient / common })), Math.floor(rest.constant / common));
    return plusConstant(times(remainder(inner, by / common), common), rest.constant - common * Math.floor(rest.constant / common));
  }
  return ofAtom({ kind: 'remainder', of: rest, by });
};

export const clampIndex = (a: Index, min: number, max: number): Index =>
  a.min >= min && a.max <= max ? a : ofAtom({ kind: 'clamp', of: a, min, max });

/** An integer computed in the loop body, for gather; it must lie in [min, max]. */
export const ofScalar = (of: Scalar, min: number, max: number): Index => ofAtom({ kind: 'value', of, min, max });

/** Row-major strides, in elements. */
export const stridesOf = (shape: readonly number[]): readonly number[] => {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!;
  return strides;
};

/** Row-major position of a multi-index. */
export const flatten = (index: readonly Index[], shape: readonly number[]): Index => {
  const strides = stridesOf(shape);
  return index.reduce((sum, part, axis) => plus(sum, times(part, strides[axis]!)), integer(0));
};

/** The multi-index of a row-major position. */
export const unflatten = (flat: Index, shape: readonly number[]): readonly Index[] => {
  const strides = stridesOf(shape);
  return shape.map((size, axis) => {
    const part = quotient(flat, strides[axis]!);
    return part.min >= 0 && part.max < size ? part : remainder(part, size);
  });
};

/** Replaces variables; every simplification runs again with the new ranges. */
export const substituteIndex = (a: Index, by: ReadonlyMap<number, Index>, scalar: (s: Scalar) => Scalar): Index => {
  let changed = false;
  const parts = a.terms.map((term) => {
    const image = substituteAtom(term.atom, by, scalar);
    if (image === undefined) return make([term], 0);
    changed = true;
    return times(image, term.coefficient);
  });
  return changed ? plusConstant(parts.reduce(plus, integer(0)), a.constant) : a;
};

const substituteAtom = (atom: Atom, by: ReadonlyMap<number, Index>, scalar: (s: Scalar) => Scalar): Index | undefined => {
  if (atom.kind === 'variable') return by.get(atom.id);
  if (atom.kind === 'value') {
    const of = scalar(atom.of);
    return of === atom.of ? undefined : of.kind === 'index' ? of.index : ofScalar(of, atom.min, atom.max);
  }
  const of = substituteIndex(atom.of, by, scalar);
  if (of === atom.of) return undefined;
  return atom.kind === 'quotient' ? quotient(of, atom.by) : atom.kind === 'remainder' ? remainder(of, atom.by) : clampIndex(of, atom.min, atom.max);
};
