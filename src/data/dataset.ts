/** What a data set is: images of one size by number, in an order that depends on nothing but its files. */
import type { FileError } from '../files/errors.ts';
import type { ImageSize } from '../../models/pixnerd/config.ts';

/** What goes wrong with data is what goes wrong with files; `message` names the file and says what to do. */
export type DataError = FileError;

export interface Item {
  /** [C, H, W] */
  readonly pixels: Uint8Array;
  readonly label: number;
  readonly caption?: string;
  /** A second label (a style, say), an index into the data set's `attributes`. */
  readonly attribute?: number;
}

export interface Dataset {
  readonly size: number;
  /** Their names, by label. */
  readonly classes: readonly string[];
  /** Names of the second label, where there is one. */
  readonly attributes?: readonly string[];
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
  /** What the user should know: skipped files, and the like. */
  readonly notes: readonly string[];
  /** Rejects with a `FileFault` only. */
  readonly item: (index: number) => Promise<Item>;
  /** Ends its threads. */
  readonly close: () => Promise<void>;
}

/** What `openDataset` is told. */
export interface DataOptions {
  /** A folder: of class folders, of images with captions, of IDX files, or with a pack; or a pack itself. */
  readonly path: string;
  /** Images become this large. Default: as large as IDX and packed images are; folders need it. */
  readonly size?: number | ImageSize;
  /** Default: what IDX and packed images have; 3 for folders. */
  readonly channels?: 1 | 3;
  /** Default: what the folder looks like. */
  readonly kind?: DataKind;
  /** Names of the classes that must be there, no more and no fewer. */
  readonly classes?: readonly string[];
  /** Half of IDX files. Default: train. */
  readonly split?: Split;
  /** Packs only: what becomes of items that were held out. Default: they are left out. */
  readonly heldOut?: 'without' | 'only' | 'with';
  /** Packs only: which label counts. `both`: a class for each pair of class and attribute. Default: class. */
  readonly label?: 'class' | 'attribute' | 'both';
  /** A damaged image is an error, not a note. */
  readonly strict?: boolean;
  /** Bytes of decoded images that may be kept in memory (default 1 GiB); larger sets are decoded again in each epoch. */
  readonly memory?: number;
  /** Images decoded at once. Default: as many as there are cores, 8 at most. */
  readonly workers?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
  /** Hears of images that are found damaged later on, in sets that are too large for memory. */
  readonly onNote?: (line: string) => void;
}

export const DATA_KINDS = ['classes', 'captions', 'idx', 'pack'] as const;
export type DataKind = (typeof DATA_KINDS)[number];
export type Split = 'train' | 't10k';

/** A size as height and width. */
export const extentOf = (size: number | ImageSize): ImageSize => (typeof size === 'number' ? { height: size, width: size } : { height: size.height, width: size.width });

/** A few names of many. */
export const listed = (names: readonly string[], most = 5): string =>
  names.length <= most ? names.join(', ') : `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
