/**
 * An image file as the bytes of a tensor: decoded by `sharp` (PNG, JPEG, WebP, the first frame of a GIF), turned upright, flattened on white, brought to
 * 8-bit grey or sRGB whatever it was (16 bit, CMYK, palette), cropped and scaled as ADM does, channel after channel.
 *
 * Invariant: a file that is damaged anywhere is an error that names it, never a half-grey image. Runs in worker threads and outside of them alike.
 */
import { readFile, stat } from 'node:fs/promises';
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { fail, faultOf, type FileError } from '../files/errors.ts';
import { centreCrop, planar, type Raster } from './resample.ts';

/** What an image becomes. */
export interface ImageShape {
  readonly channels: 1 | 3;
  readonly height: number;
  readonly width: number;
}

export interface DecodeJob extends ImageShape {
  /** What messages call it; also where it lies, unless `bytes` are given. */
  readonly path: string;
  readonly bytes?: Uint8Array;
  /** SVG too, drawn large enough for the target. Only for files that we chose: a data set's folder has none. */
  readonly drawings?: boolean;
}

/** The pixels [C, H, W], or why there are none. Plain data, so that it crosses threads. */
export type Decoded = { readonly pixels: Uint8Array<ArrayBuffer> } | { readonly error: FileError };

/** Whether the file is at fault, so that others can do without it. A thread that died or rights that are missing are no reason to go on with less. */
export const isDamage = ({ kind }: FileError): boolean => kind === 'corrupt' || kind === 'unsupported';

/** Names of image files that are read. */
export const IMAGE_FILE = /\.(png|jpe?g|webp|gif)$/i;

const FORMATS = ['png', 'jpeg', 'webp', 'gif'];
/** A file that is larger is no training image. */
const MOST_BYTES = 2 ** 28;
/** 16,384 x 16,384; more than that is taken for a decompression bomb. */
const MOST_PIXELS = 2 ** 28;
/** Points an inch at which a drawing has the size that it states. */
const USUAL_DENSITY = 72;

type Sharps = (input: Uint8Array, options: SharpOptions) => Sharp;

/** Loaded when the first image is decoded: who reads no images needs no `sharp`. */
const loadSharp = async (path: string): Promise<Sharps> => {
  try {
    const { default: sharp } = await import('sharp');
    sharp.concurrency(1); // the threads are ours
    sharp.cache(false);
    return sharp;
  } catch (thrown) {
    const [why] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n');
    return fail('unreachable', path, `images are decoded by the package sharp, which cannot be loaded here (${why}); npm install sharp@0.35.5 --include=optional`);
  }
};

const readAll = async (path: string): Promise<Uint8Array> => {
  const { size } = await stat(path);
  if (size > MOST_BYTES) fail('unsupported', path, `an image file of ${size} bytes is too large; the most is ${MOST_BYTES}`);
  return readFile(path);
};

const checkFormat = ({ format, width, height }: Metadata, { path, drawings = false }: DecodeJob): void => {
  if (!FORMATS.includes(format ?? '') && !(drawings && format === 'svg'))
    fail('unsupported', path, `it is ${format ?? 'of an unknown kind'} inside, whatever its name; PNG, JPEG, WebP and GIF are read`);
  if (!(width >= 1 && height >= 1)) fail('corrupt', path, 'the image has no pixels');
};

/** ITU-R 601's luma in 16 bits, as Pillow has it: equal parts give themselves. */
const lumaOf = (red: number, green: number, blue: number): number => (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;

/** Nothing is transparent any more, so what is behind the third channel, or behind grey, is no colour. */
const withChannels = ({ width, height, channels: has, data }: Raster, channels: 1 | 3): Raster => {
  if (has === channels) return { width, height, channels, data };
  const isGrey = has < 3, target = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const at = i * has, [red, green, blue] = isGrey ? [data[at]!, data[at]!, data[at]!] : [data[at]!, data[at + 1]!, data[at + 2]!]; // inside the picture
    if (channels === 1) target[i] = lumaOf(red, green, blue);
    else target.set([red, green, blue], i * 3);
  }
  return { width, height, channels, data: target };
};

const rasterOf = async (job: DecodeJob): Promise<Raster> => {
  const bytes = job.bytes ?? (await readAll(job.path)), sharp = await loadSharp(job.path);
  if (bytes.length === 0) fail('corrupt', job.path, 'the file is empty');
  const options: SharpOptions = { failOn: 'warning', limitInputPixels: MOST_PIXELS, pages: 1 };
  const metadata = await sharp(bytes, options).metadata();
  checkFormat(metadata, job);
  const enlargement = metadata.format === 'svg' ? Math.max(1, job.width / metadata.width, job.height / metadata.height) : 1;
  const { data, info } = await sharp(bytes, { ...options, density: USUAL_DENSITY * enlargement })
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return withChannels({ width: info.width, height: info.height, channels: info.channels, data }, job.channels);
};

/** What libvips says, on one line, without the names of its own operations. */
const complaintOf = (thrown: Error): string => thrown.message.split('\n').map((line) => line.trim()).filter((line) => line !== '').join('; ');

const isSystemError = (thrown: unknown): boolean => thrown instanceof Error && 'syscall' in thrown;

const errorOf = (path: string, thrown: unknown): FileError => {
  // sharp throws plain errors; what else is thrown is a fault of ours or of the system
  if (thrown instanceof Error && thrown.constructor === Error && !isSystemError(thrown))
    return { kind: 'corrupt', path, message: `${path}: the image is damaged or cut short (${complaintOf(thrown)})` };
  return faultOf(path, thrown);
};

/** Decodes one image. */
export const decodeImage = async (job: DecodeJob): Promise<Decoded> => {
  try {
    return { pixels: planar(centreCrop(await rasterOf(job), job)) };
  } catch (thrown) {
    return { error: errorOf(job.path, thrown) };
  }
};
