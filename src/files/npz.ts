/**
 * NumPy's `.npz` with one array `arr_0`, uint8 [images, height, width, channels], as the ADM evaluation suite reads it.
 *
 * The number of images is known beforehand, so the array's header is written first and the images stream through: none is held.
 */
import { fail } from './errors.ts';
import { zipOfOne } from './zip-write.ts';

/** Shape of the array. */
export interface ImageArray {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** Pixels of one image or of several that follow each other (HWC bytes). */
export type Images = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** The pieces of the file; `path` is for messages only. Faults: invalid-input for fewer or more images than announced or pieces of a wrong length. */
export const npzPieces = (path: string, shape: ImageArray, images: Images): AsyncGenerator<Uint8Array> => {
  const header = npyHeader([shape.count, shape.height, shape.width, shape.channels]);
  const size = header.length + shape.count * imageBytes(shape);
  return zipOfOne({ name: 'arr_0.npy', size, data: arrayPieces(path, header, shape, images) });
};

const imageBytes = ({ height, width, channels }: ImageArray): number => height * width * channels;

async function* arrayPieces(path: string, header: Uint8Array, shape: ImageArray, images: Images): AsyncGenerator<Uint8Array> {
  yield header;
  let count = 0;
  for await (const piece of images) {
    count += piece.length / imageBytes(shape);
    if (!Number.isInteger(count)) fail('invalid-input', path, `${piece.length} bytes are no images of ${imageBytes(shape)} bytes`);
    if (count > shape.count) fail('invalid-input', path, `more than the announced ${shape.count} images came`);
    yield piece;
  }
  if (count < shape.count) fail('invalid-input', path, `only ${count} of ${shape.count} images came`);
}

/** The header of a `.npy` file (format 1.0) of bytes in C order; its length is a multiple of 64, so that the data is aligned. */
export const npyHeader = (shape: readonly number[]): Uint8Array => {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const prefix = 10;
  const length = Math.ceil((prefix + text.length + 1) / 64) * 64;
  const bytes = new TextEncoder().encode(`\0NUMPY\x01\0\0\0${text.padEnd(length - prefix - 1)}\n`);
  bytes[0] = 0x93; // no text: UTF-8 would make two bytes of it
  new DataView(bytes.buffer).setUint16(8, length - prefix, true);
  return bytes;
};
