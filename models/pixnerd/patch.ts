/**
 * Images to patches and back: torch's unfold and fold, where patches do not overlap.
 *
 * Invariant: patches and the pixels inside them are row-major; folding undoes unfolding, but for rows and columns that the
 * patch does not divide: they are left out, and come back as zeros.
 */
import { pad, rearrange, slice, type T } from '../../dsl/index.ts';

type Image = T<['B', 'C', 'P*h', 'Q*w']>;
/** One token per patch, its channels one after the other. */
type Tokens = T<['B', 'h*w', 'C*P*Q']>;
/** One row per pixel of each patch. */
type Pixels = T<['B*h*w', 'P*Q', 'C']>;

export const tokensOf = (image: Image): Tokens => rearrange(image, 'b c (h p) (w q) -> b (h w) (c p q)', { p: 'P', q: 'Q' });

export const pixelsOf = (tokens: Tokens): Pixels => rearrange(tokens, 'b n (c p q) -> (b n) (p q) c', { p: 'P', q: 'Q' });

export const imageOf = (pixels: Pixels): Image => rearrange(pixels, '(b h w) (p q) c -> b c (h p) (w q)', { h: 'h', w: 'w', p: 'P', q: 'Q' });

/** Any image: r rows and s columns are left over. */
type Ragged = T<['B', 'C', '(P*h+r)', '(Q*w+s)']>;

/** The part that patches cover. */
export const covered = (image: Ragged): Image => slice(slice(image, 2, 0, 'P*h'), 3, 0, 'Q*w');

/** Zeros where no patch was. */
export const uncovered = (image: Image): Ragged => pad(pad(image, 2, 0, 'r'), 3, 0, 's');
