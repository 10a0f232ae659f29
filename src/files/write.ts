/** Writes the files that users get, whole or not at all. Errors of all: not-writable, aborted. */
import type { TaskEither } from 'fp-ts/TaskEither';
import { writeFileAtomic } from './atomic.ts';
import type { WriteOptions } from './atomic.ts';
import type { FileError } from './errors.ts';
import { encodeGif } from './gif.ts';
import type { GifOptions } from './gif.ts';
import { npzPieces } from './npz.ts';
import type { ImageArray, Images } from './npz.ts';
import type { Picture } from './picture.ts';
import { encodePng } from './png.ts';
import { safetensorsPieces } from './safetensors-write.ts';
import type { TensorToWrite } from './safetensors-write.ts';

/** Writes a picture as PNG (make a sheet of several with contactSheet) and returns the file's size. */
export const writePng = (path: string, picture: Picture, options: WriteOptions = {}): TaskEither<FileError, number> =>
  writeFileAtomic(path, encodePng(picture), options);

/** Writes frames of one size as an animated GIF and returns the file's size. */
export const writeGif = (path: string, frames: readonly Picture[], options: GifOptions & WriteOptions = {}): TaskEither<FileError, number> =>
  writeFileAtomic(path, encodeGif(frames, options), options);

/** Writes exactly `shape.count` images, as they come, and returns the file's size. Errors also: invalid-input. */
export const writeNpz = (path: string, shape: ImageArray, images: Images, options: WriteOptions = {}): TaskEither<FileError, number> =>
  writeFileAtomic(path, npzPieces(path, shape, images), options);

/** Writes tensors, one after the other, and returns the file's size. Errors also: invalid-input, and what the tensors' data fails with. */
export const writeSafetensors = (
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
  options: WriteOptions = {},
): TaskEither<FileError, number> => writeFileAtomic(path, safetensorsPieces(path, tensors, metadata), options);
