/** Image files of every kind that people have, and what they become. */
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import type { FileError } from '../files/errors.ts';
import { type DecodeJob, decodeImage } from './decode.ts';
import { image, pattern, plain } from './test-images.ts';

const decode = async (bytes: Uint8Array, job: Partial<DecodeJob> = {}): Promise<Uint8Array> => {
  const decoded = await decodeImage({ path: 'a.png', channels: 3, height: 8, width: 8, ...job, bytes });
  if ('error' in decoded) throw new Error(decoded.error.message);
  return decoded.pixels;
};

const refused = async (bytes: Uint8Array, job: Partial<DecodeJob> = {}): Promise<FileError> => {
  const decoded = await decodeImage({ path: 'some/a.png', channels: 3, height: 8, width: 8, ...job, bytes });
  if ('pixels' in decoded) throw new Error('this should have been refused');
  return decoded.error;
};

/** The first pixel of each plane. */
const first = (pixels: Uint8Array, channels = 3): readonly number[] => Array.from({ length: channels }, (_, c) => pixels[c * 64]!);
const near = (got: readonly number[], want: readonly number[], tolerance: number): void => {
  for (const [i, value] of got.entries()) expect(Math.abs(value - want[i]!), `${got.join()} is near ${want.join()}`).toBeLessThanOrEqual(tolerance);
};

describe('what lies in a file', () => {
  test('a lossless image of the wanted size keeps its bytes, plane after plane', async () => {
    for (const format of ['png', 'webp'] as const) {
      const pixels = await decode(await image(8, 8, 3, 5).toFormat(format, { lossless: true }).toBuffer()), wanted = pattern(8, 8, 3, 5);
      expect(Array.from(pixels)).toEqual(Array.from({ length: 192 }, (_, i) => wanted[(i % 64) * 3 + Math.floor(i / 64)]));
    }
  });

  test('grey becomes colour, and colour grey', async () => {
    const grey = await image(8, 8, 1).toColourspace('b-w').png().toBuffer();
    const colour = await decode(grey);
    expect([...colour.subarray(0, 64)]).toEqual([...pattern(8, 8, 1)]);
    expect(colour.subarray(64, 128)).toEqual(colour.subarray(0, 64));
    expect([...(await decode(grey, { channels: 1 }))]).toEqual([...pattern(8, 8, 1)]);
    near(first(await decode(await plain('#ff0000').png().toBuffer(), { channels: 1 }), 1), [76], 0);
  });

  test('what is transparent is white, half of it half', async () => {
    expect(first(await decode(await plain('#ff000000').png().toBuffer()))).toEqual([255, 255, 255]);
    near(first(await decode(await plain('#ff000080').png().toBuffer())), [255, 127, 127], 1);
    const greyAlpha = await sharp(Uint8Array.from({ length: 128 }, (_, i) => (i % 2 === 0 ? 0 : 0)), { raw: { width: 8, height: 8, channels: 2 } }).png().toBuffer();
    expect(first(await decode(greyAlpha))).toEqual([255, 255, 255]);
  });

  test('16 bits become 8, of grey, colour and transparent images alike', async () => {
    const deep = (channels: 1 | 3 | 4, value: number) => Uint16Array.from({ length: 64 * channels }, (_, i) => (channels === 4 && i % 4 === 3 ? 65535 : value));
    for (const channels of [1, 3, 4] as const) {
      const bytes = await sharp(deep(channels, 200 * 257), { raw: { width: 8, height: 8, channels } }).toColourspace(channels === 1 ? 'grey16' : 'rgb16').png().toBuffer();
      expect((await sharp(bytes).metadata()).depth).toBe('ushort');
      near(first(await decode(bytes)), [200, 200, 200], 1);
    }
    const clear = Uint16Array.from({ length: 256 }, () => 0), bytes = await sharp(clear, { raw: { width: 8, height: 8, channels: 4 } }).toColourspace('rgb16').png().toBuffer();
    expect(first(await decode(bytes))).toEqual([255, 255, 255]);
  });

  test('CMYK becomes sRGB', async () => {
    const bytes = await plain('#e01020').toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer();
    expect(await sharp(bytes).metadata()).toMatchObject({ space: 'cmyk', channels: 4 });
    const [red, green, blue] = first(await decode(bytes));
    expect(red).toBeGreaterThan(180);
    expect(Math.max(green!, blue!)).toBeLessThan(80);
  });

  test('a picture is turned as its camera says', async () => {
    const turned = await sharp(await image(8, 16).png().toBuffer()).withMetadata({ orientation: 6 }).jpeg({ quality: 100 }).toBuffer();
    const wanted = await sharp(await image(8, 16).png().toBuffer()).rotate(90).png().toBuffer();
    const [got, want] = [await decode(turned), await decode(wanted)];
    near([...got], [...want], 12);
  });

  test('of an animation, the first frame', async () => {
    const frames = await sharp([await plain('#ff0000').png().toBuffer(), await plain('#0000ff').png().toBuffer()], { join: { animated: true } }).gif().toBuffer();
    expect((await sharp(frames, { pages: -1 }).metadata()).pages).toBe(2);
    near(first(await decode(frames)), [255, 0, 0], 4);
  });

  test('other sizes are cropped and scaled', async () => {
    const wide = await sharp({ create: { width: 40, height: 16, channels: 3, background: '#ffffff' } })
      .composite([{ input: await plain('#000000', 16, 16).png().toBuffer(), left: 12, top: 0 }]).png().toBuffer();
    expect(new Set(await decode(wide))).toEqual(new Set([0])); // the middle
    expect((await decode(await image(3, 2).png().toBuffer(), { height: 32, width: 32 })).length).toBe(3 * 32 * 32);
  });
});

describe('what is wrong is named', () => {
  test('a truncated JPEG, PNG, WebP', async () => {
    for (const format of ['jpeg', 'png', 'webp'] as const) {
      const whole = await image(64, 64).toFormat(format).toBuffer();
      for (const part of [0.4, 0.9]) {
        const error = await refused(whole.subarray(0, Math.floor(whole.length * part)));
        expect(error).toMatchObject({ kind: 'corrupt', path: 'some/a.png' });
        expect(error.message).toMatch(/^some\/a\.png: the image is damaged or cut short \(.+\)$/);
      }
    }
  });

  test('a file that is empty, no image, or an image of a kind that is not read', async () => {
    expect((await refused(new Uint8Array())).message).toBe('some/a.png: the file is empty');
    expect((await refused(new TextEncoder().encode('hello, world'))).message).toContain('damaged');
    expect((await refused(await image().tiff().toBuffer())).message).toContain('it is tiff inside, whatever its name');
    const drawing = new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8" fill="red"/></svg>');
    expect((await refused(drawing)).message).toContain('it is svg inside');
    near(first(await decode(drawing, { drawings: true })), [255, 0, 0], 0);
  });

  test('a decompression bomb: a header that announces more pixels than can be', async () => {
    const bomb = new Uint8Array(await image(8, 8).png().toBuffer()), view = new DataView(bomb.buffer);
    view.setUint32(16, 60000);
    view.setUint32(20, 60000);
    expect((await refused(bomb)).kind).toBe('corrupt');
  });

  test('a file that is not there', async () => {
    const decoded = await decodeImage({ path: '/nowhere/a.png', channels: 3, height: 8, width: 8 });
    expect(decoded).toMatchObject({ error: { kind: 'not-found' } });
  });
});
