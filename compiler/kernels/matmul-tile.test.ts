import { describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS } from '../profile.ts';
import { legalMatmul, MATMUL_CANDIDATES, SCHEDULES, sharingOf } from '../schedule.ts';
import { type MatmulProblem, tileBytes, tileFor, workgroupsIn } from './matmul-tile.ts';

const gpu = SCHEDULES.gpu.matmul;
const problem = (rows: number, columns: number, depth: number, more: Partial<MatmulProblem> = {}): MatmulProblem =>
  ({ rows, columns, depth, batch: 1, terms: 1, rowValues: 0, ...more });

/** Rows x columns of a tile, and its threads. */
const shown = (of: MatmulProblem): string => {
  const tile = tileFor(gpu, of)!, { rows, columns } = sharingOf(tile);
  return `${rows} x ${columns} by ${tile.workgroup[0] * tile.workgroup[1]} threads: ${workgroupsIn(tile, of)} workgroups, blocks of ${tile.blockDepth}`;
};

describe('the tile of a problem', () => {
  test.each([
    ['a large square', problem(4096, 4096, 4096), '64 x 128 by 128 threads: 2048 workgroups, blocks of 16'],
    ['qkv of XL, guided', problem(512, 3456, 1152), '64 x 64 by 64 threads: 432 workgroups, blocks of 16'],
    ['proj of XL, guided: 64 x 64 would be 144 workgroups', problem(512, 1152, 1152), '32 x 64 by 64 threads: 288 workgroups, blocks of 16'],
    ['a gated layer has twice the sums', problem(512, 3072, 1152, { terms: 2 }), '64 x 64 by 128 threads: 384 workgroups, blocks of 16'],
    ['24 along k are three blocks of 8, not two of 16', problem(4096, 4096, 24), '64 x 128 by 128 threads: 2048 workgroups, blocks of 8'],
    ['heads of 72 columns fill 96', problem(1024, 72, 1024, { batch: 64 }), '64 x 32 by 64 threads: 3072 workgroups, blocks of 16'],
    ['three columns', problem(131072, 3, 64), '64 x 4 by 64 threads: 2048 workgroups, blocks of 16'],
    ['one row', problem(1, 6912, 1152), '1 x 64 by 64 threads: 108 workgroups, blocks of 32'],
  ])('%s', (_name, of, text) => expect(shown(of)).toBe(text));

  test('is legal and fits, from every candidate and for every size', () => {
    const extents = [1, 2, 3, 5, 17, 33, 64, 72, 100, 1152, 4097];
    for (const candidate of MATMUL_CANDIDATES.gpu.filter(({ staging }) => staging === 'workgroup')) {
      for (const rows of extents) for (const columns of extents) for (const depth of [1, 7, 72, 3072]) {
        const of = problem(rows, columns, depth, { terms: 1 + (rows % 2), rowValues: 5 * (columns % 2) }), tile = tileFor(candidate, of);
        expect(tile).toBeDefined();
        expect(legalMatmul(tile!, DEFAULT_LIMITS)).toBe(true);
        expect(tileBytes(tile!, of)).toBeLessThanOrEqual(tile!.sharedBytes);
      }
    }
  });

  test('there is none where workgroup memory is too small', () => expect(tileFor({ ...gpu, sharedBytes: 64 }, problem(64, 64, 64))).toBeUndefined());
});
