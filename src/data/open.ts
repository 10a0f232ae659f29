/** Opens a data set, whatever it is: looks at the folder, and hands over to who knows its kind. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskEither } from 'fp-ts/TaskEither';
import { attempt, fail } from '../files/errors.ts';
import { type DataError, type DataKind, type Dataset, type DataOptions, extentOf } from './dataset.ts';
import { IMAGE_FILE } from './decode.ts';
import { decodedDataset, type Scan } from './decoded.ts';
import { listingOf, METADATA, scanCaptions, scanClasses } from './folders.ts';
import { idxDataset, looksLikeIdx } from './idx.ts';
import { PACK_FILE, packDataset } from './pack.ts';

/** What lies at a path. */
interface Place {
  readonly kind: DataKind;
  /** The pack's file, where it is one. */
  readonly pack?: string;
}

const placeOf = async (path: string): Promise<Place> => {
  if (path === '') return fail('not-found', '(empty path)', 'a data set needs a path');
  const found = await stat(path).catch((thrown: NodeJS.ErrnoException) => (thrown.code === 'ENOENT' ? fail('not-found', path, 'there is no such folder') : Promise.reject(thrown)));
  if (!found.isDirectory())
    return PACK_FILE.test(path) ? { kind: 'pack', pack: path } : fail('unsupported', path, 'this is a file; expected is a folder with images or IDX files, or a .pack');
  const { folders, files } = await listingOf(path), packs = files.filter((file) => PACK_FILE.test(file));
  if (packs.length > 1) return fail('mismatch', path, `there are ${packs.length} packs in it: name the one to be used`);
  if (packs[0] !== undefined) return { kind: 'pack', pack: join(path, packs[0]) };
  if (looksLikeIdx(files)) return { kind: 'idx' };
  const hasCaptions = files.includes(METADATA) || (folders.length === 0 && files.some((file) => IMAGE_FILE.test(file) && files.includes(file.replace(IMAGE_FILE, '.txt'))));
  return { kind: hasCaptions ? 'captions' : 'classes' };
};

/** Options that have no meaning for a kind are mistakes, not wishes. */
const checkOptions = ({ path, size, split, heldOut, label, channels, workers, memory }: DataOptions, kind: DataKind): void => {
  const misplaced = (option: string, of: string): never => fail('invalid-input', path, `${option} has a meaning for ${of} only; this is a set of kind ${kind}`);
  if (split !== undefined && kind !== 'idx') misplaced('split', 'IDX files');
  if (heldOut !== undefined && kind !== 'pack') misplaced('heldOut', 'packs');
  if (label !== undefined && kind !== 'pack') misplaced('label', 'packs');
  if (size !== undefined && Object.values(extentOf(size)).some((side) => !Number.isInteger(side) || side < 1 || side > 16384)) fail('invalid-input', path, `images cannot become ${JSON.stringify(size)} large: use whole numbers from 1 to 16384`);
  if (channels !== undefined && channels !== 1 && channels !== 3) fail('invalid-input', path, 'images have 1 or 3 channels');
  if (workers !== undefined && (!Number.isInteger(workers) || workers < 1)) fail('invalid-input', path, `${workers} workers: use a whole number of at least 1`);
  if (memory !== undefined && !(memory >= 0)) fail('invalid-input', path, `${memory} bytes of memory: use a number of at least 0`);
};

const checkUsable = (scan: Scan, { strict = false }: DataOptions): Scan => (strict && scan.notes.length > 0 ? fail('unsupported', scan.path, scan.notes[0]!) : scan);

/** Opens a data set. Errors name the file or folder, and say what is expected there. */
export const openDataset = (options: DataOptions): TaskEither<DataError, Dataset> =>
  attempt(options.path, async () => {
    const place = await placeOf(options.path), kind = options.kind ?? place.kind;
    checkOptions(options, kind);
    if (kind === 'idx') return idxDataset(options);
    if (kind === 'pack') return packDataset(place.pack ?? fail('not-found', options.path, 'there is no .pack in it'), options);
    const scan = checkUsable(kind === 'classes' ? await scanClasses(options.path, options.classes) : await scanCaptions(options.path), options);
    return decodedDataset(scan, extentOf(options.size ?? fail('invalid-input', options.path, 'the size that its images become is missing')), options);
  });

/** What a path looks like, by the names of its files. */
export const kindOfDataset = (path: string): TaskEither<DataError, DataKind> => attempt(path, async () => (await placeOf(path)).kind);
