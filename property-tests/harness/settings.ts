/**
 * How many random cases the laws try, and from which seed. `PIXNERD_RUNS` scales all laws together, `PIXNERD_SEED` repeats a
 * run; without it the same cases are tried every time, so that a change can be told from a new case. `PIXNERD_SEED=fresh` looks
 * for new ones (`npm run test:all` does). The seed is printed when a law starts and by fast-check when one fails.
 */
import type { Parameters } from 'fast-check';
import { vi } from 'vitest';

/** Random programs of the main laws; the others scale with it. */
export const RUNS = Number(process.env['PIXNERD_RUNS'] ?? 300);

const freshSeed = (): number => Math.floor(Math.random() * 2 ** 31);
const given = process.env['PIXNERD_SEED'] ?? '20250731';
export const SEED = given === 'fresh' ? freshSeed() : Number(given);

/** Time for a law, so that thousands of runs on a busy machine fit in. */
vi.setConfig({ testTimeout: Math.max(600_000, 3_000 * RUNS) });

/** The share of `RUNS` that a law gets, at least `least`. */
export const runs = (share: number, least = 10): number => Math.max(least, Math.ceil(RUNS * share));

/** Parameters of `fc.assert`, with the seed announced. */
export const parameters = <T>(law: string, numRuns: number): Parameters<T> => {
  console.log(`law: ${law}: ${numRuns} runs, PIXNERD_SEED=${SEED}`);
  return { seed: SEED, numRuns, verbose: false, endOnFailure: false };
};
