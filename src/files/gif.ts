/** Animated GIFs of a sampling trajectory: grey frames are kept exactly, colour frames get a palette of 256 colours each. */
import * as gifenc from 'gifenc';
import { checked } from './picture.ts';
import type { Picture } from './picture.ts';

// a bundle takes gifenc's ES module, plain Node its CommonJS file, whose names all sit under `default`
const { GIFEncoder, quantize, applyPalette } = (gifenc.GIFEncoder as unknown) === undefined ? gifenc.default : gifenc;

/** Times in milliseconds; GIF keeps hundredths of a second. */
export interface GifOptions {
  /** How long a frame is shown; default 80. */
  readonly delay?: number;
  /** How long the last frame, the result, is shown before it starts again; default 2000. */
  readonly lastDelay?: number;
}

/** The bytes of a GIF that repeats for ever; all frames must have one size. */
export const encodeGif = (frames: readonly Picture[], { delay = 80, lastDelay = 2000 }: GifOptions = {}): Uint8Array => {
  if (frames.length === 0) throw new RangeError('a GIF needs at least one frame');
  const gif = GIFEncoder();
  for (const [i, frame] of frames.entries()) {
    const { width, height } = checked(frame);
    if (width !== frames[0]!.width || height !== frames[0]!.height) throw new RangeError('the frames of a GIF must have one size');
    const { palette, index } = indexed(frame);
    gif.writeFrame(index, width, height, { palette, delay: i === frames.length - 1 ? lastDelay : delay });
  }
  gif.finish();
  return gif.bytes();
};

interface Indexed {
  readonly palette: number[][];
  readonly index: Uint8Array;
}

const greys = Array.from({ length: 256 }, (_, value) => [value, value, value]);

const indexed = (frame: Picture): Indexed => {
  if (frame.channels === 1) return { palette: greys, index: frame.data };
  const rgba = withAlpha(frame.data);
  const palette = quantize(rgba, 256);
  return { palette, index: applyPalette(rgba, palette) };
};

const withAlpha = (rgb: Uint8Array): Uint8Array => {
  const rgba = new Uint8Array((rgb.length / 3) * 4).fill(255);
  for (let pixel = 0; pixel * 3 < rgb.length; pixel++) rgba.set(rgb.subarray(pixel * 3, pixel * 3 + 3), pixel * 4);
  return rgba;
};
