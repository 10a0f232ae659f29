/** A data set for tests, made on the spot: images of 8 x 8 with one bright half, the left one in class 0, the right one in class 1. */
import { philoxNormals } from '../../models/noise/philox.ts';
import type { Dataset } from '../data/dataset.ts';

const SIDE = 8;

/** `count` images, other ones for another seed. */
export const brightHalves = (count: number, seed: number): Dataset => ({
  size: count, classes: ['left', 'right'], channels: 1, height: SIDE, width: SIDE, notes: [],
  item: async (index) => {
    const label = index % 2, noise = philoxNormals(seed, index, 0, SIDE * SIDE + 1), shift = Math.round(20 * noise[SIDE * SIDE]!);
    const isBright = (i: number): boolean => (i % SIDE < SIDE / 2) === (label === 0);
    return { label, pixels: Uint8Array.from({ length: SIDE * SIDE }, (_, i) => Math.max(0, Math.min(255, (isBright(i) ? 190 : 60) + shift + 15 * noise[i]!))) };
  },
  close: async () => undefined,
});
