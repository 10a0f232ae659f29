/**
 * Rooflines: how fast an adapter could be at most, as data. A kernel takes at least as long as its arithmetic at the peak rate, its bytes
 * at the full bandwidth, and one launch; whichever is longest is what bounds it.
 *
 * These are peaks out of data sheets or measured once, not promises: a matmul in WGSL reaches a half of a peak where it is good.
 */
export interface Roofline {
  /** For people. */
  readonly label: string;
  /** Arithmetic operations in a nanosecond: GFLOP/s, in f32. */
  readonly gflops: number;
  /** Bytes in a nanosecond, from the memory farthest away: GB/s. */
  readonly gbs: number;
  /** Time that even an empty kernel takes, one behind another in a pass. */
  readonly launchMicroseconds: number;
}

export const ROOFLINES = {
  h200: { label: 'H200', gflops: 67_000, gbs: 4_800, launchMicroseconds: 3 },
  laptop: { label: 'laptop (M-class GPU)', gflops: 10_000, gbs: 200, launchMicroseconds: 5 },
  lavapipe: { label: 'lavapipe, 2 CPU cores', gflops: 10, gbs: 20, launchMicroseconds: 25 },
} as const satisfies Readonly<Record<string, Roofline>>;
export type RooflineName = keyof typeof ROOFLINES;

/** What keeps a kernel from being faster. */
export type Bound = 'arithmetic' | 'memory' | 'launch';

export interface RooflineTime {
  readonly milliseconds: number;
  readonly bound: Bound;
}

/** The least time in which an adapter could do that much work in one kernel. */
export const timeAt = ({ gflops, gbs, launchMicroseconds }: Roofline, { flops, bytes }: { readonly flops: number; readonly bytes: number }): RooflineTime => {
  const times: Readonly<Record<Bound, number>> = { arithmetic: flops / gflops / 1e6, memory: bytes / gbs / 1e6, launch: launchMicroseconds / 1e3 };
  const bound = (['memory', 'launch'] as const).reduce<Bound>((most, next) => (times[next] > times[most] ? next : most), 'arithmetic');
  return { milliseconds: times[bound], bound };
};

/** Operations per byte at which arithmetic and memory take equally long. */
export const ridgeOf = ({ gflops, gbs }: Roofline): number => gflops / gbs;
