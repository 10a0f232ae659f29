/**
 * Tiles of staged matmuls: those of the schedule, made smaller where the problem is small.
 *
 * Sizes are powers of two, and every step halves one of them (or moves half of the threads to the other side, at most once each way), so
 * it ends, with a legal schedule again.
 */
import { type MatmulSchedule, sharingOf, stagedBytes } from '../schedule.ts';

/** What a contraction asks for. */
export interface MatmulProblem {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly batch: number;
  /** Sums that share the left factor, each with accumulators and blocks of its own. */
  readonly terms: number;
  /** Numbers kept for each row of a tile. */
  readonly rowValues: number;
}

/** Accumulators of a thread: with more, registers no longer suffice for enough threads to hide the latency of memory. */
const MOST_SUMS = 64;
/** Tiles are not made smaller than this to have more of them: workgroup memory would be read more often than it is worth (one row shares nothing anyway). */
const FEWEST_SUMS = 16;
/** Two subgroups on most GPUs, one on some. */
const FEWEST_THREADS = 64;

const rowsOf = (tile: MatmulSchedule): number => sharingOf(tile).rows;
const columnsOf = (tile: MatmulSchedule): number => sharingOf(tile).columns;

/** Workgroup memory of a tile, in bytes. */
export const tileBytes = (tile: MatmulSchedule, { terms, rowValues }: MatmulProblem): number => stagedBytes(tile, terms) + 4 * rowValues * rowsOf(tile);

export const workgroupsIn = (tile: MatmulSchedule, { rows, columns, batch }: MatmulProblem): number =>
  batch * Math.ceil(rows / rowsOf(tile)) * Math.ceil(columns / columnsOf(tile));

const fewerRows = (tile: MatmulSchedule): MatmulSchedule => ({ ...tile, rows: tile.rows / 2 });
const fewerColumns = (tile: MatmulSchedule): MatmulSchedule => ({ ...tile, columns: tile.columns / 2 });
/** Less work for each thread, along the longer side of the tile; columns stay whole vectors while rows can be halved. */
const lessWork = (tile: MatmulSchedule): MatmulSchedule | undefined => {
  const byRows = tile.rows > 1 && (rowsOf(tile) >= columnsOf(tile) || tile.columns <= 4);
  return byRows ? fewerRows(tile) : tile.columns > 1 ? fewerColumns(tile) : undefined;
};

/** Sides are not made smaller than this to fit an extent better. */
const SHORTEST = 16;
const padded = (extent: number, size: number): number => Math.ceil(extent / size) * size;
/** Whether half of the side would do, or a quarter of it would compute much less that nobody asked for: 96 columns instead of 128 for 72. */
const isTooLong = (size: number, extent: number): boolean =>
  size > 1 && (size >= 2 * extent || (size >= 4 * SHORTEST && padded(extent, size) > 1.25 * padded(extent, size / 4)));
const isTooTall = (tile: MatmulSchedule, { rows }: MatmulProblem): boolean => isTooLong(rowsOf(tile), rows);
const isTooWide = (tile: MatmulSchedule, { columns }: MatmulProblem): boolean => isTooLong(columnsOf(tile), columns);

/** Half as high: fewer threads where there are many, less work for each, or half of the threads for columns, unless there are none for them. */
const lower = (tile: MatmulSchedule, problem: MatmulProblem): MatmulSchedule => {
  const [x, y] = tile.workgroup, flat: MatmulSchedule = { ...tile, workgroup: [x, y / 2] };
  if (y > 1 && x * y > FEWEST_THREADS) return flat;
  if (tile.rows > 1) return fewerRows(tile);
  const turned: MatmulSchedule = { ...tile, workgroup: [x * 2, y / 2], columns: tile.columns > 4 ? tile.columns / 2 : tile.columns };
  return isTooWide(turned, problem) ? flat : turned;
};
/** Half as wide, likewise. */
const narrower = (tile: MatmulSchedule, problem: MatmulProblem): MatmulSchedule => {
  const [x, y] = tile.workgroup, thin: MatmulSchedule = { ...tile, workgroup: [x / 2, y] };
  if (x > 1 && x * y > FEWEST_THREADS) return thin;
  if (tile.columns > 4 || x === 1) return fewerColumns(tile);
  const turned: MatmulSchedule = { ...tile, workgroup: [x / 2, y * 2], rows: Math.max(1, tile.rows / 2) };
  return isTooTall(turned, problem) ? thin : turned;
};
const fewerThreads = (tile: MatmulSchedule): MatmulSchedule | undefined => {
  const [x, y] = tile.workgroup;
  return x * y === 1 ? undefined : { ...tile, workgroup: x >= y ? [x / 2, y] : [x, y / 2] };
};
/** Fewer threads as long as there are some of them, since sums in registers are what saves memory traffic; then less work for each. */
const halved = (tile: MatmulSchedule): MatmulSchedule | undefined => {
  const [x, y] = tile.workgroup;
  if (x * y <= FEWEST_THREADS) return tile.rows * tile.columns > Math.min(FEWEST_SUMS, rowsOf(tile)) ? lessWork(tile) : undefined;
  return { ...tile, workgroup: (rowsOf(tile) > columnsOf(tile) && y > 1) || x === 1 ? [x, y / 2] : [x / 2, y] };
};
const shallower = (tile: MatmulSchedule): MatmulSchedule | undefined => (tile.blockDepth > tile.depth ? { ...tile, blockDepth: tile.blockDepth / 2 } : undefined);

/** Likewise along the contracted axes, where half of a block counts: 24 elements are three blocks of 8. */
const isTooDeep = ({ blockDepth, depth: least }: MatmulSchedule, { depth }: MatmulProblem): boolean =>
  blockDepth > least && (blockDepth >= 2 * depth || padded(depth, blockDepth) > 1.25 * padded(depth, blockDepth / 2));

/** The next smaller tile; undefined where this one is right. */
const smaller = (tile: MatmulSchedule, problem: MatmulProblem): MatmulSchedule | undefined => {
  if (isTooTall(tile, problem)) return lower(tile, problem);
  if (isTooWide(tile, problem)) return narrower(tile, problem);
  if (isTooDeep(tile, problem)) return shallower(tile);
  if (tile.rows * tile.columns * problem.terms > MOST_SUMS) return lessWork(tile);
  // wave quantisation: on 132 cores, 144 tiles take as long as 264, and 36 leave most cores idle; with several for each core the rest matters little
  const more = workgroupsIn(tile, problem) < tile.minWorkgroups ? halved(tile) : undefined;
  return more ?? (tileBytes(tile, problem) > tile.sharedBytes ? shallower(tile) ?? lessWork(tile) ?? fewerThreads(tile) : undefined);
};

/** With at most this many rows, reading the right factor is all that takes time: blocks are deeper then, so that more loads are under way. */
const FEW_ROWS = 4;
const startFor = (schedule: MatmulSchedule, { rows }: MatmulProblem): MatmulSchedule =>
  rows <= FEW_ROWS ? { ...schedule, blockDepth: schedule.blockDepth * 4 } : schedule;

/** The tile for a problem; undefined where workgroup memory is too small for any. */
export const tileFor = (schedule: MatmulSchedule, problem: MatmulProblem): MatmulSchedule | undefined => {
  let tile = startFor(schedule, problem);
  for (let next = smaller(tile, problem); next !== undefined; next = smaller(tile, problem)) tile = next;
  return tileBytes(tile, problem) <= tile.sharedBytes ? tile : undefined;
};
