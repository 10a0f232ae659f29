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

export interface Schedule {
  readonly matmul: MatmulSchedule;
  /** For contractions of fewer than `below` multiplications: less code, which software drivers compile faster than they would save. */
  readonly smallMatmul: { readonly below: number; readonly matmul: MatmulSchedule };
  readonly row: RowSchedule;
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
    matmul: { rows: 8, columns: 4, depth: 4, workgroup: [8, 8] }, smallMatmul: { below: 2 ** 22, matmul: SMALL }, row: { by: 'thread', workgroup: 32 }, elementwise: 64, cooperativeFrom: Infinity,
  },
  gpu: {
    matmul: { rows: 4, columns: 4, depth: 4, workgroup: [8, 8] }, smallMatmul: { below: 2 ** 22, matmul: SMALL }, row: { by: 'workgroup', workgroup: 64 }, elementwise: 64, cooperativeFrom: 64,
  },
};
