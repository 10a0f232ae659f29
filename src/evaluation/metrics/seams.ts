/**
 * Patch seams: how much steeper images are across the borders of patches than inside them. 1: no seam is to be seen.
 *
 * Real images have a number of their own (objects sit at the same place in all of them), so only its difference to theirs says something.
 */
import type { ImageSet } from '../images.ts';

/** Mean absolute difference of neighbours across the borders of patches, divided by that elsewhere; undefined where there are no borders, or nothing but flat patches. */
export const seamScore = ({ count, channels, height, width, pixels }: Omit<ImageSet, 'labels'>, patch: number): number | undefined => {
  const steps = { border: 0, borders: 0, inside: 0, insides: 0 };
  const add = (isBorder: boolean, step: number): void => {
    if (isBorder) [steps.border, steps.borders] = [steps.border + step, steps.borders + 1];
    else [steps.inside, steps.insides] = [steps.inside + step, steps.insides + 1];
  };
  for (let plane = 0; plane < count * channels; plane++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const at = (plane * height + y) * width + x, here = pixels[at]!;
        if (x > 0) add(x % patch === 0, Math.abs(here - pixels[at - 1]!));
        if (y > 0) add(y % patch === 0, Math.abs(here - pixels[at - width]!));
      }
    }
  }
  const { border, borders, inside, insides } = steps;
  return borders === 0 || inside === 0 ? undefined : border / borders / (inside / insides);
};
