/** Wrong einops and einsum patterns. */
import { einsum, input, rearrange, repeatAxes } from '../../dsl/index.ts';

const image = input('image', ['B', '16*h', '16*w', 3]);
const square = input('square', [4, 4]);

// error: rearrange: (h p): 16*h is not divisible by 12 in [B, 16*h, 16*w, 3]
export const notDivisible = rearrange(image, 'b (h p) (w q) c -> b (h w) (p q c)', { p: 12, q: 16 });
// error: rearrange: (h p): give a size for all but one of h p in [B, 16*h, 16*w, 3]
export const unknownSizes = rearrange(image, 'b (h p) (w q) c -> b (h w) (p q c)');
// error: rearrange: d is not bound on the left in 'b h w c -> b h w c d'
export const newName = rearrange(image, 'b h w c -> b h w c d');
// error: rearrange: c is lost on the right in 'b h w c -> b (h w)'
export const lostName = rearrange(image, 'b h w c -> b (h w)');
// error: rearrange: h appears twice on the right in 'b h w c -> b (h h) w c'
export const nameTwice = rearrange(image, 'b h w c -> b (h h) w c');
// error: rearrange: too few dimensions in [4, 4]
export const tooFew = rearrange(square, 'a b c -> c b a');
// error: rearrange: too many dimensions in [B, 16*h, 16*w, 3]
export const tooMany = rearrange(image, 'a b -> b a');
// error: rearrange: a pattern needs '->', got 'b h w c'
export const noArrow = rearrange(image, 'b h w c');
// error: rearrange: write a name and its size instead of 3 in 'b h w 3 -> b h w'
export const number = rearrange(image, 'b h w 3 -> b h w');
// error: repeat: r is not bound on the left in 'a b -> a b r'
export const repeated = repeatAxes(square, 'a b -> a b r');
// error: einsum: i appears twice in one operand in 'i i -> i'
export const diagonal = einsum('i i -> i', square);
// error: einsum: groups are not allowed in '(i j), j -> i'
export const group = einsum('(i j), j -> i', square, square);
// error: einsum: too few operands in [4, 4]
export const operands = einsum('i j, j k -> i k', square);
