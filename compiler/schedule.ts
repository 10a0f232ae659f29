/**
 * Schedules: small typed records that say how a kernel runs, chosen by the class of adapter.
 *
 * Software adapters (SwiftShader, lavapipe, WARP) get kernels without barriers and workgroup memory and with small code: their
 * compilers are slow and every storage access is a gather. Hardware adapters get cooperative reductions and wider tiles.
 */
export interface MatmulSchedule {
  /** Rows and columns of the result that one thread computes. */
  readonly rows: number;
  readonly columns: number;
  /** Elements of the contracted axis taken at once. */
  readonly depth: 1 | 2 | 4;
  /** Threads along columns and rows. */
  readonly workgroup: readonly [number, number];
  /** 'workgroup': the threads of a workgroup load blocks of both factors into workgroup memory together. 'none': every thread reads memory. */
  readonly staging: 'none' | 'workgroup';
  /** Elements of the contracted axis in a staged block. */
  readonly blockDepth: number;
  /** Staged tiles are made smaller where fewer workgroups than this would run. */
  readonly minWorkgroups: number;
  /** Workgroup memory for staged blocks and values of rows, in bytes. */
  readonly sharedBytes: number;
  /** The tile to use instead where an adapter has subgroups and the problem has that many rows. */
  readonly broadcast?: BroadcastTile | undefined;
}

/** All threads of a workgroup have the same rows: those of a subgroup load a part of them each, and tell it the others. */
export interface BroadcastTile {
  /** Rows of the workgroup; a multiple of 4, the least size of a subgroup. */
  readonly rows: number;
  /** Columns of a thread. */
  readonly columns: number;
  /** Threads of a workgroup, along the columns. */
  readonly threads: number;
}
/** Threads that every subgroup of every adapter has (https://www.w3.org/TR/webgpu/#dom-gpuadapterinfo-subgroupminsize). */
export const LEAST_SUBGROUP = 4;

export interface RowSchedule {
  /** 'thread': one thread reduces a row. 'workgroup': the threads of a workgroup share a row. */
  readonly by: 'thread' | 'workgroup';
  readonly workgroup: number;
}

export interface StreamSchedule {
  /** 'workgroup': keys and values of a tile are loaded together. 'none': every thread reads memory. */
  readonly staging: 'workgroup' | 'none';
  /** Threads of a workgroup, one for each row. */
  readonly rows: number;
  /** Keys of a tile. */
  readonly keys: number;
  /** Most elements that one thread may keep in registers, queries and results together; larger heads are not streamed. */
  readonly registers: number;
  /** Workgroup memory for the tiles, in bytes. */
  readonly sharedBytes: number;
}

export interface RowProgramSchedule {
  /** Most threads of a workgroup, one for each row of a group. */
  readonly threads: number;
  /** Widest row, and most hidden units or inputs, of what counts as a small layer. */
  readonly width: number;
  readonly depth: number;
  /** Most elements that a thread may keep in registers. */
  readonly registers: number;
  /** Most statements of a kernel, about: the time of the driver's compiler grows with them. */
  readonly statements: number;
}

export interface Schedule {
  readonly matmul: MatmulSchedule;
  /** For contractions of fewer than `below` multiplications: less code, which software drivers compile faster than they would save. */
  readonly smallMatmul: { readonly below: number; readonly matmul: MatmulSchedule };
  readonly row: RowSchedule;
  /**
   * Short loops stay loops. Mesa unrolls loops of up to 32 rounds before LLVM sees them, and compiles a third longer for it (all kernels of a model of
   * 6 + 2 blocks: 10.5 s of CPU time with, 6.4 s without); what it computes is not faster.
   */
  readonly keepLoops: boolean;
  /** What one more kernel costs, in arithmetic operations of the adapter. */
  readonly launch: number;
  /** Whether a norm before a matmul is computed in the matmul's kernel, or has its result stored. */
  readonly normsInMatmuls: boolean;
  /** Attention with an online softmax. Undefined: its parts have kernels of their own. */
  readonly stream: StreamSchedule | undefined;
  /** Chains of small per-item layers, such as the hypernetwork's decode, in one kernel. Undefined: their parts have kernels of their own. */
  readonly rowProgram: RowProgramSchedule | undefined;
  /** Threads in a workgroup of an elementwise kernel. */
  readonly elementwise: number;
  /** Rows shorter than this are reduced by one thread even where workgroups could share them. */
  readonly cooperativeFrom: number;
  /** A thread computes four neighbouring elements at a time and many of them, for processors: see `kernels/vector-row.ts` and `kernels/packed-matmul.ts`. */
  readonly vectors?: boolean;
}

/** Software drivers of WebGPU, GPUs, and WebAssembly, which is a processor with vectors of four lanes and a large cache. */
export type AdapterClass = 'cpu' | 'gpu' | 'wasm';

type TileSize = Pick<MatmulSchedule, 'rows' | 'columns' | 'workgroup'>;
const unstaged = (size: TileSize, depth: MatmulSchedule['depth'] = 4): MatmulSchedule => ({ ...size, depth, staging: 'none', blockDepth: depth, minWorkgroups: 0, sharedBytes: 0 });
/** 256 workgroups are about two for each core of a large GPU. */
const staged = (size: TileSize, blockDepth: number): MatmulSchedule => ({ ...size, depth: 4, staging: 'workgroup', blockDepth, minWorkgroups: 256, sharedBytes: 16384 });

const SMALL = unstaged({ rows: 4, columns: 4, workgroup: [8, 8] });

/** The tile for a contraction of that many multiplications. */
export const matmulFor = ({ matmul, smallMatmul }: Schedule, multiplications: number): MatmulSchedule =>
  multiplications < smallMatmul.below ? smallMatmul.matmul : matmul;

/** What a matmul's tile depends on, besides the adapter. */
export interface MatmulProblem {
  readonly multiplications: number;
  /** Columns of the result. */
  readonly columns: number;
  /** Products that share the left factor. */
  readonly terms: number;
}

/** Sums that a thread keeps at once. */
const MOST_SUMS = 64;

/** The tile for a problem: no more threads than columns keep busy, and less rows where a thread has sums of several products. */
export const tileFor = (schedule: Schedule, { multiplications, columns, terms }: MatmulProblem): MatmulSchedule => {
  const { broadcast, ...own } = matmulFor(schedule, multiplications);
  if (broadcast === undefined) return own;
  const tiles = Math.ceil(columns / broadcast.columns), rows = Math.min(broadcast.rows, powerOfTwo(MOST_SUMS / (broadcast.columns * terms)));
  if (tiles < LEAST_SUBGROUP || rows < LEAST_SUBGROUP) return own;
  return { ...own, broadcast: { ...broadcast, rows, threads: Math.min(broadcast.threads, powerOfTwoFrom(tiles)) } };
};

export const SCHEDULES: Readonly<Record<AdapterClass, Schedule>> = {
  cpu: {
    // lavapipe gathers what threads load element by element: rows that a subgroup loads once make matmuls 1.2 to 1.5 times as fast
    matmul: { ...unstaged({ rows: 8, columns: 4, workgroup: [8, 8] }), broadcast: { rows: 16, columns: 4, threads: 32 } },
    smallMatmul: { below: 2 ** 23, matmul: { ...SMALL, broadcast: { rows: 8, columns: 4, threads: 16 } } }, row: { by: 'thread', workgroup: 32 }, keepLoops: true, launch: 20_000, normsInMatmuls: false, elementwise: 64, cooperativeFrom: Infinity,
    // lavapipe, 8 heads of 256 x 64: three kernels take 14 ms, one takes 60 to 90
    stream: undefined,
    // their code takes software drivers tens of seconds to compile
    rowProgram: undefined,
  },
  gpu: {
    matmul: staged({ rows: 8, columns: 8, workgroup: [16, 8] }, 16), smallMatmul: { below: 2 ** 22, matmul: SMALL }, row: { by: 'workgroup', workgroup: 64 }, keepLoops: false, launch: 150_000_000, normsInMatmuls: true, elementwise: 64, cooperativeFrom: 64,
    stream: { staging: 'workgroup', rows: 64, keys: 16, registers: 320, sharedBytes: 16384 },
    rowProgram: { threads: 256, width: 128, depth: 512, registers: 320, statements: 4096 },
  },
  wasm: {
    // 8 sums of 4 lanes, 2 vectors of the right factor, one of the left, one product: 16 registers
    matmul: unstaged({ rows: 4, columns: 8, workgroup: [1, 1] }, 1), smallMatmul: { below: 0, matmul: unstaged({ rows: 4, columns: 8, workgroup: [1, 1] }, 1) },
    row: { by: 'thread', workgroup: 1 }, keepLoops: false, launch: 10_000, normsInMatmuls: false, elementwise: 1, cooperativeFrom: Infinity, stream: undefined, rowProgram: undefined, vectors: true,
  },
};

/** Smallest power of two that is at least `x`, and at least 1. */
export const powerOfTwoFrom = (x: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, x)));
/** Largest power of two that is at most `x`, and at least 1. */
const powerOfTwo = (x: number): number => 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, x))));

/** Workgroup limits of an adapter, by their WebGPU names. */
export interface WorkgroupLimits {
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupSizeY: number;
  readonly maxComputeWorkgroupStorageSize: number;
}

/** Rows and columns of the result that share one computation of an element of a factor: those of a thread, or of a workgroup. */
export const sharingOf = ({ rows, columns, workgroup: [x, y], staging }: MatmulSchedule): { readonly rows: number; readonly columns: number } =>
  (staging === 'none' ? { rows, columns } : { rows: rows * y, columns: columns * x });

/** Bytes of workgroup memory that blocks of one product take; rows have a vector, columns one of padding. */
export const stagedBytes = ({ rows, columns, depth, workgroup: [x, y], blockDepth }: MatmulSchedule, terms = 1): number =>
  4 * (rows * y * (blockDepth + depth) + terms * blockDepth * (columns * x + 4));

const isPowerOfTwo = (n: number): boolean => n >= 1 && powerOfTwo(n) === n;

const fits = (m: MatmulSchedule, limits: WorkgroupLimits): boolean => {
  const [x, y] = m.workgroup;
  // staged kernels, and others whose tiles do not fill workgroups, number their threads through along x
  return x * y <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) && y <= limits.maxComputeWorkgroupSizeY
    && (m.staging === 'none' || (m.sharedBytes <= limits.maxComputeWorkgroupStorageSize && stagedBytes(m) <= m.sharedBytes));
};

/** Whether a matmul schedule means a kernel that an adapter can run: the rule for tuners and tests. */
export const legalMatmul = (m: MatmulSchedule, limits: WorkgroupLimits): boolean =>
  [m.rows, m.columns, m.blockDepth, ...m.workgroup].every(isPowerOfTwo) && m.rows * m.columns <= 64 && (m.staging === 'none' || (m.rows <= 8 && m.columns <= 8)) && m.blockDepth >= m.depth && fits(m, limits);

/** Halves workgroups and blocks until the adapter allows them. */
const fitted = (m: MatmulSchedule, limits: WorkgroupLimits): MatmulSchedule => {
  const sharedBytes = Math.min(m.sharedBytes, limits.maxComputeWorkgroupStorageSize), [x, y] = m.workgroup;
  if (fits({ ...m, sharedBytes }, limits)) return { ...m, sharedBytes };
  if (m.staging === 'workgroup' && stagedBytes(m) > sharedBytes && m.blockDepth > m.depth) return fitted({ ...m, blockDepth: m.blockDepth / 2 }, limits);
  if (x * y > 1) return fitted({ ...m, workgroup: y >= x || y > limits.maxComputeWorkgroupSizeY ? [x, powerOfTwo(y / 2)] : [powerOfTwo(x / 2), y] }, limits);
  return { ...m, staging: 'none', sharedBytes };
};

const SIDES = [4, 8] as const;
/**
 * What a tuner tries, for each class of adapter. GPUs: staged tiles from 32 x 32 to 128 x 128, whose threads keep 16 to 64 sums (fewer
 * read workgroup memory too often, more spill registers), and blocks as deep as 16 KiB allow; first the ones without, which win where
 * the cache is as fast. They are tried as they are (`minWorkgroups` is 0), since the time of the problem itself is measured. CPUs: no
 * workgroup memory (it was 2 to 4 times slower on lavapipe), since registers are all that counts: from flat tiles to high ones.
 */
export const MATMUL_CANDIDATES: Readonly<Record<AdapterClass, readonly MatmulSchedule[]>> = {
  gpu: [
    ...SIDES.map((rows) => unstaged({ rows, columns: 4, workgroup: [8, 8] })),
    ...([[8, 8], [16, 8], [8, 16], [16, 16], [32, 8]] as const).flatMap((workgroup) => SIDES.flatMap((rows) => SIDES.flatMap((columns) =>
      [8, 16, 32].map((blockDepth) => ({ ...staged({ rows, columns, workgroup }, blockDepth), minWorkgroups: 0 }))))),
  ].filter((m) => m.staging === 'none' || stagedBytes(m) <= m.sharedBytes),
  cpu: ([1, 2, 4, 8, 16] as const).flatMap((rows) => SIDES.flatMap((columns) => ([[4, 4], [8, 8], [16, 4], [16, 16]] as const).map((workgroup) => unstaged({ rows, columns, workgroup }))))
    .filter(({ rows, columns }) => rows * columns <= 64),
  wasm: [],
};

/** The same schedule with workgroups that the adapter allows. Changes nothing for what WebGPU guarantees everywhere. */
export const withinLimits = (schedule: Schedule, limits: WorkgroupLimits, features: readonly string[] = []): Schedule => {
  const most = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  const matmul = (m: MatmulSchedule): MatmulSchedule => {
    const broadcast = m.broadcast && features.includes('subgroups') && m.broadcast.threads <= most ? m.broadcast : undefined;
    return { ...fitted(m, limits), broadcast };
  };
  // a cooperative reduction keeps one element of 4 bytes for each thread
  const shared = powerOfTwo(Math.min(schedule.row.workgroup, most, limits.maxComputeWorkgroupStorageSize / 4));
  const row: RowSchedule = schedule.row.by === 'workgroup' && shared >= 2
    ? { by: 'workgroup', workgroup: shared } : { by: 'thread', workgroup: Math.min(schedule.row.workgroup, powerOfTwo(most)) };
  return {
    ...schedule, matmul: matmul(schedule.matmul), smallMatmul: { ...schedule.smallMatmul, matmul: matmul(schedule.smallMatmul.matmul) }, row,
    stream: schedule.stream && { ...schedule.stream, rows: Math.min(schedule.stream.rows, powerOfTwo(most)), sharedBytes: Math.min(schedule.stream.sharedBytes, limits.maxComputeWorkgroupStorageSize) },
    rowProgram: schedule.rowProgram && { ...schedule.rowProgram, threads: Math.min(schedule.rowProgram.threads, powerOfTwo(most)) },
    elementwise: Math.min(schedule.elementwise, powerOfTwo(most)),
  };
};
