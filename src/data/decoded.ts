/**
 * A data set made of image files. A small one is decoded once, on several threads, and kept as bytes; a large one is decoded again whenever an image is
 * asked for, ahead of who needs it.
 *
 * Invariant: item i is the same in every run over the same files. A damaged file is left out where all are decoded at once; where not, the next good one
 * stands in for it, so that the order of all others stays as it is.
 */
import { FileFault, fail } from '../files/errors.ts';
import type { ImageSize } from '../../models/pixnerd/config.ts';
import type { Dataset, DataOptions, Item } from './dataset.ts';
import { listed } from './dataset.ts';
import { type ImageShape, isDamage } from './decode.ts';
import { closing, type DecodePool, openPool } from './pool.ts';

/** A file, and what is known about it. */
export interface Entry {
  readonly path: string;
  readonly label: number;
  readonly caption?: string;
}

/** A folder that was looked through. */
export interface Scan {
  readonly path: string;
  readonly classes: readonly string[];
  readonly entries: readonly Entry[];
  readonly notes: readonly string[];
}

const USUAL_MEMORY = 2 ** 30;
/** Jobs in the pool's queue at a time. */
const WINDOW = 256;

const itemOf = (pixels: Uint8Array, { label, caption }: Entry): Item => ({ pixels, label, ...(caption !== undefined && { caption }) });

/** The notes about damaged files: each is named, up to a point. */
const MOST_NAMED = 20;
const damageNotes = (messages: readonly string[]): readonly string[] => [
  ...messages.slice(0, MOST_NAMED).map((message) => `skipped: ${message}`),
  ...(messages.length > MOST_NAMED ? [`skipped: ${messages.length - MOST_NAMED} more damaged images`] : []),
];

const checkAborted = (path: string, signal: AbortSignal | undefined): void => {
  if (signal?.aborted) fail('aborted', path, 'stopped while its images were decoded');
};

/** All images as bytes, one after the other, and the entries that they belong to. */
const decodeAll = async ({ path, entries }: Scan, shape: ImageShape, pool: DecodePool, { strict, signal, onProgress }: DataOptions) => {
  const length = shape.channels * shape.height * shape.width, bytes = new Uint8Array(entries.length * length);
  const kept: Entry[] = [], damaged: string[] = [];
  onProgress?.(0, entries.length);
  for (let start = 0; start < entries.length; start += WINDOW) {
    const window = entries.slice(start, start + WINDOW);
    const decoded = await Promise.all(window.map((entry) => pool.decode({ ...shape, path: entry.path })));
    checkAborted(path, signal);
    for (const [i, result] of decoded.entries()) {
      if ('pixels' in result) {
        bytes.set(result.pixels, kept.length * length);
        kept.push(window[i]!); // results are as many as jobs
      } else if (strict === true || !isDamage(result.error)) throw new FileFault(result.error);
      else damaged.push(result.error.message);
    }
    onProgress?.(start + window.length, entries.length);
  }
  return { kept, damaged, pixels: (i: number) => bytes.subarray(i * length, (i + 1) * length) };
};

const checkClasses = ({ path, classes }: Scan, kept: readonly Entry[], damaged: readonly string[]): void => {
  const present = new Set(kept.map(({ label }) => label)), empty = classes.filter((_, label) => !present.has(label));
  if (empty.length > 0) fail('empty', path, `every image of ${listed(empty)} is damaged, such as ${damaged[0]}`);
};

const kept = async (scan: Scan, shape: ImageShape, pool: DecodePool, options: DataOptions): Promise<Dataset> => {
  const { kept: entries, damaged, pixels } = await closing(pool, () => decodeAll(scan, shape, pool, options));
  checkClasses(scan, entries, damaged);
  return {
    ...shape,
    size: entries.length,
    classes: scan.classes,
    notes: [...scan.notes, ...damageNotes(damaged)],
    item: async (i) => itemOf(pixels(i), entries[i]!), // callers stay below `size`
    close: async () => undefined,
  };
};

const streamed = (scan: Scan, shape: ImageShape, pool: DecodePool, { strict = false, onNote }: DataOptions): Dataset => {
  const { path, entries, classes, notes } = scan, told = new Set<number>();
  const item = async (index: number): Promise<Item> => {
    for (let tried = 0; tried < entries.length; tried++) {
      const i = (index + tried) % entries.length, entry = entries[i]!; // below the length
      const decoded = await pool.decode({ ...shape, path: entry.path });
      if ('pixels' in decoded) return itemOf(decoded.pixels, entry);
      if (strict || !isDamage(decoded.error)) throw new FileFault(decoded.error);
      if (!told.has(i)) onNote?.(`skipped: ${decoded.error.message}`);
      told.add(i);
    }
    return fail('empty', path, 'every image is damaged');
  };
  return { ...shape, size: entries.length, classes, notes, item, close: pool.close };
};

/** The data set of a scan, in memory if it fits. */
export const decodedDataset = async (scan: Scan, { height, width }: ImageSize, options: DataOptions, pool = openPool(options)): Promise<Dataset> => {
  const shape: ImageShape = { channels: options.channels ?? 3, height, width };
  const bytes = scan.entries.length * shape.channels * height * width;
  return bytes <= (options.memory ?? USUAL_MEMORY) ? kept(scan, shape, pool, options) : streamed(scan, shape, pool, options);
};
