/** Kernels of one text together, and what they take on an adapter: the rows of the tables. */
import { type Bound, type Roofline, timeAt } from '../../compiler/roofline.ts';
import type { KernelReport, NeighbourReport } from './report.ts';

/** Kernels that run the same text on other tensors; the first stands for all. */
export interface SameKernels {
  readonly first: KernelReport;
  readonly all: readonly KernelReport[];
}

/** Kernels by their text, in order of first use. */
export const sameKernels = (kernels: readonly KernelReport[]): readonly SameKernels[] => {
  const groups = new Map<number, KernelReport[]>();
  for (const kernel of kernels) {
    const known = groups.get(kernel.sameAs);
    if (known === undefined) groups.set(kernel.sameAs, [kernel]);
    else known.push(kernel);
  }
  return [...groups.values()].map((all) => ({ first: all[0]!, all })); // a group has its first member
};

/** Where kernels of one text come from: `blocks.*.attn` for several blocks. */
export const placesOf = ({ first, all }: SameKernels): string => {
  const places = new Set(all.map(({ place }) => place)), [family, ...others] = new Set([...places].map((place) => place.replace(/\.\d+(?=\.|$)/, '.*')));
  return places.size === 1 || family === undefined ? first.place : others.length === 0 ? family : `${first.place} and others`;
};

export interface TotalTime {
  readonly milliseconds: number;
  /** How much of it is bound by what. */
  readonly by: Readonly<Record<Bound, number>>;
}

/** One kernel behind the other, each at the roofline. */
export const totalTime = (roofline: Roofline, kernels: readonly KernelReport[]): TotalTime => {
  const by: Record<Bound, number> = { arithmetic: 0, memory: 0, launch: 0 };
  for (const kernel of kernels) {
    const { bound, milliseconds } = timeAt(roofline, kernel);
    by[bound] += milliseconds;
  }
  return { milliseconds: by.arithmetic + by.memory + by.launch, by };
};

/** All pairs that one reason kept apart. */
export interface Separation {
  readonly reason: string;
  readonly pairs: readonly NeighbourReport[];
  /** Bytes that the tensors between them cost. */
  readonly bytes: number;
}

/** Reasons, those that cost the most bytes first. */
export const separations = (neighbours: readonly NeighbourReport[]): readonly Separation[] => {
  const by = new Map<string, NeighbourReport[]>();
  for (const pair of neighbours) {
    const known = by.get(pair.reason);
    if (known === undefined) by.set(pair.reason, [pair]);
    else known.push(pair);
  }
  return [...by].map(([reason, pairs]) => ({ reason, pairs, bytes: pairs.reduce((sum, { bytes }) => sum + bytes, 0) })).sort((a, b) => b.bytes - a.bytes);
};
