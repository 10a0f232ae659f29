import { expect, test } from 'vitest';
import { einopsRule, einsumRule, signatureRule } from './signature.ts';

test('names, groups, stars and literal ones', () => {
  expect(
    signatureRule('linear', '*lead in, out in -> *lead out', [
      ['B', 256, 1152],
      [4608, 1152],
    ]),
  ).toEqual(['B', 256, 4608]);
  expect(signatureRule('f', 'a *r b -> b (*r) a', [[2, 3, 'h', 5]])).toEqual([5, '3*h', 2]);
  expect(signatureRule('f', 'a (b 2) -> b a', [[3, '8*h']])).toEqual(['4*h', 3]);
  expect(signatureRule('f', '1 a -> a 1', [[1, 7]])).toEqual([7, 1]);
  expect(signatureRule('f', 'a -> ', [[7]])).toEqual([]);
  expect(signatureRule('f', 'a () -> () a', [[7, 1]])).toEqual([1, 7]);
});

test.each([
  [
    '*lead in, out in -> *lead out',
    [
      ['B', 256, 1152],
      [4608, 1024],
    ],
    'f: in differs: 1152 vs 1024 in [B, 256, 1152] x [4608, 1024]',
  ],
  ['a b -> b', [[2]], 'f: too few dimensions in [2]'],
  ['a -> a', [[2, 3]], 'f: too many dimensions in [2, 3]'],
  ['a, b -> a', [[2]], 'f: too few operands in [2]'],
  ['a -> a', [[2], [3]], 'f: too many operands in [2] x [3]'],
  [
    '*a, *a -> *a',
    [
      [2, 3],
      [3, 2],
    ],
    'f: *a differs: [2, 3] vs [3, 2] in [2, 3] x [3, 2]',
  ],
  ['(a b) -> a b', [[6]], 'f: (a b): give a size for all but one of a b in [6]'],
  ['(a 4) -> a', [[6]], 'f: (a 4): 6 is not divisible by 4 in [6]'],
  ['a (a 2) -> a', [[3, 7]], 'f: (a 2) is 6, but the dimension is 7 in [3, 7]'],
  ['*a b *c -> b', [[3, 7, 9]], 'f: only one * per operand in [3, 7, 9]'],
  ['a 2 -> a', [[3, 7]], 'f: expected 2, got 7 in [3, 7]'],
  ['a -> b', [[3]], "f: b is not bound on the left in 'a -> b'"],
  ['a b', [[3, 4]], "f: a pattern needs '->', got 'a b'"],
] as const)('%s is refused', (signature, shapes, message) => {
  expect(signatureRule('f', signature, shapes)).toBe(message);
});

test('sizes settle what a group leaves open', () => {
  expect(einopsRule('rearrange', 'b (h p) -> b h p', ['B', '16*h'], { p: 16 })).toEqual(['B', 'h', 16]);
  expect(einopsRule('rearrange', 'b (h p) -> b h p', ['B', '16*h'], { p: 'h' })).toEqual(['B', 16, 'h']);
});

test('einops and einsum patterns name everything once', () => {
  expect(einopsRule('rearrange', 'a b -> a', [2, 3])).toBe("rearrange: b is lost on the right in 'a b -> a'");
  expect(einopsRule('rearrange', 'a b -> a (b a)', [2, 3])).toBe("rearrange: a appears twice on the right in 'a b -> a (b a)'");
  expect(einopsRule('rearrange', 'a 3 -> a', [2, 3])).toBe("rearrange: write a name and its size instead of 3 in 'a 3 -> a'");
  expect(einopsRule('rearrange', '(a b -> a b', [2, 3])).toBe("rearrange: brackets do not match in '(a b -> a b'");
  expect(einsumRule('i i -> i', [[3, 3]])).toBe("einsum: i appears twice in one operand in 'i i -> i'");
  expect(einsumRule('(i j), j -> i', [[6], [3]])).toBe("einsum: groups are not allowed in '(i j), j -> i'");
  expect(
    einsumRule('b i j, b j k -> b i k', [
      ['B', 2, 3],
      ['B', 3, 4],
    ]),
  ).toEqual(['B', 2, 4]);
});
