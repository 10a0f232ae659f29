/**
 * Looking through folders of images: one folder a class, or images with captions.
 *
 * Invariant: names are sorted by code point, on every system, so class ids and the order of images depend on names alone; hidden files do not count.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { extname, isAbsolute, join, posix, relative, sep } from 'node:path';
import { fail } from '../files/errors.ts';
import { IMAGE_FILE } from './decode.ts';
import type { Entry, Scan } from './decoded.ts';
import { listed } from './dataset.ts';

/** Files that look like images, but of kinds that are not read. */
const OTHER_IMAGE = /\.(bmp|tiff?|avif|heic|jxl|svg|ppm|pgm|ico|jp2)$/i;
/** Captions and lists of them are text of believable length. */
const MOST_TEXT = 2 ** 28;

const byCodePoint = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

interface Listing {
  readonly folders: readonly string[];
  readonly files: readonly string[];
}

/** The names in a folder, sorted; a link counts as what it leads to. */
export const listingOf = async (path: string): Promise<Listing> => {
  const found = await readdir(path, { withFileTypes: true });
  const [folders, files]: [string[], string[]] = [[], []];
  for (const entry of found.filter(({ name }) => !name.startsWith('.'))) {
    const isFolder = entry.isSymbolicLink() ? (await stat(join(path, entry.name)).catch(() => undefined))?.isDirectory() : entry.isDirectory();
    (isFolder === true ? folders : files).push(entry.name);
  }
  return { folders: folders.sort(byCodePoint), files: files.sort(byCodePoint) };
};

/** Folders inside folders inside folders: deeper than any data set, shallower than a circle of links. */
const DEEPEST = 16;

/** All files below a folder, as paths from it. */
const filesBelow = async (path: string, depth = 0): Promise<readonly string[]> => {
  if (depth > DEEPEST) fail('unsafe', path, `folders lie more than ${DEEPEST} deep in each other; is a link going in a circle?`);
  const { folders, files } = await listingOf(path);
  const deeper = await Promise.all(folders.map(async (folder) => (await filesBelow(join(path, folder), depth + 1)).map((file) => `${folder}/${file}`)));
  return [...files, ...deeper.flat()].sort(byCodePoint);
};

const otherNotes = (path: string, files: readonly string[]): readonly string[] => {
  const others = files.filter((file) => OTHER_IMAGE.test(file)), kinds = [...new Set(others.map((file) => extname(file).toLowerCase()))];
  return others.length === 0 ? [] : [`${path}: ${others.length} images of other kinds are not read (${kinds.join(', ')}); convert them to PNG, JPEG, WebP or GIF`];
};

/** Ends with what is missing and what is too much, unless the folders are the classes that were asked for. */
export const checkNames = (path: string, found: readonly string[], wanted: readonly string[] | undefined): void => {
  if (wanted === undefined) return;
  const missing = wanted.filter((name) => !found.includes(name)), extra = found.filter((name) => !wanted.includes(name));
  const parts = [...(missing.length > 0 ? [`${listed(missing)} missing`] : []), ...(extra.length > 0 ? [`${listed(extra)} unknown`] : [])];
  if (parts.length > 0) fail('mismatch', path, `its classes do not match the ${wanted.length} that were asked for: ${parts.join('; ')}`);
  if (wanted.some((name, i) => name !== found[i])) fail('mismatch', path, `its classes are ${listed(found)}, in this order; another order was asked for`);
};

const EXPECTED = 'expected is one folder for each class, with its images (PNG, JPEG, WebP, GIF) in it';

/** One folder a class: labels are places among the sorted names. */
export const scanClasses = async (path: string, wanted?: readonly string[]): Promise<Scan> => {
  const { folders, files } = await listingOf(path);
  if (folders.length === 0) {
    const images = files.filter((file) => IMAGE_FILE.test(file)).length;
    if (images > 0) return fail('mismatch', path, `${images} images lie directly in it, without classes; ${EXPECTED} (or a caption for each: name.txt beside it)`);
    return fail('empty', path, files.length === 0 ? `the folder is empty; ${EXPECTED}` : `there is no class in it, only files such as ${files[0]}; ${EXPECTED}`);
  }
  checkNames(path, folders, wanted);
  const classes = await Promise.all(folders.map((folder) => filesBelow(join(path, folder))));
  const images = classes.map((names) => names.filter((name) => IMAGE_FILE.test(name)));
  const empty = folders.filter((_, label) => images[label]!.length === 0); // one list for each folder
  if (empty.length > 0)
    return fail('empty', path, `${empty.length === 1 ? 'the class' : 'the classes'} ${listed(empty)} ${empty.length === 1 ? 'has' : 'have'} no image; add some, or remove the ${empty.length === 1 ? 'folder' : 'folders'}`);
  const entries = images.flatMap((names, label) => names.map((name) => ({ path: join(path, folders[label]!, name), label }))); // as above
  return { path, classes: folders, entries, notes: folders.flatMap((folder, label) => otherNotes(join(path, folder), classes[label]!)) }; // as above
};

/** The list of captions of `datasets`-like folders. */
export const METADATA = 'metadata.jsonl';

const readText = async (path: string): Promise<string> => {
  const { size } = await stat(path);
  return size > MOST_TEXT ? fail('unsupported', path, `${size} bytes are too many for text`) : readFile(path, 'utf8');
};

interface Line {
  readonly file: string;
  readonly caption: string;
}

/** `{"file_name": "a.png", "text": "a red shoe"}`; other keys may be there. */
const lineOf = (path: string, text: string, number: number): Line => {
  const wrong = (what: string): never => fail('corrupt', path, `line ${number} ${what}; expected is {"file_name": "a.png", "text": "a caption"}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return wrong('is no JSON');
  }
  if (typeof value !== 'object' || value === null) return wrong('is no object');
  const { file_name: file, text: caption, caption: other } = value as Readonly<Record<string, unknown>>; // an object has such a view
  const said = caption ?? other;
  if (typeof file !== 'string' || file === '') return wrong('has no "file_name"');
  return typeof said === 'string' ? { file, caption: said.trim() } : wrong('has no "text"');
};

const isInside = (path: string, file: string): boolean => {
  const way = relative(path, join(path, file));
  return !isAbsolute(file) && way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
};

const fromMetadata = async (path: string, images: ReadonlySet<string>): Promise<readonly Line[]> => {
  const list = join(path, METADATA), seen = new Set<string>();
  const lines = (await readText(list)).split('\n').flatMap((text, i) => (text.trim() === '' ? [] : [{ ...lineOf(list, text, i + 1), number: i + 1 }]));
  return lines.map(({ file, caption, number }) => {
    if (!isInside(path, file)) fail('unsafe', list, `line ${number} names ${file}, which is not inside the folder`);
    const name = posix.normalize(file); // as names are listed
    if (seen.has(name)) fail('mismatch', list, `line ${number} names ${file} a second time`);
    seen.add(name);
    if (!images.has(name)) fail('mismatch', list, `line ${number} names ${file}, but there is no such image`);
    return { file: name, caption };
  });
};

const fromTexts = async (path: string, images: readonly string[], files: ReadonlySet<string>): Promise<readonly Line[]> => {
  const textOf = (image: string): string => image.replace(IMAGE_FILE, '.txt');
  const bare = images.filter((image) => !files.has(textOf(image)));
  if (bare.length > 0) fail('mismatch', path, `${bare.length} of ${images.length} images have no caption: ${listed(bare.map(textOf))} missing`);
  const captions: Line[] = [];
  for (const file of images) captions.push({ file, caption: (await readText(join(path, textOf(file)))).trim() });
  return captions;
};

/** Images with captions, all of one class. */
export const scanCaptions = async (path: string): Promise<Scan> => {
  const files = await filesBelow(path), all = new Set(files), images = files.filter((file) => IMAGE_FILE.test(file));
  if (images.length === 0) return fail('empty', path, `there is no image in it; expected are images (PNG, JPEG, WebP, GIF), each with a caption: name.txt, or a line in ${METADATA}`);
  const lines = all.has(METADATA) ? await fromMetadata(path, new Set(images)) : await fromTexts(path, images, all);
  if (lines.length === 0) fail('empty', join(path, METADATA), 'it names no image');
  const unnamed = images.length - lines.length;
  const notes = unnamed === 0 ? [] : [`${path}: ${unnamed} of ${images.length} images are not in ${METADATA} and are left out`];
  const entries: readonly Entry[] = lines.map(({ file, caption }) => ({ path: join(path, file), label: 0, caption }));
  return { path, classes: ['all'], entries, notes: [...notes, ...otherNotes(path, files)] };
};
