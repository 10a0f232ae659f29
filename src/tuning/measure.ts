/**
 * How long kernels take, on machines that do other things meanwhile: two of them take turns, and only their ratio is believed.
 *
 * Times come from the device's timestamps where it has them; else from the clock, over as many runs as take 20 ms. Those of software
 * drivers are no measure of a single short run either, so that short kernels are run several times for one sample.
 */
import { performance } from 'node:perf_hooks';
import type { Alone } from '../../compiler/tuning/alone.ts';
import type { Device } from '../runtime/device.ts';
import { load } from '../runtime/session.ts';
import { type Feeds, settled } from './trial.ts';

/** A loaded program whose kernels are timed. */
export interface Timed {
  /** Microseconds of one run. */
  readonly sample: () => Promise<number>;
  readonly dispose: () => void;
}

/** Kernels shorter than this are run several times for one sample. */
const SHORT_MICROSECONDS = 1000;
const MOST_RUNS = 5;
/** What the clock needs to be good to a few percent. */
const CLOCK_MILLISECONDS = 20;

/** Puts a program on the device, ready to be timed. */
export const timed = async (device: Device, { step, kernels }: Alone, feeds: Feeds): Promise<Timed> => {
  const session = await settled(load(device, step.program)), names = new Set(kernels.map(({ name }) => name));
  const run = async (options: Parameters<typeof session.run>[1]): Promise<void> => {
    for (const tensor of Object.values(await settled(session.run(feeds.onDevice, options)))) tensor.dispose();
  };
  const byTimestamps = async (): Promise<number> => {
    let microseconds = 0;
    await run({ profile: (timings) => timings.forEach(({ kernel, nanoseconds }) => { microseconds += names.has(kernel) ? nanoseconds / 1000 : 0; }) });
    return microseconds;
  };
  const byClock = async (runs: number): Promise<number> => {
    const start = performance.now();
    for (let i = 1; i < runs; i++) await run({ wait: false });
    await run({});
    return performance.now() - start;
  };
  let runs = 1;
  const timestamps = async (): Promise<number> => {
    const first = await byTimestamps(), more = Math.min(MOST_RUNS, Math.floor(SHORT_MICROSECONDS / Math.max(1, first)));
    const all = [first];
    for (let i = 0; i < more; i++) all.push(await byTimestamps());
    return median(all);
  };
  const clock = async (): Promise<number> => {
    for (;;) {
      const milliseconds = await byClock(runs);
      if (milliseconds >= CLOCK_MILLISECONDS || runs >= 1 << 16) return (1000 * milliseconds) / runs;
      runs *= 2;
    }
  };
  return { sample: device.gpu.features.has('timestamp-query') ? timestamps : clock, dispose: session.dispose };
};

/** The middle value; of an even number of them the mean of the middle two. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b), middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2; // callers have one at least
};

export interface Comparison {
  /** Medians, in microseconds. */
  readonly base: number;
  readonly other: number;
  /** Smallest ones. */
  readonly baseLeast: number;
  readonly otherLeast: number;
}

/** Candidates slower than this many times the best so far are not timed again; nor those that after two rounds still were never within a tenth of it. */
const HOPELESS = 3;
const BEHIND = 1.1;

/** Both in turns, after one run each that counts for nothing; ends early where `other` will not come near `best` times the base. */
export const compared = async (base: Timed, other: Timed, rounds: number, best = 1): Promise<Comparison> => {
  await base.sample();
  await other.sample();
  const times: (readonly [number, number])[] = [];
  for (let round = 0; round < rounds; round++) {
    times.push([await base.sample(), await other.sample()]);
    const [a, b] = [times.map(([time]) => time), times.map(([, time]) => time)].map((all) => Math.min(...all)) as [number, number];
    if (b > (round === 0 ? HOPELESS : BEHIND) * best * a) break;
  }
  const [bases, others] = [times.map(([a]) => a), times.map(([, b]) => b)];
  return { base: median(bases), other: median(others), baseLeast: Math.min(...bases), otherLeast: Math.min(...others) };
};
