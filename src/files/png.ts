/** PNG files: lossless, grey or colour. */
import { encode } from 'fast-png';
import type { TaskEither } from 'fp-ts/TaskEither';
import { writeFileAtomic } from './atomic.ts';
import type { WriteOptions } from './atomic.ts';
import type { FileError } from './errors.ts';
import { checked } from './picture.ts';
import type { Picture } from './picture.ts';

/** The bytes of a PNG file. */
export const encodePng = (picture: Picture): Uint8Array => {
  const { width, height, channels, data } = checked(picture);
  return encode({ width, height, channels, data });
};

/** Writes a picture (make a sheet of several with contactSheet) and returns the file's size. Errors: not-writable, aborted. */
export const writePng = (path: string, picture: Picture, options: WriteOptions = {}): TaskEither<FileError, number> =>
  writeFileAtomic(path, encodePng(picture), options);
