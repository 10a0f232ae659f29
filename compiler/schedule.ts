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
}

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
}

export type AdapterClass = 'cpu' | 'gpu';

const SMALL: MatmulSchedule = { rows: 4, columns: 4, depth: 4, workgroup: [8, 8] };

/** The tile for a contraction of that many multiplications. */
export const matmulFor = ({ matmul, smallMatmul }: Schedule, multiplications: number): MatmulSchedule =>
  multiplications < smallMatmul.below ? smallMatmul.matmul : matmul;

export const SCHEDULES: Readonly<Record<AdapterClass, Schedule>> = {
  cpu: {
    matmul: { rows: 8, columns: 4, depth: 4, workgroup: [8, 8] }, smallMatmul: { below: 2 ** 22, matmul: SMALL }, row: { by: 'thread', workgroup: 32 }, keepLoops: true, launch: 20_000, normsInMatmuls: false, elementwise: 64, cooperativeFrom: Infinity,
    // lavapipe, 8 heads of 256 x 64: three kernels take 14 ms, one takes 60 to 90
    stream: undefined,
    // their code takes software drivers tens of seconds to compile
    rowProgram: undefined,
  },
  gpu: {
    matmul: { rows: 4, columns: 4, depth: 4, workgroup: [8, 8] }, smallMatmul: { below: 2 ** 22, matmul: SMALL }, row: { by: 'workgroup', workgroup: 64 }, keepLoops: false, launch: 150_000_000, normsInMatmuls: true, elementwise: 64, cooperativeFrom: 64,
    stream: { staging: 'workgroup', rows: 64, keys: 16, registers: 320, sharedBytes: 16384 },
    rowProgram: { threads: 256, width: 128, depth: 512, registers: 320, statements: 4096 },
  },
};

/** Largest power of two that is at most `x`, and at least 1. */
const powerOfTwo = (x: number): number => 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, x))));

/** Workgroup limits of an adapter, by their WebGPU names. */
export interface WorkgroupLimits {
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupSizeY: number;
  readonly maxComputeWorkgroupStorageSize: number;
}

/** The same schedule with workgroups that the adapter allows. Changes nothing for what WebGPU guarantees everywhere. */
export const withinLimits = (schedule: Schedule, limits: WorkgroupLimits): Schedule => {
  const most = Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX);
  const side = powerOfTwo(Math.sqrt(Math.min(most, limits.maxComputeWorkgroupSizeY ** 2)));
  const matmul = (m: MatmulSchedule): MatmulSchedule =>
    m.workgroup[0] * m.workgroup[1] <= most && m.workgroup[1] <= limits.maxComputeWorkgroupSizeY ? m : { ...m, workgroup: [side, side] };
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
