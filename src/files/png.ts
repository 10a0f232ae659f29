/** PNG files: lossless, grey or colour. */
import { encode } from 'fast-png';
import { checked } from './picture.ts';
import type { Picture } from './picture.ts';

/** The bytes of a PNG file. */
export const encodePng = (picture: Picture): Uint8Array => {
  const { width, height, channels, data } = checked(picture);
  return encode({ width, height, channels, data });
};
