/** Pictures as bytes, row by row, the channels of a pixel together (HWC), and their arrangement on a sheet. */
import { toUint8 } from '../../models/pixels/uint8.ts';

/** A grey (1 channel) or colour (3 channels: red, green, blue) picture; `data` has height * width * channels bytes. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
}

/** The picture of a model's output for one image: values in [-1, 1], shape [channels, height, width]. */
export const pictureOf = (values: Float32Array, channels: number, height: number, width: number): Picture =>
  checked({ width, height, channels, data: interleave(toUint8(values), channels, height * width) });

/** Channel planes to pixels: [C, P] to [P, C]. */
export const interleave = (planes: Uint8Array, channels: number, pixels: number): Uint8Array<ArrayBuffer> => {
  const data = new Uint8Array(channels * pixels);
  for (let channel = 0; channel < channels; channel++)
    for (let pixel = 0; pixel < pixels; pixel++) data[pixel * channels + channel] = planes[channel * pixels + pixel]!;
  return data;
};

/** How a sheet is laid out. */
export interface SheetOptions {
  /** Default: as square as possible. */
  readonly columns?: number;
  /** Pixels between and around the pictures; default 2. */
  readonly padding?: number;
  /** Grey value of what is not covered; default 255, white. */
  readonly background?: number;
}

/** All pictures, which must have one size, on one sheet, row by row; a last row that is not full is filled with background. */
export const contactSheet = (pictures: readonly Picture[], { columns, padding = 2, background = 255 }: SheetOptions = {}): Picture => {
  const [first] = pictures;
  if (first === undefined) throw new RangeError('a contact sheet needs at least one picture');
  const across = Math.min(columns ?? Math.ceil(Math.sqrt(pictures.length)), pictures.length);
  if (!Number.isInteger(across) || across < 1) throw new RangeError(`a contact sheet cannot have ${columns} columns`);
  const { width, height, channels } = first;
  const sheet = blank(extent(across, width, padding), extent(Math.ceil(pictures.length / across), height, padding), channels, background);
  for (const [i, picture] of pictures.entries()) {
    checkSameSize(picture, first);
    copyInto(sheet, picture, extent(i % across, width, padding), extent(Math.floor(i / across), height, padding));
  }
  return sheet;
};

/** Every pixel as a square of `scale` x `scale`. */
export const enlarged = (picture: Picture, scale: number): Picture => {
  if (scale === 1) return picture;
  const { width, height, channels, data } = picture;
  const target = new Uint8Array(data.length * scale * scale);
  for (let y = 0; y < height * scale; y++) {
    for (let x = 0; x < width * scale; x++) {
      const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * channels;
      target.set(data.subarray(from, from + channels), (y * width * scale + x) * channels);
    }
  }
  return { width: width * scale, height: height * scale, channels, data: target };
};

/** The picture itself; throws where its length is wrong or it has a number of channels that no file format takes (a bug of the caller). */
export const checked = (picture: Picture): Picture => {
  const { width, height, channels, data } = picture;
  if (channels !== 1 && channels !== 3) throw new RangeError(`a picture has 1 or 3 channels, not ${channels}`);
  if (width < 1 || height < 1 || data.length !== width * height * channels)
    throw new RangeError(`${data.length} bytes are no picture of ${height} x ${width} pixels with ${channels} channels`);
  return picture;
};

/** Where the cell after `count` cells begins; also the length of `count` cells with padding on both ends. */
const extent = (count: number, size: number, padding: number): number => padding + count * (size + padding);

const blank = (width: number, height: number, channels: number, background: number): Picture => ({
  width,
  height,
  channels,
  data: new Uint8Array(width * height * channels).fill(background),
});

const copyInto = (sheet: Picture, { width, height, channels, data }: Picture, left: number, top: number): void => {
  const rowLength = width * channels;
  for (let row = 0; row < height; row++)
    sheet.data.set(data.subarray(row * rowLength, (row + 1) * rowLength), ((top + row) * sheet.width + left) * channels);
};

const checkSameSize = (picture: Picture, first: Picture): void => {
  checked(picture);
  const same = picture.width === first.width && picture.height === first.height && picture.channels === first.channels;
  if (!same) throw new RangeError('the pictures of a contact sheet must have one size and the same channels');
};
